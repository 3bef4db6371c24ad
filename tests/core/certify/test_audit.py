"""Certificates against the truth: dense sampling, linear programs, simulation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from backends.table import TableBackend
from palm_theory.bounds import EXACT, OracleError
from palm_theory.certify.audit import audit
from palm_theory.certify.certificate import Certificate, Kind
from palm_theory.certify.optimum import Asked
from palm_theory.contract.backend import PolicyBackend, Power, Solution, Status
from palm_theory.contract.value import Value
from palm_theory.errors import ArtifactError, BackendError, InputError
from palm_theory.geometry.envelope import corner_weights
from palm_theory.geometry.intervals import empirical_bernstein_halfwidth, normal_halfwidth, split_failure
from palm_theory.geometry.sandwich import SolvedWeights
from tests.helpers.instances import (
    backends,
    envelope,
    optima,
    portfolio_values,
    random_bandit,
    random_front,
    rng_of,
    seeds,
    simplex_points,
    stacked,
    table_backends,
)


def as_values(rewards: np.ndarray) -> list[Value]:
    return [Value(row) for row in rewards]


class Finite(PolicyBackend):
    """A finite set of policies given by R and f, in three degrees of openness about J*."""

    def __init__(self, rewards, regularizers, *, bounds="exact", oracle=EXACT, slack=0.0):
        self.rewards, self.f = np.asarray(rewards), np.asarray(regularizers)
        self.bounds, self.oracle, self.slack = bounds, oracle, slack
        self.calls = 0

    @property
    def objectives(self):
        return tuple(f"r{i}" for i in range(self.rewards.shape[1]))

    @property
    def reward_max(self):
        return float(self.rewards.max()) or 1.0

    @property
    def regularizer_max(self):
        return float(self.f.max())

    @property
    def oracle_error(self):
        return self.oracle if self.bounds == "exact" else None

    def optimize(self, weights):
        self.calls += 1
        scores = self.rewards @ weights - self.f
        row = int(scores.argmax())
        upper = float(scores.max()) + self.slack if self.bounds == "upper" else None
        return Solution(row, self.evaluate(row), upper_bound=upper)

    def evaluate(self, policy):
        return Value(self.rewards[policy], float(self.f[policy]))

    @property
    def values(self):
        return self.rewards - self.f[:, None]


def worst_ratio_by_program(values: np.ndarray, candidates: np.ndarray) -> float:
    """max_w J*/L for positive values: max <v, C_j> subject to <v, G_k> <= 1, v >= 0."""
    return max(-linprog(-row, A_ub=values, b_ub=np.ones(len(values)), bounds=(0, None)).fun for row in candidates)


def broken_by(certificate: Certificate, values: np.ndarray, candidates: np.ndarray, weights: np.ndarray) -> float:
    """By how much the certificate's claim fails at the worst of the weights (negative where it holds)."""
    optimum, lower = envelope(candidates, weights), envelope(values, weights)
    return float(((1 - certificate.epsilon) * optimum - certificate.delta - lower).max())


@settings(max_examples=50)
@given(backends(), seeds, st.sampled_from(["neither", "epsilon", "delta"]))
def test_exact_certificates_are_true_and_attained(backend, seed, asked):
    d = len(backend.objectives)
    unit = backend.reward_max
    values = portfolio_values(backend, simplex_points(d, 2, seed)[: rng_of(seed).integers(1, d + 3)])
    options = {"neither": {}, "epsilon": {"epsilon": 0.05}, "delta": {"delta": 0.03 * unit}}[asked]
    certificate = audit(values, backend, **options)
    assert certificate.kind is Kind.EXACT
    weights = simplex_points(d, 100, seed)
    optimum, lower = optima(backend, weights), envelope(stacked(values), weights)
    at = certificate.worst_weight[None]
    at_optimum, at_lower = optima(backend, at)[0], envelope(stacked(values), at)[0]
    assert (optimum - lower).max() <= certificate.additive_gap + 1e-9 * unit
    if math.isinf(certificate.epsilon):
        assert at_lower + certificate.delta < 0 or at_optimum <= 0
        return
    shortfall = (1 - certificate.epsilon) * optimum - certificate.delta - lower
    assert shortfall.max() <= 1e-9 * unit
    # Attained: at the worst weight the claim is tight, unless there is no gap at all.
    if asked == "epsilon":
        assert math.isclose(certificate.delta, max(0.95 * at_optimum - at_lower, 0), abs_tol=1e-9 * unit)
    elif certificate.epsilon > 0:
        tight = (1 - certificate.epsilon) * at_optimum - certificate.delta - at_lower
        assert abs(tight) <= 1e-9 * unit


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(1, 12), seeds)
def test_the_multiplicative_gap_is_that_of_a_linear_program(d, n, m, seed):
    values = random_front(seed, d=d, n=n) + 0.01
    candidates = np.vstack([values, random_front(seed + 1, d=d, n=m) + 0.01])
    certificate = audit(as_values(values), reference=as_values(candidates))
    assert certificate.kind is Kind.EXACT
    assert math.isclose(1 / (1 - certificate.epsilon), worst_ratio_by_program(values, candidates), rel_tol=1e-7)
    asked = audit(as_values(values), Finite(candidates, np.zeros(len(candidates))))
    assert math.isclose(asked.epsilon, certificate.epsilon, abs_tol=1e-9)


