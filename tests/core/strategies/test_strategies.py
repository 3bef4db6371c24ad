"""Strategies: what they certify is true, what they promise is kept, and the laws every construction obeys."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.bandit import BanditBackend
from backends.table import TableBackend
from palm_theory.bounds import OracleError, theorem1, theorem1_double_prime, theorem1_prime
from palm_theory.build import build_portfolio
from palm_theory.certify.audit import audit
from palm_theory.certify.certificate import Kind
from palm_theory.contract.backend import PolicyBackend, Power, Solution
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.value import Value
from palm_theory.covers import aligned_alpha, hybrid_cover, hybrid_size
from palm_theory.errors import CertificateError, CoverTooLargeError, InputError
from palm_theory.geometry.envelope import corner_weights, essential_policies
from palm_theory.strategies.adaptive import Adaptive
from palm_theory.strategies.baselines import RandomWeights, UniformGrid
from palm_theory.strategies.palm import Palm
from tests.helpers.instances import (
    backends,
    brute_lattice,
    envelope,
    optima,
    random_bandit,
    random_front,
    random_mdp,
    rng_of,
    seeds,
    simplex_points,
    stacked,
)


class Counting(PolicyBackend):
    """Another backend, counting its solves; on request without optimal_value, or with a declared oracle error that it
    uses up by returning the worst policy allowed among ``pool``."""

    def __init__(self, inner, *, open_=True, oracle=None, pool=None):
        self.inner, self.open, self.oracle, self.pool = inner, open_, oracle, pool
        declared = Declarations.of(inner)
        self.declared = declared if oracle is None else replace(declared, oracle_error=oracle)
        self.solved = []

    @property
    def powers(self):
        return frozenset({Power.OPTIMAL_VALUE}) if self.open else frozenset()

    def optimal_value(self, weights):
        return self.inner.optimal_value(weights)

    def optimize(self, weights):
        self.solved.append(weights)
        if self.oracle is None:
            return self.inner.optimize(weights)
        scores = np.array([value.scalarize(weights) for value in self.pool])
        allowed = scores >= (1 - self.oracle.epsilon) * scores.max() - self.oracle.delta
        row = int(np.where(allowed, scores, np.inf).argmin())
        return Solution(row, self.pool[row])

    def evaluate(self, policy):
        return self.inner.evaluate(policy) if self.oracle is None else self.pool[policy]

    def describe(self):
        return {"inner": dict(self.inner.describe())}


def promise_of(backend, mu, alpha, theorem=theorem1_prime):
    return theorem(
        len(backend.objectives),
        mu,
        alpha,
        reward_max=backend.reward_max,
        regularizer_max=backend.regularizer_max,
        has_reference=backend.has_reference,
        oracle=backend.oracle_error,
    )


def worst_break(certificate, values, backend, weights):
    """By how much the certificate's claim fails somewhere among the weights, in units of R_max."""
    optimum, lower = optima(backend, weights), envelope(stacked(values), weights)
    return float(((1 - certificate.epsilon) * optimum - certificate.delta - lower).max()) / backend.reward_max


