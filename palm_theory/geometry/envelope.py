"""The geometry of Theorem 3: lower envelope, corner weights, upper hull. Pure functions of arrays, no I/O.

A policy with rewards R and regulariser f is the linear function w ↦ ⟨w, R⟩ − f on the simplex. Since Σw = 1 it is
⟨w, G⟩ with G = R − f·1, its *vertex values*: G_i is its value at the vertex e_i. Everything here works on G alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.errors import CertificateError
from palm_theory.geometry.simplex import Array, as_float_array

ROUNDING = 1e-12
"""Two values of J_w within this multiple of max_k Σ_i w_i|G_ki| count as equal: float64 geometry is no sharper."""

NUDGES = (0.0, 1e-12, 1e-11, 1e-10)
"""Where Qhull cannot tell policies apart (clusters a rounding error wide, many planes through one point), each policy
is lowered by a random part of this, relative to the spread of the values, and Qhull asked again. A gap is then
overlooked by no more than that: at the corners of L' with L − nudge ≤ L' ≤ L, the lemma bounds J* − L' everywhere."""

BLOCK_ELEMENTS = 131_072


def vertex_values(rewards: ArrayLike, regularizers: ArrayLike) -> Array:
    """G = R − f·1, shape (K, d), from rewards (K, d) and regularisers (K,): J_w(π_k) = ⟨w, G_k⟩ on the simplex."""
    return as_float_array(rewards, "rewards") - as_float_array(regularizers, "regularizers")[:, None]


def rounding_at(values: Array, weights: Array) -> Array:
    """How far two values at each weight may lie apart and still count as equal: ROUNDING·max_k Σ_i w_i|G_ki|, (n,)."""
    return ROUNDING * lower_envelope(np.abs(values), weights).best


def scalarize(values: Array, weights: Array) -> Array:
    """J_w(π_k) = ⟨w, G_k⟩ for every row of ``weights`` (n, d) and of ``values`` (K, d): shape (n, K).

    Summed over objectives in order, so one weight gives the same bits alone or among a million.
    """
    total = weights[:, :1] * values[None, :, 0]
    for i in range(1, values.shape[1]):
        total += weights[:, i : i + 1] * values[None, :, i]
    return total


class Envelope(NamedTuple):
    """At n weights: ``best`` (n,) holds L(w) = max_k ⟨w, G_k⟩, ``policy`` (n,) the lowest k attaining it."""

    best: Array
    policy: np.ndarray