@settings(max_examples=25)
@given(st.integers(2, 4), seeds, st.sampled_from([0.01, 0.2, 2.0]))
def test_no_local_search_beats_an_exact_certificate(d, seed, beta):
    """The true gap of a KL bandit is smooth within cells; climb it from many starts."""
    backend = random_bandit(seed, d=d, beta=beta, contexts=2)
    values = portfolio_values(backend, np.eye(d))
    certificate = audit(values, backend, epsilon=0.0)
    table = stacked(values)

    def negative_gap(logits):
        w = np.exp(logits - logits.max())
        w /= w.sum()
        return float((table @ w).max()) - backend.optimal_value(w)

    rng = rng_of(seed)
    near = np.log(certificate.worst_weight + 1e-6)
    starts = [near, *rng.normal(0, 2, (3, d))]
    best = max(-minimize(negative_gap, start, method="Nelder-Mead").fun for start in starts)
    assert best <= certificate.delta + 1e-9
    assert best >= 0.9 * certificate.delta


@settings(max_examples=50)
@given(st.integers(1, 5), st.integers(1, 8), st.integers(1, 10), seeds, st.sampled_from([0.5, 3.0, 100.0]))
def test_regularizers_above_the_rewards(d, n, m, seed, f):
    """L < 0 < J* in places: epsilon is inf exactly where no epsilon <= 1 makes the claim true."""
    rng = rng_of(seed)
    rewards, regularizers = rng.random((n + m, d)), f * rng.random(n + m)
    regularizers[-1] = 0.0
    backend = Finite(rewards, regularizers)
    members = [backend.evaluate(k) for k in range(n)]
    certificate = audit(members, backend)
    weights = np.vstack([simplex_points(d, 100, seed), corner_weights(stacked(members))])
    lower = envelope(stacked(members), weights)
    if math.isinf(certificate.epsilon):
        assert lower.min() < 0
        assert not certificate.is_proof
        assert not certificate.certifies(1.0)
        assert certificate.certifies(0.0, certificate.additive_gap)
    else:
        assert broken_by(certificate, stacked(members), backend.values, weights) <= 1e-9
        assert certificate.certifies(certificate.epsilon)
    additive = audit(members, backend, epsilon=0.0)
    assert broken_by(additive, stacked(members), backend.values, weights) <= 1e-9 * max(1, f)
    assert math.isclose(additive.delta, certificate.additive_gap, abs_tol=1e-12 * max(1, f))


