"""Metrics against definitions, Monte Carlo and hand-worked cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.table import TableBackend
from palm_theory import metrics
from palm_theory.build import build_portfolio
from palm_theory.errors import InputError
from palm_theory.portfolio import Portfolio
from palm_theory.strategies.adaptive import Adaptive
from palm_theory.strategies.baselines import UniformGrid
from tests.helpers.instances import backends, envelope, optima, random_front, rng_of, seeds, simplex_points


def portfolio_of(rewards: np.ndarray, rows: list[int] | None = None) -> tuple[Portfolio, TableBackend]:
    """The given rows (default all) of a table as a portfolio."""
    from palm_theory.certify.audit import audit

    backend = TableBackend(rewards, normalization="none")
    rows = list(range(len(rewards))) if rows is None else rows
    values = [backend.evaluate(row) for row in rows]
    policies = [(row, value, None) for row, value in zip(rows, values, strict=True)]
    return Portfolio.of(backend, policies, audit(values, backend)), backend


@settings(max_examples=20)
@given(backends(), seeds)
def test_worst_gaps_are_at_least_the_sampled_ones(backend, seed):
    portfolio = build_portfolio(backend, UniformGrid(1))
    weights = simplex_points(len(backend.objectives), 40, seed)
    optimum = optima(backend, weights)
    lower = envelope(portfolio.vertex_values, weights)
    multiplicative, additive = metrics.sampled_gaps(portfolio, weights, optimum)
    assert math.isclose(additive, max(0.0, (optimum - lower).max()), abs_tol=1e-10 * backend.reward_max)
    positive = optimum > 1e-6 * backend.reward_max
    if positive.all() and (lower >= 0).all():
        assert math.isclose(multiplicative, max(0.0, (1 - lower / optimum).max()), abs_tol=1e-9)
    assert metrics.worst_additive_gap(portfolio, backend) >= additive - 1e-10 * backend.reward_max
    assert metrics.worst_multiplicative_gap(portfolio, backend) >= multiplicative - 1e-9


def test_worst_gaps_by_hand():
    portfolio, backend = portfolio_of(np.array([[1.0, 0.0], [0.0, 1.0], [0.75, 0.75]]), [0, 1])
    assert math.isclose(metrics.worst_multiplicative_gap(portfolio, backend), 1 / 3)
    assert math.isclose(metrics.worst_additive_gap(portfolio, backend), 0.25)


@given(st.integers(1, 4), st.integers(1, 10), seeds)
def test_usage_is_a_distribution_and_its_perplexity_counts_policies(d, n, seed):
    portfolio, _ = portfolio_of(random_front(seed, d=d, n=n))
    shares = metrics.usage(portfolio, samples=300, seed=seed % 99)
    assert shares.shape == (n,)
    assert math.isclose(shares.sum(), 1)
    assert 1 - 1e-12 <= metrics.usage_perplexity(portfolio, samples=300, seed=seed % 99) <= (shares > 0).sum() + 1e-9


def test_usage_by_hand():
    portfolio, _ = portfolio_of(np.eye(2))
    assert np.allclose(metrics.usage(portfolio, samples=20_000), 0.5, atol=0.02)
    assert math.isclose(metrics.usage_perplexity(portfolio, samples=20_000), 2.0, rel_tol=1e-3)
    skewed, _ = portfolio_of(np.array([[1.0, 0.5], [0.0, 1.0]]))
    # (1, .5) is better where w_1 + .5 w_2 >= w_2, that is w_1 >= 1/3.
    assert np.allclose(metrics.usage(skewed, samples=20_000), [2 / 3, 1 / 3], atol=0.02)
    p = np.array([2 / 3, 1 / 3])
    assert math.isclose(
        metrics.usage_perplexity(skewed, samples=20_000), math.exp(-(p * np.log(p)).sum()), rel_tol=0.02
    )


def test_expected_utility_by_hand():
    portfolio, _ = portfolio_of(np.eye(2))
    # E max(w, 1 - w) = 3/4 for w uniform.
    assert math.isclose(metrics.expected_utility(portfolio), 0.75, abs_tol=0.01)
    one, _ = portfolio_of(np.array([[0.3, 0.6, 0.9]]))
    assert math.isclose(metrics.expected_utility(one), 0.6, abs_tol=0.01)


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 8), seeds)
def test_hypervolume_against_monte_carlo(d, n, seed):
    rewards = random_front(seed, d=d, n=n)
    portfolio, _ = portfolio_of(rewards)
    points = rng_of(seed).random((20_000, d))
    inside = np.zeros(len(points), dtype=bool)
    for row in rewards:
        inside |= (points <= row).all(axis=1)
    assert math.isclose(metrics.hypervolume(portfolio), inside.mean(), abs_tol=0.02)
    assert metrics.hypervolume(portfolio, reference=np.full(d, 2.0)) == 0.0


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), seeds)
def test_epsilon_indicators_are_their_definitions(d, n, m, seed):
    rewards, front = 0.1 + random_front(seed, d=d, n=n), 0.1 + random_front(seed + 1, d=d, n=m)
    portfolio, _ = portfolio_of(rewards)
    additive = max(min(max(f - r) for r in rewards) for f in front)
    multiplicative = max(min(max(f / r) for r in rewards) for f in front)
    assert math.isclose(metrics.additive_epsilon(portfolio, front), additive, abs_tol=1e-12)
    assert math.isclose(metrics.multiplicative_epsilon(portfolio, front), multiplicative, rel_tol=1e-12)
    other, _ = portfolio_of(front)
    assert metrics.additive_epsilon(portfolio, other) == metrics.additive_epsilon(portfolio, other.policy_values)


def test_more_policies_are_never_worse():
    rewards = random_front(4, d=3, n=10)
    some, _ = portfolio_of(rewards, [0, 1, 2])
    more, _ = portfolio_of(rewards, [0, 1, 2, 3, 4])
    assert metrics.hypervolume(more) >= metrics.hypervolume(some)
    assert metrics.expected_utility(more) >= metrics.expected_utility(some)
    assert metrics.additive_epsilon(more, rewards) <= metrics.additive_epsilon(some, rewards)


def test_bad_arguments_are_refused():
    portfolio, backend = portfolio_of(np.eye(2))
    with pytest.raises(InputError, match=r"optimal_values must have shape \(1,\)"):
        metrics.sampled_gaps(portfolio, [0.5, 0.5], [1.0, 2.0])
    with pytest.raises(InputError, match="sum to 1"):
        metrics.sampled_gaps(portfolio, [0.5, 0.6], [1.0])
    with pytest.raises(InputError, match="reference must have shape"):
        metrics.hypervolume(portfolio, reference=[0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="front must have shape"):
        metrics.additive_epsilon(portfolio, np.ones((2, 3)))
    with pytest.raises(InputError, match="rewards > 0"):
        metrics.multiplicative_epsilon(portfolio, np.ones((1, 2)))
    with pytest.raises(InputError, match="n must be"):
        metrics.usage(portfolio, samples=0)
    assert metrics.worst_additive_gap(build_portfolio(backend, Adaptive()), backend) == 0.0