def lower_envelope(values: Array, weights: Array) -> Envelope:
    """L(w) = max_k ⟨w, G_k⟩ at each row of ``weights`` (n, d), in blocks that stay in cache; ties: lowest index."""
    n, count = len(weights), len(values)
    best, index = np.empty(n), np.empty(n, dtype=np.int64)
    block = max(1, BLOCK_ELEMENTS // count)
    for start in range(0, n, block):
        rows = slice(start, min(start + block, n))
        table = scalarize(values, weights[rows])
        index[rows] = table.argmax(axis=1)
        best[rows] = np.take_along_axis(table, index[rows, None], axis=1)[:, 0]
    return Envelope(best, index)


def corner_weights(values: Array) -> Array:
    """All corner weights of L(w) = max_k ⟨w, G_k⟩: the vertices of its cells, the simplex's vertices included.

    Shape (m, d), distinct, in lexicographic order. One half-space intersection of {(w, t) : t ≥ ⟨w, G_k⟩, w ∈ Δ} by
    Qhull. Objectives are first shifted and scaled to [0, 1], so rewards of any magnitude are as well
    conditioned as any other.

    Raises CertificateError where Qhull fails; corners are never silently left out.
    """
    # Imported here to keep the import of the package fast.
    from scipy.spatial import HalfspaceIntersection, QhullError

    unique = np.unique(values, axis=0)
    d = unique.shape[1]
    vertices = np.eye(d)
    if d == 1 or len(unique) == 1:
        return vertices
    rescaled, spread = _rescaled(unique)
    unit = np.unique(rescaled, axis=0)

    # Unknowns (w_1..w_{d-1}, t), w_d = 1 - sum. A row [a, b] is a·x + b <= 0; the ceiling t <= 2 makes it bounded.
    free = unit[:, :-1] - unit[:, -1:]
    planes = np.column_stack([free, -np.ones(len(unit)), unit[:, -1]])
    nonnegative = np.column_stack([-np.eye(d - 1), np.zeros((d - 1, 2))])
    last = np.concatenate([np.ones(d - 1), [0.0, -1.0]])
    ceiling = np.concatenate([np.zeros(d - 1), [1.0, -2.0]])
    inside = np.concatenate([np.full(d - 1, 1 / d), [1.5]])
    offsets = np.random.default_rng(0).random(len(unit))
    failure: QhullError | None = None
    for nudge in NUDGES:
        planes[:, -1] = unit[:, -1] - nudge * offsets
        try:
            polytope = HalfspaceIntersection(np.vstack([planes, nonnegative, last, ceiling]), inside)
        except QhullError as error:
            failure = error
        else:
            break
    else:
        raise CertificateError(f"Qhull could not find the corner weights of {len(unique)} policies: {failure}")
    points = polytope.intersections
    points = points[np.all(np.isfinite(points), axis=1) & (points[:, -1] < 1.5)]
    scaled = np.column_stack([points[:, :-1], 1 - points[:, :-1].sum(axis=1)])
    scaled[np.abs(scaled) < ROUNDING] = 0.0
    distinct = _distinct(np.vstack([vertices, np.clip(scaled, 0.0, None)]))
    corners = distinct / spread
    return corners / corners.sum(axis=1, keepdims=True)


def _rescaled(values: Array) -> tuple[Array, Array]:
    """``values`` with every objective shifted and scaled to [0, 1], and the scales (d,).

    A shift adds a linear function to the envelope, a scaling maps w_i to w_i·s_i: cells go to cells.
    """
    low = values.min(axis=0)
    spread = values.max(axis=0) - low
    spread = np.where(spread > 0, spread, spread.max() or 1.0)
    return (values - low) / spread, spread


def _distinct(weights: Array) -> Array:
    """Rows of ``weights`` that differ by more than rounding, in lexicographic order of the rounded rows."""
    _, first = np.unique(np.round(weights, 11) + 0.0, axis=0, return_index=True)
    return weights[first]


def distinct_policies(values: Array) -> np.ndarray:
    """The lowest index of every distinct row of ``values`` (K, d), increasing."""
    _, first = np.unique(values, axis=0, return_index=True)
    return np.sort(first)


def essential_policies(values: Array) -> np.ndarray:
    """Indices, increasing, of policies with vertex values (K, d) that keep the lower envelope; redundant ones go.

    A policy is redundant where it is strictly best nowhere: a duplicate, one that is never best, one that only ties
    (all to rounding). Of equal policies the lowest index stays. A policy's cell is spanned by the corner weights at
    which it is best, so it is strictly best somewhere iff it is so at their centroid.
    """
    kept = distinct_policies(values)
    # In units in which every objective counts alike, or a centroid would be that of the largest objective alone.
    unit, _ = _rescaled(values[kept])
    corners = corner_weights(unit)
    table = scalarize(unit, corners)
    touches = table >= table.max(axis=1, keepdims=True) - rounding_at(unit, corners)[:, None]
    centroids = touches.T @ corners / np.maximum(touches.sum(axis=0), 1)[:, None]
    margins = rounding_at(unit, centroids)
    alive = touches.any(axis=0)
    for k in range(len(kept) - 1, -1, -1):
        if not alive[k] or alive.sum() == 1:
            continue
        others = alive.copy()
        others[k] = False
        rival = scalarize(unit[others], centroids[k : k + 1]).max()
        own = scalarize(unit[k : k + 1], centroids[k : k + 1])[0, 0]
        alive[k] = own - rival > margins[k]
    return kept[alive]