@settings(max_examples=40)
@given(
    st.integers(1, 4),
    st.integers(1, 8),
    st.integers(1, 10),
    seeds,
    st.sampled_from([(0.0, 0.0), (0.1, 0.0), (0.0, 0.05)]),
    st.sampled_from(["exact", "upper"]),
    st.integers(0, 8),
)
def test_bounded_certificates_claim_no_less_than_exact_ones(d, n, m, seed, oracle, bounds, asked):
    rewards = random_front(seed, d=d, n=n + m)
    backend = Finite(
        rewards, np.zeros(n + m), bounds=bounds, oracle=OracleError(*oracle), slack=0.03 * (oracle != (0.0, 0.0))
    )
    members = [backend.evaluate(k) for k in range(n)]
    exact = audit(members, reference=as_values(rewards))
    solved = SolvedWeights(d)
    Asked(backend, solved).upper(np.vstack([np.eye(d), rng_of(seed).dirichlet(np.ones(d), 8)])[:asked])
    known = backend.calls
    bounded = audit(members, solved=solved)
    assert (bounded.oracle_calls, backend.calls) == (0, known)
    assert bounded.epsilon >= exact.epsilon - 1e-9
    assert bounded.additive_gap >= exact.additive_gap - 1e-9
    assert bounded.kind in (Kind.EXACT, Kind.BOUNDED, Kind.UNKNOWN)
    if bounded.kind is Kind.EXACT:
        assert math.isclose(bounded.epsilon, exact.epsilon, abs_tol=1e-8) or exact.epsilon == math.inf
    if bounded.kind is not Kind.UNKNOWN:
        assert bounded.epsilon - bounded.slack <= exact.epsilon + 1e-9 or math.isinf(bounded.epsilon)
    if asked < d:
        assert bounded.kind is Kind.UNKNOWN or bounded.epsilon == 0
    if bounded.kind is Kind.UNKNOWN:
        assert bounded.epsilon == math.inf
        assert bounded.worst_weight is None
        assert not bounded.is_proof
    closer = audit(members, backend, solved=solved)
    assert closer.oracle_calls == backend.calls - known
    assert exact.epsilon - 1e-9 <= closer.epsilon <= bounded.epsilon + 1e-9


@settings(max_examples=30)
@given(backends(), seeds)
def test_exact_is_at_least_sampled(backend, seed):
    values = portfolio_values(backend, simplex_points(len(backend.objectives), 2, seed)[:2])
    exact = audit(values, backend)
    sampled = audit(values, backend, kind="sampled", samples=50, seed=seed % 1000)
    assert sampled.kind is Kind.SAMPLED
    assert not sampled.is_proof
    assert sampled.confidence == 0
    assert not sampled.certifies(1.0, 1e9)
    assert exact.epsilon >= sampled.epsilon - 1e-9
    assert exact.additive_gap >= sampled.additive_gap - 1e-9 * backend.reward_max
    assert sampled.oracle_calls == sampled.corners == 50


@settings(max_examples=30)
@given(backends(), seeds)
def test_adding_a_policy_never_worsens_a_gap(backend, seed):
    d = len(backend.objectives)
    values = portfolio_values(backend, simplex_points(d, 4, seed)[:6])
    last = None
    for count in range(1, len(values) + 1):
        certificate = audit(values[:count], backend)
        if last is not None:
            assert certificate.epsilon <= last.epsilon + 1e-11
            assert certificate.additive_gap <= last.additive_gap + 1e-11 * backend.reward_max
        last = certificate


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(1, 10), seeds, st.booleans())
def test_relabelling_objectives_permutes_the_result(d, n, seed, regularized):
    backend = table_backends(seed, d=d, n=n, regularized=regularized)
    order = rng_of(seed).permutation(d)
    rewards = np.array([v.rewards for v in backend.all_values()])
    f = np.array([v.regularizer for v in backend.all_values()])
    plain, moved = Finite(rewards, f), Finite(rewards[:, order], f)
    chosen = range(0, n, 2)
    first = audit([plain.evaluate(k) for k in chosen], plain)
    second = audit([moved.evaluate(k) for k in chosen], moved)
    assert (first.kind, first.corners) == (second.kind, second.corners)
    assert first.epsilon == second.epsilon or math.isclose(first.epsilon, second.epsilon, abs_tol=1e-9)
    assert math.isclose(first.additive_gap, second.additive_gap, abs_tol=1e-11)


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(2, 12), seeds, st.sampled_from([1e-9, 1e9]))
def test_units_scale_out(d, n, seed, unit):
    rewards = random_front(seed, d=d, n=n)
    half = n // 2
    plain = audit(as_values(rewards[:half]), Finite(rewards, np.zeros(n)))
    scaled = audit(as_values(rewards[:half] * unit), Finite(rewards * unit, np.zeros(n)))
    assert scaled.kind is Kind.EXACT
    assert math.isclose(plain.epsilon, scaled.epsilon, abs_tol=1e-9)
    assert math.isclose(plain.additive_gap * unit, scaled.additive_gap, rel_tol=1e-6, abs_tol=1e-9 * unit)