@settings(max_examples=30)
@given(
    backends(),
    st.sampled_from([0.2, 0.5, 1.0]),
    st.sampled_from([0.03, 0.2, 0.5]),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_palm_keeps_its_promise_lazy_or_not_pruned_or_not(backend, mu, alpha, lazy, prune, seed):
    d = len(backend.objectives)
    counting = Counting(backend, open_=False)
    portfolio = build_portfolio(counting, Palm(mu, alpha, lazy=lazy, prune=prune))
    promise = promise_of(backend, mu, alpha)
    unit = backend.reward_max
    assert audit(portfolio, backend, epsilon=promise.epsilon).delta <= promise.delta + 1e-9 * unit
    paper = theorem1(d, mu, alpha, reward_max=unit, regularizer_max=backend.regularizer_max)
    assert promise.epsilon <= paper.epsilon
    assert promise.delta <= paper.delta
    assert len(portfolio) <= hybrid_size(d, mu, alpha) <= paper.size_bound * (1 + 1e-9)
    assert portfolio.certificate.size_bound == promise.size_bound
    assert len(counting.solved) <= hybrid_size(d, mu, alpha)
    cover = {tuple(np.round(row, 9) + 0.0) for row in hybrid_cover(d, mu, alpha)}
    assert {tuple(np.round(row, 9) + 0.0) for row in counting.solved} <= cover
    certificate = portfolio.certificate
    if certificate.is_proof:
        assert worst_break(certificate, portfolio.policy_values, backend, simplex_points(d, 50, seed)) <= 1e-9


aligned = st.sampled_from([(0.2, 5), (0.2, 1), (0.5, 3), (1.0, 1), (1.0, 4)]).map(lambda p: (p[0], aligned_alpha(*p)))
targets = st.sampled_from(
    [{}, {"epsilon": 0.02}, {"epsilon": 0.1}, {"delta": 0.03}, {"epsilon": 0.05, "delta": 0.01}, {"epsilon": 0.0}]
)


@settings(max_examples=30)
@given(backends(), aligned, st.booleans(), st.booleans(), targets)
def test_palm_keeps_theorem_1_double_prime_on_aligned_covers_whatever_is_asked(backend, parameters, lazy, prune, asked):
    mu, alpha = parameters
    d, unit = len(backend.objectives), backend.reward_max
    if "delta" in asked:
        asked = asked | {"delta": asked["delta"] * unit}
    counting = Counting(backend, open_=False)
    portfolio = build_portfolio(counting, Palm(mu, alpha, lazy=lazy, prune=prune, **asked))
    promise = promise_of(backend, mu, alpha, theorem1_double_prime)
    assert len(counting.solved) <= promise.size
    cover = {tuple(np.round(row, 9) + 0.0) for row in hybrid_cover(d, mu, alpha)}
    assert {tuple(np.round(row, 9) + 0.0) for row in counting.solved} <= cover
    # Every corner meets what was asked or what is promised.
    corners = corner_weights(portfolio.vertex_values)
    optimum, lower = optima(backend, corners), envelope(portfolio.vertex_values, corners)
    promised = (1 - promise.epsilon) * optimum - promise.delta - lower
    target = (1 - asked.get("epsilon", 0.0)) * optimum - asked.get("delta", 0.0) - lower
    assert (np.minimum(promised, target if asked else promised) <= 1e-9 * unit).all()


@settings(max_examples=20)
@given(backends(), aligned, targets)
def test_palm_prunes_no_further_than_asked(backend, parameters, asked):
    """Pruned to (ε, δ), a portfolio loses at most that, or as much as before it was pruned."""
    whole, pruned = (build_portfolio(backend, Palm(*parameters, prune=prune, **asked)) for prune in (False, True))
    assert whole.solves == pruned.solves
    assert len(pruned) <= len(whole)
    promise = promise_of(backend, *parameters, theorem=theorem1_double_prime)
    epsilon, delta = (asked.get("epsilon", 0.0), asked.get("delta", 0.0)) if asked else (promise.epsilon, promise.delta)
    loss, before = (audit(portfolio, backend, epsilon=epsilon).delta for portfolio in (pruned, whole))
    assert loss <= max(before, delta) + 1e-9 * backend.reward_max


@pytest.mark.parametrize(("asked", "policies"), [(0.1, 8), (0.03, 16), (0.01, 45)])
def test_palm_reaches_what_is_asked_where_its_cover_can(asked, policies):
    bandit = BanditBackend(np.random.default_rng(0).random((5, 20, 3)), beta=0.05)
    portfolio = build_portfolio(bandit, Palm(0.5, aligned_alpha(0.5, 7), epsilon=asked))
    assert portfolio.certificate.epsilon <= asked
    assert len(portfolio) <= policies
    assert portfolio.solves < hybrid_size(3, 0.5, aligned_alpha(0.5, 7)) / 3


@settings(max_examples=20)
@given(seeds, st.integers(1, 4), st.integers(1, 25), st.floats(0, 0.3), st.floats(0, 0.1), st.booleans())
def test_palm_keeps_theorem_1_double_prime_with_an_approximate_oracle(seed, d, n, eps0, delta0, lazy):
    truth = TableBackend(random_front(seed, d=d, n=n), normalization="none")
    sloppy = Counting(truth, open_=False, oracle=OracleError(eps0, delta0), pool=truth.all_values())
    alpha = aligned_alpha(0.5, 3)
    portfolio = build_portfolio(sloppy, Palm(0.5, alpha, lazy=lazy))
    promise = promise_of(sloppy, 0.5, alpha, theorem1_double_prime)
    assert audit(portfolio, truth, epsilon=promise.epsilon).delta <= promise.delta + 1e-9


@settings(max_examples=12)
@given(seeds, st.integers(2, 4), st.booleans(), st.sampled_from([(0.1, 0.02), (0.05, 0.05)]))
def test_palm_keeps_a_promise_that_specialists_alone_would_break(seed, d, prune, parameters):
    """Policies best at the vertices are worth next to nothing elsewhere; generalists lie on a sphere between them."""
    directions = rng_of(seed).dirichlet(np.ones(d), 30)
    front = np.concatenate([np.eye(d), 0.95 * directions / np.linalg.norm(directions, axis=1, keepdims=True)])
    backend = TableBackend(front, normalization="none")
    promise = promise_of(backend, *parameters)
    specialists = [backend.evaluate(row) for row in range(d)]
    assert audit(specialists, backend, epsilon=promise.epsilon).delta > promise.delta
    portfolio = build_portfolio(Counting(backend, open_=False), Palm(*parameters, prune=prune))
    assert audit(portfolio, backend, epsilon=promise.epsilon).delta <= promise.delta + 1e-9


@settings(max_examples=12)
@given(seeds, st.integers(2, 3), st.sampled_from([0.0, 0.05, 0.5]))
def test_lazy_palm_never_solves_more_than_the_whole_cover_and_usually_far_less(seed, d, beta):
    backend = Counting(random_bandit(seed, d=d, beta=beta))
    build_portfolio(backend, Palm(0.3, 0.05))
    assert len(backend.solved) <= hybrid_size(d, 0.3, 0.05)
    assert len({row.tobytes() for row in backend.solved}) == len(backend.solved)
    if d == 3:
        assert len(backend.solved) < hybrid_size(d, 0.3, 0.05) / 4


@settings(max_examples=20)
@given(seeds, st.integers(1, 3), st.integers(1, 25), st.floats(0, 0.3), st.floats(0, 0.1), st.booleans())
def test_palm_keeps_its_promise_with_an_approximate_oracle(seed, d, n, eps0, delta0, lazy):
    table = random_front(seed, d=d, n=n)
    truth = TableBackend(table, normalization="none")
    sloppy = Counting(truth, open_=False, oracle=OracleError(eps0, delta0), pool=truth.all_values())
    portfolio = build_portfolio(sloppy, Palm(0.5, 0.2, lazy=lazy))
    promise = promise_of(sloppy, 0.5, 0.2)
    assert audit(portfolio, truth, epsilon=promise.epsilon).delta <= promise.delta + 1e-9
    certificate = portfolio.certificate
    if certificate.is_proof:
        assert worst_break(certificate, portfolio.policy_values, truth, simplex_points(d, 60, seed)) <= 1e-9


@settings(max_examples=30)
@given(
    backends(), st.sampled_from([(0.1, 0.0), (0.02, 0.0), (0.0, 0.02), (0.05, 0.01), (0.0, 0.0)]), seeds, st.booleans()
)
def test_adaptive_certifies_its_target_exactly(backend, target, seed, open_):
    d, unit = len(backend.objectives), backend.reward_max
    epsilon, delta = target[0], target[1] * unit
    smooth = getattr(backend, "_beta", 0) > 0
    if epsilon == delta == 0 and smooth:
        epsilon = 0.01
    portfolio = build_portfolio(Counting(backend, open_=open_), Adaptive(epsilon, delta))
    found = audit(portfolio, backend, epsilon=epsilon)
    assert found.kind is Kind.EXACT
    assert found.delta <= delta + 1e-9 * unit
    weights = simplex_points(d, 60, seed)
    shortfall = (1 - epsilon) * optima(backend, weights) - delta - envelope(portfolio.vertex_values, weights)
    assert shortfall.max() <= 1e-9 * unit
    if portfolio.certificate.is_proof:
        assert worst_break(portfolio.certificate, portfolio.policy_values, backend, weights) <= 1e-9
    # Nothing is kept that is not needed.
    assert len(essential_policies(portfolio.vertex_values)) == len(portfolio)


def test_a_near_tie_costs_adaptive_no_policy_that_its_target_needs():
    """Without any one of the three, somebody loses a quarter."""
    backend = TableBackend(np.array([[1.0, 2.0, 0.0], [1.0 + 1.5e-12, 1.0, 3.0], [0.0, 3.0, 3.0]]))
    portfolio = build_portfolio(backend, Adaptive(0.01), progress=False)
    assert sorted(member.policy for member in portfolio) == [0, 1, 2]
    assert portfolio.certificate.certifies(0.01)


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(1, 25), seeds)
def test_adaptive_at_zero_finds_every_policy_that_is_needed(d, n, seed):
    front = random_front(seed, d=d, n=n)
    backend = TableBackend(front, normalization="none")
    portfolio = build_portfolio(backend, Adaptive(epsilon=0.0))
    assert (portfolio.certificate.kind, portfolio.certificate.epsilon) == (Kind.EXACT, 0.0)
    needed = front[essential_policies(front)]
    assert len(portfolio) == len(needed)
    weights = simplex_points(d, 100, seed)
    assert np.allclose(envelope(portfolio.vertex_values, weights), envelope(front, weights), rtol=0, atol=1e-12)


