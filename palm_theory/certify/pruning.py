"""What an audit compares: by it a smallest subset is chosen, so that the audit finds the target met."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from palm_theory.certify.audit import OptimalValueOracle, among, confidence_limits, stack
from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.contract.calls import all_values
from palm_theory.contract.value import Value
from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.simplex import Array

Optimum = Callable[[Array], Array]
"""Weights (n, d) ↦ J* or an upper bound on it, (n,)."""


def judged(
    values: Sequence[Value], backend: PolicyBackend | None, confidence: float, evaluation_max: float | None
) -> tuple[Array, Optimum]:
    """Vertex values (K, d) of K policies, and J*, as an audit at ``confidence`` takes them.

    J* is the backend's, or without one the best of the policies themselves. Exact values stand for themselves. Values
    with standard errors stand at their lower confidence limits against the upper limits of all policies there are;
    ``evaluation_max`` is the range of a single evaluation of theirs, None where it is unknown.

    Raises InputError where measured values have no reference (a backend without ALL_VALUES) or no interval (one
    evaluation); the optimum raises CertificateError where the backend gives no upper bound.
    """
    if not any(value.is_estimate for value in values):
        stacked = stack(values)
        if backend is None:
            return stacked, lambda weights: lower_envelope(stacked, weights).best
        return stacked, lambda weights: np.array([_upper_bound(backend, row) for row in weights])
    everyone = values
    if backend is not None:
        if Power.ALL_VALUES not in backend.powers:
            raise InputError(
                f"{type(backend).__name__} does not list all its values; prune against the portfolio itself"
            )
        everyone, evaluation_max = all_values(backend), backend.evaluation_max
    limits = confidence_limits(among(values, everyone), everyone, confidence, evaluation_max)
    if not np.all(np.isfinite(limits.upper)):
        raise InputError("a value that was measured only once has no interval: nothing can be pruned")
    return limits.lower, lambda weights: lower_envelope(limits.upper, weights).best


def _upper_bound(backend: PolicyBackend, weights: Array) -> float:
    _, upper = OptimalValueOracle(backend)(weights)
    if upper == math.inf:
        raise CertificateError(
            f"{type(backend).__name__} gives no upper bound on J*; prune against the portfolio itself"
        )
    return upper
