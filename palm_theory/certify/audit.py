"""Audits: from a portfolio's values and what is known of J*, a certificate (Theorem 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from palm_theory.certify.certificate import OF_THE_BACKEND, Certificate, Kind
from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.contract.calls import all_values, check_value, optimal_bracket, solve, upper_bound_at
from palm_theory.contract.value import Value
from palm_theory.errors import InputError
from palm_theory.files import canonical_json
from palm_theory.geometry.corners import AdditiveGap, Corner, CornerScan, MultiplicativeGap, Target, without_rounding
from palm_theory.geometry.envelope import lower_envelope, rounding_at
from palm_theory.geometry.intervals import Method as IntervalMethod
from palm_theory.geometry.intervals import empirical_bernstein_halfwidth, normal_halfwidth, split_failure
from palm_theory.geometry.sandwich import SolvedWeights
from palm_theory.geometry.simplex import Array, sample_dirichlet

Gap = MultiplicativeGap | AdditiveGap

DEFAULT_CONFIDENCE = 0.95

EXACT_TOLERANCE = 1e-9
"""An upper bound U that exceeds the value reached by at most this multiple of max(|U|, |L|) counts as the exact J*."""


class HasValues(Protocol):
    """Anything with the values of K policies: a Portfolio, or what a third party makes."""

    @property
    def policy_values(self) -> Sequence[Value]:
        """R_k and f_k of the K ≥ 1 policies, in order."""
        ...


class OptimalValueOracle:
    """Asks a backend for J*, counting calls; each answer is checked. Uses ``optimal_bracket`` where J* is cheap."""

    def __init__(self, backend: PolicyBackend, limit: int | None = None) -> None:
        self.backend = backend
        self.limit = limit
        self.calls = 0

    @property
    def is_cheap(self) -> bool:
        """Whether asking is cheaper than bounding: the backend declares OPTIMAL_VALUE."""
        return Power.OPTIMAL_VALUE in self.backend.powers

    @property
    def exhausted(self) -> bool:
        """Whether no more calls are allowed."""
        return self.limit is not None and self.calls >= self.limit

    def __call__(self, weights: Array) -> tuple[float, float]:
        """(reached, upper) with reached ≤ J*_w ≤ upper; upper is inf where the backend proves none.

        Raises BackendError where the backend fails or returns nonsense.
        """
        self.calls += 1
        if self.is_cheap:
            return optimal_bracket(self.backend, weights)
        solution = solve(self.backend, weights)
        upper = upper_bound_at(solution, weights, self.backend.oracle_error)
        return solution.value.scalarize(weights), math.inf if upper is None else upper

    def record(self, solved: SolvedWeights, weights: Array) -> None:
        """Ask at one weight (d,) and add the answer to ``solved``."""
        solved.add(weights, *self(weights))


class Worst(NamedTuple):
    """The largest gap over the simplex: its upper bound, how far below the true one may lie, where, and how known."""

    gap: float
    slack: float
    weights: Array
    kind: Kind


def values_of(portfolio: HasValues | Sequence[Value]) -> list[Value]:
    """The values of K ≥ 1 policies with one d; raises InputError otherwise."""
    values = list(portfolio) if isinstance(portfolio, Sequence) else list(portfolio.policy_values)
    if not values:
        raise InputError("a portfolio needs at least one policy")
    if len({value.rewards.shape for value in values}) > 1:
        raise InputError("all policies of a portfolio need the same number of objectives")
    return values


def stack(values: Sequence[Value]) -> Array:
    """Vertex values G of K policies, shape (K, d)."""
    return np.stack([value.vertex_values for value in values])


def audit(
    portfolio: HasValues | Sequence[Value],
    backend: PolicyBackend | None = None,
    *,
    epsilon: float | None = None,
    delta: float | None = None,
    reference: Sequence[Value] | None = None,
    solved: SolvedWeights | None = None,
    max_oracle_calls: int | None = None,
    kind: str = "auto",
    samples: int = 1000,
    seed: int = 0,
    confidence: float = DEFAULT_CONFIDENCE,
    evaluation_max: float | None = None,
) -> Certificate:
    """Certify the largest gap of a portfolio over the whole simplex: J_w ≥ (1−ε)·J*_w − δ for every w ∈ Δ.

    By Theorem 3 the largest gap is at a corner weight of the portfolio's lower envelope, so it is found exactly from
    J* at finitely many weights. Where J* is cheap (power OPTIMAL_VALUE) it is asked for at every corner; elsewhere
    only at corners that may be the worst, the others being settled by the sandwich.

    Parameters
    ----------
    portfolio : K policies' values (or a Portfolio).
    backend : asked for J*. Exact audits need its optimum, or an upper bound on it, at any weight.
    epsilon, delta : which claim to certify. Neither: the least ε at δ = 0. ``epsilon``: the least δ at this ε.
        ``delta``: the least ε at this δ. Not both.
    reference : values of a finite set of policies; J* is then the best of them, known at every weight, and no backend
        is asked. With standard errors anywhere, lower limits of the portfolio face upper limits of the reference; a
        backend that declares ALL_VALUES is then its own reference.
    solved : what is already known of J*; updated with every answer.
    max_oracle_calls : stop asking after so many calls; the certificate is then at best "bounded".
    kind : "auto", or "sampled" to look at ``samples`` weights drawn with ``seed`` instead, which proves nothing.
    confidence : for values with standard errors.
    evaluation_max : the range of a single evaluation, for empirical Bernstein intervals, where there is no backend to
        tell it (``PolicyBackend.evaluation_max``). Without it intervals are the normal approximation.

    Returns
    -------
    A certificate, "exact" where the worst corner's J* is known to rounding, "bounded" where it is only bounded,
    "unknown" where not even that, "sampled" when asked for.

    Raises InputError on bad arguments, BackendError where a solve fails (never counted as coverage).
    """
    values = values_of(portfolio)
    gap = _gap_of(epsilon, delta)
    if kind not in ("auto", "sampled"):
        raise InputError(f"kind must be 'auto' or 'sampled', got {kind!r}")
    if backend is not None:
        for number, value in enumerate(values):
            check_value(backend, value, f"policy {number} of the portfolio")
    over = None
    if reference is None and backend is not None and any(value.is_estimate for value in values):
        reference = all_values(backend) if Power.ALL_VALUES in backend.powers else None
        if reference is not None:
            values, over = among(values, reference), f"all {len(reference)} {OF_THE_BACKEND}"
    if reference is not None:
        single = evaluation_max if evaluation_max is not None or backend is None else backend.evaluation_max
        return _against_reference(values, values_of(reference), gap, confidence, single, over)
    if any(value.is_estimate for value in values):
        raise InputError(
            "values with standard errors are audited against a reference set: pass reference=..., or a backend that "
            "declares ALL_VALUES"
        )
    if kind == "sampled":
        if backend is None:
            raise InputError("a sampled audit needs a backend to ask for J*")
        return _sampled(stack(values), OptimalValueOracle(backend), gap, samples, seed)
    if solved is None:
        solved = SolvedWeights(values[0].rewards.size, monotone=backend is not None and backend.regularizer_max == 0)
    oracle = None if backend is None else OptimalValueOracle(backend, max_oracle_calls)
    return certify(stack(values), solved, oracle, gap)


def _gap_of(epsilon: float | None, delta: float | None) -> Gap:
    if epsilon is not None and delta is not None:
        raise InputError("give epsilon or delta, not both: an audit finds the least of the other")
    for name, number in (("epsilon", epsilon), ("delta", delta)):
        if number is not None and not (math.isfinite(number) and number >= 0):
            raise InputError(f"{name} must be finite and >= 0, got {number}")
    if epsilon is not None:
        if epsilon > 1:
            raise InputError(f"epsilon must lie in [0, 1], got {epsilon}")
        return AdditiveGap(epsilon)
    return MultiplicativeGap(delta or 0.0)


def among(values: Sequence[Value], everyone: Sequence[Value]) -> list[Value]:
    """``values`` with those that hold the very numbers of one of ``everyone`` replaced by it.

    A policy read from a file is one of all the backend's, and was measured once: it takes no interval of its own.
    """
    known = {canonical_json(value.to_dict()): value for value in everyone}
    return [known.get(canonical_json(value.to_dict()), value) for value in values]


def _claim(gap: Gap, measured: float) -> tuple[float, float]:
    """(ε, δ) of the claim that a measured gap makes."""
    return (gap.epsilon, measured) if isinstance(gap, AdditiveGap) else (measured, gap.delta)


def certify(
    values: Array,
    solved: SolvedWeights,
    oracle: OptimalValueOracle | None,
    gap: Gap | None = None,
    *,
    size_bound: float | None = None,
    calls_before: int = 0,
) -> Certificate:
    """The certificate of K policies with vertex values (K, d), from what is ``solved`` and what ``oracle`` answers.

    Without an oracle nothing is asked. ``calls_before`` is what construction has already asked for.
    """
    gap = gap or MultiplicativeGap()
    if oracle is not None:
        for vertex in solved.unsolved_vertices():
            if not oracle.exhausted:
                oracle.record(solved, vertex)
    scan = CornerScan(values, solved)
    worst = _settle(scan, gap, oracle)
    additive = _settle(scan, AdditiveGap(), oracle)
    epsilon, delta = _claim(gap, worst.gap)
    return Certificate(
        epsilon=epsilon,
        delta=delta,
        worst_weight=None if worst.kind is Kind.UNKNOWN else worst.weights,
        kind=worst.kind,
        confidence=0.0 if worst.kind is Kind.UNKNOWN else 1.0,
        additive_gap=additive.gap,
        slack=worst.slack,
        size=len(values),
        size_bound=size_bound,
        corners=len(scan),
        oracle_calls=calls_before + (0 if oracle is None else oracle.calls),
    )


def _settle(scan: CornerScan, gap: Gap, oracle: OptimalValueOracle | None) -> Worst:
    """Ask for J* at the worst corner until the worst corner is one already asked for, or no more may be asked."""
    if oracle is not None and oracle.is_cheap:
        for position in np.flatnonzero(~scan.is_solved):
            if not oracle.exhausted:
                oracle.record(scan.solved, scan.weights[position])
                scan.update(int(position))
    while True:
        corner = scan.worst(gap)
        assert corner is not None
        if corner.solved or oracle is None or oracle.exhausted:
            break
        oracle.record(scan.solved, corner.weights)
        scan.update(corner.position)
    return _sign_checked(scan, gap, _judge(scan, gap, corner), oracle)


def _sign_checked(scan: CornerScan, gap: Gap, worst: Worst, oracle: OptimalValueOracle | None) -> Worst:
    """The gap, or inf where J* < 0 somewhere: an ε > 0 that other corners need would there claim more than J*."""
    if not isinstance(gap, MultiplicativeGap) or not 0 < worst.gap < math.inf:
        return worst
    target = Target(worst.gap, gap.delta)
    while True:
        corner = scan.worst(target)
        assert corner is not None
        if scan.holds(corner, target):
            return worst
        if corner.solved or oracle is None or oracle.exhausted:
            kind = Kind.EXACT if corner.solved and worst.kind is Kind.EXACT else Kind.BOUNDED
            return Worst(math.inf, 0.0 if kind is Kind.EXACT else math.inf, corner.weights, kind)
        oracle.record(scan.solved, corner.weights)
        scan.update(corner.position)


def _judge(scan: CornerScan, gap: Gap, corner: Corner) -> Worst:
    if corner.upper == math.inf:
        return Worst(math.inf, math.inf, corner.weights, Kind.UNKNOWN)
    lower = np.array([corner.lower])
    at_least = max(float(gap.measure(np.array([max(corner.reached, corner.lower)]), lower)[0]), 0.0)
    unit = max(abs(corner.upper), abs(corner.lower))
    slack = 0.0 if corner.gap == at_least else corner.gap - at_least
    exact = slack == 0 or (corner.solved and corner.upper - corner.reached <= EXACT_TOLERANCE * unit)
    return Worst(corner.gap, slack, corner.weights, Kind.EXACT if exact else Kind.BOUNDED)


def _sampled(values: Array, oracle: OptimalValueOracle, gap: Gap, samples: int, seed: int) -> Certificate:
    weights = sample_dirichlet(values.shape[1], samples, seed=seed)
    # Where no upper bound is known the policy found stands for the optimum: an estimate, as sampling is anyway.
    answers = [oracle(row) for row in weights]
    best = np.array([reached if upper == math.inf else upper for reached, upper in answers])
    lower = lower_envelope(values, weights).best
    best = without_rounding(best, lower, rounding_at(values, weights))
    gaps = gap.measure(best, lower)
    worst = int(gaps.argmax())
    epsilon, delta = _claim(gap, float(gaps[worst]))
    return Certificate(
        epsilon=epsilon,
        delta=delta,
        worst_weight=weights[worst],
        kind=Kind.SAMPLED,
        confidence=0.0,
        additive_gap=float(AdditiveGap().measure(best, lower).max()),
        slack=math.inf,
        size=len(values),
        corners=samples,
        oracle_calls=oracle.calls,
    )


def _against_reference(
    values: list[Value],
    reference: list[Value],
    gap: Gap,
    confidence: float,
    evaluation_max: float | None,
    over: str | None,
) -> Certificate:
    """J*_w = the best of a finite set, in words ``over``. Both envelopes are known everywhere, so that the corners
    settle it without a call."""
    if values[0].rewards.shape != reference[0].rewards.shape:
        raise InputError("the portfolio and the reference need the same number of objectives")
    estimates = any(value.is_estimate for value in [*values, *reference])
    lower_values, upper_values, method = confidence_limits(values, reference, confidence, evaluation_max)
    if not np.all(np.isfinite(upper_values)):
        # A value measured once has no interval.
        return Certificate(math.inf, math.inf, None, Kind.UNKNOWN, 0.0, slack=math.inf, size=len(values))
    solved = SolvedWeights(values[0].rewards.size, hull=False)
    scan = CornerScan(lower_values, solved)
    scan.settle(lower_envelope(upper_values, scan.weights).best)
    corner = scan.worst(gap)
    assert corner is not None
    worst = _sign_checked(scan, gap, _judge(scan, gap, corner), None)
    epsilon, delta = _claim(gap, worst.gap)
    return Certificate(
        epsilon=epsilon,
        delta=delta,
        worst_weight=worst.weights,
        kind=Kind.BOUNDED if estimates else Kind.EXACT,
        confidence=confidence if estimates else 1.0,
        additive_gap=float(scan.gaps(AdditiveGap()).max()),
        slack=math.inf if estimates else 0.0,
        size=len(values),
        corners=len(scan),
        reference=over or f"the {len(reference)} policies of a reference set",
        interval=method,
    )


class Limits(NamedTuple):
    """Vertex values at confidence limits: ``lower`` (K, d) of a portfolio, ``upper`` of the reference and the portfolio
    together, in that order; ``method`` of the intervals, None where every value is exact."""

    lower: Array
    upper: Array
    method: IntervalMethod | None


def confidence_limits(
    values: Sequence[Value], reference: Sequence[Value], confidence: float, evaluation_max: float | None
) -> Limits:
    """Limits that all hold at once with probability ``confidence``: what an audit of estimates compares.

    Infinite where a value was measured only once. ``evaluation_max`` is the range of a single evaluation, None where it
    is unknown. Intervals as in docs/theory/statistics.md.
    """
    everyone = [*reference, *values]
    if not any(value.is_estimate for value in everyone):
        return Limits(stack(values), stack(everyone), None)
    # A policy that stands in both sets is measured once, so it takes one share of the failure probability.
    distinct = {id(value) for value in everyone}
    failure = split_failure(confidence, len(distinct) * (values[0].rewards.size + 1))
    method = _interval_method(everyone, evaluation_max)
    lower = _limits(values, failure, evaluation_max, method, upper=False)
    return Limits(lower, _limits(everyone, failure, evaluation_max, method, upper=True), method)


def _interval_method(values: Sequence[Value], evaluation_max: float | None) -> IntervalMethod:
    """Empirical Bernstein where the number of samples and the ranges are known of all, else the normal approximation:
    a certificate is no better than the weakest interval in it."""
    known = all(v.samples is not None and v.regularizer_stderr is None for v in values if v.is_estimate)
    return "empirical-bernstein" if known and evaluation_max is not None else "normal"


def _limits(
    values: Sequence[Value], failure: float, evaluation_max: float | None, method: IntervalMethod, *, upper: bool
) -> Array:
    """Vertex values (K, d) at the lower or upper confidence limits of R and f."""
    sign = 1.0 if upper else -1.0
    rows = []
    for value in values:
        width = np.zeros_like(value.rewards)
        if value.rewards_stderr is not None:
            if method == "empirical-bernstein":
                assert value.samples is not None
                assert evaluation_max is not None
                width = empirical_bernstein_halfwidth(value.rewards_stderr, value.samples, evaluation_max, failure)
            else:
                width = normal_halfwidth(value.rewards_stderr, failure)
        if value.regularizer_stderr is not None:
            width = width + normal_halfwidth(np.array(value.regularizer_stderr), failure)
        rows.append(value.vertex_values + sign * width)
    return np.stack(rows)