@settings(max_examples=15)
@given(backends(max_d=3), st.integers(1, 4), seeds)
def test_limited_numbers_of_policies_are_kept_and_certified_truly(backend, limit, seed):
    portfolio = build_portfolio(backend, Adaptive(epsilon=0.001, max_policies=limit))
    assert len(portfolio) <= limit
    certificate = portfolio.certificate
    weights = simplex_points(len(backend.objectives), 60, seed)
    if certificate.is_proof:
        assert worst_break(certificate, portfolio.policy_values, backend, weights) <= 1e-9
    assert (optima(backend, weights) - envelope(portfolio.vertex_values, weights)).max() <= (
        certificate.additive_gap + 1e-9 * backend.reward_max
    )


@settings(max_examples=10)
@given(seeds, st.integers(2, 3), st.integers(1, 6))
def test_batches_reach_the_target_too(seed, d, batch):
    backend = random_bandit(seed, d=d, beta=0.1)
    portfolio = build_portfolio(backend, Adaptive(epsilon=0.01, batch=batch))
    assert portfolio.certificate.kind is Kind.EXACT
    assert portfolio.certificate.epsilon <= 0.01


@settings(max_examples=10)
@given(seeds, st.integers(2, 3), st.sampled_from([0.0, 0.1]))
def test_relabelling_objectives_permutes_the_portfolio(seed, d, beta):
    from backends.bandit import BanditBackend

    rng = rng_of(seed)
    rewards, order = rng.random((2, 6, d)), rng.permutation(d)
    plain, moved = BanditBackend(rewards, beta=beta), BanditBackend(rewards[:, :, order], beta=beta)
    for strategy in (Palm(0.5, 0.1, lazy=False, prune=False), Adaptive(epsilon=0.02), UniformGrid(3)):
        first, second = build_portfolio(plain, strategy), build_portfolio(moved, strategy)
        assert math.isclose(first.certificate.epsilon, second.certificate.epsilon, abs_tol=1e-9)
        rows = {tuple(np.round(row, 7) + 0.0) for row in first.vertex_values[:, order]}
        assert rows == {tuple(np.round(row, 7) + 0.0) for row in second.vertex_values}


