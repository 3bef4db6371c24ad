"""LinearBackend: extreme points of the literature and of exhaustive enumeration, ties, orientation, no optimum."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.linear import LinearBackend
from backends.programs.program import LinearProgram, linear_program
from palm_theory import Adaptive, Kind, build_portfolio
from palm_theory.errors import BackendError, InputError
from palm_theory.geometry.envelope import essential_policies
from palm_theory.points import extreme_points, original_points
from palm_theory.testing import check_conformance

INFINITY = np.inf


def extreme_points_found(program: LinearProgram) -> np.ndarray:
    """All extreme nondominated points in original units, in lexicographic order."""
    backend = LinearBackend(program)
    portfolio = build_portfolio(backend, Adaptive(0.0))
    assert portfolio.certificate.kind is Kind.EXACT
    assert portfolio.certificate.epsilon <= 1e-9
    points = original_points(portfolio.policy_values, portfolio.normalizers)
    assert len(extreme_points(points, portfolio.normalizers)) == len(points)
    return points[np.lexsort(points.T[::-1])]


def all_vertices(program: LinearProgram) -> np.ndarray:
    """Every vertex of the feasible set, from every choice of n active constraints."""
    n = len(program.lower)
    planes = np.vstack([program.matrix.toarray()] * 2 + [np.eye(n)] * 2)
    sides = np.concatenate([program.row_lower, program.row_upper, program.lower, program.upper])
    finite = np.flatnonzero(np.isfinite(sides))
    found = []
    for chosen in itertools.combinations(finite, n):
        system = planes[list(chosen)]
        if abs(np.linalg.det(system)) < 1e-9:
            continue
        x = np.linalg.solve(system, sides[list(chosen)])
        rows = program.matrix @ x
        inside = [x >= program.lower - 1e-7, x <= program.upper + 1e-7]
        inside += [rows >= program.row_lower - 1e-7, rows <= program.row_upper + 1e-7]
        if all(part.all() for part in inside):
            found.append(x)
    return np.array(found)


def extreme_points_by_enumeration(program: LinearProgram) -> np.ndarray:
    points = np.unique(np.round(all_vertices(program) @ program.costs.T, 9), axis=0) + 0.0
    kept = points[essential_policies(points * program.signs)]
    return kept[np.lexsort(kept.T[::-1])]


def test_a_textbook_problem_of_ehrgott() -> None:
    # Multicriteria Optimization (2005), example 6.2: min (3x + y, -x - 2y), y <= 3, 3x - y <= 6, x, y >= 0.
    program = linear_program([[3, 1], [-1, -2]], [[0, 1], [3, -1]], [-INFINITY] * 2, [3, 6], minimize=True)
    np.testing.assert_allclose(extreme_points_found(program), [[0, 0], [3, -6], [12, -9]], atol=1e-12)


def test_a_minimum_that_is_unbounded_above_is_shifted_by_its_optima() -> None:
    # min (x, y) over x + 2y >= 4, 2x + y >= 4, x, y >= 0: the axes' points and (4/3, 4/3).
    program = linear_program(np.eye(2), [[1, 2], [2, 1]], [4, 4], [INFINITY] * 2, minimize=True)
    np.testing.assert_allclose(extreme_points_found(program), [[0, 4], [4 / 3, 4 / 3], [4, 0]], atol=1e-12)
    backend = LinearBackend(program)
    assert [normalizer.offset for normalizer in backend.normalizers] == [4, 4]
    assert [normalizer.scale for normalizer in backend.normalizers] == [-1, -1]


def test_conformance_with_mixed_orientation_free_variables_and_constants() -> None:
    program = linear_program(
        [[1, 2, 0], [0, 1, -1], [1, 1, 1]],
        [[1, 1, 1], [1, -1, 0]],
        [-4, -2],
        [6, 3],
        minimize=[False, True, False],
        lower=[-1, -INFINITY, 0],
        upper=[5, 4, 4],
        constants=[10, -3, 0],
    )
    program_with_floor = linear_program(
        program.costs,
        np.eye(3),
        [-1, -2, 0],
        [5, 4, 4],
        minimize=program.minimize,
        lower=-INFINITY,
        constants=program.constants,
    )
    for one in (program, program_with_floor):
        check_conformance(LinearBackend(one)).raise_on_failure()


@given(st.integers(0, 100_000), st.integers(2, 3), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_points_are_those_of_exhaustive_enumeration(seed: int, d: int, degenerate: bool) -> None:
    rng = np.random.default_rng(seed)
    n, m = 3, 4
    # Small integers give ties, degenerate vertices and objectives that agree.
    matrix = rng.integers(0, 3, (m, n)) if degenerate else rng.uniform(0, 1, (m, n))
    costs = rng.integers(-2, 3, (d, n)) if degenerate else rng.normal(size=(d, n))
    program = linear_program(
        costs,
        matrix,
        np.full(m, -INFINITY),
        rng.integers(1, 4, m),
        minimize=[bool(x) for x in rng.integers(0, 2, d)],
        upper=2.0,
    )
    np.testing.assert_allclose(extreme_points_found(program), extreme_points_by_enumeration(program), atol=1e-7)


def test_a_weakly_dominated_vertex_is_neither_returned_nor_published() -> None:
    # The unit square with objectives x and x + y, and x alone twice: (1, 0) is optimal for x but dominated by (1, 1).
    program = linear_program([[1, 0], [0, 1]], np.zeros((0, 2)), [], [], upper=1.0)
    backend = LinearBackend(program)
    for weights in ([1.0, 0.0], [0.0, 1.0]):
        np.testing.assert_array_equal(backend.optimize(np.array(weights)).value.rewards, [1, 1])
    np.testing.assert_array_equal(extreme_points_found(program), [[1, 1]])


def test_degenerate_vertices_have_one_value() -> None:
    # Many constraints through one vertex: whatever basis the simplex method ends with, x is the same to the last bit.
    rng = np.random.default_rng(0)
    normals = rng.uniform(0.1, 1, (30, 4))
    vertex = np.array([1 / 3, 1 / 7, 1 / 11, 1 / 13])
    program = linear_program(rng.uniform(0, 1, (3, 4)), normals, np.full(30, -INFINITY), normals @ vertex)
    backend = LinearBackend(program)
    rewards = [backend.optimize(w).value.rewards for w in rng.dirichlet(np.ones(3), 40)]
    inner = [r for r in rewards if np.allclose(r, program.costs @ vertex, atol=1e-9)]
    assert len(inner) > 1
    assert np.ptp(np.array(inner), axis=0).max() <= 1e-14


def test_coefficients_of_very_different_sizes() -> None:
    program = linear_program(
        [[3e6, 1e6], [2e-3, 5e-3]], [[1e3, 2e3], [3e-2, 1e-2]], [-INFINITY] * 2, [6e3, 6e-2], upper=1e4
    )
    np.testing.assert_allclose(extreme_points_found(program), extreme_points_by_enumeration(program), rtol=1e-12)


@given(st.integers(0, 100_000), st.lists(st.integers(-60, 20), min_size=4, max_size=4))
@settings(max_examples=25, deadline=None)
def test_the_unit_of_a_row_changes_no_answer(seed: int, exponents: list[int]) -> None:
    rng = np.random.default_rng(seed)
    costs, matrix = rng.uniform(0, 1, (2, 3)), rng.uniform(0.1, 1, (4, 3))
    limits, units = rng.uniform(1, 2, 4), np.ldexp(1.0, exponents)
    plain = linear_program(costs, matrix, np.full(4, -INFINITY), limits, upper=5.0)
    scaled = linear_program(costs, units[:, None] * matrix, np.full(4, -INFINITY), units * limits, upper=5.0)
    at = rng.dirichlet(np.ones(2))
    one, other = LinearBackend(plain).optimize(at), LinearBackend(scaled).optimize(at)
    np.testing.assert_allclose(other.policy, one.policy, atol=1e-12)
    with pytest.raises(InputError, match="violates row"):
        LinearBackend(scaled).evaluate([5.0, 5.0, 5.0])


@pytest.mark.parametrize("unit", [1e-6, 1e-9, 1e-10, 1e-12, 1e-300, 5e-324])
def test_rows_in_tiny_units_hold(unit: float) -> None:
    program = linear_program(np.eye(2), [[unit, unit]], [-INFINITY], [unit], upper=5.0)
    solution = LinearBackend(program).optimize(np.array([0.5, 0.5]))
    assert solution.policy.sum() == 1
    assert solution.upper_bound == pytest.approx(0.5, abs=1e-12)


def test_an_entry_that_the_solver_leaves_out_is_no_loss_of_the_row() -> None:
    # x1 + 1e-13·x2 <= 1 holds x2 to 1e13, whatever HiGHS makes of the second entry; at most 1e14 without it.
    program = linear_program(np.eye(2), [[1, 1e-13]], [-INFINITY], [1], upper=[1, 1e14])
    with pytest.raises(BackendError, match="violates row 1: rescale"):
        LinearBackend(program)


def test_no_optimum_is_said_in_words() -> None:
    with pytest.raises(BackendError, match="contradict each other"):
        LinearBackend(linear_program(np.eye(2), [[1, 1]], [3], [INFINITY], upper=1.0))
    with pytest.raises(BackendError, match="unbounded at"):
        LinearBackend(linear_program(np.eye(2), [[1, -1]], [-INFINITY], [1]))
    # The first objective alone is bounded, but along its optima the second falls for ever.
    with pytest.raises(BackendError, match="unbounded"):
        LinearBackend(linear_program([[1, 0], [0, -1]], [[1, 0]], [0], [1], minimize=True, lower=[0, -INFINITY]))


def test_bad_policies_and_arguments_are_refused() -> None:
    program = linear_program(np.eye(2), [[1, 1]], [-INFINITY], [1])
    backend = LinearBackend(program)
    with pytest.raises(InputError, match="violates row 1"):
        backend.evaluate([1.0, 1.0])
    with pytest.raises(InputError, match="violates a bound of variable 2"):
        backend.evaluate([0.5, -1.0])
    with pytest.raises(InputError, match="finite vector"):
        backend.evaluate([1.0])
    with pytest.raises(InputError, match="integer variables"):
        LinearBackend(linear_program(np.eye(2), [[1, 1]], [-INFINITY], [1], integer=True))
    with pytest.raises(InputError, match="reward_min"):
        LinearBackend(program, reward_min=[0.0])


def test_threads_share_a_backend() -> None:
    rng = np.random.default_rng(1)
    program = linear_program(rng.uniform(size=(3, 8)), rng.uniform(size=(5, 8)), np.full(5, -INFINITY), np.ones(5))
    backend = LinearBackend(program)
    weights = rng.dirichlet(np.ones(3), 12)
    alone = [backend.optimize(w).value.to_dict() for w in weights]
    answers: dict[int, dict] = {}
    threads = [
        threading.Thread(target=lambda k=k: answers.update({k: backend.optimize(weights[k]).value.to_dict()}))
        for k in range(len(weights))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[k] for k in range(len(weights))] == alone
