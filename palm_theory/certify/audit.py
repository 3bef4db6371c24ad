"""Audits: from a portfolio's values and what is known of J*, a certificate (Theorem 3).

``best_known`` is where it is decided which audit applies, ``certify`` carries it out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from palm_theory.certify.certificate import Certificate, Kind
from palm_theory.certify.finite import FiniteGaps, Rows
from palm_theory.certify.limits import DEFAULT_CONFIDENCE, HasValues, stack, values_of
from palm_theory.certify.optimum import Asked, Finite, Optimum, Paired, Solved
from palm_theory.certify.paired import certify_paired
from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.contract.calls import all_values, check_value
from palm_theory.contract.value import Value
from palm_theory.errors import InputError
from palm_theory.geometry.corners import AdditiveGap, Corner, CornerScan, MultiplicativeGap, Target, without_rounding
from palm_theory.geometry.envelope import lower_envelope, rounding_at
from palm_theory.geometry.rational import float_above
from palm_theory.geometry.sandwich import SolvedWeights
from palm_theory.geometry.simplex import Array, sample_dirichlet

Gap = MultiplicativeGap | AdditiveGap

EXACT_TOLERANCE = 1e-9
"""An upper bound U that exceeds the value reached by at most this multiple of max(|U|, |L|) counts as the exact J*."""


def audit(
    portfolio: HasValues | Sequence[Value],
    backend: PolicyBackend | None = None,
    *,
    epsilon: float | None = None,
    delta: float | None = None,
    reference: Sequence[Value] | None = None,
    solved: SolvedWeights | None = None,
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
    kind : "auto", or "sampled" to look at ``samples`` weights drawn with ``seed`` instead, which proves nothing.
    confidence : for values with standard errors.
    evaluation_max : the range of a single evaluation, for empirical Bernstein intervals, where there is no backend to
        tell it (``PolicyBackend.evaluation_max``). Without it intervals are the normal approximation.

    Returns
    -------
    A certificate, "exact" where the worst corner's J* is known, "bounded" where it is only bounded, "unknown" where not
    even that, "sampled" when asked for. Exact values beside a finite set are compared in rational arithmetic, so that
    the claim is proven; all others rest on float64, and the claim is exact to ``envelope.ROUNDING``.

    Raises InputError on bad arguments, BackendError where a solve fails (never counted as coverage).
    """
    values = values_of(portfolio)
    gap = _gap_of(epsilon, delta)
    if kind not in ("auto", "sampled"):
        raise InputError(f"kind must be 'auto' or 'sampled', got {kind!r}")
    if backend is not None:
        for number, value in enumerate(values):
            check_value(backend, value, f"policy {number} of the portfolio")
    measured = any(value.is_estimate for value in values)
    if reference is not None:
        over = f"the {len(reference)} policies of a reference set"
        single = evaluation_max if evaluation_max is not None or backend is None else backend.evaluation_max
        known: Optimum = Finite(
            values_of(reference), over, covers_all=False, evaluation_max=single, confidence=confidence
        )
    elif backend is not None:
        known = best_known(backend, measured=measured, solved=solved, confidence=confidence)
    elif measured:
        raise InputError(NO_RIVALS)
    else:
        known = Solved(SolvedWeights(values[0].rewards.size) if solved is None else solved)
    if kind == "sampled" and not isinstance(known, Finite):
        if not isinstance(known, Asked):
            raise InputError("a sampled audit needs a backend to ask for J*")
        return _sampled(stack(values), known, gap, samples, seed)
    return certify(known, values, gap)


NO_RIVALS = (
    "values with standard errors are audited against a reference set: pass reference=..., or a backend that declares "
    "ALL_VALUES"
)


