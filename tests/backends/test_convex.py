"""ConvexBackend: conformance, known optima, agreement with enumeration of vertices, bounds and errors."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.convex import ConvexBackend
from palm_theory import Adaptive, Kind, build_portfolio
from palm_theory.errors import BackendError, InputError
from palm_theory.geometry.envelope import essential_policies
from palm_theory.testing import BackendConformance


def allocation() -> ConvexBackend:
    """A budget of 10 over four groups: total benefit, proportional fairness, and the worst-off group."""
    share = cp.Variable(4, nonneg=True, name="share")
    benefit = np.array([4.0, 3.0, 2.0, 1.0])
    return ConvexBackend(
        [benefit @ share, cp.sum(cp.log(1 + share)), cp.min(cp.multiply(benefit, share))],
        [cp.sum(share) <= 10],
        objectives=["benefit", "proportional fairness", "worst off"],
        reward_min=[0, 0, 0],
        regularizer=0.01 * cp.sum_squares(share),
        regularizer_max=1.0,
        has_reference=True,
    )


def linear(costs: np.ndarray, rows: np.ndarray) -> ConvexBackend:
    x = cp.Variable(costs.shape[1], nonneg=True, name="x")
    return ConvexBackend([cost @ x for cost in costs], [rows @ x <= 1])


def lp_vertices(rows: np.ndarray) -> np.ndarray:
    """All vertices of {x >= 0, rows·x <= 1}, by trying every basis."""
    n = rows.shape[1]
    a, b = np.vstack([rows, -np.eye(n)]), np.concatenate([np.ones(len(rows)), np.zeros(n)])
    found = []
    for chosen in itertools.combinations(range(len(a)), n):
        square = a[list(chosen)]
        if abs(np.linalg.det(square)) < 1e-9:
            continue
        point = np.linalg.solve(square, b[list(chosen)])
        if np.all(a @ point <= b + 1e-9):
            found.append(point)
    return np.array(found)


@given(st.integers(0, 10_000), st.integers(-60, 10))
@settings(max_examples=15, deadline=None)
def test_the_unit_of_a_linear_constraint_changes_no_answer(seed: int, exponent: int) -> None:
    rng = np.random.default_rng(seed)
    rows, costs, at = rng.uniform(0.1, 1, (3, 4)), rng.uniform(0, 1, (2, 4)), rng.dirichlet(np.ones(2))
    unit = float(np.ldexp(1.0, exponent))
    x = cp.Variable(4, nonneg=True, name="x")
    scaled = ConvexBackend([cost @ x for cost in costs], [(unit * rows) @ x <= unit, x <= 20])
    found, expected = scaled.optimize(at), linear(costs, rows).optimize(at)
    np.testing.assert_allclose(found.value.rewards, expected.value.rewards, rtol=1e-9)
    assert found.upper_bound == pytest.approx(expected.upper_bound, rel=1e-9)
    with pytest.raises(InputError, match="violates"):
        scaled.evaluate({"x": np.full(4, 20.0)})


def test_a_constraint_that_is_not_a_number_is_an_error_in_words() -> None:
    x = cp.Variable(2, nonneg=True, name="x")
    with pytest.raises(BackendError, match="HIGHS ended with status"):
        ConvexBackend([x[0], x[1]], [x <= np.array([1.0, np.nan])])


def test_multipliers_are_those_of_the_rows_as_given() -> None:
    x = cp.Variable(nonneg=True, name="x")
    limit = 1e-6 * x <= 3e-6
    ConvexBackend([x], [limit]).optimize(np.ones(1))
    assert limit.dual_value == pytest.approx(1e6)


def test_an_entry_that_the_solver_leaves_out_is_no_loss_of_the_row() -> None:
    x = cp.Variable(2, nonneg=True, name="x")
    with pytest.raises(BackendError, match="violates a constraint: rescale"):
        ConvexBackend([x[0], x[1]], [x[0] + 1e-13 * x[1] <= 1, x[0] <= 1, x[1] <= 1e14])


class TestResourceAllocationWithFairness(BackendConformance):
    def make(self) -> ConvexBackend:
        return allocation()


class TestLinearProgramWithNegativeRewards(BackendConformance):
    def make(self) -> ConvexBackend:
        rng = np.random.default_rng(0)
        backend = linear(rng.uniform(-1, 1, (3, 5)), rng.uniform(0.1, 1, (4, 5)))
        assert any(normalizer.offset > 0 for normalizer in backend.normalizers)
        return backend


def test_allocation_is_certified_and_its_extremes_are_the_textbook_ones() -> None:
    backend = allocation()
    portfolio = build_portfolio(backend, Adaptive(epsilon=0.01))
    assert portfolio.certificate.epsilon <= 0.01
    assert portfolio.certificate.kind in (Kind.EXACT, Kind.BOUNDED)
    # Equal benefit x_i = c / b_i with sum 10 is the max-min point: c = 10 / (1/4 + 1/3 + 1/2 + 1).
    fair = backend.optimize(np.array([0.0, 0.0, 1.0])).policy["share"]
    unregularised = 10 / (1 / 4 + 1 / 3 + 1 / 2 + 1)
    assert np.array([4.0, 3, 2, 1]) @ fair / 4 == pytest.approx(unregularised, rel=0.05)


@given(st.integers(0, 10_000), st.integers(2, 3))
@settings(max_examples=15, deadline=None)
def test_linear_programs_give_exactly_the_extreme_points(seed: int, objectives: int) -> None:
    rng = np.random.default_rng(seed)
    rows, costs = rng.uniform(0.1, 1, (3, 4)), rng.uniform(0, 1, (objectives, 4))
    everything = lp_vertices(rows) @ costs.T
    extreme = everything[essential_policies(everything)]
    portfolio = build_portfolio(linear(costs, rows), Adaptive(0.0))
    found = np.array([value.rewards for value in portfolio.policy_values])
    assert portfolio.certificate.epsilon <= 1e-9
    assert sorted(map(tuple, found.round(7))) == sorted(map(tuple, extreme.round(7)))


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_upper_bounds_hold_against_a_closed_form(seed: int) -> None:
    # max <w, x> − β|x|² over the box [0, 1]: each coordinate is min(1, w_i / 2β).
    rng = np.random.default_rng(seed)
    weights, beta = rng.dirichlet(np.ones(3)), float(rng.uniform(0.05, 1))
    x = cp.Variable(3, nonneg=True, name="x")
    backend = ConvexBackend(
        [x[0], x[1], x[2]], [x <= 1], regularizer=beta * cp.sum_squares(x), regularizer_max=3 * beta
    )
    best = np.minimum(1, weights / (2 * beta))
    optimum = float(weights @ best - beta * best @ best)
    solution = backend.optimize(weights)
    assert solution.upper_bound is not None
    assert optimum - 1e-12 <= solution.upper_bound <= optimum + 1e-5
    assert solution.value.scalarize(weights) == pytest.approx(optimum, abs=1e-5)


def test_processes_can_share_it() -> None:
    import pickle

    backend = allocation()
    weights = np.array([0.2, 0.3, 0.5])
    copy = pickle.loads(pickle.dumps(backend))
    assert copy.optimize(weights).value.same_numbers(backend.optimize(weights).value)


def test_evaluate_refuses_points_outside_the_constraints() -> None:
    backend = allocation()
    with pytest.raises(InputError, match="violates"):
        backend.evaluate({"share": np.full(4, 5.0)})
    with pytest.raises(InputError, match="shape"):
        backend.evaluate({"share": np.zeros(3)})
    with pytest.raises(InputError, match="keys"):
        backend.evaluate({"other": np.zeros(4)})


def test_what_is_wrong_is_said_in_words() -> None:
    x = cp.Variable(2, name="x")
    with pytest.raises(BackendError, match="contradict"):
        ConvexBackend([x[0]], [x >= 1, x <= 0])
    with pytest.raises(BackendError, match="unbounded"):
        ConvexBackend([x[0], x[1]], [x >= 0])
    with pytest.raises(InputError, match="not concave"):
        ConvexBackend([cp.sum_squares(x)], [x <= 1])
    with pytest.raises(InputError, match="regulariser is not convex"):
        ConvexBackend([x[0]], [x <= 1], regularizer=cp.sqrt(x[0]))
    with pytest.raises(InputError, match="give reward_min"):
        ConvexBackend([cp.min(x)], [x <= 1, x >= -1])
    with pytest.raises(InputError, match="integer variables"):
        ConvexBackend([cp.sum(cp.Variable(2, integer=True))], [])
    with pytest.raises(InputError, match="scalar"):
        ConvexBackend([x], [x <= 1])
    with pytest.raises(InputError, match="distinct names"):
        ConvexBackend([x[0] + cp.Variable(name="x")], [x <= 1])
    with pytest.raises(InputError, match="has no value"):
        ConvexBackend([x[0]], [x <= cp.Parameter(name="p")])
    with pytest.raises(InputError, match="DPP"):
        ConvexBackend([cp.Parameter(name="p", value=1.0) * x[0]], [x <= 1])
    with pytest.raises(InputError, match="no variable"):
        ConvexBackend([cp.Constant(1.0)])


def test_describe_tells_problems_apart() -> None:
    rng = np.random.default_rng(1)
    rows, costs = rng.uniform(0.1, 1, (2, 3)), rng.uniform(0, 1, (2, 3))
    assert linear(costs, rows).describe() == linear(costs, rows).describe()
    assert linear(costs, rows).describe() != linear(2 * costs, rows).describe()


def test_upper_bounds_hold_in_fractions() -> None:
    """Rounding of the dual value and of the shifts is part of the bound."""
    rng = np.random.default_rng(0)
    for unit in (1e-3, 1.0, 1e6):
        costs, prices = rng.random((2, 5)) * unit, rng.uniform(-1, 1, (2, 5)) * unit
        x = cp.Variable(5, nonneg=True, name="x")
        backends = [
            (ConvexBackend([c @ x for c in costs], [cp.sum(x) <= 1]), costs),
            (ConvexBackend([c @ x for c in prices], [cp.sum(x) <= 1]), prices),
        ]
        for backend, table in backends:
            for w in (np.array([1.0, 0.0]), np.array([0.5, 0.5]), rng.dirichlet(np.ones(2))):
                share = [Fraction(float(v)) for v in w]
                gains = [sum(p * Fraction(float(c)) for p, c in zip(share, column, strict=True)) for column in table.T]
                shift = sum(p * Fraction(n.offset) for p, n in zip(share, backend.normalizers, strict=True))
                optimum = max(*gains, Fraction(0)) + shift
                upper = Fraction(backend.optimize(w).upper_bound or 0)
                assert optimum <= upper <= optimum + Fraction(backend.reward_max) / 10**9


def test_a_solver_that_fails_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    x = cp.Variable(2, nonneg=True, name="x")
    backend = ConvexBackend([x[0], x[1]], [cp.sum_squares(x) <= 1])

    def failed(*_: Any) -> None:
        raise cp.SolverError("numerical trouble")

    monkeypatch.setattr(backend.problem, "unpack_results", failed)
    with pytest.raises(BackendError, match="CLARABEL failed; rescale the problem"):
        backend.optimize(np.array([0.5, 0.5]))
