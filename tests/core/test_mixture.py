"""Theorem 4 and the best mixture, against linear programs, closed forms and search."""

from __future__ import annotations

import contextlib
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.envelope import corner_weights
from palm_theory.mixture import best_mixture
from palm_theory.utilities import CVaR, Linear, Minimum, PowerMean, Utility, ces
from tests.helpers.instances import envelope, random_front, rng_of, seeds, simplex_points

UTILITIES = [
    Minimum(),
    CVaR(0.5),
    CVaR(0.8),
    CVaR(1.0),
    PowerMean(1.0),
    PowerMean(0.5),
    PowerMean(0.0),
    PowerMean(-2.0),
]
TRANSLATION_INVARIANT = [Minimum(), CVaR(0.5), CVaR(0.3), CVaR(1.0), PowerMean(1.0)]


def best_minimum_by_program(rewards: np.ndarray, regularizers: np.ndarray) -> float:
    """max_q min_i <q, R_i> - <q, f>."""
    n, d = rewards.shape
    program = linprog(
        np.append(regularizers, -1.0),
        A_ub=np.column_stack([-rewards.T, np.ones(d)]),
        b_ub=np.zeros(d),
        A_eq=[[1.0] * n + [0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    return -program.fun


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(1, 8), st.integers(1, 8), seeds, st.sampled_from([0.0, 0.5, 3.0]))
def test_theorem_4_some_mixture_dominates_every_policy_up_to_delta(d, n, m, seed, f):
    """max_q min_i [R(q)_i - R(pi)_i - f(q) + f(pi)] >= -delta, with delta the portfolio's exact additive gap."""
    rng = rng_of(seed)
    rewards, others = random_front(seed, d=d, n=n), random_front(seed + 1, d=d, n=m)
    regularizers, other_f = f * rng.random(n), f * rng.random(m)
    values, candidates = rewards - regularizers[:, None], others - other_f[:, None]
    corners = corner_weights(values)
    delta = max(0.0, float((envelope(candidates, corners) - envelope(values, corners)).max()))
    reached = [best_minimum_by_program(rewards - row, regularizers - c) for row, c in zip(others, other_f, strict=True)]
    assert min(reached) >= -delta - 1e-8
    # And no better constant would do: by minimax the worst policy meets it with equality.
    if delta > 0:
        assert math.isclose(min(reached), -delta, abs_tol=1e-7)


@settings(max_examples=60)
@given(
    st.integers(1, 4),
    st.integers(1, 8),
    st.integers(1, 8),
    seeds,
    st.sampled_from([0.0, 0.5, 3.0]),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_theorem_4_prime_the_least_delta_of_a_share_is_that_of_the_best_mixture(d, n, m, seed, f, epsilon):
    """For every policy: max over w of (1−ε)J_w(π) − L(w) = −max_q min_i [G_i(q) − (1−ε)G_i(π)], both directions."""
    rng = rng_of(seed)
    rewards, others = random_front(seed, d=d, n=n), random_front(seed + 1, d=d, n=m)
    values = rewards - (f * rng.random(n))[:, None]
    candidates = others - (f * rng.random(m))[:, None]
    corners = corner_weights(values)
    for candidate in candidates:
        needed = ((1 - epsilon) * corners @ candidate - envelope(values, corners)).max()
        reached = best_minimum_by_program(values - (1 - epsilon) * candidate, np.zeros(n))
        assert math.isclose(reached, -needed, abs_tol=1e-7)


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 6), seeds, st.sampled_from([*UTILITIES, ces(0.5), ces(2.0)]))
def test_theorem_4_prime_homogeneous_utilities_keep_the_share(d, n, seed, utility):
    """Rewards down to 0.05, where power means are as steep as they like: the share needs no Lipschitz constant."""
    rng = rng_of(seed)
    rewards, others = 0.05 + random_front(seed, d=d, n=n), 0.05 + rng.random((6, d))
    corners = corner_weights(rewards)
    share = min(1.0, float((envelope(rewards, corners) / envelope(others, corners)).min()))
    mixture = best_mixture(rewards, np.zeros(n), utility)
    assert mixture.utility >= share * max(utility(row) for row in others) * (1 - 1e-6)


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 6), seeds, st.sampled_from(TRANSLATION_INVARIANT), st.floats(0, 1))
def test_theorem_4_prime_with_a_regularizer(d, n, seed, utility, epsilon):
    rng = rng_of(seed)
    rewards, others = rng.random((n, d)), rng.random((6, d))
    f, other_f = 2 * rng.random(n), 2 * rng.random(6)
    values, candidates = rewards - f[:, None], others - other_f[:, None]
    corners = corner_weights(values)
    delta = max(0.0, float(((1 - epsilon) * envelope(candidates, corners) - envelope(values, corners)).max()))
    mixture = best_mixture(rewards, f, utility)
    best = max(utility(row) - c for row, c in zip(others, other_f, strict=True))
    assert mixture.utility >= (1 - epsilon) * best - delta - 1e-6


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 6), seeds, st.sampled_from(UTILITIES))
def test_without_a_regularizer_some_mixture_serves_any_lipschitz_utility(d, n, seed, utility):
    """Rewards stay within 0.5 and 1.5, where the slopes of a power mean sum to at most 3^(1-p)."""
    rng = rng_of(seed)
    rewards, others = 0.5 + rng.random((n, d)), 0.5 + rng.random((6, d))
    corners = corner_weights(rewards)
    delta = max(0.0, float((envelope(others, corners) - envelope(rewards, corners)).max()))
    lipschitz = 3.0 ** (1 - utility.p) if isinstance(utility, PowerMean) else 1.0
    mixture = best_mixture(rewards, np.zeros(n), utility)
    assert mixture.utility >= max(utility(row) for row in others) - lipschitz * delta - 1e-6


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 6), seeds, st.sampled_from(TRANSLATION_INVARIANT))
def test_with_a_regularizer_some_mixture_serves_translation_invariant_utilities(d, n, seed, utility):
    rng = rng_of(seed)
    rewards, others = rng.random((n, d)), rng.random((6, d))
    f, other_f = 2 * rng.random(n), 2 * rng.random(6)
    values = rewards - f[:, None]
    corners = corner_weights(values)
    delta = max(0.0, float((envelope(others - other_f[:, None], corners) - envelope(values, corners)).max()))
    mixture = best_mixture(rewards, f, utility)
    assert mixture.utility >= max(utility(row) - c for row, c in zip(others, other_f, strict=True)) - delta - 1e-6


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 7), seeds, st.sampled_from(UTILITIES), st.sampled_from([0.0, 0.5]))
def test_the_mixture_is_what_it_says_and_nothing_sampled_beats_it(d, n, seed, utility, f):
    rng = rng_of(seed)
    rewards, regularizers = 0.05 + random_front(seed, d=d, n=n), f * rng.random(n)
    mixture = best_mixture(rewards, regularizers, utility)
    q = mixture.probabilities
    assert q.shape == (n,)
    assert q.min() >= 0
    assert math.isclose(q.sum(), 1, abs_tol=1e-12)
    assert np.allclose(mixture.rewards, rewards.T @ q)
    assert math.isclose(mixture.regularizer, float(regularizers @ q), abs_tol=1e-12)
    assert math.isclose(mixture.utility, utility(mixture.rewards) - mixture.regularizer, abs_tol=1e-12)
    for other in simplex_points(n, 60, seed):
        assert utility(other @ rewards) - other @ regularizers <= mixture.utility + 1e-6


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 7), seeds, st.sampled_from([0.0, 0.5]))
def test_the_best_minimum_is_that_of_a_linear_program(d, n, seed, f):
    rewards, regularizers = random_front(seed, d=d, n=n), f * rng_of(seed).random(n)
    mixture = best_mixture(rewards, regularizers, Minimum())
    assert math.isclose(mixture.utility, best_minimum_by_program(rewards, regularizers), abs_tol=1e-7)