@settings(max_examples=40)
@given(st.integers(2, 5), st.integers(2, 10), seeds)
def test_objectives_of_very_different_scale(d, n, seed):
    """Rescaled objectives: the worst ratio is that of the unscaled problem, for v = w·s runs over the cone too."""
    rewards = random_front(seed, d=d, n=n) + 0.05
    scales = 10.0 ** rng_of(seed).uniform(-9, 9, d)
    half = max(1, n // 2)
    expected = worst_ratio_by_program(rewards[:half], rewards)
    scaled = rewards * scales
    for certificate in (
        audit(as_values(scaled[:half]), reference=as_values(scaled)),
        audit(as_values(scaled[:half]), Finite(scaled, np.zeros(n))),
    ):
        assert certificate.kind is Kind.EXACT
        assert math.isclose(1 / (1 - certificate.epsilon), expected, rel_tol=1e-7)


@settings(max_examples=40)
@given(st.integers(2, 6), st.integers(1, 6), seeds, st.floats(-17, -7), st.sampled_from([1.0, 1e-3, 1e-6]))
def test_near_duplicates_and_tiny_cells(d, n, seed, log_distance, cap):
    """Clusters of policies 1e-17 .. 1e-7 apart, on a front as small as 1e-6 across."""
    rng = rng_of(seed)
    centre = rng.dirichlet(np.ones(d))
    directions = centre + cap * (rng.dirichlet(np.ones(d), n) - centre)
    values = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    values = np.concatenate([values, values + 10**log_distance * rng.random((n, d))])
    directions = rng.dirichlet(np.ones(d), 8)
    candidates = np.concatenate([values, directions / np.linalg.norm(directions, axis=1, keepdims=True)])
    certificate = audit(as_values(values), Finite(candidates, np.zeros(len(candidates))))
    assert certificate.kind is Kind.EXACT
    # The program's constraints hold to 1e-7 only.
    assert 1 / (1 - certificate.epsilon) >= worst_ratio_by_program(values, candidates) * (1 - 1e-6)
    assert broken_by(certificate, values, candidates, simplex_points(d, 300, seed)) <= 1e-12


def test_an_optimum_of_zero_at_a_vertex():
    """Objective 1 is worth nothing: J* = L = 0 at its vertex, and the ratio is that of the other objectives."""
    rewards = np.array([[0.0, 1.0, 0.2], [0.0, 0.2, 1.0], [0.0, 0.8, 0.8]])
    certificate = audit(as_values(rewards[:2]), Finite(rewards, np.zeros(3)))
    assert certificate.kind is Kind.EXACT
    assert math.isclose(certificate.epsilon, 1 - 0.6 / 0.8)
    everything_zero = audit(as_values(np.zeros((1, 2))), Finite(np.zeros((1, 2)), [0.0]))
    assert (everything_zero.epsilon, everything_zero.kind) == (0.0, Kind.EXACT)


def test_a_portfolio_worth_nothing_where_something_is_possible_has_epsilon_one():
    rewards = np.array([[1.0, 0.0], [0.0, 1.0]])
    certificate = audit(as_values(rewards[:1]), Finite(rewards, np.zeros(2)))
    assert (certificate.epsilon, certificate.worst_weight.tolist()) == (1.0, [0.0, 1.0])
    assert certificate.additive_gap == 1.0


def test_one_objective():
    backend = Finite([[1.0], [0.5]], [0.0, 0.0])
    assert audit([backend.evaluate(0)], backend).epsilon == 0.0
    certificate = audit([backend.evaluate(1)], backend)
    assert (certificate.epsilon, certificate.additive_gap, certificate.corners) == (0.5, 0.5, 1)


def test_two_objectives_by_hand():
    rewards = np.array([[1.0, 0.0], [0.0, 1.0], [0.75, 0.75]])
    certificate = audit(as_values(rewards[:2]), Finite(rewards, np.zeros(3)))
    assert math.isclose(certificate.epsilon, 1 - 0.5 / 0.75)
    assert math.isclose(certificate.additive_gap, 0.25)
    assert np.allclose(certificate.worst_weight, [0.5, 0.5])
    assert certificate.corners == 3
    relaxed = audit(as_values(rewards[:2]), Finite(rewards, np.zeros(3)), delta=0.1)
    assert math.isclose(relaxed.epsilon, 1 - 0.6 / 0.75)
    assert relaxed.delta == 0.1


FRUIT_RATIOS = {5: 1.5908, 6: 1.5246, 7: 1.5234}


@pytest.mark.parametrize("depth", [5, 6, 7])
def test_fruit_tree_vertex_portfolios_have_the_known_worst_ratio(depth):
    fruits = pytest.importorskip("mo_gymnasium.envs.fruit_tree.fruit_tree").FRUITS
    backend = TableBackend(np.array(fruits[str(depth)]), normalization="none")
    rows = {backend.optimize(vertex).policy for vertex in np.eye(6)}
    assert len(rows) == 6
    values = [backend.evaluate(row) for row in rows]
    for certificate in (audit(values, backend), audit(values, reference=backend.all_values())):
        assert certificate.kind is Kind.EXACT
        assert round(1 / (1 - certificate.epsilon), 4) == FRUIT_RATIOS[depth]


def test_what_is_already_solved_is_not_asked_again():
    rewards = np.array([[1.0, 0.0], [0.0, 1.0], [0.75, 0.75]])
    backend = Finite(rewards, np.zeros(3))
    solved = SolvedWeights(2)
    first = audit(as_values(rewards[:2]), backend, solved=solved)
    assert first.oracle_calls == 3
    again = audit(as_values(rewards[:2]), backend, solved=solved)
    assert again.oracle_calls == 0
    assert (again.epsilon, again.kind) == (first.epsilon, Kind.EXACT)
    without_backend = audit(as_values(rewards[:2]), solved=solved)
    assert without_backend.epsilon == first.epsilon


def test_without_any_knowledge_nothing_is_claimed():
    certificate = audit([Value(np.array([1.0, 0.0]))])
    assert certificate.kind is Kind.UNKNOWN
    assert not certificate.is_proof
    assert "nothing is certified" in str(certificate)
    unbounded = audit([Value(np.array([1.0, 0.0]))], Finite(np.eye(2), [0, 0], bounds="none"))
    assert unbounded.kind is Kind.UNKNOWN


class Broken(Finite):
    """Fails in one way at the third solve."""

    def __init__(self, failure):
        super().__init__(np.array([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]]), np.zeros(3))
        self.failure = failure

    def optimize(self, weights):
        solution = super().optimize(weights)
        return self.failure(solution) if self.calls == 3 else solution


