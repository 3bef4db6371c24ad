"""Lower bounds on solves: never above what a run took, equal at the exact target, and the small cases by hand."""

from __future__ import annotations

import numpy as np
import pytest

from backends.table import TableBackend
from benchmarks.common import CountingBackend
from benchmarks.division import Halving
from benchmarks.division import bandit as two_objective_bandit
from benchmarks.fewest_solves import (
    fewest_exact_solves,
    fewest_solves_near_corners,
    fewest_solves_two_objectives,
)
from palm_theory import Adaptive, build_portfolio


def front(d: int, count: int, seed: int) -> TableBackend:
    """Points of the positive unit sphere: all extreme."""
    points = np.abs(np.random.default_rng(seed).normal(size=(count, d))) + 0.01
    return TableBackend(points / np.linalg.norm(points, axis=1, keepdims=True))


def spent(backend, strategy) -> tuple[int, np.ndarray]:
    counting = CountingBackend(backend)
    portfolio = build_portfolio(counting, strategy)
    assert portfolio.certificate.certifies(strategy.epsilon + 1e-12, strategy.delta)
    return counting.solves, portfolio.vertex_values


@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_adaptive_reaches_the_bound_at_the_exact_target(d: int, seed: int) -> None:
    backend = front(d, 12, seed)
    solves, values = spent(backend, Adaptive(0.0))
    assert len(values) == 12
    assert solves == fewest_exact_solves(backend, values)


def test_the_bounds_by_hand() -> None:
    # Two policies, crossing once: both ends and the crossing, for any target below the gap there.
    backend = TableBackend([[1.0, 0.0], [0.0, 1.0]])
    values = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert fewest_exact_solves(backend, values) == 3
    assert fewest_solves_two_objectives(backend, 0.01) == 3
    assert fewest_solves_near_corners(values, 0.01) == fewest_solves_near_corners(values, 0.01, monotone=True) == 3
    # The chord is 1, the policies cross at 1/2: a target of 1/2 needs the ends alone.
    assert fewest_solves_two_objectives(backend, 0.51) == 2
    assert fewest_solves_near_corners(values, 0.51) == 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("epsilon", [0.05, 0.01])
def test_no_run_is_below_a_bound(seed: int, epsilon: float) -> None:
    for d in (2, 3):
        backend = front(d, 8, seed)
        exact = build_portfolio(backend, Adaptive(0.0)).vertex_values
        for keep in (True, False):
            solves, _ = spent(backend, Adaptive(epsilon, keep_all=keep))
            fewest = fewest_solves_near_corners(exact, epsilon, monotone=True)
            assert solves >= fewest
            assert fewest <= fewest_solves_near_corners(exact, epsilon)
            if d == 2:
                assert solves >= fewest_solves_two_objectives(backend, epsilon)
                assert fewest_solves_two_objectives(backend, epsilon) >= fewest_solves_near_corners(exact, epsilon)


def test_dividing_intervals_takes_fewer_solves_than_halving() -> None:
    divided = sum(spent(two_objective_bandit(seed), Adaptive(0.01, keep_all=True))[0] for seed in range(6))
    halving = sum(spent(two_objective_bandit(seed), Halving(0.01, keep_all=True))[0] for seed in range(6))
    assert divided < 0.9 * halving