def test_mixing_can_beat_every_policy():
    mixture = best_mixture(np.eye(3), np.zeros(3), Minimum())
    assert math.isclose(mixture.utility, 1 / 3, rel_tol=1e-7)
    assert np.allclose(mixture.probabilities, 1 / 3, atol=1e-6)
    cobb_douglas = best_mixture(np.eye(2), np.zeros(2), PowerMean(0.0, (0.25, 0.75)))
    assert np.allclose(cobb_douglas.rewards, [0.25, 0.75], atol=1e-4)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
@pytest.mark.parametrize("utility", UTILITIES)
def test_units_scale_out(unit, utility):
    rewards, f = 0.1 + rng_of(3).random((5, 3)), 0.1 * rng_of(4).random(5)
    plain, scaled = best_mixture(rewards, f, utility), best_mixture(rewards * unit, f * unit, utility)
    assert math.isclose(plain.utility * unit, scaled.utility, rel_tol=1e-6)


def test_zero_rewards():
    for utility in UTILITIES:
        assert best_mixture(np.zeros((2, 3)), np.zeros(2), utility).utility == 0.0


def test_a_linear_utility_takes_the_best_policy():
    rewards, w = rng_of(0).random((6, 3)), np.array([0.2, 0.3, 0.5])
    mixture = best_mixture(rewards, np.zeros(6), Linear(tuple(w)))
    assert math.isclose(mixture.utility, (rewards @ w).max(), abs_tol=1e-9)


