"""The exact cells of a lower envelope on a segment or a triangle: where one policy serves best.

The cell of policy k is {w ∈ Δ : ⟨w, G_k⟩ ≥ ⟨w, G_j⟩ for all j}, G the vertex values: a convex polytope, cut out of the
simplex by K−1 half-spaces. Of equal policies the lowest index keeps the cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palm_theory.geometry.simplex import Array


@dataclass(frozen=True, eq=False)
class Cell:
    """Policy ``policy`` serves the weights spanned by ``corners`` (m, d), in order around; ``share`` is the cell's
    part of the simplex, so the share of users it serves where weights are uniform."""

    policy: int
    corners: Array
    share: float


def cells(values: Array) -> list[Cell]:
    """The cells of positive size of vertex values (K, d), d = 2 or 3, by policy. Shares sum to 1 to rounding."""
    found = []
    unit = np.abs(values).max() or 1.0
    for k in range(len(values)):
        corners = np.eye(values.shape[1])
        for j in range(len(values)):
            difference = (values[k] - values[j]) / unit
            if j < k and not difference.any():
                corners = corners[:0]
            elif j != k:
                corners = clip(corners, difference)
            if len(corners) == 0:
                break
        size = share(corners)
        if size > 1e-12:
            found.append(Cell(k, corners, size))
    return found


def clip(corners: Array, normal: Array) -> Array:
    """The part of a convex polygon (or segment) with ⟨normal, w⟩ ≥ 0 (Sutherland & Hodgman 1974); (m, d) in order."""
    heights = corners @ normal
    if len(corners) == 0 or heights.min() >= 0:
        return corners
    if heights.max() <= 0:
        return corners[:0]
    kept: list[Array] = []
    # A segment has one side; a polygon closes.
    sides = len(corners) if len(corners) > 2 else 1
    for i in range(len(corners)):
        if heights[i] >= 0:
            kept.append(corners[i])
        following = (i + 1) % len(corners)
        if i < sides and heights[i] * heights[following] < 0:
            along = heights[i] / (heights[i] - heights[following])
            kept.append(corners[i] + along * (corners[following] - corners[i]))
    return np.array(kept)


def share(corners: Array) -> float:
    """Length of a segment or area of a polygon of weights (m, d), relative to the whole simplex; d = 2 or 3."""
    if len(corners) < corners.shape[1]:
        return 0.0
    if corners.shape[1] == 2:
        return float(np.ptp(corners[:, 0]))
    x, y = corners[:, 0], corners[:, 1]
    # Half of it is the area; the triangle's own, in the first two weights, is 1/2.
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def tint_numbers(drawn: list[Cell], available: int) -> list[int]:
    """A number in 0..available−1 for every cell, such that neighbours differ where greedy colouring can do it."""
    keys = [{tuple(np.round(corner, 9)) for corner in cell.corners} for cell in drawn]
    dimension = drawn[0].corners.shape[1] if drawn else 0
    neighbours = [
        [j for j in range(len(drawn)) if j != i and len(keys[i] & keys[j]) >= dimension - 1] for i in range(len(drawn))
    ]
    chosen = [-1] * len(drawn)
    for i in sorted(range(len(drawn)), key=lambda i: (-len(neighbours[i]), i)):
        taken = [chosen[j] for j in neighbours[i]]
        used = [chosen.count(number) for number in range(available)]
        chosen[i] = min(range(available), key=lambda number: (taken.count(number), used[number], number))
    return chosen