def best_known(
    backend: PolicyBackend,
    *,
    measured: bool,
    solved: SolvedWeights | None = None,
    found: Sequence[Value] | None = None,
    pairs: Callable[[], Sequence[Any] | None] | None = None,
    listed_first: bool = False,
    confidence: float = DEFAULT_CONFIDENCE,
) -> Optimum:
    """What an audit beside a backend compares with: the place where this is decided.

    1. Paired differences (power PAIRED_VALUES), where there are policies to make ``pairs`` of; it returns those solved.
    2. For values with standard errors (``measured``) the list of all policies' values (power ALL_VALUES); for exact
       ones too, where that is ``listed_first``.
    3. For exact values J*, asked of the backend. But where ``found`` is given, the values of all policies solved, a
       backend that would have to solve for an answer (no power OPTIMAL_VALUE) is not asked: the sandwich of ``solved``
       stands for it, if it bounds J* everywhere.
    4. The list again, and else the policies ``found``.

    Raises InputError where there is none of these.
    """
    if pairs is not None and Power.PAIRED_VALUES in backend.powers:
        return Paired(backend, pairs())
    listed = Power.ALL_VALUES in backend.powers
    if not measured and not (listed and listed_first):
        if found is None or Power.OPTIMAL_VALUE in backend.powers:
            return Asked(backend, solved)
        if solved is not None and len(solved.unbounded_vertices()) == 0:
            return Solved(solved)
    if listed:
        return Finite.all_of(backend, all_values(backend), confidence)
    if found is None:
        raise InputError(f"{type(backend).__name__} does not list all its values, and {NO_RIVALS}")
    over = f"the {len(found)} policies solved"
    return Finite(found, over, covers_all=False, evaluation_max=backend.evaluation_max, confidence=confidence)


def certify(
    known: Optimum,
    values: Sequence[Value],
    gap: Gap | None = None,
    *,
    policies: Sequence[Any] = (),
) -> Certificate:
    """The certificate of K ≥ 1 policies with these ``values`` beside what is known of J*; ``oracle_calls`` counts the
    questions it took. ``policies`` themselves are needed for paired differences only.

    Raises InputError where ``known`` is no more than a certificate or a prediction, or has other objectives.
    """
    gap = gap or MultiplicativeGap()
    match known:
        case Paired(backend=backend, found=found):
            return certify_paired(backend, policies, found)
        case Finite():
            return _beside_rivals(list(values), known, gap)
        case Asked(solved=solved):
            return _at_corners(stack(values), solved, known, gap)
        case Solved(solved=solved):
            return _at_corners(stack(values), solved, None, gap)
    raise InputError(f"nothing is certified from {known.words}")


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


def _claim(gap: Gap, measured: float) -> tuple[float, float]:
    """(ε, δ) of the claim that a measured gap makes."""
    return (gap.epsilon, measured) if isinstance(gap, AdditiveGap) else (measured, gap.delta)


def _at_corners(values: Array, solved: SolvedWeights, asked: Asked | None, gap: Gap) -> Certificate:
    """Theorem 3 from what is ``solved`` and, unless None, what ``asked`` answers."""
    before = 0 if asked is None else asked.calls
    if asked is not None:
        for vertex in solved.unsolved_vertices():
            asked.ask(vertex)
    scan = CornerScan(values, solved)
    worst = _settle(scan, gap, asked)
    additive = _settle(scan, AdditiveGap(), asked)
    epsilon, delta = _claim(gap, worst.gap)
    lowest = int(scan.lower.argmin())
    return Certificate(
        epsilon=epsilon,
        delta=delta,
        worst_weight=None if worst.kind is Kind.UNKNOWN else worst.weights,
        kind=worst.kind,
        confidence=0.0 if worst.kind is Kind.UNKNOWN else 1.0,
        additive_gap=additive.gap,
        slack=worst.slack,
        size=len(values),
        corners=len(scan),
        oracle_calls=0 if asked is None else asked.calls - before,
        covers_all=True,
        lowest=float(scan.lower[lowest]) if scan.lower[lowest] < -scan.rounding[lowest] else 0.0,
    )


class _Worst(NamedTuple):
    """The largest gap over the simplex: its upper bound, how far below the true one may lie, where, and how known."""

    gap: float
    slack: float
    weights: Array
    kind: Kind


def _settle(scan: CornerScan, gap: Gap, asked: Asked | None) -> _Worst:
    """Ask for J* at the worst corner until the worst corner is one already asked for."""
    if asked is not None and asked.is_cheap:
        for position in np.flatnonzero(~scan.is_solved):
            asked.ask(scan.weights[position])
            scan.update(int(position))
    while True:
        corner = scan.worst(gap)
        assert corner is not None
        if corner.solved or asked is None:
            break
        asked.ask(corner.weights)
        scan.update(corner.position)
    return _sign_checked(scan, gap, _judge(scan, gap, corner), asked)