class Convex(Utility):
    def expression(self, rewards):
        import cvxpy as cp

        return cp.max(rewards)

    def __call__(self, rewards):
        return float(rewards.max())


def test_a_utility_that_is_not_concave_is_refused():
    with pytest.raises(InputError, match="not concave"):
        best_mixture(np.eye(2), np.zeros(2), Convex())


@pytest.mark.parametrize("p", [0.01, 1e-5, -1e-3, -1e-5])
def test_powers_beside_zero_are_solved_or_refused_as_such(p):
    rewards = 0.1 + rng_of(0).random((6, 3))
    with contextlib.suppress(CertificateError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixture = best_mixture(rewards, np.zeros(6), PowerMean(p))
        assert all(PowerMean(p)(q @ rewards) <= mixture.utility + 1e-5 for q in simplex_points(6, 100, 0))


# ---- utilities -----------------------------------------------------------------------------------------------------


@given(seeds, st.integers(1, 6), st.floats(0.05, 1.0))
def test_cvar_is_its_variational_form(seed, d, level):
    rewards = rng_of(seed).random(d)
    # max_t t - sum max(t - R_i, 0)/(level d) is attained at some R_i.
    best = max(t - np.maximum(t - rewards, 0).sum() / (level * d) for t in rewards)
    assert math.isclose(CVaR(level)(rewards), best, abs_tol=1e-12)
    assert math.isclose(CVaR(1.0)(rewards), rewards.mean(), abs_tol=1e-12)
    assert math.isclose(CVaR(1 / d)(rewards), rewards.min(), abs_tol=1e-12)


@given(seeds, st.integers(1, 5), st.floats(-5, 1))
def test_power_means_are_their_formula_monotone_and_concave(seed, d, p):
    rng = rng_of(seed)
    utility = PowerMean(p)
    a, b = 0.01 + rng.random(d), 0.01 + rng.random(d)
    if abs(p) > 0.01:
        assert math.isclose(utility(a), float(np.mean(a**p) ** (1 / p)), rel_tol=1e-9)
    assert a.min() - 1e-12 <= utility(a) <= a.mean() + 1e-12
    assert utility(np.maximum(a, b)) >= utility(a) - 1e-12
    assert utility((a + b) / 2) >= (utility(a) + utility(b)) / 2 - 1e-9
    assert math.isclose(utility(3 * a), 3 * utility(a), rel_tol=1e-9)


def test_power_mean_limits():
    rewards = np.array([0.2, 0.8])
    assert math.isclose(PowerMean(0.0)(rewards), math.sqrt(0.16))
    assert math.isclose(PowerMean(-400.0)(rewards), 0.2, rel_tol=1e-2)
    assert math.isclose(PowerMean(-1e6)(rewards * 1e-9), 0.2e-9, rel_tol=1e-5)
    assert PowerMean(0.5)(np.zeros(2)) == 0.0
    assert PowerMean(-1.0)(np.array([0.0, 1.0])) == 0.0
    assert PowerMean(0.0)(np.array([0.0, 1.0])) == 0.0
    assert PowerMean(0.0, (0.0, 1.0))(np.array([0.0, 0.7])) == 0.7
    assert math.isclose(PowerMean(0.5)(np.array([0.0, 1.0])), 0.25)


def test_ces_is_a_power_mean():
    assert ces(1.0).p == 0.0
    assert ces(2.0).p == 0.5
    assert ces(0.5).p == -1.0


@pytest.mark.parametrize("utility", [*UTILITIES, Linear((0.2, 0.3, 0.5)), PowerMean(0.5, (0.2, 0.0, 0.8))])
def test_expressions_agree_with_their_functions(utility):
    import cvxpy as cp

    for seed in range(3):
        rewards = 0.1 + rng_of(seed).random(3)
        variable = cp.Variable(3, nonneg=True)
        problem = cp.Problem(cp.Maximize(utility.expression(variable)), [variable == rewards])
        assert problem.is_dcp()
        problem.solve(solver=cp.CLARABEL)
        assert math.isclose(problem.value, utility(rewards), rel_tol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CVaR(0.0),
        lambda: CVaR(1.1),
        lambda: CVaR(math.nan),
        lambda: PowerMean(1.5),
        lambda: PowerMean(-math.inf),
        lambda: PowerMean(math.nan),
        lambda: PowerMean(0.5, (0.5, 0.4)),
        lambda: Linear((0.5, 0.4)),
        lambda: ces(0.0),
        lambda: ces(-1.0),
        lambda: ces(math.inf),
    ],
)
def test_bad_parameters_are_refused(make):
    with pytest.raises(InputError):
        make()
