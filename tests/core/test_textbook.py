"""Statements of the text-book that no function of the package computes, checked on instances they do not know."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.bandit import BanditBackend
from backends.table import TableBackend
from palm_theory import Value, audit
from palm_theory.geometry.envelope import corner_weights
from palm_theory.geometry.simplex import l1_distance

SEEDS = st.integers(0, 2**32 - 1)


def _bandit(seed: int, beta: float, d: int) -> tuple[BanditBackend, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return BanditBackend(rng.random((3, 4, d)), beta=beta, reward_max=1.0), rng


@given(seed=SEEDS, beta=st.sampled_from([0.0, 0.05, 1.0]), d=st.integers(1, 5))
def test_values_change_by_half_the_distance_and_losses_by_the_distance(seed, beta, d):
    """Fact 4 and the distance lemma."""
    bandit, rng = _bandit(seed, beta, d)
    w, other = rng.dirichlet(np.full(d, 0.5), 2)
    distance = float(l1_distance(w, other))
    served = bandit.optimize(other).value
    assert abs(served.scalarize(w) - served.scalarize(other)) <= distance / 2 + 1e-12
    assert abs(bandit.optimal_value(w) - bandit.optimal_value(other)) <= distance / 2 + 1e-12
    assert bandit.optimal_value(w) - served.scalarize(w) <= distance + 1e-12


def test_the_distance_lemma_is_attained():
    w, step = np.array([0.5, 0.5]), 0.1
    moved = w + step * np.array([1, -1])
    first, second = Value([1.0, 0.0]), Value([0.0, 1.0])
    assert first.scalarize(w) == second.scalarize(w)
    loss = first.scalarize(moved) - second.scalarize(moved)
    assert loss == pytest.approx(float(l1_distance(w, moved)))


@given(seed=SEEDS, size=st.integers(2, 8))
def test_means_under_two_laws_differ_by_at_most_the_root_of_half_the_divergence(seed, size):
    """Lemma 3 of Theorem 2, a Pinsker inequality for bounded functions."""
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.full(size, 0.7), 2) + 1e-12
    p, q, h = p / p.sum(), q / q.sum(), rng.random(size)
    divergence = float((q * np.log(q / p)).sum())
    assert abs((q - p) @ h) <= np.ptp(h) * math.sqrt(max(divergence, 0.0) / 2) + 1e-9


@given(seed=SEEDS, lam=st.floats(-20, 20))
def test_hoeffdings_lemma(seed, lam):
    rng = np.random.default_rng(seed)
    p, h = rng.dirichlet(np.full(5, 0.5)), rng.random(5)
    moment = math.log(float(p @ np.exp(lam * (h - p @ h))))
    assert moment <= lam**2 * np.ptp(h) ** 2 / 8 + 1e-9


def _tangents(count: int) -> TableBackend:
    """The problem of the lower bound for two objectives: J*(t) = 1 + t², every policy a tangent, R_max = 2."""
    a = np.linspace(0, 1, count)
    return TableBackend(np.column_stack([1 + 2 * a - a**2, 1 - a**2]))


@pytest.mark.parametrize("delta", [0.1, 0.01, 0.001])
def test_two_objectives_need_the_root_of_one_over_delta_and_no_more(delta):
    """Both propositions of the chapter on the order of growth, on the problem of the lower bound.

    J' is 2t, so the levels of the upper bound's proof are passed at equal steps; its weights are computed as there.
    """
    table = _tangents(4001)
    n = math.ceil(math.sqrt(2 / delta))
    levels = (-2 + 4 * np.arange(1, n) / n) / 2
    cuts = np.unique(np.concatenate([[0, 1], np.arange(1, n) / n, levels[(levels > 0) & (levels < 1)]]))
    middles = (cuts[1:] + cuts[:-1]) / 2
    assert len(middles) <= 2 * n - 1
    portfolio = [table.optimize(np.array([t, 1 - t])).value for t in middles]
    certificate = audit(portfolio, table, epsilon=0.0)
    assert certificate.delta <= delta
    assert len(portfolio) >= 1 / (2 * math.sqrt(certificate.delta + 1e-7))


@pytest.mark.parametrize("d", [2, 3, 4])
def test_every_tangent_of_the_paraboloid_loses_the_squared_distance(d):
    """The lower bound for any d (an exercise): J*_w = 1 + |w|², and policy a loses |w − a|² at w."""
    w, a = np.random.default_rng(d).dirichlet(np.ones(d), 2)
    rewards = 1 + 2 * a - a @ a
    assert rewards.min() >= 0
    assert rewards.max() <= 3
    assert 1 + w @ w - w @ rewards == pytest.approx((w - a) @ (w - a))


def test_adaptive_solves_no_more_than_the_integer_slopes_allow():
    """Exercise 6 of Theorem 3: at most 4M + 3 solves for two objectives and integer rewards up to M."""
    from palm_theory import Adaptive, build_portfolio

    for seed in range(20):
        largest = 6
        rewards = np.random.default_rng(seed).integers(0, largest + 1, (40, 2)).astype(float)
        portfolio = build_portfolio(TableBackend(rewards), Adaptive(0.0), progress=False)
        assert portfolio.solves <= 4 * largest + 3
        assert portfolio.certificate.epsilon == 0


def test_a_lying_oracle_gets_a_false_certificate_and_an_honest_one_a_true_one():
    """The local search of Exercise 4 of Theorem 3: what is declared is what is certified."""
    from palm_theory import OracleError, PolicyBackend, Solution

    class LocalSearch(PolicyBackend):
        objectives = ("a", "b")
        reward_max = 1.0
        regularizer_max = 0.0

        def __init__(self, error: OracleError) -> None:
            self._error = error

        @property
        def oracle_error(self) -> OracleError:
            return self._error

        def optimize(self, weights):
            policy = 0.9 if weights.min() > 0 else 0.5
            return Solution(policy, self.evaluate(policy))

        def evaluate(self, policy):
            return Value([policy, policy])

    assert audit([Value([0.5, 0.5])], LocalSearch(OracleError(0.0, 0.0)), epsilon=0.0).delta == 0
    honest = audit([Value([0.5, 0.5])], LocalSearch(OracleError(0.0, 0.4)), epsilon=0.0)
    assert honest.delta == pytest.approx(0.4)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_palm_reduced_to_a_budget_beats_uniform_and_random_weights(seed):
    """The paper's comparison at equal size, on KL bandits and with exact worst gaps."""
    from palm_theory.compare import compare

    bandit = BanditBackend(np.random.default_rng(seed).random((5, 20, 3)), beta=0.05)
    rows = {row.strategy: row for row in compare(bandit, policies=6, mu=1.0, alpha=0.1)}
    assert rows["PALM reduced"].size <= 6
    assert rows["PALM reduced"].epsilon < min(rows["uniform"].epsilon, rows["random"].epsilon)


