"""IntegerBackend and KnapsackBackend: brute force, both solvers against each other, early stops, errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.integer import IntegerBackend
from backends.knapsack import KnapsackBackend
from palm_theory import Adaptive, Kind, Status, build_portfolio
from palm_theory.errors import BackendError, InputError
from palm_theory.geometry.envelope import essential_policies
from palm_theory.testing import BackendConformance, check_conformance


def knapsack_data(seed: int, items: int = 8, d: int = 3) -> tuple[np.ndarray, np.ndarray, int]:
    rng = np.random.default_rng(seed)
    values, weights = rng.integers(0, 30, (d, items)), rng.integers(1, 30, items)
    return values, weights, int(weights.sum() // 2)


def all_packings(values: np.ndarray, weights: np.ndarray, capacity: float) -> np.ndarray:
    points = np.array(list(itertools.product((0, 1), repeat=values.shape[1])))
    return (points @ values.T)[points @ weights <= capacity]


def as_integer_program(values: np.ndarray, weights: np.ndarray, capacity: float) -> IntegerBackend:
    return IntegerBackend(values, at_most=([weights], [capacity]))


class TestKnapsack(BackendConformance):
    def make(self) -> IntegerBackend:
        return KnapsackBackend(*knapsack_data(0, items=20))


class TestKnapsackAsIntegerProgram(BackendConformance):
    def make(self) -> IntegerBackend:
        return as_integer_program(*knapsack_data(0, items=20))


class TestIntegerProgramWithNegativeVariables(BackendConformance):
    def make(self) -> IntegerBackend:
        general = IntegerBackend(
            [[1, -2, 0], [-1, 1, 3]], at_most=([[1, 1, 1]], [7]), equal=([[1, -1, 0]], [1]), lower=-2, upper=[5, 5, 3]
        )
        assert all(normalizer.offset > 0 for normalizer in general.normalizers)
        return general


@given(st.integers(0, 10_000), st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_the_extreme_points_are_those_of_brute_force(seed: int, d: int) -> None:
    values, weights, capacity = knapsack_data(seed, d=d)
    everything = np.unique(all_packings(values, weights, capacity).astype(float), axis=0)
    extreme = everything[essential_policies(everything)]
    portfolio = build_portfolio(KnapsackBackend(values, weights, capacity), Adaptive(0.0))
    found = np.array([value.rewards for value in portfolio.policy_values])
    assert portfolio.certificate.epsilon == 0
    assert sorted(map(tuple, found)) == sorted(map(tuple, extreme))


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_branch_and_bound_agrees_with_dynamic_programming(seed: int) -> None:
    values, weights, capacity = knapsack_data(seed, items=12)
    at = np.random.default_rng(seed).dirichlet(np.ones(3))
    one = KnapsackBackend(values, weights, capacity)
    two = as_integer_program(values, weights, capacity)
    assert one.uses_dynamic_programming
    assert one.optimize(at).value.scalarize(at) == pytest.approx(two.optimize(at).value.scalarize(at), rel=1e-12)


def test_several_resources_or_fractional_weights_go_to_highs() -> None:
    values = [[3, 4, 5], [5, 4, 1]]
    assert not KnapsackBackend(values, [[1, 2, 3], [3, 2, 1]], [4, 4]).uses_dynamic_programming
    fractional = KnapsackBackend(values, [0.5, 1.5, 2.5], 3.0)
    assert not fractional.uses_dynamic_programming
    assert fractional.optimize(np.array([1.0, 0.0])).value.rewards.tolist() == [8.0, 6.0]


def test_a_stopped_solve_is_bounded_and_its_bound_holds() -> None:
    rng = np.random.default_rng(3)
    values, rows = rng.integers(1, 1000, (2, 40)), rng.integers(1, 1000, (3, 40))
    limits = rows.sum(axis=1) // 2
    stopped = IntegerBackend(values, at_most=(rows, limits), max_nodes=1)
    assert stopped.oracle_error is None
    check_conformance(stopped).raise_on_failure()
    exact = IntegerBackend(values, at_most=(rows, limits))
    weights = np.array([0.4, 0.6])
    solution, optimum = stopped.optimize(weights), exact.optimize(weights).value.scalarize(weights)
    assert solution.upper_bound is not None
    assert solution.value.scalarize(weights) <= optimum + 1e-6 <= solution.upper_bound + 2e-6
    assert solution.status is Status.BOUNDED
    # Where only bounds on J* are known, a certificate says no more than "bounded", and an honest ε.
    certificate = build_portfolio(stopped, Adaptive(epsilon=0.0, max_solves=6)).certificate
    assert certificate.kind is Kind.BOUNDED
    assert certificate.epsilon > 0


@given(st.integers(0, 10_000), st.integers(-1060, 10))
@settings(max_examples=25, deadline=None)
def test_the_unit_of_a_constraint_changes_no_answer(seed: int, exponent: int) -> None:
    values, weights, capacity = knapsack_data(seed, items=6)
    unit = np.ldexp(1.0, exponent)
    at = np.random.default_rng(seed).dirichlet(np.ones(3))
    plain, scaled = (as_integer_program(values, factor * weights, factor * capacity) for factor in (1.0, unit))
    assert scaled.optimize(at).value.scalarize(at) == pytest.approx(plain.optimize(at).value.scalarize(at))
    with pytest.raises(InputError, match="constraint 0"):
        scaled.evaluate(np.ones(6, dtype=int))


@pytest.mark.parametrize("unit", [1e-6, 1e-8, 1e-9, 1e-10, 1e-12, 1e-300])
def test_fractional_weights_in_tiny_units_hold(unit: float) -> None:
    backend = KnapsackBackend([[5, 4, 3], [1, 2, 6]], np.array([3, 4, 5.1]) * unit, 7 * unit)
    assert backend.optimize(np.array([1.0, 0.0])).policy.tolist() == [1, 1, 0]


def test_coefficients_that_the_solver_would_leave_out_are_refused() -> None:
    # Without its second entry the row says x1 <= 0; with it x1 <= 1 at x2 = 1e13.
    with pytest.raises(InputError, match="constraint 0 has coefficients from 1e-13 to 1"):
        IntegerBackend([[1, 0], [0, 1]], at_most=([[1, -1e-13]], [0]), upper=[1, 1e13])


def test_evaluate_checks_constraints_exactly() -> None:
    backend = KnapsackBackend([[1, 2], [2, 1]], [3, 4], 5)
    assert backend.evaluate(np.array([1, 0])).rewards.tolist() == [1.0, 2.0]
    with pytest.raises(InputError, match="constraint 0"):
        backend.evaluate(np.array([1, 1]))
    with pytest.raises(InputError, match="bound of variable 1"):
        backend.evaluate(np.array([0, 2]))
    with pytest.raises(InputError, match="integer vector"):
        backend.evaluate(np.array([0.5, 0.0]))


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(BackendError, match="no integer point"):
        IntegerBackend([[1, 1]], equal=([[2, 2]], [3]))
    with pytest.raises(BackendError, match="unbounded"):
        IntegerBackend([[1, 1]], upper=np.inf)
    with pytest.raises(InputError, match="variable 0 has no integer"):
        IntegerBackend([[1]], lower=0.2, upper=0.8)
    with pytest.raises(InputError, match="at_most must be a matrix"):
        IntegerBackend([[1, 1]], at_most=([[1]], [1]))
    with pytest.raises(InputError, match="shape"):
        IntegerBackend([1, 2])
    with pytest.raises(InputError, match="max_nodes"):
        IntegerBackend([[1]], max_nodes=0)
    with pytest.raises(InputError, match="time_limit"):
        IntegerBackend([[1]], time_limit=0)
    with pytest.raises(InputError, match="values must be finite"):
        KnapsackBackend([[-1]], [1], 1)
