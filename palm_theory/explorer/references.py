"""What the page compares a portfolio with, and what it is told of that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from palm_theory.certify.audit import best_known
from palm_theory.certify.certificate import Certificate, Kind
from palm_theory.certify.limits import stack
from palm_theory.certify.optimum import Asked, Finite, Optimum
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.calls import solve
from palm_theory.contract.value import Value
from palm_theory.geometry.simplex import Array, lattice_size, simplex_lattice

LATTICE_POINTS = 500
"""At most so many lattice weights at which a backend with a cheap J* is asked for it, for the page's upper bound."""

MAX_EMBEDDED = 1000
"""At most so many weights with an upper bound on J* are written into the page."""


def reference_of(
    portfolio: Sequence[Value],
    backend: PolicyBackend | None,
    candidates: Sequence[Value] | None,
    evaluation_max: float | None,
) -> Optimum:
    """Candidates where they are given, all there are to choose from; else the backend (all its policies where it lists
    them); else the portfolio itself.

    ``evaluation_max`` is the range of single evaluations of the portfolio and the candidates, None where unknown.
    """
    if candidates is not None:
        text = f"the best of {len(candidates)} candidate policies"
        return Finite(candidates, text, covers_all=True, evaluation_max=evaluation_max)
    if backend is None:
        text = f"this portfolio's own {len(portfolio)} policies"
        return Finite(portfolio, text, covers_all=False, evaluation_max=evaluation_max)
    known = best_known(backend, measured=any(value.is_estimate for value in portfolio), listed_first=True)
    if isinstance(known, Asked):
        d = len(backend.objectives)
        known.upper(_lattice(d) if known.is_cheap else np.eye(d))
    return known


def _lattice(d: int) -> Array:
    """The finest simplex lattice of at most 500 points: its weights are asked for before any other."""
    n = 1
    while d > 1 and lattice_size(d, n + 1) <= LATTICE_POINTS:
        n += 1
    return simplex_lattice(d, n)


def knowledge(known: Optimum, portfolio: Sequence[Value]) -> dict[str, Any]:
    """What the page needs to bracket J* at any weight: the values of finite sets, with their limits where they are
    estimates; of a backend what it answered, and policies found on the way."""
    if isinstance(known, Asked):
        return _answers(known, stack(portfolio))
    assert isinstance(known, Finite), "the page compares with a finite set or a backend"
    stacked = stack([*known.rivals, *portfolio])
    data: dict[str, Any] = {"type": "finite", "values": np.unique(stacked, axis=0).tolist()}
    if any(value.is_estimate for value in [*known.rivals, *portfolio]):
        limits = known.limits(portfolio)
        finite = bool(np.all(np.isfinite(limits.upper)))
        data["limits"] = {
            "lower": limits.lower.tolist() if finite else None,
            "upper": limits.upper.tolist() if finite else None,
            "confidence": known.confidence,
            "interval": limits.method,
        }
    return data


def _answers(known: Asked, portfolio: Array) -> dict[str, Any]:
    """Weights asked for with upper bounds on J* there, and the policies found on the lattice."""
    weights, upper = np.stack(known.solved.weights), np.array(known.solved.upper)
    bounded = np.flatnonzero(np.isfinite(upper))
    if len(known.solved.unbounded_vertices()):
        bounded = bounded[:0]
    elif len(bounded) > MAX_EMBEDDED:
        # The lattice comes first; of the corners asked for in audits an even choice.
        rest = np.linspace(LATTICE_POINTS, len(bounded) - 1, MAX_EMBEDDED - LATTICE_POINTS).astype(int)
        bounded = bounded[np.concatenate([np.arange(LATTICE_POINTS), rest])]
    found = [*portfolio]
    if known.is_cheap:
        found += [solve(known.backend, row).value.vertex_values for row in _lattice(portfolio.shape[1])]
    return {
        "type": "solved",
        "weights": weights[bounded].tolist(),
        "upper": upper[bounded].tolist(),
        "found": np.unique(np.stack(found), axis=0).tolist(),
    }


def through_portfolio(own: Certificate, whole: Certificate) -> Certificate | None:
    """The claim of a subset against what the whole portfolio was certified against; None where nothing follows.

    ``own`` says L_S ≥ (1−ε')L_P − 0 and L_S ≥ L_P − δ', ``whole`` says L_P ≥ (1−ε)J* − δ and L_P ≥ J* − δ''. So
    L_S ≥ (1−ε')(1−ε)J* − (1−ε')δ and L_S ≥ J* − δ' − δ''. Only for certain claims: confidence 1 on both sides.
    """
    if whole.kind not in (Kind.EXACT, Kind.BOUNDED) or whole.confidence < 1 or own.confidence < 1:
        return None
    if own.epsilon == own.additive_gap == 0:
        return replace(whole, size=own.size)
    kept = 1 - own.epsilon if math.isfinite(own.epsilon) else math.nan
    epsilon = 1 - kept * (1 - whole.epsilon)
    return replace(
        whole,
        epsilon=epsilon if math.isfinite(epsilon) else math.inf,
        delta=kept * whole.delta if math.isfinite(epsilon) else 0.0,
        worst_weight=own.worst_weight,
        kind=Kind.BOUNDED,
        additive_gap=own.additive_gap + whole.additive_gap,
        slack=math.inf,
        size=own.size,
        size_bound=None,
        corners=own.corners,
        oracle_calls=0,
    )