def _least_cosine(members: np.ndarray, d: int) -> float:
    """The least of max_k <u, R_k> over unit u >= 0, from above: at the corners of the members' envelope and a net."""
    directions = np.abs(np.random.default_rng(0).normal(size=(4000, d)))
    corners = corner_weights(members)
    directions = np.vstack([np.eye(d), directions, corners])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return float((directions @ members.T).max(axis=1).min())


@given(seed=SEEDS, d=st.integers(2, 4), size=st.integers(1, 40))
def test_the_lower_bound_of_theorem_6(seed, d, size):
    """Policies in the positive part of the unit ball, J*_w = |w|: no portfolio is better than its size allows."""
    members = np.abs(np.random.default_rng(seed).normal(size=(size, d)))
    members /= np.linalg.norm(members, axis=1, keepdims=True)
    psi = math.acos(min(1.0, _least_cosine(members, d)))

    def ball(k: int) -> float:
        return math.pi ** (k / 2) / math.gamma(k / 2 + 1)

    assert size >= d * ball(d) / (2**d * ball(d - 1)) * psi ** -(d - 1) * (1 - 1e-9)
    # Attained for d = 2: equal arcs.
    middles = (np.arange(size) + 0.5) * math.pi / (2 * size)
    equal = np.column_stack([np.cos(middles), np.sin(middles)])
    assert math.isclose(size, math.pi / (4 * math.acos(_least_cosine(equal, 2))), rel_tol=1e-9)


@given(seed=SEEDS, d=st.integers(1, 5), n=st.integers(1, 30))
def test_the_steps_of_theorem_6_s_upper_bound(seed, d, n):
    """x_w = p_w + w: p is 1-Lipschitz and w 2-Lipschitz in x, the loss at most 2|x_w - x_u|², J*_w at least |w|/√d."""
    rng = np.random.default_rng(seed)
    rewards = rng.random((n, d)) ** rng.choice([0.3, 1.0, 3.0])
    rewards /= rewards.max(axis=0)
    units = np.abs(rng.normal(size=(12, d)) * (rng.random((12, d)) < 0.8)) + 1e-9
    units = np.vstack([units, units[:4] + 1e-3 * rng.random((4, d))])
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    scores = units @ rewards.T
    best = rewards[scores.argmax(axis=1)]
    assert (scores.max(axis=1) >= 1 / math.sqrt(d) - 1e-12).all()
    apart = np.linalg.norm((best + units)[:, None] - (best + units)[None], axis=2)
    assert (np.linalg.norm(best[:, None] - best[None], axis=2) <= apart + 1e-12).all()
    assert (np.linalg.norm(units[:, None] - units[None], axis=2) <= 2 * apart + 1e-12).all()
    losses = scores.max(axis=1)[:, None] - units @ best.T
    assert (losses <= 2 * apart**2 + 1e-12).all()
