"""The bound calculator: formulas against independent arithmetic, the theorems against measured gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from palm_theory.bounds import OracleError, hybrid_size_bound, theorem1, theorem1_prime, theorem2
from palm_theory.certify.audit import audit
from palm_theory.contract.backend import PolicyBackend, Solution
from palm_theory.contract.value import Value
from palm_theory.covers import hybrid_cover, kl_lattice
from palm_theory.errors import InputError
from palm_theory.geometry.hybrid import HybridGrid
from palm_theory.geometry.simplex import nearest_lattice_point, simplex_lattice
from tests.helpers.instances import (
    backends,
    brute_lattice,
    envelope,
    optima,
    portfolio_values,
    random_bandit,
    rng_of,
    seeds,
    simplex_points,
    stacked,
)

mus, alphas = st.floats(1e-6, 1.0), st.floats(1e-9, 0.99)
rewards_max, regularizers_max = st.floats(1e-9, 1e9), st.one_of(st.just(0.0), st.floats(0, 1e10))


@given(st.integers(1, 20), mus, alphas, rewards_max, regularizers_max)
def test_theorem_1_is_as_the_paper_states_it(d, mu, alpha, reward, regularizer):
    bound = theorem1(d, mu, alpha, reward_max=reward, regularizer_max=regularizer)
    assert bound.epsilon == 4 * mu
    assert math.isclose(bound.delta, 2 * (d * alpha * reward + mu * regularizer), rel_tol=1e-12)
    log_bound = math.log(d) + (d - 1) * math.log(2 + 2 / mu * math.log(1 / alpha))
    assert math.isclose(math.log(bound.size_bound), log_bound, rel_tol=1e-9, abs_tol=1e-9)
    assert 0 < bound.size <= bound.size_bound * (1 + 1e-9)


@given(
    st.integers(1, 20), mus, alphas, rewards_max, regularizers_max, st.booleans(), st.floats(0, 0.99), st.floats(0, 10)
)
def test_theorem_1_prime_is_never_worse_than_theorem_1(d, mu, alpha, reward, f, has_reference, eps0, delta0):
    oracle = OracleError(eps0, delta0 * reward)
    plain = theorem1(d, mu, alpha, reward_max=reward, regularizer_max=f, oracle=oracle)
    for reference in {has_reference, False}:
        sharp = theorem1_prime(
            d, mu, alpha, reward_max=reward, regularizer_max=f, has_reference=reference, oracle=oracle
        )
        assert sharp.size == plain.size
        assert sharp.epsilon <= plain.epsilon * (1 + 1e-12)
        assert sharp.delta <= plain.delta * (1 + 1e-12)


@given(st.integers(1, 8), mus, alphas, rewards_max, st.floats(0, 2))
def test_theorem_1_prime_with_a_reference_is_the_formula(d, mu, alpha, reward, share):
    f = share * reward
    bound = theorem1_prime(d, mu, alpha, reward_max=reward, regularizer_max=f, has_reference=True)
    reach = min(f, reward)
    assert math.isclose(bound.epsilon, mu / (1 + mu), rel_tol=1e-9)
    assert math.isclose(bound.delta, ((d - 1) * alpha * (reward + reach) + mu * reach) / (1 + mu), rel_tol=1e-9)
    unknown = theorem1_prime(d, mu, alpha, reward_max=reward, regularizer_max=None, has_reference=True)
    assert math.isclose(unknown.delta, ((d - 1) * alpha * 2 * reward + mu * reward) / (1 + mu), rel_tol=1e-9)


def test_numbers_worked_by_hand():
    bound = theorem1(3, 0.5, 0.05, reward_max=1.0, regularizer_max=0.2)
    assert bound.size == 243
    assert math.isclose(bound.size_bound, 3 * (2 + 4 * math.log(20)) ** 2)
    assert bound.epsilon == 2.0
    assert math.isclose(bound.delta, 0.5)
    sharp = theorem1_prime(3, 0.5, 0.05, reward_max=1.0, regularizer_max=0.2)
    assert math.isclose(sharp.epsilon, 1 / 3)
    assert math.isclose(sharp.delta, (2 * 0.05 * 1.2 + 0.5 * 0.2) / 1.5)
    lattice = theorem2(4, 10, beta=0.5, reward_max=2.0)
    assert (lattice.size, lattice.size_bound, lattice.epsilon) == (math.comb(13, 3), math.comb(13, 3), 0.0)
    assert math.isclose(lattice.delta, 4 * (2 * 2 * 2 / (4 * 10)) ** 2 / (8 * 0.5))


def test_nothing_overflows_at_twenty_objectives():
    bound = theorem1(20, 1e-9, 1e-300, reward_max=1.0, regularizer_max=1.0)
    assert isinstance(bound.size, int)
    assert bound.size > 10**200
    assert math.isfinite(bound.delta)
    huge = theorem1_prime(60, 1e-9, 1e-300, reward_max=1.0, regularizer_max=1.0)
    assert huge.size > 10**600
    assert huge.size_bound == math.inf
    assert theorem2(20, 10**6, beta=1.0, reward_max=1.0).size == math.comb(10**6 + 19, 19)
    assert theorem2(400, 10**9, beta=1.0, reward_max=1.0).size_bound == math.inf
    assert theorem1(1, 0.5, 0.5, reward_max=1.0, regularizer_max=0.0).size == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectives": 0}, "objectives"),
        ({"mu": 0.0}, "mu"),
        ({"mu": 1.5}, "mu"),
        ({"mu": math.nan}, "mu"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 1.0}, "alpha"),
        ({"reward_max": 0.0}, "reward_max"),
        ({"reward_max": math.inf}, "reward_max"),
        ({"regularizer_max": -1.0}, "regularizer_max"),
        ({"regularizer_max": math.nan}, "regularizer_max"),
        ({"oracle": OracleError(1.0, 0.0)}, "epsilon"),
        ({"oracle": OracleError(-0.1, 0.0)}, "epsilon"),
        ({"oracle": OracleError(0.0, -1.0)}, "delta"),
        ({"oracle": OracleError(0.0, math.inf)}, "delta"),
    ],
)
@pytest.mark.parametrize("theorem", [theorem1, theorem1_prime])
def test_bad_arguments_are_refused(theorem, change, message):
    arguments = {"objectives": 3, "mu": 0.5, "alpha": 0.1, "reward_max": 1.0, "regularizer_max": 1.0, **change}
    with pytest.raises(InputError, match=message):
        theorem(**arguments)


def test_theorem_1_prime_promises_nothing_for_an_unbounded_regularizer():
    with pytest.raises(InputError, match="unbounded"):
        theorem1_prime(3, 0.5, 0.1, reward_max=1.0, regularizer_max=None)


@pytest.mark.parametrize("change", [{"beta": 0.0}, {"beta": -1.0}, {"reward_max": 0.0}, {"resolution": 0}])
def test_theorem_2_refuses_bad_arguments(change):
    with pytest.raises(InputError):
        theorem2(**{"objectives": 3, "resolution": 4, "beta": 1.0, "reward_max": 1.0, **change})


# ---- the theorems themselves, on instances -------------------------------------------------------------------------


@settings(max_examples=40)
@given(backends(), st.sampled_from([0.2, 0.5, 1.0]), st.sampled_from([0.05, 0.2, 0.5]), seeds)
def test_theorem_1_prime_holds_for_the_full_cover(backend, mu, alpha, seed):
    d = len(backend.objectives)
    promise = theorem1_prime(
        d,
        mu,
        alpha,
        reward_max=backend.reward_max,
        regularizer_max=backend.regularizer_max,
        has_reference=backend.has_reference,
    )
    values = portfolio_values(backend, hybrid_cover(d, mu, alpha))
    weights = simplex_points(d, 30, seed)
    slack = 1e-9 * backend.reward_max
    shortfall = (1 - promise.epsilon) * optima(backend, weights) - envelope(stacked(values), weights)
    assert shortfall.max() <= promise.delta + slack
    assert audit(values, backend, epsilon=promise.epsilon).delta <= promise.delta + slack


@settings(max_examples=60)
@given(
    st.integers(2, 4), st.integers(1, 12), seeds, st.sampled_from([0.05, 0.3, 1.0]), st.sampled_from([0.02, 0.2, 0.6])
)
def test_theorem_1_prime_holds_without_a_reference_and_with_large_regularizers(d, n, seed, mu, alpha):
    """Finite sets in which every f may be far above R_max and J* < 0: the sharpened constant without a reference."""
    rng = rng_of(seed)
    rewards, f = rng.random((n, d)), rng.random(n) * rng.choice([0.1, 1.0, 30.0])
    values = rewards - f[:, None]
    promise = theorem1_prime(d, mu, alpha, reward_max=1.0, regularizer_max=float(f.max()))
    weights = simplex_points(d, 60, seed)
    solved = HybridGrid(mu, alpha).round_down(weights)
    chosen = (solved @ values.T).argmax(axis=1)
    reached = (weights * values[chosen]).sum(axis=1)
    shortfall = (1 - promise.epsilon) * envelope(values, weights) - reached
    assert shortfall.max() <= promise.delta + 1e-12


@settings(max_examples=80)
@given(
    st.integers(1, 4),
    st.integers(1, 30),
    seeds,
    st.floats(0.01, 1.0),
    st.floats(0.01, 0.7),
    st.floats(0, 0.9),
    st.one_of(st.floats(0, 0.5), st.floats(0, 5)),
    st.booleans(),
)
def test_theorem_1_prime_holds_for_the_worst_allowed_oracle(d, n, seed, mu, alpha, eps0, delta0, with_reference):
    """At each grid weight the oracle returns the policy that is worst for the user among all it may return."""
    rng = rng_of(seed)
    rewards, f = rng.random((n, d)), rng.random(n) * rng.choice([0.0, 0.3, 3.0, 30.0])
    if with_reference:
        f[0] = 0.0
    values = rewards - f[:, None]
    oracle = OracleError(eps0, delta0)
    promise = theorem1_prime(
        d,
        mu,
        alpha,
        reward_max=1.0,
        regularizer_max=float(f.max()),
        has_reference=with_reference,
        oracle=oracle,
    )
    weights = simplex_points(d, 40, seed)
    solved = HybridGrid(mu, alpha).round_down(weights)
    at_grid = solved @ values.T
    best = at_grid.max(axis=1, keepdims=True)
    # Where J* < 0 the inequality (1 - eps0) J* - delta0 asks more than J* - delta0; the best policy must do then.
    allowed = at_grid >= np.minimum((1 - eps0) * best - delta0, best)
    reached = np.where(allowed, weights @ values.T, np.inf).min(axis=1)
    optimum = envelope(values, weights)
    assume((optimum >= 0).all() and (best >= 0).all())
    assert ((1 - promise.epsilon) * optimum - reached).max() <= promise.delta + 1e-12


@settings(max_examples=60)
@given(seeds, st.integers(1, 5), st.sampled_from([1e-3, 0.02, 0.1, 1.0, 50.0]), st.booleans())
def test_theorem_2_inequality(seed, d, beta, sparse):
    backend = random_bandit(seed, d=d, beta=beta, sparse_reference=sparse)
    points = simplex_points(d, 6, seed)
    values = stacked(portfolio_values(backend, points))
    best = optima(backend, points)
    gaps = best[:, None] - points @ values.T
    distances = np.abs(points[:, None] - points[None]).sum(axis=2)
    bound = backend.reward_max**2 * distances**2 / (8 * beta)
    assert (gaps <= bound + 1e-11 * max(1.0, beta)).all()
    assert (gaps >= -1e-11 * max(1.0, beta)).all()


def test_theorem_2_constant_is_the_best_possible():
    """Two actions, rewards (1, 0) and (0, 1), weights beside (1/2, 1/2): the quadratic term reaches R^2/(8 beta)."""
    from backends.bandit import BanditBackend

    beta, step = 0.7, 1e-3
    backend = BanditBackend(np.eye(2)[None], beta=beta)
    here, there = np.array([0.5, 0.5]), np.array([0.5 + step, 0.5 - step])
    gap = backend.optimal_value(there) - backend.optimize(here).value.scalarize(there)
    assert math.isclose(gap, (2 * step) ** 2 / (8 * beta), rel_tol=1e-4)


@settings(max_examples=30)
@given(seeds, st.integers(1, 4), st.sampled_from([0.05, 0.3, 2.0]), st.integers(1, 4))
def test_theorem_2_holds_for_the_lattice(seed, d, beta, n):
    backend = random_bandit(seed, d=d, beta=beta)
    promise = theorem2(d, n, beta=beta, reward_max=backend.reward_max)
    assert promise.size == len(brute_lattice(d, n))
    values = portfolio_values(backend, simplex_lattice(d, n))
    weights = simplex_points(d, 30, seed)
    assert (optima(backend, weights) - envelope(stacked(values), weights)).max() <= promise.delta + 1e-12
    assert audit(values, backend, epsilon=0.0).delta <= promise.delta + 1e-12


@settings(max_examples=15)
@given(seeds, st.integers(1, 3), st.sampled_from([0.05, 0.5]), st.sampled_from([0.01, 0.1]))
def test_the_kl_lattice_is_the_portfolio_it_promises(seed, d, beta, delta):
    backend = random_bandit(seed, d=d, beta=beta)
    values = portfolio_values(backend, kl_lattice(d, delta=delta, beta=beta, reward_max=backend.reward_max))
    assert audit(values, backend, epsilon=0.0).delta <= delta + 1e-12


@settings(max_examples=60)
@given(
    seeds, st.integers(1, 4), st.sampled_from([0.05, 0.5, 2.0]), st.integers(1, 4), st.floats(0, 0.3), st.floats(0, 0.2)
)
def test_theorem_2_holds_for_an_approximate_oracle(seed, d, beta, n, eps0, delta0):
    """Policies pushed away from the optimum at each lattice point, in a random direction, as far as is allowed."""
    backend = random_bandit(seed, d=d, beta=beta, contexts=1, actions=5)
    rng = rng_of(seed + 7)
    promise = theorem2(d, n, beta=beta, reward_max=backend.reward_max, oracle=OracleError(eps0, delta0))
    for w in simplex_points(d, 6, seed):
        grid = nearest_lattice_point(w, n)
        best = backend.optimize(grid).policy
        target = (1 - eps0) * backend.optimal_value(grid) - delta0
        other = rng.dirichlet(np.full(5, 0.3), 1)
        low, high = 0.0, 1.0
        for _ in range(30):
            middle = (low + high) / 2
            tried = (1 - middle) * best + middle * other
            low, high = (middle, high) if backend.evaluate(tried).scalarize(grid) >= target else (low, middle)
        value = backend.evaluate((1 - low) * best + low * other)
        assert backend.optimal_value(w) - value.scalarize(w) <= promise.delta + 1e-9


class SloppyBackend(PolicyBackend):
    """A finite set whose oracle returns the worst policy that its declared error allows."""

    def __init__(self, values: np.ndarray, oracle: OracleError) -> None:
        self.table, self.oracle = values, oracle

    @property
    def objectives(self):
        return tuple(f"r{i}" for i in range(self.table.shape[1]))

    @property
    def reward_max(self):
        return 1.0

    @property
    def regularizer_max(self):
        return 0.0

    @property
    def oracle_error(self):
        return self.oracle

    def optimize(self, weights):
        scores = self.table @ weights
        allowed = scores >= (1 - self.oracle.epsilon) * scores.max() - self.oracle.delta
        row = int(np.where(allowed, scores, np.inf).argmin())
        return Solution(row, self.evaluate(row))

    def evaluate(self, policy):
        return Value(self.table[policy])


@settings(max_examples=40)
@given(seeds, st.integers(1, 3), st.integers(1, 30), st.floats(0, 0.5), st.floats(0, 0.1))
def test_certificates_stay_true_with_an_approximate_oracle(seed, d, n, eps0, delta0):
    table = rng_of(seed).random((n, d))
    backend = SloppyBackend(table, OracleError(eps0, delta0))
    values = portfolio_values(backend, hybrid_cover(d, 0.5, 0.2))
    weights = simplex_points(d, 100, seed)
    optimum, lower = envelope(table, weights), envelope(stacked(values), weights)
    certificate = audit(values, backend)
    assert certificate.is_proof
    assert ((1 - certificate.epsilon) * optimum - certificate.delta - lower).max() <= 1e-12
    assert (optimum - lower).max() <= certificate.additive_gap + 1e-12
    promise = theorem1_prime(d, 0.5, 0.2, reward_max=1.0, regularizer_max=0.0, oracle=backend.oracle)
    assert ((1 - promise.epsilon) * optimum - lower).max() <= promise.delta + 1e-12


@given(st.integers(1, 20), st.floats(1e-3, 1.0), st.floats(1e-3, 0.99))
def test_the_size_bound_needs_no_overflow(d, mu, alpha):
    bound = hybrid_size_bound(d, mu, alpha)
    assert bound >= 1
    assert HybridGrid(mu, alpha).size(d) <= bound * (1 + 1e-9)