@settings(max_examples=15)
@given(seeds, st.integers(1, 4), st.sampled_from([2.0**-30, 2.0**30]))
def test_units_do_not_matter(seed, d, unit):
    """Exactly so for powers of two, which no multiplication rounds; others can break a tie between corners."""
    front = random_front(seed, d=d, n=12)
    plain, scaled = (TableBackend(front * u, normalization="none") for u in (1.0, unit))
    for strategy in (Adaptive(epsilon=0.03), Palm(0.5, 0.1)):
        first, second = build_portfolio(plain, strategy), build_portfolio(scaled, strategy)
        assert [m.policy for m in first] == [m.policy for m in second]
        assert first.certificate.epsilon == second.certificate.epsilon


@settings(max_examples=15)
@given(seeds, st.integers(1, 4), st.sampled_from([1e-9, 1e9]))
def test_any_unit_gives_the_same_guarantee(seed, d, unit):
    backend = TableBackend(random_front(seed, d=d, n=12) * unit, normalization="none")
    certificate = build_portfolio(backend, Adaptive(epsilon=0.03)).certificate
    assert certificate.kind is Kind.EXACT
    assert certificate.epsilon <= 0.03 + 1e-12


@settings(max_examples=15)
@given(seeds, st.integers(2, 4))
def test_objectives_of_very_different_scale(seed, d):
    scales = 10.0 ** rng_of(seed).uniform(-9, 9, d)
    front = (random_front(seed, d=d, n=12) + 0.01) * scales
    backend = TableBackend(front, normalization="none")
    portfolio = build_portfolio(backend, Adaptive(epsilon=0.02))
    assert portfolio.certificate.kind is Kind.EXACT
    assert portfolio.certificate.epsilon <= 0.02 + 1e-12
    # Weights at which every objective counts.
    weights = simplex_points(d, 200, seed) / scales
    weights /= weights.sum(axis=1, keepdims=True)
    assert (envelope(portfolio.vertex_values, weights) >= 0.98 * envelope(front, weights) * (1 - 1e-9)).all()