def raises(_solution):
    raise ZeroDivisionError("boom")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (raises, "raised ZeroDivisionError: boom"),
        (lambda s: None, "not a Solution"),
        (lambda s: Solution(s.policy, s.value, status=Status.FAILED, message="no memory"), "failed: no memory"),
        (lambda s: Solution(s.policy, Value(np.ones(3))), r"shape \(3,\)"),
        (lambda s: Solution(s.policy, Value(np.array([0.5, -1.0]))), "-1.0 for objective 'r1'"),
        (lambda s: Solution(s.policy, Value(np.array([0.5, 7.0]))), "rewards must lie in"),
        (lambda s: Solution(s.policy, Value(np.array([0.5, 0.5]), 3.0)), "regulariser 3.0"),
        (lambda s: Solution(s.policy, Value(np.array([0.5, math.nan]))), "finite"),
        (lambda s: Solution(s.policy, s.value, upper_bound=0.1), r"upper_bound=0.1\b"),
        (lambda s: Solution(s.policy, s.value, upper_bound=math.nan), "upper_bound=nan"),
    ],
)
def test_a_failed_solve_is_never_coverage(failure, message):
    backend = Broken(failure)
    with pytest.raises(BackendError, match=message):
        audit([backend.evaluate(0), backend.evaluate(1)], backend)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.1, "delta": 0.1}, "not both"),
        ({"epsilon": -0.1}, "epsilon"),
        ({"epsilon": 1.1}, "epsilon"),
        ({"epsilon": math.nan}, "epsilon"),
        ({"delta": -0.1}, "delta"),
        ({"delta": math.inf}, "delta"),
        ({"kind": "wrong"}, "kind"),
        ({"kind": "sampled", "samples": 0}, "n must be"),
        ({"reference": []}, "at least one"),
        ({"reference": [Value(np.ones(3))]}, "same number of objectives"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    backend = Finite(np.eye(2), [0, 0])
    with pytest.raises(InputError, match=message):
        audit([backend.evaluate(0)], backend, **options)


def test_bad_portfolios_are_refused():
    with pytest.raises(InputError, match="at least one"):
        audit([])
    with pytest.raises(InputError, match="same number"):
        audit([Value(np.ones(2)), Value(np.ones(3))])
    with pytest.raises(BackendError, match="policy 0 of the portfolio"):
        audit([Value(np.array([2.0, 0.0]))], Finite(np.eye(2), [0, 0]))
    with pytest.raises(InputError, match="reference"):
        audit([Value(np.ones(2), rewards_stderr=np.ones(2))])
    with pytest.raises(InputError, match="needs a backend"):
        audit([Value(np.ones(2))], kind="sampled")


# ---- certificates as values ----------------------------------------------------------------------------------------


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_what_a_certificate_implies(epsilon, delta, other_epsilon, other_delta):
    certificate = Certificate(epsilon, delta, np.array([1.0]), Kind.EXACT, additive_gap=epsilon + delta)
    assert certificate.certifies(epsilon, delta)
    implied = (other_epsilon >= epsilon and other_delta >= delta) or other_delta >= epsilon + delta
    assert certificate.certifies(other_epsilon, other_delta) == implied


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_certificate_over_a_reference_set_certifies_within_it_only(epsilon, delta, other_epsilon, other_delta):
    against = Certificate(epsilon, delta, np.array([1.0]), Kind.EXACT, additive_gap=epsilon + delta)
    within = replace(against, reference="the 4 policies solved")
    assert not within.certifies(other_epsilon, other_delta)
    asked = within.certifies(other_epsilon, other_delta, within_reference=True)
    assert asked == against.certifies(other_epsilon, other_delta)


def test_certificates_survive_json():
    for certificate in (
        audit([Value(np.ones(2))]),
        audit([Value(np.array([1.0, 0.3]))], Finite(np.eye(2), [0, 0])),
    ):
        again = Certificate.from_dict(certificate.to_dict())
        assert again.to_dict() == certificate.to_dict()
        assert str(again) == str(certificate)
    with pytest.raises(ArtifactError):
        Certificate.from_dict({"epsilon": 1})
    with pytest.raises(ArtifactError):
        Certificate.from_dict(certificate.to_dict() | {"kind": "certain"})


# ---- statistical certificates --------------------------------------------------------------------------------------


def measured(rng: np.random.Generator, means: np.ndarray, samples: int) -> list[Value]:
    """Bernoulli evaluations of policies with the given mean rewards."""
    draws = rng.random((samples, *means.shape)) < means
    errors = draws.std(axis=0, ddof=1) / math.sqrt(samples)
    return [
        Value(mean, rewards_stderr=error, samples=samples)
        for mean, error in zip(draws.mean(axis=0), errors, strict=True)
    ]


@pytest.mark.parametrize("evaluation_max", [1.0, None])
def test_statistical_certificates_cover_the_truth(evaluation_max):
    rng = rng_of(5)
    confidence, trials, missed = 0.8, 150, 0
    for _ in range(trials):
        means = rng.random((5, 2))
        values = measured(rng, means, 300)
        certificate = audit(
            values[:2], reference=values, confidence=confidence, evaluation_max=evaluation_max, epsilon=0.0
        )
        truth = audit(as_values(means[:2]), reference=as_values(means), epsilon=0.0)
        missed += truth.delta > certificate.delta
        assert certificate.kind is Kind.BOUNDED
        assert certificate.confidence == confidence
        assert certificate.interval == ("normal" if evaluation_max is None else "empirical-bernstein")
        assert "confidence 0.8" in str(certificate)
    assert missed <= (1 - confidence) * trials


def test_more_samples_certify_more():
    rng = rng_of(1)
    means = rng.random((4, 3))
    gaps = [
        audit(values[:2], reference=values, evaluation_max=1.0, epsilon=0.0).delta
        for values in (measured(rng, means, n) for n in (100, 10_000, 1_000_000))
    ]
    truth = audit(as_values(means[:2]), reference=as_values(means), epsilon=0.0).delta
    assert gaps[0] > gaps[1] > gaps[2] >= truth
    assert gaps[2] <= truth + 0.02


@pytest.mark.parametrize(("p", "samples"), [(0.5, 50), (0.02, 50), (0.5, 1000)])
def test_empirical_bernstein_intervals_cover(p, samples):
    rng = rng_of(3)
    draws = rng.random((2000, samples)) < p
    errors = draws.std(axis=1, ddof=1) / math.sqrt(samples)
    width = empirical_bernstein_halfwidth(errors, samples, 1.0, 0.1)
    assert (np.abs(draws.mean(axis=1) - p) > width).mean() <= 0.1
    # The formula of Maurer and Pontil, Theorem 4, at failure 0.05 a side.
    variance = draws[0].var(ddof=1)
    log = math.log(2 / 0.05)
    assert math.isclose(width[0], math.sqrt(2 * variance * log / samples) + 7 * log / (3 * (samples - 1)))


def test_normal_intervals():
    assert math.isclose(normal_halfwidth(np.array([2.0]), 0.05)[0], 2 * 1.959963985, rel_tol=1e-8)
    assert empirical_bernstein_halfwidth(np.zeros(2), 1, 1.0, 0.1).tolist() == [math.inf, math.inf]
    assert math.isclose(split_failure(0.95, 10), 0.005)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, math.nan])
