"""Files that are whole or absent; policies that are plain data."""

import os

import numpy as np
import pytest

from palm_theory.errors import ArtifactError, InputError
from palm_theory.files import (
    array_digest,
    canonical_json,
    explained_disk_errors,
    folder_digests,
    load_plain_data,
    save_plain_data,
)

pytest_plugins = ["tests.helpers.fault_fixtures"]

PLAIN = [
    None,
    True,
    -7,
    10**30,
    0.1 + 0.2,
    -0.0,
    5e-324,
    "ünïcödé \ud800 \x00",
    [],
    {},
    [1, [2, [3, None]]],
    {"array": 1, "list": [2], "dict": {"float": 3}},
    {"": {"a b": [True, {"c": "d"}]}},
]


@pytest.mark.parametrize("policy", PLAIN, ids=repr)
def test_plain_data_comes_back_the_same(fast_path, policy):
    save_plain_data(policy, fast_path)
    loaded = load_plain_data(fast_path)
    assert loaded == policy
    assert repr(loaded) == repr(policy)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "uint64", "bool", ">f8"])
def test_arrays_come_back_bit_for_bit(fast_path, dtype):
    array = np.random.default_rng(0).random((3, 0, 2) if dtype == "int8" else (3, 4)).astype(dtype)
    save_plain_data({"deep": [1, {"array": array}], "transposed": array.T}, fast_path)
    loaded = load_plain_data(fast_path)
    for found, expected in ((loaded["deep"][1]["array"], array), (loaded["transposed"], array.T)):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()


def test_numbers_of_numpy_come_back_as_numbers(fast_path):
    save_plain_data([np.float64(0.1), np.float32(0.5), np.int64(3), np.bool_(True), np.str_("x")], fast_path)
    assert load_plain_data(fast_path) == [0.1, 0.5, 3, True, "x"]


def test_infinities_and_nan_come_back(fast_path):
    save_plain_data({"threshold": float("inf"), "low": -np.inf, "missing": float("nan")}, fast_path)
    loaded = load_plain_data(fast_path)
    assert loaded["threshold"] == float("inf")
    assert loaded["low"] == -float("inf")
    assert np.isnan(loaded["missing"])


def test_tuples_come_back_as_lists(fast_path):
    save_plain_data((1, (2, 3)), fast_path)
    assert load_plain_data(fast_path) == [1, [2, 3]]


@pytest.mark.parametrize(
    "policy",
    [
        object(),
        {1: "a"},
        {1, 2},
        1j,
        np.complex128(1j),
        np.longdouble(1),
        np.datetime64("2026-01-01"),
        np.array(["a"]),
        np.array([object()]),
        [lambda: 0],
        b"bytes",
    ],
    ids=lambda policy: type(policy).__name__,
)
def test_anything_else_is_refused_and_told_what_to_do(fast_path, policy):
    with pytest.raises(InputError, match="is not plain data; the backend must define save_policy"):
        save_plain_data(policy, fast_path)
    assert list(fast_path.iterdir()) == []


def test_saving_the_same_twice_gives_the_same_bytes(fast_path):
    policy = {"weights": np.arange(50.0), "name": "a"}
    digests = []
    for name in ("one", "two"):
        (fast_path / name).mkdir()
        save_plain_data(policy, fast_path / name)
        digests.append(folder_digests(fast_path / name))
    assert digests[0] == digests[1]
    assert set(digests[0]) == {"policy.json", "policy.npz"}


def test_pickled_arrays_are_never_loaded(fast_path):
    save_plain_data({"a": np.zeros(2)}, fast_path)
    np.savez(fast_path / "policy.npz", array0=np.array([{"code": print}], dtype=object), allow_pickle=True)
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_plain_data(fast_path)


@pytest.mark.parametrize("name", ["policy.json", "policy.npz"])
def test_damaged_plain_data_raises_nothing_but_artifact_error(fast_path, name):
    # Loaded here without the digests that protect portfolios and journals: values may change, errors must not.
    save_plain_data({"a": [1.5, "text", None, float("inf")], "b": np.arange(6.0)}, fast_path)
    path = fast_path / name
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError):
            load_plain_data(fast_path)
    refused = 0
    for position in range(len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[position] ^= 1 << bit
            path.write_bytes(data)
            try:
                load_plain_data(fast_path)
            except ArtifactError:
                refused += 1
    assert refused > len(whole)


def test_a_missing_policy_is_an_artifact_error(fast_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_plain_data(fast_path / "nowhere")


def test_disk_errors_name_the_path_the_reason_and_what_to_do():
    with (
        pytest.raises(ArtifactError, match=r"cannot write here/x: No space left on device; .* free the disk") as caught,
        explained_disk_errors("here/x"),
    ):
        raise OSError(28, os.strerror(28))
    assert isinstance(caught.value.__cause__, OSError)


def test_digests_see_every_file_and_its_place(fast_path):
    (fast_path / "a").mkdir()
    (fast_path / "a" / "x").write_bytes(b"1")
    first = folder_digests(fast_path)
    assert list(first) == ["a/x"]
    (fast_path / "a" / "x").rename(fast_path / "x")
    assert folder_digests(fast_path) == {"x": first["a/x"]}
    (fast_path / "x").write_bytes(b"2")
    assert folder_digests(fast_path) != {"x": first["a/x"]}


def test_array_digests_see_type_shape_and_values():
    zeros = np.zeros(4)
    different = [zeros.reshape(2, 2), zeros.astype("float32"), np.zeros(5), -zeros, np.array([0, 0, 0, 1e-320])]
    digests = {array_digest(array) for array in [zeros, *different]}
    assert len(digests) == 6
    matrix = np.random.default_rng(0).random((3, 4))
    assert array_digest(np.asfortranarray(matrix)) == array_digest(matrix)


def test_canonical_json_is_one_text_for_equal_data():
    assert canonical_json({"b": 1, "a": [1.0, None]}) == canonical_json({"a": (1.0, None), "b": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))