@settings(max_examples=10)
@given(seeds)
def test_regularisers_above_the_rewards(seed):
    backend = random_bandit(seed, d=3, beta=50.0)
    assert backend.regularizer_max > 50 * backend.reward_max
    portfolio = build_portfolio(backend, Adaptive(epsilon=0.001))
    assert portfolio.certificate.kind is Kind.EXACT
    assert portfolio.certificate.epsilon <= 0.001
    weights = simplex_points(3, 60, seed)
    assert worst_break(portfolio.certificate, portfolio.policy_values, backend, weights) <= 1e-9


@pytest.mark.parametrize("d", [1, 2, 3])
def test_everything_worth_nothing(d):
    backend = TableBackend(np.zeros((4, d)))
    for strategy in (Adaptive(), Adaptive(epsilon=0.0), Palm(0.5, 0.1), UniformGrid(2), RandomWeights(3)):
        portfolio = build_portfolio(backend, strategy)
        assert (len(portfolio), portfolio.certificate.epsilon, portfolio.certificate.kind) == (1, 0.0, Kind.EXACT)


def test_fruit_tree_of_depth_5_is_found_whole():
    fruits = pytest.importorskip("mo_gymnasium.envs.fruit_tree.fruit_tree").FRUITS
    portfolio = build_portfolio(TableBackend(np.array(fruits["5"])), Adaptive(epsilon=0.0))
    assert len(portfolio) == 32
    assert (portfolio.certificate.kind, portfolio.certificate.epsilon) == (Kind.EXACT, 0.0)
    assert portfolio.certificate.corners == 1254


@pytest.mark.parametrize(
    ("d", "beta", "size", "calls"),
    [(2, 0.0, 5, 9), (2, 0.5, 5, 9), (3, 0.0, 19, 63), (3, 0.05, 32, 99), (3, 0.5, 14, 40)],
)
def test_sizes_are_of_the_order_of_the_theory_table(d, beta, size, calls):
    """THEORY's table is of other random instances: sizes within a factor of two over five seeds, on average."""
    from backends.bandit import BanditBackend

    sizes, asked = [], []
    for seed in range(3):
        backend = Counting(BanditBackend(rng_of(seed).random((5, 20, d)), beta=beta))
        portfolio = build_portfolio(backend, Adaptive(epsilon=0.01))
        assert portfolio.certificate.kind is Kind.EXACT
        assert portfolio.certificate.epsilon <= 0.01
        sizes.append(len(portfolio))
        asked.append(len(backend.solved))
    assert np.mean(sizes) <= 2 * size
    assert np.mean(asked) <= 2.5 * calls


@settings(max_examples=10)
@given(seeds, st.integers(2, 3))
def test_the_grid_of_an_mdp(seed, d):
    backend = random_mdp(seed, d=d, beta=0.2)
    portfolio = build_portfolio(backend, UniformGrid(3))
    assert 1 <= len(portfolio) <= len(brute_lattice(d, 3))
    assert portfolio.certificate.kind is Kind.EXACT
    weights = simplex_points(d, 30, seed)
    assert worst_break(portfolio.certificate, portfolio.policy_values, backend, weights) <= 1e-9


