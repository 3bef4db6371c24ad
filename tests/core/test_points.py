"""Extreme points in original units: against brute force, exact arithmetic, and a published file, through the shell."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

from backends.graph import GraphBackend
from backends.integer import IntegerBackend
from backends.knapsack import KnapsackBackend
from backends.table import TableBackend
from palm_theory import Adaptive, UniformGrid, build_portfolio
from palm_theory.cli.points import is_complete
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.errors import InputError
from palm_theory.points import compare_points, extreme_points, original_points, read_points, write_points
from tests.cli.test_cli import palm
from tests.core.exact_extremes import (
    best_of,
    centroid_of_cell,
    exact_corners,
    is_uniquely_best_somewhere,
    knapsack_optimum,
    reduced,
)

MINIMIZED = Normalizer(-1.0, 0.0)

# Kirlik and Sayin (2014), KP_p-3_n-10_ins-1, as its numbers are published.
KIRLIK = """3
10
2137
[[566, 611, 506, 180, 817, 184, 585, 423, 26, 317],
[62, 84, 977, 979, 874, 54, 269, 93, 881, 563],
[664, 982, 962, 140, 224, 215, 12, 869, 332, 537]]
[57, 898, 148, 63, 78, 964, 246, 662, 386, 27]
"""


def is_vertex(k: int, points: np.ndarray) -> bool:
    """By its own linear program: whether some w ≥ 0 makes point k better than all others by a margin."""
    others = np.delete(points, k, axis=0)
    d = points.shape[1]
    answer = linprog(
        np.append(np.zeros(d), -1.0),
        A_ub=np.column_stack([others - points[k], np.ones(len(others))]),
        b_ub=np.zeros(len(others)),
        A_eq=[np.append(np.ones(d), 0.0)],
        b_eq=[1.0],
        bounds=[(0, None)] * d + [(None, None)],
    )
    return bool(-answer.fun > 1e-9)


def found_points(backend) -> np.ndarray:
    portfolio = build_portfolio(backend, Adaptive(0.0))
    assert portfolio.certificate.epsilon == 0
    points = original_points(portfolio.policy_values, portfolio.normalizers)
    return points[np.lexsort(points.T[::-1])]


def test_a_published_knapsack_has_the_extreme_points_of_brute_force(tmp_path: Path) -> None:
    (tmp_path / "kp.dat").write_text(KIRLIK)
    backend = KnapsackBackend.from_file(tmp_path / "kp.dat")
    numbers = json.loads("[" + KIRLIK.split("[[")[1].split("]]")[0].replace("],\n[", ", ") + "]")
    values, weights = np.array(numbers).reshape(3, 10), np.array([57, 898, 148, 63, 78, 964, 246, 662, 386, 27])
    packings = np.array(list(itertools.product((0, 1), repeat=10)))
    feasible = np.unique((packings @ values.T)[packings @ weights <= 2137], axis=0)
    feasible = feasible[
        [not np.any(np.all(feasible >= row, axis=1) & np.any(feasible > row, axis=1)) for row in feasible]
    ]
    expected = [row for k, row in enumerate(feasible) if is_vertex(k, feasible)]
    np.testing.assert_array_equal(found_points(backend), expected)


@pytest.mark.parametrize(("items", "top", "seed"), [(60, 1000, 1), (40, 9999, 2)])
def test_large_knapsacks_have_exactly_the_extreme_points(items: int, top: int, seed: int) -> None:
    """None spurious: each is proven extreme in rational arithmetic. None missing: at every exact corner weight of
    their envelope an integer dynamic program finds nothing better (Theorem 3)."""
    rng = np.random.default_rng(seed)
    values, sizes = rng.integers(1, top + 1, (3, items)), rng.integers(1, 1001, items)
    capacity = int(sizes.sum() // 2)
    points = found_points(KnapsackBackend(values, sizes, capacity))
    whole = points.astype(np.int64)
    np.testing.assert_array_equal(points, whole)
    for k in range(len(whole)):
        assert is_uniquely_best_somewhere(whole[k], np.delete(whole, k, axis=0), centroid_of_cell(k, points))
    for corner in exact_corners(whole):
        weights = reduced(corner)
        row = [sum(w * int(v) for w, v in zip(weights, values[:, j], strict=True)) for j in range(items)]
        assert knapsack_optimum(row, sizes.tolist(), capacity) == best_of(whole, weights)


@pytest.mark.parametrize("seed", range(4))
def test_assignments_are_minimised_in_original_units(seed: int) -> None:
    costs = np.random.default_rng(seed).integers(1, 21, (3, 5, 5))
    feasible = np.unique([costs[:, range(5), order].sum(axis=1) for order in itertools.permutations(range(5))], axis=0)
    expected = [row for k, row in enumerate(feasible) if is_vertex(k, -feasible)]
    np.testing.assert_array_equal(found_points(GraphBackend.assignment(costs)), expected)


def test_integer_programs_with_mixed_orientation_and_ties(tmp_path: Path) -> None:
    (tmp_path / "ip.raw").write_text(
        "3 2 3\nmaxsum minsum minsum\n1 2 1\n1 1 -1\n0 1 1\n1 1 1\n1 -1 0\n1 4\n0 -2\n0 0 -1\n3 3 2\n"
    )
    backend = IntegerBackend.from_file(tmp_path / "ip.raw")
    box = np.array(list(itertools.product(range(4), range(4), range(-1, 3))))
    box = box[(box.sum(axis=1) <= 4) & (box[:, 0] - box[:, 1] >= -2)]
    feasible = np.unique(box @ np.array([[1, 2, 1], [1, 1, -1], [0, 1, 1]]).T, axis=0)
    oriented = feasible * [1, -1, -1]
    expected = [row for k, row in enumerate(feasible) if is_vertex(k, oriented)]
    np.testing.assert_array_equal(found_points(backend), expected)


def test_which_points_are_extreme() -> None:
    points = [[0, 4], [1, 3], [2, 2], [4, 0], [4, -1], [3, 0.5], [0, 4]]
    # On the face, weakly dominated, inside, and a duplicate: none is extreme.
    assert extreme_points(points, [IDENTITY, IDENTITY]).tolist() == [0, 3]
    assert extreme_points(points, [MINIMIZED, MINIMIZED]).tolist() == [0, 4]
    assert extreme_points([[1, 1], [2, 2]], [IDENTITY, MINIMIZED]).tolist() == [0, 1]


def test_comparison_with_a_published_set_that_has_other_points_too() -> None:
    found = np.array([[0.0, 4.0], [4.0, 0.0]])
    normalizers = [IDENTITY, IDENTITY]
    assert compare_points(found, [[0, 4], [2, 2], [4 + 1e-9, 0]], normalizers).equal
    short = compare_points(found[:1], [[0, 4], [2, 2], [4, 0]], normalizers)
    assert short.missing.tolist() == [[4, 0]]
    wrong = compare_points(np.array([[0.0, 4.0], [4.0, 0.0], [3.0, 3.0]]), [[0, 4], [4, 0]], normalizers)
    assert wrong.unexpected.tolist() == [[3, 3]]
    assert not short.equal
    assert not wrong.equal


TWO = (Normalizer(), Normalizer())


def test_results_of_morepo_are_turned_to_the_problem_s_orientation(tmp_path: Path) -> None:
    result = {
        "direction": ["min", "max"],
        "points": [
            {"z1": -3, "z2": 1, "type": "se"},
            {"z1": -2, "z2": 2, "type": "us"},
            {"z1": -1, "z2": 5, "type": "se"},
        ],
    }
    (tmp_path / "result.json").write_text(json.dumps(result))
    np.testing.assert_array_equal(read_points(tmp_path / "result.json", TWO), [[3, 1], [1, 5]])
    minimized = (Normalizer(-1.0, 9.0), Normalizer())
    np.testing.assert_array_equal(read_points(tmp_path / "result.json", minimized), [[-3, 1], [-1, 5]])
    for other in ('{"pts": []}', '"points"', '{"direction": ["min"], "points": []}', '{"points": [{"z1": 1}]}', "7"):
        (tmp_path / "other.json").write_text(other)
        with pytest.raises(InputError, match="holds no points of 2 numbers"):
            read_points(tmp_path / "other.json", TWO)


def test_points_files_round_trip_and_bad_ones_are_refused(tmp_path: Path) -> None:
    points = np.array([[3.0, 1 / 3], [-2.0, 5.0]])
    for name in ("p.csv", "p.json"):
        write_points(tmp_path / name, points, ("a", "b"))
    np.testing.assert_array_equal(read_points(tmp_path / "p.csv", TWO), [[-2, 5], [3, 1 / 3]])
    assert json.loads((tmp_path / "p.json").read_text())[0] == {"a": -2, "b": 5}
    np.testing.assert_array_equal(read_points(tmp_path / "p.json", TWO), [[-2, 5], [3, 1 / 3]])
    (tmp_path / "list.json").write_text("[[1, 2], [3, 4]]")
    np.testing.assert_array_equal(read_points(tmp_path / "list.json", TWO), [[1, 2], [3, 4]])
    (tmp_path / "front.txt").write_text("# front\n1 2\n(3; 4)\n")
    np.testing.assert_array_equal(read_points(tmp_path / "front.txt", TWO), [[1, 2], [3, 4]])
    for text, said in (
        ("1 2 3\n", "3 numbers where 2"),
        ("1 2\nx y\n", "line 2: not numbers"),
        ("", "must hold points"),
    ):
        (tmp_path / "bad.txt").write_text(text)
        with pytest.raises(InputError, match=said):
            read_points(tmp_path / "bad.txt", TWO)


def test_policies_best_among_themselves_are_not_called_all_there_are() -> None:
    backend = TableBackend(np.array([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]]))
    whole = build_portfolio(backend, Adaptive(0.0), progress=False)
    ends = build_portfolio(backend, UniformGrid(1), progress=False).prune()
    assert ends.certificate.epsilon == ends.certificate.additive_gap == 0
    assert is_complete(whole)
    assert not is_complete(ends)


def test_from_the_shell_a_file_its_points_and_a_published_set(tmp_path: Path) -> None:
    (tmp_path / "kp.dat").write_text(KIRLIK)
    palm("build", "knapsack", tmp_path / "kp.dat", "--epsilon", "0", "--out", tmp_path / "kp")
    answer = json.loads(palm("points", tmp_path / "kp", "--out", tmp_path / "points.csv", "--json").stdout)
    assert answer["complete"]
    assert {"r1": 3825, "r2": 2922, "r3": 4250} in answer["points"]
    assert "0 missing, 0 unexpected" in palm("points", tmp_path / "kp", "--against", tmp_path / "points.csv").stdout
    (tmp_path / "fewer.csv").write_text("3825 2922 4250\n3420 4698 3740\n9999 0 0\n")
    done = palm("points", tmp_path / "kp", "--against", tmp_path / "fewer.csv", expect=1)
    assert "missing: [9999, 0, 0]" in done.stdout
    lines = "a 1 1 1,a 1 2 2,a 2 1 2,a 2 2 1,o 1 1 1,o 2 2 1,i 1 l 4,i 2 l 4,j 1 l 0,j 2 l 0,e"
    vlp = "p vlp min 2 2 4 2 2\n" + lines.replace(",", "\n") + "\n"
    (tmp_path / "a.vlp").write_text(vlp)
    palm("build", "lp", tmp_path / "a.vlp", "--epsilon", "0", "--out", tmp_path / "lp")
    answer = json.loads(palm("points", tmp_path / "lp", "--json").stdout)
    assert answer["points"][0] == {"r1": 0, "r2": 4}
    (tmp_path / "b.vlp").write_text(vlp.replace("i 1 l 4", "i 1 u -4"))
    assert "contradict each other" in palm("build", "lp", tmp_path / "b.vlp", expect=3).stderr
