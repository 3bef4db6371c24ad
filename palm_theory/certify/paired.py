"""Certificates from policies measured on the same evaluation units: what the units share cancels in the differences.

With g_k ∈ R^d the vertex values r − f·1 of policy k on one unit (a prompt), J_w(π_k) = ⟨w, E g_k⟩. Let U_jk be upper
confidence limits of E[g_j − g_k], coordinate by coordinate, for every reference policy j and every k of the portfolio,
and L_k lower limits of E[g_k]. Where all hold together, for every w ∈ Δ and every ε ∈ [0, 1]

    (1−ε)·J_w(π_j) − max_k J_w(π_k) ≤ min_k ⟨w, (1−ε)·U_jk − ε·L_k⟩,

whose largest value over the simplex is a linear program in (w, t). One set of limits serves every ε, so that the least
ε that passes may be looked for (docs/theory/statistics.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.certify.certificate import Certificate, Kind
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.calls import paired_reference, paired_values
from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.intervals import split_failure
from palm_theory.geometry.simplex import Array, as_float_array

EPSILON_STEPS = 40
"""Halvings of [0, 1] in the search for ε: to 10⁻¹², and upwards, so that what is claimed has passed."""


def audit_paired(
    portfolio: Sequence[ArrayLike],
    reference: Sequence[ArrayLike],
    *,
    confidence: float = 0.95,
    delta: float = 0.0,
    value_range: float | None = None,
    chosen_from: int | None = None,
    described: str | None = None,
) -> Certificate:
    """The least ε, at additive gap ``delta``, for which max_k J_w(π_k) ≥ (1−ε)·J_w(π_j) − δ holds for every w ∈ Δ and
    every reference policy j, with probability at least ``confidence``.

    Parameters
    ----------
    portfolio : for each of the K ≥ 1 policies its vertex values r − f·1 on N units, shape (N, d), row n of every
        policy measured on unit n; N ≥ 2.
    reference : the same for the policies that stand for J*. Members of the portfolio among them, told by being the
        same object, need no comparison. Equal numbers do not make two policies one.
    value_range : length of an interval that holds every vertex value, where one is known. It is used only where a
        difference is the same on all N units and so shows no spread: what was never seen then has probability at most
        1 − p^(1/N), p the failure allowed to the limit, and moves a mean by at most that times the range.
    chosen_from : of how many policies the portfolio was chosen by these very numbers; the limits then hold for each.
        By default it was not chosen.
    described : what the reference is, for people.

    Intervals are Student's t on the paired differences, an approximation for large N, split by Bonferroni. The kind is
    "bounded", the confidence as given; without any reference policy outside the portfolio the claim holds with
    certainty and is 0. Raises InputError on shapes that do not pair, numbers that are not finite, or a confidence or
    a delta out of range; CertificateError where a difference shows no spread and there is no ``value_range``.
    """
    if not (math.isfinite(delta) and delta >= 0):
        raise InputError(f"delta must be finite and >= 0, got {delta}")
    outside = [values for values in reference if not any(values is own for own in portfolio)]
    ours = _checked(portfolio)
    others = _checked(outside) if outside or not reference else []
    n, d = ours[0].shape
    if any(values.shape != (n, d) for values in [*ours, *others]):
        raise InputError(f"every policy needs values of one shape (N, d) on the same units, here {(n, d)}")
    candidates = max(len(ours), chosen_from or 0)
    compared = len(others) + (len(ours) - 1 if candidates > len(ours) else 0)
    failure = split_failure(confidence, candidates * d * (1 + compared))
    limits = _Limits(n, failure, value_range)
    upper = np.array([[limits.above(other - own) for own in ours] for other in others])
    lower = np.array([limits.below(own) for own in ours]) if others else np.zeros((len(ours), d))
    epsilon, weights = _least_epsilon(upper, lower, delta)
    additive, _ = _worst(upper)
    return Certificate(
        epsilon=epsilon,
        delta=delta,
        worst_weight=weights,
        kind=Kind.BOUNDED,
        confidence=confidence if others else 1.0,
        additive_gap=max(0.0, additive),
        slack=math.inf if others else 0.0,
        size=len(ours),
        reference=described or f"{len(reference)} policies measured on the same {n} units",
        interval="paired t" if others else None,
    )


def certify_paired(
    backend: PolicyBackend, portfolio: Sequence[Any], solved: Sequence[Any] | None = None, *, confidence: float = 0.95
) -> Certificate:
    """``audit_paired`` of a portfolio's policies against every policy ``solved``, its members among them as the same
    objects, and the backend's own reference. Without ``solved`` only the members are known, and the reference says so.

    ``backend`` declares PAIRED_VALUES. R_max stands for the range of a unit's values: where a difference shows no
    spread, f is taken not to vary either. Raises BackendError where its values are not as that power promises.
    """
    ours = [paired_values(backend, policy) for policy in portfolio]
    named = paired_reference(backend)
    outside = [policy for policy in solved or () if not any(policy is own for own in portfolio)]
    reference = [
        *ours,
        *(paired_values(backend, policy) for policy in outside),
        *(values for group in named.values() for values in group),
    ]
    candidates = "its own members" if solved is None else f"the {len(solved)} policies solved"
    return audit_paired(
        ours,
        reference,
        confidence=confidence,
        value_range=backend.reward_max,
        chosen_from=len(ours) + len(outside),
        described=candidates + "".join(f", {name}" for name in named),
    )


def _checked(policies: Sequence[ArrayLike]) -> list[Array]:
    values = [as_float_array(policy, "values of a policy") for policy in policies]
    if not values:
        raise InputError("at least one policy is needed")
    for array in values:
        if array.ndim != 2 or len(array) < 2 or array.shape[1] < 1:
            raise InputError(f"values of a policy must have shape (N, d) with N >= 2, got {array.shape}")
        if not np.all(np.isfinite(array)):
            raise InputError("values of a policy must be finite")
    return values


class _Limits:
    """One-sided confidence limits of means of N units, each failing with probability ``failure``."""

    def __init__(self, units: int, failure: float, value_range: float | None) -> None:
        # SciPy is loaded where it is needed: it takes longer than the rest of a command that does not.
        from scipy.special import stdtrit

        self._width = float(stdtrit(units - 1, 1 - failure)) / math.sqrt(units)
        self._unseen = -math.expm1(math.log(failure) / units)
        self._range = math.inf if value_range is None else value_range

    def above(self, differences: Array) -> Array:
        """Upper limits of the means of differences (N, d)."""
        means = differences.mean(axis=0)
        return means + self._halfwidth(differences, np.maximum(self._range - means, 0.0))

    def below(self, values: Array) -> Array:
        """Lower limits of the means of values (N, d)."""
        return values.mean(axis=0) - self._halfwidth(values, np.full(values.shape[1], self._range))

    def _halfwidth(self, values: Array, room: Array) -> Array:
        """t·s/√N; where all N are the same, what may be unseen times the ``room`` (d,) that the range leaves it."""
        constant = np.ptp(values, axis=0) == 0
        if constant.any() and self._range == math.inf:
            raise CertificateError(
                f"two policies differ by the same number on all {len(values)} units, or one has the same value on all: "
                "that shows no spread to make an interval of; give value_range, or more units"
            )
        return np.where(constant, self._unseen * room, self._width * values.std(axis=0, ddof=1))


def _worst(payoffs: Array) -> tuple[float, Array | None]:
    """max_j max_{w ∈ Δ} min_k ⟨w, payoffs[j, k]⟩ of (J, K, d), and the w; −inf where there is no j."""
    from scipy.optimize import linprog

    best, where = -math.inf, None
    # The solver's tolerances are absolute.
    scale = float(np.abs(payoffs).max(initial=0.0)) or 1.0
    for rows in payoffs / scale:
        k, d = rows.shape
        # Variables (w, t): maximise t with t ≤ ⟨w, row⟩ for every row.
        answer = linprog(
            np.r_[np.zeros(d), -1.0],
            A_ub=np.c_[-rows, np.ones(k)],
            b_ub=np.zeros(k),
            A_eq=np.r_[np.ones(d), 0.0][None],
            b_eq=[1.0],
            bounds=[(0, None)] * d + [(None, None)],
        )
        if not answer.success:
            raise CertificateError(f"the linear program of a paired audit failed: {answer.message}")
        weights = np.clip(answer.x[:d], 0, None)
        weights /= weights.sum()
        # Weak duality makes any dual solution a bound; the primal value at the weights found may lie below it.
        value = scale * max(float((rows @ weights).min()), -float(answer.fun))
        if value > best:
            best, where = value, weights
    return best, where


def _least_epsilon(upper: Array, lower: Array, delta: float) -> tuple[float, Array | None]:
    """The least ε ∈ [0, 1] that passes, or inf, and the weights where it is tightest."""

    def worst(epsilon: float) -> tuple[float, Array | None]:
        return _worst((1 - epsilon) * upper - epsilon * lower[None]) if len(upper) else (-math.inf, None)

    gap, weights = worst(0.0)
    if gap <= delta:
        return 0.0, weights
    if worst(1.0)[0] > delta:
        return math.inf, worst(1.0)[1]
    low, high = 0.0, 1.0
    for _ in range(EPSILON_STEPS):
        middle = (low + high) / 2
        gap, found = worst(middle)
        if gap <= delta:
            high = middle
        else:
            low, weights = middle, found
    return high, weights