def test_random_weights_follow_the_seed():
    backend = random_bandit(0, d=3, beta=0.3)
    first, second = (build_portfolio(backend, RandomWeights(5), seed=4) for _ in range(2))
    assert np.array_equal(first.vertex_values, second.vertex_values)
    other = build_portfolio(backend, RandomWeights(5), seed=5)
    assert not np.array_equal(first.vertex_values, other.vertex_values)
    fixed = build_portfolio(backend, RandomWeights(5, seed=4), seed=9)
    assert np.array_equal(first.vertex_values, fixed.vertex_values)


@settings(max_examples=15)
@given(backends(), seeds)
def test_extending_never_worsens_and_pruning_keeps_the_certificate(backend, seed):
    d = len(backend.objectives)
    portfolio = build_portfolio(backend, UniformGrid(2))
    before = portfolio.certificate
    extended = portfolio.extend(backend, simplex_points(d, 2, seed)[-2:])
    assert extended.certificate.epsilon <= before.epsilon + 1e-10
    assert extended.certificate.additive_gap <= before.additive_gap + 1e-10 * backend.reward_max
    if before.is_proof:
        pruned = extended.prune(backend, epsilon=before.epsilon, method="greedy")
        assert len(pruned) <= len(extended)
        assert pruned.certificate.epsilon <= before.epsilon + 1e-9
        weights = simplex_points(d, 40, seed)
        assert worst_break(pruned.certificate, pruned.policy_values, backend, weights) <= 1e-9
        own = portfolio.prune(backend)
        assert own.certificate.epsilon <= before.epsilon + 1e-9


class Opaque(Counting):
    """Neither bounds nor errors are known."""

    def __init__(self, inner):
        super().__init__(inner, open_=False)

    @property
    def oracle_error(self):
        return None

    def optimize(self, weights):
        solution = super().optimize(weights)
        return Solution(solution.policy, Value(solution.value.rewards, solution.value.regularizer))


def test_without_bounds_nothing_is_promised_and_nothing_is_certified():
    backend = Opaque(random_bandit(1, d=2, beta=0.0))
    with pytest.raises(CertificateError, match="upper bound"):
        build_portfolio(backend, Adaptive())
    with pytest.raises(CertificateError, match="promises nothing"):
        build_portfolio(backend, Palm(0.5, 0.2))
    portfolio = build_portfolio(backend, Palm(0.5, 0.2, lazy=False, prune=False))
    assert "policies solved" in portfolio.certificate.reference
    assert portfolio.certificate.size_bound is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adaptive(epsilon=1.0), "epsilon"),
        (lambda: Adaptive(epsilon=-0.1), "epsilon"),
        (lambda: Adaptive(epsilon=math.nan), "epsilon"),
        (lambda: Adaptive(delta=-1.0), "delta"),
        (lambda: Adaptive(delta=math.inf), "delta"),
        (lambda: Adaptive(max_policies=0), "max_policies"),
        (lambda: Adaptive(max_policies=2.5), "max_policies"),
        (lambda: Adaptive(max_policies=True), "max_policies"),
        (lambda: Adaptive(batch=0), "batch"),
        (lambda: Palm(0.0, 0.1), "mu"),
        (lambda: Palm(0.5, 1.0), "alpha"),
        (lambda: Palm(0.5, 0.1, epsilon=-0.1), "epsilon"),
        (lambda: Palm(0.5, 0.1, epsilon=1.5), "epsilon"),
        (lambda: Palm(0.5, 0.1, delta=math.nan), "delta"),
    ],
)
def test_bad_parameters_are_refused_when_made(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_bad_sizes_are_refused_before_any_solve():
    backend = Counting(random_bandit(1, d=8, beta=0.0))
    for strategy in (Palm(0.05, 1e-3, lazy=False), UniformGrid(60)):
        with pytest.raises(CoverTooLargeError):
            build_portfolio(backend, strategy)
    for strategy in (UniformGrid(0), RandomWeights(0)):
        with pytest.raises(InputError):
            build_portfolio(backend, strategy)
    assert backend.solved == []
