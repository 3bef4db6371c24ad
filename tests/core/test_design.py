"""Inverse design against brute force over the parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palm_theory.bounds import OracleError, theorem1, theorem1_prime, theorem2
from palm_theory.design import (
    best_theorem1,
    best_theorem1_prime,
    best_theorem2,
    cheapest_theorem1,
    cheapest_theorem1_prime,
    cheapest_theorem2,
    theorem2_resolution,
)
from palm_theory.errors import InputError

EXACT = OracleError()


def brute_cheapest(evaluate, mus, alphas, epsilon, delta):
    """The smallest size over a grid of parameters that meets the target; inf if none does."""
    best = math.inf
    for mu in mus:
        for alpha in alphas:
            bound = evaluate(mu, alpha)
            if bound.epsilon <= epsilon and bound.delta <= delta:
                best = min(best, bound.size)
                break
    return best


# Largest alpha first: for one mu the first alpha that meets the target is the cheapest.
MUS = np.concatenate([np.geomspace(1e-4, 1, 120), [1 / 3, 0.5]])
ALPHAS = np.geomspace(0.999, 1e-6, 160)


@settings(max_examples=25)
@given(
    st.integers(1, 6),
    st.floats(0.01, 5.0),
    st.floats(0.01, 3.0),
    st.sampled_from([0.0, 0.01, 0.3, 5.0]),
    st.sampled_from([EXACT, OracleError(0.005, 0.005)]),
    st.sampled_from([1e-9, 1.0, 1e9]),
)
def test_cheapest_theorem_1_beats_every_grid_of_parameters(d, epsilon, delta, f, oracle, unit):
    oracle = OracleError(oracle.epsilon, oracle.delta * unit)

    def evaluate(mu, alpha):
        return theorem1(d, mu, alpha, reward_max=unit, regularizer_max=f * unit, oracle=oracle)

    brute = brute_cheapest(evaluate, MUS, ALPHAS, epsilon, delta * unit)
    try:
        found = cheapest_theorem1(
            d, epsilon=epsilon, delta=delta * unit, reward_max=unit, regularizer_max=f * unit, oracle=oracle
        )
    except InputError:
        assert brute == math.inf
        return
    assert found.epsilon <= epsilon
    assert found.delta <= delta * unit
    assert found == evaluate(found.mu, found.alpha)
    assert found.size <= brute


@settings(max_examples=25)
@given(
    st.integers(1, 6),
    st.floats(0.002, 0.9),
    st.floats(0.005, 3.0),
    st.sampled_from([None, 0.0, 0.01, 0.3, 5.0]),
    st.booleans(),
    st.sampled_from([EXACT, OracleError(0.001, 0.002)]),
)
def test_cheapest_theorem_1_prime_beats_every_grid_of_parameters(d, epsilon, delta, f, has_reference, oracle):
    has_reference = has_reference or f is None

    def evaluate(mu, alpha):
        return theorem1_prime(
            d, mu, alpha, reward_max=1.0, regularizer_max=f, has_reference=has_reference, oracle=oracle
        )

    brute = brute_cheapest(evaluate, MUS, ALPHAS, epsilon, delta)
    try:
        found = cheapest_theorem1_prime(
            d,
            epsilon=epsilon,
            delta=delta,
            reward_max=1.0,
            regularizer_max=f,
            has_reference=has_reference,
            oracle=oracle,
        )
    except InputError:
        assert brute == math.inf
        return
    assert found.epsilon <= epsilon
    assert found.delta <= delta
    assert found == evaluate(found.mu, found.alpha)
    assert found.size <= brute


def test_an_optimal_design_is_nearly_met_by_the_grid():
    """So that the comparison above is not with a grid that is always far worse."""

    def evaluate(mu, alpha):
        return theorem1_prime(3, mu, alpha, reward_max=1.0, regularizer_max=0.1)

    brute = brute_cheapest(evaluate, MUS, ALPHAS, 0.1, 0.1)
    found = cheapest_theorem1_prime(3, epsilon=0.1, delta=0.1, reward_max=1.0, regularizer_max=0.1)
    assert found.size <= brute <= 1.2 * found.size


@pytest.mark.parametrize(("delta", "top"), [(0.3, 0), (0.15, 1), (0.1, 2), (0.06, 3), (0.03, 4), (0.003, 7)])
def test_small_designs_by_hand(delta, top):
    """d = 2, f = 0, epsilon = 1/2: mu = 1 and alpha = 2 delta, so K = floor(log2(1/alpha)) and 2(K + 2) weights."""
    found = cheapest_theorem1_prime(2, epsilon=0.5, delta=delta, reward_max=1.0, regularizer_max=0.0)
    assert found.size == 2 * (top + 2)


@pytest.mark.parametrize(
    "target",
    [
        {"epsilon": 0.0, "delta": 0.1},
        {"epsilon": 0.1, "delta": 0.0},
        {"epsilon": -1.0, "delta": 0.1},
        {"epsilon": math.nan, "delta": 0.1},
        {"epsilon": 0.1, "delta": math.nan},
        {"epsilon": 0.1, "delta": 0.01, "oracle": OracleError(0.0, 0.02)},
        {"epsilon": 0.1, "delta": 0.1, "oracle": OracleError(0.2, 0.0)},
    ],
)
@pytest.mark.parametrize("cheapest", [cheapest_theorem1, cheapest_theorem1_prime])
def test_targets_out_of_reach_are_refused(cheapest, target):
    with pytest.raises(InputError, match=r"no cover reaches|the target needs"):
        cheapest(3, reward_max=1.0, regularizer_max=0.5, **target)


def test_designs_at_twenty_objectives_do_not_overflow():
    found = cheapest_theorem1_prime(
        20, epsilon=0.001, delta=0.001, reward_max=1.0, regularizer_max=None, has_reference=True
    )
    assert found.size > 10**60
    assert (found.epsilon, found.delta) <= (0.001, 0.001)
    best = best_theorem1_prime(20, 10**40, reward_max=1.0, regularizer_max=1.0)
    assert best.size <= 10**40


@settings(max_examples=10)
@given(
    st.integers(1, 5),
    st.integers(0, 5000),
    st.sampled_from([0.0, 0.2, 3.0]),
    st.sampled_from(["neither", "epsilon", "delta"]),
    st.booleans(),
)
def test_the_best_promise_for_a_budget_beats_every_grid_of_parameters(d, extra, f, given_one, prime):
    budget = d * 2 ** (d - 1) + extra
    fixed = {"neither": {}, "epsilon": {"epsilon": 0.3}, "delta": {"delta": 0.8}}[given_one]

    def evaluate(mu, alpha):
        if prime:
            return theorem1_prime(d, mu, alpha, reward_max=1.0, regularizer_max=f)
        return theorem1(d, mu, alpha, reward_max=1.0, regularizer_max=f)

    def cost(bound):
        if "epsilon" in fixed:
            return bound.delta if bound.epsilon <= fixed["epsilon"] else math.inf
        if "delta" in fixed:
            return bound.epsilon if bound.delta <= fixed["delta"] else math.inf
        return bound.epsilon + bound.delta

    brute = math.inf
    for mu in MUS:
        for alpha in ALPHAS:
            bound = evaluate(mu, alpha)
            if bound.size <= budget:
                brute = min(brute, cost(bound))
    best = best_theorem1_prime if prime else best_theorem1
    try:
        found = best(d, budget, reward_max=1.0, regularizer_max=f, **fixed)
    except InputError:
        assert brute == math.inf
        return
    assert found.size <= budget
    assert cost(found) <= brute * (1 + 1e-6) + 1e-12
    assert found == evaluate(found.mu, found.alpha)


def test_budgets_whose_finest_grids_are_beyond_floats():
    """With many levels a large μ has an α below every float: such grids are no candidates."""
    for best in (best_theorem1, best_theorem1_prime):
        found = best(2, 100_000, reward_max=1.0, regularizer_max=0.1)
        assert found.size <= 100_000
        assert found.epsilon + found.delta < 0.01


@pytest.mark.parametrize("budget", [11, 0, -5, 3.5, True])
def test_budgets_below_the_smallest_cover_are_refused(budget):
    with pytest.raises(InputError, match="12 points"):
        best_theorem1_prime(3, budget, reward_max=1.0, regularizer_max=0.0)


def test_a_budget_takes_one_target_only():
    with pytest.raises(InputError, match="not both"):
        best_theorem1(3, 100, reward_max=1.0, regularizer_max=0.0, epsilon=0.1, delta=0.1)
    with pytest.raises(InputError, match="do not reach"):
        best_theorem1(3, 12, reward_max=1.0, regularizer_max=1.0, delta=1e-6)


@given(
    st.integers(1, 7),
    st.floats(1e-3, 2.0),
    st.floats(1e-2, 5.0),
    st.sampled_from([1e-9, 1.0, 1e9]),
    st.sampled_from([EXACT, OracleError(0.0, 1e-4), OracleError(1e-4, 0.0)]),
)
def test_the_resolution_of_theorem_2_is_the_smallest(d, delta, beta, unit, oracle):
    oracle = OracleError(oracle.epsilon, oracle.delta * unit)
    n = theorem2_resolution(d, delta=delta * unit, beta=beta * unit, reward_max=unit, oracle=oracle)
    assert theorem2(d, n, beta=beta * unit, reward_max=unit, oracle=oracle).delta <= delta * unit
    if n > 1:
        assert theorem2(d, n - 1, beta=beta * unit, reward_max=unit, oracle=oracle).delta > delta * unit
    if oracle == EXACT:
        assert n <= max(1, math.ceil(d / (2 * math.sqrt(8 * beta * delta)) * (1 + 1e-12)))
    assert cheapest_theorem2(d, delta=delta * unit, beta=beta * unit, reward_max=unit, oracle=oracle).resolution == n


def test_theorem_2_cannot_beat_its_oracle():
    with pytest.raises(InputError, match="oracle's own error"):
        theorem2_resolution(3, delta=0.01, beta=1.0, reward_max=1.0, oracle=OracleError(0.0, 0.02))
    with pytest.raises(InputError, match="delta"):
        theorem2_resolution(3, delta=0.0, beta=1.0, reward_max=1.0)


@given(st.integers(2, 8), st.integers(0, 10**7))
def test_the_finest_lattice_within_a_budget(d, extra):
    budget = d + extra
    found = best_theorem2(d, budget, beta=0.5, reward_max=1.0)
    assert math.comb(found.resolution + d - 1, d - 1) == found.size <= budget
    assert math.comb(found.resolution + d, d - 1) > budget


def test_theorem_2_budgets():
    assert best_theorem2(1, 1, beta=0.5, reward_max=1.0).delta == 0
    with pytest.raises(InputError, match="3 points"):
        best_theorem2(3, 2, beta=0.5, reward_max=1.0)