def test_bad_confidence_is_refused(confidence):
    with pytest.raises(InputError, match="confidence"):
        split_failure(confidence, 3)


def test_the_method_named_is_the_weakest_used():
    """One value without a sample count needs the normal approximation, on whichever side it stands."""
    exact = Value(np.array([0.5, 0.5]))
    counted = Value(np.array([0.6, 0.4]), rewards_stderr=np.array([0.01, 0.01]), samples=100)
    uncounted = Value(np.array([0.4, 0.6]), rewards_stderr=np.array([0.01, 0.01]))
    assert audit([exact], reference=[counted], evaluation_max=1.0).interval == "empirical-bernstein"
    for members, reference in (([exact], [uncounted]), ([counted], [uncounted]), ([uncounted], [counted])):
        assert audit(members, reference=reference, evaluation_max=1.0).interval == "normal"


class Measured(Finite):
    """All its values, measured; ``single`` is what it declares of the range of one evaluation."""

    powers = frozenset({Power.OPTIMAL_VALUE, Power.ALL_VALUES})

    def __init__(self, values, single=None):
        super().__init__(stacked(values), np.zeros(len(values)))
        self.measured, self.single = values, single

    reward_max = 1.0

    @property
    def evaluation_max(self):
        return self.single

    def evaluate(self, policy):
        return self.measured[policy]

    def all_values(self):
        return self.measured


