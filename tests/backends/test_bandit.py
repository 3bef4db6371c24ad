"""The bandit backend against definitions, brute force, and a one-step MDP."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from backends.bandit import BanditBackend
from backends.mdp import MDPBackend
from palm_theory.contract.calls import solve
from palm_theory.errors import InputError
from palm_theory.testing import check_conformance
from tests.helpers.exact_optima import ExactBandit
from tests.helpers.instances import random_bandit, rng_of, seeds, simplex_points

betas = st.sampled_from([1e-3, 0.05, 1.0, 30.0])


@settings(max_examples=20)
@given(seeds, st.integers(2, 3), st.sampled_from([0.0, 0.02, 1.0]), st.booleans())
def test_conformance(seed, d, beta, sparse):
    check_conformance(random_bandit(seed, d=d, beta=beta, sparse_reference=sparse), seed=seed % 100).raise_on_failure()


@given(seeds, st.integers(1, 4))
def test_the_plain_bandit_is_the_best_of_all_deterministic_policies(seed, d):
    backend = random_bandit(seed, d=d, beta=0.0, contexts=2, actions=4)
    values = []
    for actions in itertools.product(range(4), repeat=2):
        policy = np.zeros((2, 4))
        policy[range(2), actions] = 1
        values.append(backend.evaluate(policy).rewards)
    for w in simplex_points(d, 3, seed):
        best = max(float(w @ value) for value in values)
        solution = solve(backend, w)
        assert math.isclose(solution.value.scalarize(w), best, abs_tol=1e-12)
        assert math.isclose(backend.optimal_value(w), best, abs_tol=1e-12)
        assert solution.value.regularizer == 0.0


@settings(max_examples=15)
@given(seeds, st.integers(1, 3), st.sampled_from([0.05, 0.5, 5.0]))
def test_no_policy_beats_the_closed_form(seed, d, beta):
    backend = random_bandit(seed, d=d, beta=beta, contexts=2, actions=3)
    rng = rng_of(seed)
    w = rng.dirichlet(np.ones(d))

    def negative(logits):
        policy = np.exp(logits.reshape(2, 3) - logits.max())
        return -backend.evaluate(policy / policy.sum(axis=1, keepdims=True)).scalarize(w)

    near = np.log(backend.optimize(w).policy + 1e-9).ravel() + rng.normal(0, 0.5, 6)
    found = min(minimize(negative, start, method="BFGS").fun for start in (near, rng.normal(0, 1, 6)))
    assert -found <= backend.optimal_value(w) + 1e-12
    assert -found >= backend.optimal_value(w) - 1e-3 * max(1, beta)


@given(seeds, st.integers(1, 4), betas, st.booleans())
def test_the_gap_is_beta_times_the_kl_to_the_optimum(seed, d, beta, sparse):
    """J* - J(pi) = beta E KL(pi || pi*), exactly (THEORY, Theorem 2)."""
    rng = rng_of(seed)
    rewards, contexts = rng.random((3, 5, d)), rng.dirichlet(np.ones(3))
    reference = rng.dirichlet(np.ones(5), 3)
    if sparse:
        reference[:, 0] = 0
        reference /= reference.sum(axis=1, keepdims=True)
    backend = BanditBackend(rewards, beta=beta, reference=reference, context_probabilities=contexts)
    w, other = rng.dirichlet(np.ones(d), 2)
    best, policy = backend.optimize(w).policy, backend.optimize(other).policy
    used = policy > 0
    kl = contexts @ np.where(used, policy * np.log(np.where(used, policy, 1) / np.where(best > 0, best, 1)), 0).sum(
        axis=1
    )
    gap = backend.optimal_value(w) - backend.evaluate(policy).scalarize(w)
    assert math.isclose(gap, beta * kl, rel_tol=1e-6, abs_tol=1e-13 * max(1, beta))


@given(seeds, st.integers(1, 4), st.sampled_from([0.0, 0.05, 1.0]))
def test_the_optimum_is_convex_in_the_weights(seed, d, beta):
    backend = random_bandit(seed, d=d, beta=beta)
    a, b = rng_of(seed).dirichlet(np.ones(d), 2)
    for t in (0.2, 0.5, 0.9):
        line = (1 - t) * backend.optimal_value(a) + t * backend.optimal_value(b)
        assert backend.optimal_value((1 - t) * a + t * b) <= line + 1e-12


@given(seeds, st.integers(1, 4), betas)
def test_rewards_of_the_optimum_are_a_subgradient(seed, d, beta):
    backend = random_bandit(seed, d=d, beta=beta)
    a, b = rng_of(seed).dirichlet(np.ones(d), 2)
    slope = backend.optimize(a).value.rewards
    assert backend.optimal_value(b) >= backend.optimal_value(a) + slope @ (b - a) - 1e-12 * max(1, beta)


@given(seeds, st.integers(1, 3))
def test_beta_to_zero_gives_the_plain_bandit_and_beta_to_infinity_the_reference(seed, d):
    plain = random_bandit(seed, d=d, beta=0.0)
    w = rng_of(seed).dirichlet(np.ones(d))
    rewards, reference = plain._rewards, plain._reference
    contexts = plain._contexts
    last = plain.optimal_value(w)
    for beta in (1e-9, 1e-4, 0.1, 10.0, 1e4):
        backend = BanditBackend(rewards, beta=beta, reference=reference, context_probabilities=contexts)
        value = backend.optimal_value(w)
        assert value <= last + 1e-11 * max(1, beta)
        last = value
        assert plain.optimal_value(w) - value <= beta * math.log(1 / reference.min()) + 1e-12
    mean = contexts @ (reference * (rewards @ w)).sum(axis=1)
    assert math.isclose(last, mean, abs_tol=1e-3)


@given(seeds, st.integers(1, 3), st.sampled_from([0.0, 0.1, 2.0]))
def test_a_bandit_is_a_one_step_mdp(seed, d, beta):
    rng = rng_of(seed)
    rewards, reference, contexts = rng.random((3, 4, d)), rng.dirichlet(np.ones(4), 3), rng.dirichlet(np.ones(3))
    bandit = BanditBackend(rewards, beta=beta, reference=reference, context_probabilities=contexts)
    transitions = rng.dirichlet(np.ones(3), (3, 4))
    one_step = MDPBackend(transitions, rewards, contexts, discount=1.0, horizon=1, beta=beta, reference=reference)
    no_future = MDPBackend(transitions, rewards, contexts, discount=0.0, beta=beta, reference=reference)
    for w in simplex_points(d, 2, seed):
        expected = bandit.optimize(w)
        for mdp in (one_step, no_future):
            found = mdp.optimize(w)
            assert math.isclose(mdp.optimal_value(w), bandit.optimal_value(w), abs_tol=1e-12)
            assert np.allclose(found.value.rewards, expected.value.rewards, atol=1e-12)
            assert math.isclose(found.value.regularizer, expected.value.regularizer, abs_tol=1e-12)


@given(seeds, st.sampled_from([1e-9, 1e9]), st.sampled_from([0.0, 0.3]))
def test_units_scale_out(seed, unit, beta):
    rng = rng_of(seed)
    rewards, w = rng.random((2, 5, 3)), rng.dirichlet(np.ones(3))
    small, large = BanditBackend(rewards, beta=beta), BanditBackend(rewards * unit, beta=beta * unit)
    assert np.allclose(small.optimize(w).policy, large.optimize(w).policy, rtol=1e-9)
    assert math.isclose(small.optimal_value(w) * unit, large.optimal_value(w), rel_tol=1e-12)


def test_tiny_beta_does_not_overflow():
    backend = BanditBackend(np.eye(3)[None], beta=1e-300)
    solution = solve(backend, np.array([0.2, 0.3, 0.5]))
    assert solution.policy.tolist() == [[0.0, 0.0, 1.0]]
    assert math.isclose(backend.optimal_value(np.array([0.2, 0.3, 0.5])), 0.5)


@pytest.mark.parametrize("beta", [1e-300, 1e-12, 1e-3, 10.0, 1e3, 1e6, 1e12])
@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
def test_optima_are_right_to_rounding_at_any_beta(beta, unit):
    """Against 60 digits. exp and log cancel: at β = 1e12 they once cost 1e-4."""
    rng = rng_of(7)
    rewards, contexts = rng.random((3, 4, 2)) * unit, rng.dirichlet(np.ones(3))
    reference = np.vstack([np.full(4, 0.25), [0.0, 1e-300, 0.5, 0.5], rng.dirichlet(np.ones(4))])
    price = beta * unit
    backend = BanditBackend(rewards, beta=price, reference=reference, context_probabilities=contexts)
    truth = ExactBandit(rewards, reference, contexts, price)
    for w in (np.array([1.0, 0.0]), np.array([0.25, 0.75])):
        right = truth.optimum(w)
        reached, upper = backend.optimal_bracket(w)
        assert math.isclose(reached, right, rel_tol=1e-14)
        assert right <= Fraction(upper) <= right * (1 + Fraction(1, 10**13))
        solution = solve(backend, w)
        assert solution.upper_bound == upper
        assert math.isclose(solution.value.scalarize(w), right, rel_tol=1e-14)
        found, cost = truth.value(solution.policy)
        assert np.allclose(solution.value.rewards, [float(x) for x in found], rtol=1e-14, atol=0)
        assert math.isclose(solution.value.regularizer, cost, rel_tol=1e-12, abs_tol=1e-15 * unit)


def test_a_reference_is_taken_relative_to_its_sum():
    """One that sums to 1 − 1e-10 is no discount of −1e-10·β."""
    rewards = np.array([[[1.0], [0.0]]])
    exact, short = (BanditBackend(rewards, beta=1e6, reference=[[p, p]]) for p in (0.5, 0.5 - 5e-11))
    assert math.isclose(exact.optimal_value(np.ones(1)), short.optimal_value(np.ones(1)), rel_tol=1e-12)
    assert short.evaluate([[0.5, 0.5]]).regularizer < 1e-12
    assert math.isclose(short.evaluate([[0.5 - 4e-10, 0.5]]).rewards[0], 0.5, abs_tol=3e-10)


def test_actions_the_reference_never_takes():
    rewards = np.array([[[1.0], [0.2], [0.1]]])
    backend = BanditBackend(rewards, beta=0.5, reference=[[0.0, 0.5, 0.5]])
    assert backend.optimize(np.ones(1)).policy[0, 0] == 0
    assert math.isclose(backend.regularizer_max, 0.5 * math.log(2))
    with pytest.raises(InputError, match="KL is infinite"):
        backend.evaluate([[1.0, 0.0, 0.0]])
    plain = BanditBackend(rewards, reference=[[0.0, 0.5, 0.5]])
    assert plain.optimize(np.ones(1)).policy.tolist() == [[0.0, 1.0, 0.0]]


@given(seeds, betas)
def test_the_regularizer_stays_within_its_declared_range(seed, beta):
    backend = random_bandit(seed, d=2, beta=beta, sparse_reference=True)
    for w in simplex_points(2, 4, seed):
        assert 0 <= backend.optimize(w).value.regularizer <= backend.regularizer_max * (1 + 1e-12)


def test_effective_sample_size():
    backend = BanditBackend.from_samples(np.array([[[1.0], [0.0]], [[0.5], [0.5]]]), beta=0.1)
    sizes = backend.effective_sample_size([1.0])
    p = 1 / (1 + math.exp(-10))
    assert math.isclose(sizes[0], 1 / (p**2 + (1 - p) ** 2), rel_tol=1e-12)
    assert math.isclose(sizes[1], 2.0)


GOOD = np.full((2, 3, 2), 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rewards": np.full((2, 3), 0.5)}, "shape"),
        ({"rewards": np.zeros((2, 0, 2))}, "empty axis"),
        ({"rewards": -GOOD}, r"rewards must be >= 0, entry \[0, 0, 0\] is -0.5"),
        ({"rewards": GOOD * math.nan}, "finite"),
        ({"rewards": GOOD * math.inf}, "finite"),
        ({"rewards": [[1], [1, 2]]}, "array of numbers"),
        ({"beta": -0.1}, "beta"),
        ({"beta": math.nan}, "beta"),
        ({"reference": [[0.5, 0.5, 0.0]]}, r"reference must have shape \(2, 3\)"),
        ({"reference": [[0.5, 0.5, 0.1]] * 2}, "sum to 1"),
        ({"reference": [[1.5, -0.5, 0.0]] * 2}, ">= 0"),
        ({"context_probabilities": [1.0]}, "context_probabilities"),
        ({"context_probabilities": [0.5, 0.6]}, "context_probabilities"),
        ({"objectives": ["a"]}, "2 distinct names"),
        ({"objectives": ["a", "a"]}, "2 distinct names"),
        ({"reward_max": 0.4}, "reward_max"),
        ({"reward_max": math.inf}, "reward_max"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        BanditBackend(**{"rewards": GOOD, **arguments})


def test_bad_policies_are_refused():
    backend = BanditBackend(GOOD)
    for policy in (np.ones(3) / 3, np.ones((2, 3)), np.full((2, 3), math.nan)):
        with pytest.raises(InputError, match="policy"):
            backend.evaluate(policy)
