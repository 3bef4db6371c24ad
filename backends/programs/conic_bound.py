"""A lower bound on a conic program from any dual point, its dual residual accounted for (weak duality)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backends.exact_sums import UNIT
from palm_theory.geometry.simplex import Array

REACH = 100.0
"""The bound holds for feasible points whose coordinates are at most REACH·(1 + ‖x‖_∞), x the solution found."""


def dual_lower_bound(data: Mapping[str, Any], point: Array, multipliers: Array) -> float:
    """A number ≤ ½x'ᵀPx' + qᵀx' for every feasible x' within reach, from one primal and one dual point.

    The program is min ½xᵀPx + qᵀx subject to b − Ax ∈ K and l ≤ x ≤ u (cvxpy's standard form, in ``data``). For any
    z ∈ K* (``multipliers``, (m,); interior-point iterates are in K*, simplex multipliers are clipped to it) and any x
    (``point``, (n,)), convexity of the quadratic gives for all feasible x'

        ½x'ᵀPx' + qᵀx' ≥ −½xᵀPx − bᵀz + rᵀx',   r = Px + q + Aᵀz,

    and rᵀx' is bounded below coordinate by coordinate from l ≤ x' ≤ u, with |x'_j| ≤ REACH·(1 + ‖x‖_∞) in place of an
    infinite bound. At an exact dual point r is 0 on unbounded coordinates and nothing depends on REACH; at a solver's
    point r is its dual residual, and a margin of about ‖r‖₁·REACH·‖x‖_∞ makes up for it. What rounding may take off all
    of this is taken off the bound.
    """
    a, b, q = data["A"], np.asarray(data["b"]), np.asarray(data["c"])
    quadratic = data.get("P")
    slope = np.zeros_like(point) if quadratic is None else np.asarray(quadratic @ point)
    residual = slope + q + a.T @ multipliers
    reach = REACH * (1 + float(np.abs(point).max(initial=0.0)))
    lower = _bounds(data.get("lower_bounds"), -reach, len(point))
    upper = _bounds(data.get("upper_bounds"), reach, len(point))
    worst = np.where(residual > 0, residual * lower, residual * upper)
    bound = float(-0.5 * point @ slope - b @ multipliers + worst.sum())
    sizes = np.abs(slope) + np.abs(q) + abs(a).T @ np.abs(multipliers)
    far = np.minimum(np.maximum(np.abs(lower), np.abs(upper)), reach)
    summed = np.abs(point) @ np.abs(slope) + np.abs(b) @ np.abs(multipliers) + np.abs(worst).sum() + sizes @ far
    return bound - (len(b) + len(point) + 4) * UNIT * float(summed)


def _bounds(given: Any, default: float, count: int) -> Array:
    if given is None:
        return np.full(count, default)
    bounds = np.asarray(given, dtype=np.float64)
    return np.where(np.isfinite(bounds), bounds, default)
