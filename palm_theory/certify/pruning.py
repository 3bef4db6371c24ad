"""What an audit compares: by it a smallest subset is chosen, so that the audit finds the target met."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from palm_theory.certify.audit import best_known
from palm_theory.certify.limits import stack
from palm_theory.certify.optimum import Finite, Optimum
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.value import Value
from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.simplex import Array


def judged(
    values: Sequence[Value], backend: PolicyBackend | None, confidence: float, evaluation_max: float | None
) -> tuple[Array, Callable[[Array], Array]]:
    """Vertex values (K, d) of K policies, and J* or an upper bound on it at weights (n, d), as an audit takes them.

    J* is the backend's, or without one the best of the policies themselves. Exact values stand for themselves. Values
    with standard errors stand at their lower confidence limits against the upper limits of all policies there are;
    ``evaluation_max`` is the range of a single evaluation of theirs, None where it is unknown.

    Raises InputError where measured values have no reference (a backend without ALL_VALUES) or no interval (one
    evaluation); the optimum raises CertificateError where the backend gives no upper bound.
    """
    measured = any(value.is_estimate for value in values)
    if backend is None:
        known: Optimum = Finite(
            values, "these policies", covers_all=True, evaluation_max=evaluation_max, confidence=confidence
        )
    else:
        known = best_known(backend, measured=measured, confidence=confidence)
    if isinstance(known, Finite):
        limits = known.limits(values)
        if not np.all(np.isfinite(limits.upper)):
            raise InputError("a value that was measured only once has no interval: nothing can be pruned")
        return limits.lower, lambda weights: lower_envelope(limits.upper, weights).best

    def optimum(weights: Array) -> Array:
        bounds = known.upper(weights)
        if np.isinf(bounds).any():
            raise CertificateError(
                f"{type(backend).__name__} gives no upper bound on J*; prune against the portfolio itself"
            )
        return bounds

    return stack(values), optimum