def _sign_checked(scan: CornerScan, gap: Gap, worst: _Worst, asked: Asked | None) -> _Worst:
    """The gap, or inf where J* < 0 somewhere: an ε > 0 that other corners need would there claim more than J*."""
    if not isinstance(gap, MultiplicativeGap) or not 0 < worst.gap < math.inf:
        return worst
    target = Target(worst.gap, gap.delta)
    while True:
        corner = scan.worst(target, skip=np.flatnonzero(scan.upper >= 0).tolist())
        if corner is None or scan.holds(corner, target):
            return worst
        if corner.solved or asked is None:
            kind = Kind.EXACT if corner.solved and worst.kind is Kind.EXACT else Kind.BOUNDED
            return _Worst(math.inf, 0.0 if kind is Kind.EXACT else math.inf, corner.weights, kind)
        asked.ask(corner.weights)
        scan.update(corner.position)


def _judge(scan: CornerScan, gap: Gap, corner: Corner) -> _Worst:
    if corner.upper == math.inf:
        return _Worst(math.inf, math.inf, corner.weights, Kind.UNKNOWN)
    lower = np.array([corner.lower])
    at_least = max(float(gap.measure(np.array([max(corner.reached, corner.lower)]), lower)[0]), 0.0)
    unit = max(abs(corner.upper), abs(corner.lower))
    slack = 0.0 if corner.gap == at_least else corner.gap - at_least
    exact = slack == 0 or (corner.solved and corner.upper - corner.reached <= EXACT_TOLERANCE * unit)
    return _Worst(corner.gap, slack, corner.weights, Kind.EXACT if exact else Kind.BOUNDED)


def _sampled(values: Array, asked: Asked, gap: Gap, samples: int, seed: int) -> Certificate:
    weights = sample_dirichlet(values.shape[1], samples, seed=seed)
    # Where no upper bound is known the policy found stands for the optimum: an estimate, as sampling is anyway.
    for row in weights:
        asked.ask(row)
    upper = asked.upper(weights)
    best = np.where(upper == math.inf, asked.reached(weights), upper)
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
        oracle_calls=asked.calls,
        covers_all=True,
    )


def _beside_rivals(values: list[Value], known: Finite, gap: Gap) -> Certificate:
    """J*_w = the best of a finite set: every gap by linear programs in rational arithmetic."""
    if values[0].rewards.shape != known.rivals[0].rewards.shape:
        raise InputError("the portfolio and the reference need the same number of objectives")
    lower, upper, method = known.limits(values)
    if not np.all(np.isfinite(upper)):
        # A value measured once has no interval.
        return Certificate(
            math.inf,
            math.inf,
            None,
            Kind.UNKNOWN,
            0.0,
            slack=math.inf,
            size=len(values),
            reference=known.over,
            covers_all=known.covers_all,
        )
    gaps = FiniteGaps(*_rational(values, known, method is not None, lower, upper))
    scan = CornerScan(lower, SolvedWeights(lower.shape[1], hull=False))
    scan.settle(lower_envelope(upper, scan.weights).best)
    corner, additive = scan.worst(gap), scan.worst(AdditiveGap())
    assert corner is not None
    assert additive is not None
    if isinstance(gap, AdditiveGap):
        size, where = gaps.least_delta(Fraction(gap.epsilon), corner.weights)
    else:
        size, where = gaps.least_epsilon(Fraction(gap.delta), corner.weights)
    epsilon, delta = _claim(gap, math.inf if size is None else float_above(size))
    if epsilon < math.inf and gaps.lowest + Fraction(delta) < 0 and not gaps.holds(Fraction(epsilon), Fraction(delta)):
        # Rounded up, ε claims too much where J* < 0.
        epsilon = math.inf
    least, _ = gaps.least_delta(Fraction(0), additive.weights)
    assert least is not None
    return Certificate(
        epsilon=epsilon,
        delta=delta,
        worst_weight=corner.weights if where is None else np.array([float(w) for w in where]),
        kind=Kind.EXACT if method is None else Kind.BOUNDED,
        confidence=1.0 if method is None else known.confidence,
        additive_gap=float_above(least),
        slack=0.0 if method is None else math.inf,
        size=len(values),
        corners=len(scan),
        reference=known.over,
        interval=method,
        covers_all=known.covers_all,
        proven=method is None,
        lowest=min(0.0, -float_above(-gaps.lowest)),
    )


def _rational(values: Sequence[Value], known: Finite, measured: bool, lower: Array, upper: Array) -> tuple[Rows, Rows]:
    """Vertex values of the portfolio and of its rivals: R − f·1 without rounding, or the confidence limits."""
    if measured:
        return [_exactly(row) for row in lower], [_exactly(row) for row in upper]
    return [value.exact_vertex_values for value in values], [value.exact_vertex_values for value in known.rivals]


def _exactly(row: Array) -> tuple[Fraction, ...]:
    return tuple(Fraction(float(x)) for x in row)
