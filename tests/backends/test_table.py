"""Tables of measured policies: reading, normalising, known fronts, and refusals that name the place."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.table import TableBackend
from palm_theory.build import build_portfolio
from palm_theory.certify.audit import audit
from palm_theory.certify.certificate import Kind
from palm_theory.contract.problem import problem_fingerprint
from palm_theory.errors import InputError
from palm_theory.geometry.envelope import essential_policies
from palm_theory.strategies.adaptive import Adaptive
from palm_theory.testing import check_conformance
from tests.helpers.instances import rng_of, seeds, simplex_points, table_backends


@settings(max_examples=15)
@given(seeds, st.integers(2, 4), st.integers(1, 12), st.booleans())
def test_conformance(seed, d, n, regularized):
    check_conformance(table_backends(seed, d=d, n=n, regularized=regularized), weights=4).raise_on_failure()


@given(seeds, st.integers(1, 4), st.integers(1, 20), st.booleans())
def test_optimize_is_the_best_row(seed, d, n, regularized):
    backend = table_backends(seed, d=d, n=n, regularized=regularized)
    values = backend.all_values()
    for w in simplex_points(d, 3, seed):
        best = max(v.rewards @ w - v.regularizer for v in values)
        solution = backend.optimize(w)
        assert math.isclose(solution.value.scalarize(w), best, abs_tol=1e-14)
        assert math.isclose(backend.optimal_value(w), best, abs_tol=1e-14)
        assert values[solution.policy].same_numbers(solution.value)


def csv_file(tmp_path, text):
    path = tmp_path / "scores.csv"
    path.write_bytes(text.encode())
    return path


def test_a_csv_file(tmp_path):
    path = csv_file(tmp_path, "\ufeffname, quality ,cost,kl\r\nA,1.5,3,0.1\r\n\r\nB,0.5,1,0\r\n")
    backend = TableBackend(path, minimize=["cost"], name="name", regularizer="kl")
    assert backend.objectives == ("quality", "cost")
    assert backend.names == ("A", "B")
    assert backend.rewards.tolist() == [[1.5, 0.0], [0.5, 2.0]]
    assert [v.regularizer for v in backend.all_values()] == [0.1, 0.0]
    assert backend.label(1) == "B"
    assert (backend.reward_max, backend.regularizer_max, backend.has_reference) == (2.0, 0.1, True)


@given(seeds, st.integers(1, 4), st.integers(1, 8))
def test_csv_frame_and_array_are_the_same_problem(tmp_path_factory, seed, d, n):
    rewards = rng_of(seed).random((n, d))
    names = [f"c{i}" for i in range(d)]
    frame = pd.DataFrame(rewards, columns=names)
    path = tmp_path_factory.mktemp("table") / "t.csv"
    frame.to_csv(path, index=False)
    prints = {
        problem_fingerprint(b)
        for b in (TableBackend(path), TableBackend(frame), TableBackend(rewards, objectives=names))
    }
    assert len(prints) == 1


@given(seeds, st.sampled_from(["shift", "minmax"]), st.floats(-100, 100), st.sampled_from([1e-9, 1.0, 1e9]))
def test_normalisers_undo_themselves_and_keep_the_order(seed, normalization, shift, unit):
    measured = (rng_of(seed).normal(0, 1, (6, 3)) + shift) * unit
    backend = TableBackend(measured, objectives=["a", "b", "c"], minimize=["b"], normalization=normalization)
    for i, normalizer in enumerate(backend.normalizers):
        rewards = backend.rewards[:, i]
        assert rewards.min() >= 0
        assert np.allclose(normalizer.invert(rewards), measured[:, i], rtol=1e-12, atol=1e-12 * unit * (1 + abs(shift)))
        sign = -1 if i == 1 else 1
        assert np.array_equal(np.argsort(rewards), np.argsort(sign * measured[:, i]))
        if normalization == "minmax":
            assert math.isclose(rewards.max(), 1.0, rel_tol=1e-9)
            assert rewards.min() <= 1e-9


def test_shift_leaves_nonnegative_columns_alone():
    backend = TableBackend(np.array([[1.0, -2.0], [3.0, 5.0]]))
    assert backend.rewards.tolist() == [[1.0, 0.0], [3.0, 7.0]]


def test_constant_columns():
    assert TableBackend(np.ones((3, 2)), normalization="minmax").rewards.max() <= 1.0
    assert TableBackend(np.full((3, 2), -1.0)).rewards.tolist() == [[0.0, 0.0]] * 3
    assert TableBackend(np.zeros((3, 2))).reward_max == 1.0


def test_standard_errors_are_normalised_and_forbid_exact_claims():
    frame = pd.DataFrame({"a": [0.0, 10.0], "e": [1.0, 2.0], "f": [0.0, 0.5], "g": [0.0, 0.1]})
    backend = TableBackend(
        frame, objectives=["a"], regularizer="f", stderr={"a": "e", "f": "g"}, normalization="minmax"
    )
    values = backend.all_values()
    assert [v.rewards_stderr.tolist() for v in values] == [[0.1], [0.2]]
    assert [v.regularizer_stderr for v in values] == [0.0, 0.1]
    certificate = build_portfolio(backend, progress=False).certificate
    assert certificate.kind is Kind.BOUNDED
    assert certificate.confidence == 0.95
    assert certificate.reference == "all 2 policies of the backend"
    assert certificate.epsilon >= audit(values, reference=values, confidence=0.5).epsilon > 0


def test_a_mean_is_no_range_of_single_evaluations():
    """Rare rewards: the largest mean is far below R_max = 1. Bernstein intervals with that mean as range miss often."""
    rng, missed, trials = rng_of(0), 0, 200
    for _ in range(trials):
        means = np.array([[0.004, 0.02], [0.02, 0.004]])
        draws = rng.random((60, 2, 2)) < means
        errors = draws.std(axis=0, ddof=1) / math.sqrt(60)
        frame = pd.DataFrame(
            {"a": draws.mean(axis=0)[:, 0], "b": draws.mean(axis=0)[:, 1], "ea": errors[:, 0], "eb": errors[:, 1]}
        )
        undeclared = TableBackend(frame, objectives=["a", "b"], stderr={"a": "ea", "b": "eb"}, samples=60)
        guess = audit(
            undeclared.all_values()[:1], reference=undeclared.all_values(), evaluation_max=undeclared.evaluation_max
        )
        assert guess.interval == "normal"
        declared = TableBackend(frame, objectives=["a", "b"], stderr={"a": "ea", "b": "eb"}, samples=60, reward_max=1.0)
        values = declared.all_values()
        certificate = audit(
            values[:1], reference=values, evaluation_max=declared.evaluation_max, epsilon=0.0, confidence=0.9
        )
        assert certificate.interval == "empirical-bernstein"
        missed += certificate.delta < 0.02 - 0.004
    assert missed <= 0.1 * trials


@pytest.mark.parametrize("reward_max", [0.5, 0.0, -1.0, math.inf, math.nan])
def test_a_reward_max_below_the_table_is_refused(reward_max):
    with pytest.raises(InputError, match="reward_max"):
        TableBackend(np.eye(2), reward_max=reward_max)


def deep_sea_treasure(name):
    module = pytest.importorskip("mo_gymnasium.envs.deep_sea_treasure.deep_sea_treasure")
    return np.array(getattr(module, name))


def test_deep_sea_treasure_has_ten_points_of_which_nine_are_needed():
    """(20.3, -14) lies on the line through (19.6, -13) and (22.4, -17): it only ties."""
    front = deep_sea_treasure("CONVEX_FRONT")
    assert len(front) == 10
    backend = TableBackend(front)
    needed = {tuple(front[k]) for k in essential_policies(backend.rewards)}
    assert len(needed) == 9
    assert {tuple(row) for row in front} - needed == {(20.3, -14.0)}
    portfolio = build_portfolio(backend, Adaptive(epsilon=0.0))
    assert (len(portfolio), portfolio.certificate.kind, portfolio.certificate.epsilon) == (9, Kind.EXACT, 0.0)


def test_concave_deep_sea_treasure_needs_its_two_ends():
    front = deep_sea_treasure("CONCAVE_FRONT")
    portfolio = build_portfolio(TableBackend(front), Adaptive(epsilon=0.0))
    assert {tuple(front[member.policy]) for member in portfolio} == {(1.0, -1.0), (124.0, -19.0)}
    assert (portfolio.certificate.kind, portfolio.certificate.epsilon) == (Kind.EXACT, 0.0)


@pytest.mark.parametrize(("depth", "size"), [(5, 32), (6, 64)])
def test_fruit_tree_needs_every_policy(depth, size):
    fruits = pytest.importorskip("mo_gymnasium.envs.fruit_tree.fruit_tree").FRUITS
    portfolio = build_portfolio(TableBackend(np.array(fruits[str(depth)])), Adaptive(epsilon=0.0))
    certificate = portfolio.certificate
    assert (len(portfolio), certificate.kind, certificate.epsilon) == (size, Kind.EXACT, 0.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "empty: it needs a header and at least one policy"),
        ("a,b\n1,2\n3\n", "line 3: 1 cells, but the header has 2"),
        ("a,b\n1,2,3\n", "line 2: 3 cells"),
        ("a,a\n1,2\n", "line 1: column names must be distinct"),
        ("a,\n1,2\n", "line 1: column names"),
        ("a,b\n1,x\n", "column 'b', row 0: 'x' is not a number"),
        ("a,b\n1,nan\n", "column 'b', row 0: nan is not finite"),
        ("a,b\n1,\n", "column 'b', row 0: '' is not a number"),
        ("a,b\n1,inf\n", "not finite"),
    ],
)
def test_bad_csv_files_are_refused_with_the_place(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        TableBackend(csv_file(tmp_path, text))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        TableBackend(tmp_path / "missing.csv")
    path = tmp_path / "binary.csv"
    path.write_bytes(b"a,b\n\xff\xfe\x00,1\n")
    with pytest.raises(InputError, match="UTF-8"):
        TableBackend(path)


FRAME = pd.DataFrame({"n": ["x", "y"], "a": [1.0, 2.0], "b": [2.0, 1.0], "e": [0.1, 0.1], "f": [0.0, 1.0]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objectives": ["z"]}, "unknown column 'z'"),
        ({"minimize": ["z"]}, "unknown column 'z'"),
        ({"regularizer": "z"}, "unknown column 'z'"),
        ({"name": "z"}, "unknown column 'z'"),
        ({"objectives": ["a"], "stderr": {"a": "z"}}, "unknown column 'z'"),
        ({"objectives": ["a"], "stderr": {"b": "e"}}, "stderr names 'b'"),
        ({"objectives": []}, "one or more distinct"),
        ({"objectives": ["a", "a"]}, "distinct"),
        ({"objectives": ["a"], "minimize": ["a"]}, "distinct"),
        ({"objectives": ["n"]}, "not a number"),
        ({"objectives": ["a"], "minimize": ["b"], "normalization": "none"}, "is minimised"),
        ({"objectives": ["a"], "normalization": "log"}, "normalization must be"),
        ({"objectives": ["a"], "name": "e"}, "names must be unique"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        TableBackend(FRAME, **options)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((0, 2)), "shape"),
        (np.zeros((2, 0)), "shape"),
        (np.zeros(3), "shape"),
        ([[1, 2], [3]], "array of numbers"),
        (np.array([[1.0, math.nan]]), "not finite"),
        (pd.DataFrame(), "empty"),
    ],
)
def test_bad_arrays_are_refused(scores, message):
    with pytest.raises(InputError, match=message):
        TableBackend(scores)


def test_negative_entries_where_none_may_be():
    with pytest.raises(InputError, match=r"negative value -1\.0"):
        TableBackend(np.array([[-1.0, 2.0]]), normalization="none")
    with pytest.raises(InputError, match="regulariser must be >= 0, row 1"):
        TableBackend(pd.DataFrame({"a": [1.0, 1.0], "f": [0.0, -0.5]}), regularizer="f")
    with pytest.raises(InputError, match="standard errors"):
        TableBackend(pd.DataFrame({"a": [1.0], "e": [-0.5]}), stderr={"a": "e"})


@pytest.mark.parametrize("policy", [-1, 2, 1.0, "0", True, None])
def test_policies_are_row_numbers(policy):
    with pytest.raises(InputError, match="row number"):
        TableBackend(np.eye(2)).evaluate(policy)
