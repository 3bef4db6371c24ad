"""Inverse design by Theorems 1″, 1‴ and 2′ against brute force over the parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palm_theory.bounds import OracleError, theorem1_double_prime, theorem1_triple_prime, theorem2_prime
from palm_theory.design import (
    best_theorem1_double_prime,
    best_theorem1_prime,
    best_theorem1_triple_prime,
    best_theorem2_prime,
    cheapest_theorem1_double_prime,
    cheapest_theorem1_prime,
    cheapest_theorem1_triple_prime,
    cheapest_theorem2_prime,
    theorem2_prime_resolution,
    theorem2_resolution,
)
from palm_theory.errors import InputError
from palm_theory.geometry.hybrid import HybridGrid

EXACT = OracleError()
MUS = np.concatenate([np.geomspace(1e-3, 1, 150), [1 / 3, 0.5, 0.5625]])
TOPS = [*range(1, 40), 60, 100, 200, 400]


def brute_cheapest(evaluate, epsilon, delta):
    """The smallest size over a grid of μ and many K that meets the target; inf if none does."""
    best = math.inf
    for mu in MUS:
        for top in TOPS:
            bound = evaluate(mu, HybridGrid.aligned(mu, top).alpha)
            if bound.epsilon <= epsilon and bound.delta <= delta:
                best = min(best, bound.size)
                break
    return best


@settings(max_examples=25)
@given(
    st.integers(1, 6),
    st.floats(0.002, 0.9),
    st.floats(0.005, 3.0),
    st.sampled_from([None, 0.0, 0.01, 0.3, 5.0]),
    st.booleans(),
    st.sampled_from([EXACT, OracleError(0.001, 0.002), OracleError(0.2, 0.3)]),
)
def test_the_cheapest_aligned_cover_beats_every_grid_of_parameters(d, epsilon, delta, f, has_reference, oracle):
    has_reference = has_reference or f is None

    def evaluate(mu, alpha):
        return theorem1_double_prime(
            d, mu, alpha, reward_max=1.0, regularizer_max=f, has_reference=has_reference, oracle=oracle
        )

    brute = brute_cheapest(evaluate, epsilon, delta)
    try:
        found = cheapest_theorem1_double_prime(
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


@settings(max_examples=25)
@given(st.integers(1, 6), st.floats(0.01, 0.9), st.sampled_from([0.0, 0.005, 0.3]))
def test_the_cheapest_cover_without_a_delta_beats_every_grid_of_parameters(d, epsilon, eps0):
    oracle = OracleError(eps0, 0.0)
    brute = brute_cheapest(lambda mu, alpha: theorem1_triple_prime(d, mu, alpha, oracle=oracle), epsilon, 0.0)
    try:
        found = cheapest_theorem1_triple_prime(d, epsilon=epsilon, oracle=oracle)
    except InputError:
        assert brute == math.inf
        return
    assert found.epsilon <= epsilon
    assert found.delta == 0
    assert found.size <= brute


@pytest.mark.parametrize(("d", "sharp", "plain"), [(2, 7, 44), (3, 127, 2523), (4, 2465, 143_748)])
def test_sizes_at_a_tenth(d, sharp, plain):
    for cheapest, size in ((cheapest_theorem1_double_prime, sharp), (cheapest_theorem1_prime, plain)):
        assert cheapest(d, epsilon=0.1, delta=0.1, reward_max=1.0, regularizer_max=0.0).size == size


@settings(max_examples=20)
@given(st.integers(2, 5), st.floats(0.01, 0.5), st.floats(0.01, 1.0), st.sampled_from([0.0, 0.2, 3.0]))
def test_the_aligned_design_never_needs_more_than_theorem_1_prime(d, epsilon, delta, f):
    sharp, plain = (
        cheapest(d, epsilon=epsilon, delta=delta, reward_max=1.0, regularizer_max=f).size
        for cheapest in (cheapest_theorem1_double_prime, cheapest_theorem1_prime)
    )
    assert sharp <= max(plain, 3**d - 2**d)


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
def test_targets_out_of_reach_are_refused(target):
    with pytest.raises(InputError, match=r"no cover reaches|the target needs"):
        cheapest_theorem1_double_prime(3, reward_max=1.0, regularizer_max=0.5, **target)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan])
def test_epsilons_out_of_reach_are_refused(epsilon):
    with pytest.raises(InputError, match=r"no cover reaches|the target needs"):
        cheapest_theorem1_triple_prime(3, epsilon=epsilon)


def test_designs_at_twenty_objectives_do_not_overflow():
    found = cheapest_theorem1_double_prime(
        20, epsilon=0.001, delta=0.001, reward_max=1.0, regularizer_max=None, has_reference=True
    )
    assert found.size > 10**60
    assert (found.epsilon, found.delta) <= (0.001, 0.001)
    assert best_theorem1_double_prime(20, 10**40, reward_max=1.0, regularizer_max=1.0).size <= 10**40
    tiny = cheapest_theorem1_double_prime(2, epsilon=1e-7, delta=1e-12, reward_max=1.0, regularizer_max=0.0)
    assert (tiny.epsilon, tiny.delta) <= (1e-7, 1e-12)


@settings(max_examples=20)
@given(
    st.integers(1, 5),
    st.integers(0, 5000),
    st.sampled_from([0.0, 0.2, 3.0]),
    st.sampled_from(["neither", "epsilon", "delta"]),
    st.sampled_from([EXACT, OracleError(0.05, 0.02)]),
)
def test_the_best_promise_for_a_budget_beats_every_grid_of_parameters(d, extra, f, given_one, oracle):
    budget = 3**d - 2**d + extra
    fixed = {"neither": {}, "epsilon": {"epsilon": 0.15}, "delta": {"delta": 0.4}}[given_one]

    def cost(bound):
        if "epsilon" in fixed:
            return bound.delta if bound.epsilon <= fixed["epsilon"] else math.inf
        if "delta" in fixed:
            return bound.epsilon if bound.delta <= fixed["delta"] else math.inf
        return bound.epsilon + bound.delta

    def evaluate(mu, alpha):
        return theorem1_double_prime(d, mu, alpha, reward_max=1.0, regularizer_max=f, oracle=oracle)

    brute = math.inf
    for mu in np.concatenate([np.geomspace(1e-9, 1e-3, 20), MUS]):
        for top in TOPS:
            bound = evaluate(mu, HybridGrid.aligned(mu, top).alpha)
            if bound.size <= budget:
                brute = min(brute, cost(bound))
    try:
        found = best_theorem1_double_prime(d, budget, reward_max=1.0, regularizer_max=f, oracle=oracle, **fixed)
    except InputError:
        assert brute == math.inf
        return
    assert found.size <= budget
    assert cost(found) <= brute * (1 + 1e-9) + 1e-12
    assert found == evaluate(found.mu, found.alpha)


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(0, 5000), st.sampled_from([0.0, 0.05]))
def test_the_best_promise_without_a_delta_beats_every_grid_of_parameters(d, extra, eps0):
    budget, oracle = 3**d - 2**d + extra, OracleError(eps0, 0.0)
    found = best_theorem1_triple_prime(d, budget, oracle=oracle)
    assert found.size <= budget
    for mu in MUS:
        for top in TOPS:
            bound = theorem1_triple_prime(d, mu, HybridGrid.aligned(mu, top).alpha, oracle=oracle)
            assert bound.size > budget or found.epsilon <= bound.epsilon * (1 + 1e-9)


@pytest.mark.parametrize("budget", [18, 0, -5, 30.5, True])
def test_budgets_below_the_smallest_cover_are_refused(budget):
    with pytest.raises(InputError, match="19 points"):
        best_theorem1_double_prime(3, budget, reward_max=1.0, regularizer_max=0.0)
    with pytest.raises(InputError, match="19 points"):
        best_theorem1_triple_prime(3, budget)


def test_a_budget_takes_one_target_only():
    with pytest.raises(InputError, match="not both"):
        best_theorem1_double_prime(3, 100, reward_max=1.0, regularizer_max=0.0, epsilon=0.1, delta=0.1)
    with pytest.raises(InputError, match="do not reach the given delta"):
        best_theorem1_double_prime(3, 19, reward_max=1.0, regularizer_max=1.0, delta=1e-6)
    with pytest.raises(InputError, match="do not reach the given epsilon"):
        best_theorem1_double_prime(3, 19, reward_max=1.0, regularizer_max=1.0, epsilon=0.0)


def test_a_budget_buys_more_than_by_theorem_1_prime():
    for d, budget in ((2, 10), (3, 100), (4, 1000)):
        sharp = best_theorem1_double_prime(d, budget, reward_max=1.0, regularizer_max=0.0)
        plain = best_theorem1_prime(d, budget, reward_max=1.0, regularizer_max=0.0)
        assert sharp.epsilon + sharp.delta < 0.5 * (plain.epsilon + plain.delta)


@given(
    st.integers(1, 7),
    st.floats(1e-3, 2.0),
    st.floats(1e-3, 5.0),
    st.sampled_from([1e-9, 1.0, 1e9]),
    st.sampled_from([EXACT, OracleError(0.0, 1e-4), OracleError(1e-4, 0.0)]),
)
def test_the_resolution_of_theorem_2_prime_is_the_smallest(d, delta, beta, unit, oracle):
    oracle = OracleError(oracle.epsilon, oracle.delta * unit)
    options = {"beta": beta * unit, "reward_max": unit, "oracle": oracle}
    n = theorem2_prime_resolution(d, delta=delta * unit, **options)
    assert theorem2_prime(d, n, **options).delta <= delta * unit
    assert n == 1 or theorem2_prime(d, n - 1, **options).delta > delta * unit
    assert n <= theorem2_resolution(d, delta=delta * unit, **options)
    assert cheapest_theorem2_prime(d, delta=delta * unit, **options).resolution == n


def test_theorem_2_prime_for_little_regularisation():
    """Where Theorem 2 pays for a square that no reward allows: δ ≤ R_max·ρ needs no β."""
    assert theorem2_prime_resolution(3, delta=0.1, beta=1e-6, reward_max=1.0) <= math.ceil(4 / 3 / 0.1)
    assert theorem2_resolution(3, delta=0.1, beta=1e-6, reward_max=1.0) > 700
    with pytest.raises(InputError, match="oracle's own error"):
        theorem2_prime_resolution(3, delta=0.01, beta=1.0, reward_max=1.0, oracle=OracleError(0.0, 0.02))
    with pytest.raises(InputError, match="delta"):
        theorem2_prime_resolution(3, delta=0.0, beta=1.0, reward_max=1.0)
    found = best_theorem2_prime(3, 70, beta=0.5, reward_max=1.0)
    assert (found.size, found.resolution) == (66, 10)