def test_a_bound_on_the_mean_is_no_range_of_one_evaluation():
    """One evaluation pays 100 with probability 0.005: R is in [0, 1], and a hundred evaluations see mostly nothing."""
    rng, missed, trials = rng_of(0), 0, 60
    for _ in range(trials):
        rare = 100.0 * (rng.random((100, 1)) < 0.005)
        values = [
            Value(draws.mean(axis=0), rewards_stderr=draws.std(axis=0, ddof=1) / 10, samples=100)
            for draws in (0.02 + rng.uniform(-0.01, 0.01, (100, 1)), rare)
        ]
        if values[1].rewards.max() > 1:
            continue
        assert audit(values[:1], Measured(values)).interval == "normal"
        certificate = audit(values[:1], Measured(values, 100.0))
        assert certificate.interval == "empirical-bernstein"
        missed += certificate.additive_gap < 0.5 - 0.02
    assert missed <= 0.05 * trials


def test_a_backend_that_lists_its_values_is_all_there_is_and_a_policy_of_it_is_measured_once():
    values = measured(rng_of(2), rng_of(2).random((4, 2)), 200)
    backend = Measured(values)
    certificate = audit(values[:2], backend)
    assert certificate.reference == "all 4 policies of the backend"
    assert certificate.is_against_optimum
    copies = [Value.from_dict(value.to_dict()) for value in values[:2]]
    assert audit(copies, backend).to_dict() == certificate.to_dict()


def test_a_single_sample_proves_nothing():
    one = Value(np.array([0.5, 0.5]), rewards_stderr=np.zeros(2), samples=1)
    certificate = audit([one], reference=[one], evaluation_max=1.0)
    assert not certificate.is_proof
    assert certificate.kind is Kind.UNKNOWN
