"""The geometry of Theorem 3: lower envelope, corner weights, upper hull. Pure functions of arrays, no I/O.

A policy with rewards R and regulariser f is the linear function w ↦ ⟨w, R⟩ − f on the simplex. Since Σw = 1 it is
⟨w, G⟩ with G = R − f·1, its *vertex values*: G_i is its value at the vertex e_i. Everything here works on G alone.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.errors import CertificateError
from palm_theory.geometry.simplex import Array, as_float_array

ROUNDING = 1e-12
"""Two values of J_w within this multiple of the numbers that they are sums of count as equal (``rounding_at``)."""

NUDGES = (0.0, 1e-12, 1e-11, 1e-10)
"""Where Qhull cannot tell policies apart (clusters a rounding error wide, many planes through one point), each policy
is lowered by a random part of this, relative to the spread of the values, and Qhull asked again. A gap is then
overlooked by no more than that: at the corners of L' with L − nudge ≤ L' ≤ L, the lemma bounds J* − L' everywhere."""

OUTLYING = 1e-4
"""A policy beside which all others differ, in some objective, by less than this share of the spread is an outlier."""

SMALL = 1e-290
"""Of numbers below this 1/x may be too large for a float."""

BLOCK_ELEMENTS = 131_072


def vertex_values(rewards: ArrayLike, regularizers: ArrayLike) -> Array:
    """G = R − f·1, shape (K, d), from rewards (K, d) and regularisers (K,): J_w(π_k) = ⟨w, G_k⟩ on the simplex."""
    return as_float_array(rewards, "rewards") - as_float_array(regularizers, "regularizers")[:, None]


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


def rounding_at(values: Array, weights: Array) -> Array:
    """How far two values at each weight may lie apart and still count as equal, (n,): ROUNDING·Σ_i w_i|G_ki|, the
    largest over the policies that are best there to this very rounding. Others, whatever their numbers, do not matter.
    """
    rounding = np.empty(len(weights))
    block = max(1, BLOCK_ELEMENTS // len(values))
    for start in range(0, len(weights), block):
        rows = slice(start, min(start + block, len(weights)))
        table = scalarize(values, weights[rows])
        sizes = ROUNDING * scalarize(np.abs(values), weights[rows])
        best = table.max(axis=1, keepdims=True)
        rounding[rows] = np.where(table >= best - sizes, sizes, 0.0).max(axis=1)
    return rounding


def undominated(values: Array) -> np.ndarray:
    """Indices, increasing, of the rows of ``values`` (K, d) that no other equals or exceeds in every coordinate; of
    equal rows the lowest index. The others are never the only best policy, so the envelope is the same without them.
    """
    order = distinct_policies(values)
    # A row that dominates another has a sum at least as large, also when rounded, and is lexicographically larger.
    order = order[np.lexsort((*-values[order].T[::-1], -values[order].sum(axis=1)))]
    kept: list[int] = []
    while order.size:
        first, order = order[0], order[1:]
        kept.append(int(first))
        order = order[(values[order] > values[first]).any(axis=1)]
    return np.sort(np.array(kept))


def corner_weights(values: Array) -> Array:
    """All corner weights of L(w) = max_k ⟨w, G_k⟩: the vertices of its cells, the simplex's vertices included.

    Shape (m, d), distinct, in lexicographic order. One half-space intersection of {(w, t) : t ≥ ⟨w, G_k⟩, w ∈ Δ} by
    Qhull, of the policies that none dominates. Objectives are first shifted and scaled to [0, 1], so rewards of any
    magnitude are as well conditioned as any other. A policy so bad in an objective that beside it all others look the
    same there can only be best where that objective hardly counts: what the others leave elsewhere is looked for once
    more without it.

    Raises CertificateError where Qhull fails; corners are never silently left out.
    """
    unique = np.unique(values[undominated(values)], axis=0)
    d = unique.shape[1]
    if d == 1 or len(unique) == 1:
        return np.eye(d)
    corners = _corners_at_scale(unique)
    ordinary = unique[~_outliers(unique)]
    if len(ordinary) in (0, len(unique)):
        return corners
    found = corner_weights(ordinary)
    lower = lower_envelope(ordinary, found).best
    still = lower_envelope(unique, found).best - lower <= rounding_at(unique, found)
    both = np.vstack([corners, found[still]])
    _, first = np.unique(np.round(both, 15) + 0.0, axis=0, return_index=True)
    return both[first]


def _outliers(values: Array) -> np.ndarray:
    """Which of K ≥ 2 policies, (K,), are so far below all others in some objective that these, which differ, do so by
    less than ``OUTLYING`` of the spread there."""
    ordered = np.sort(values, axis=0)
    others, spread = ordered[-1] - ordered[1], ordered[-1] - ordered[0]
    return ((values == ordered[0]) & (others > 0) & (others < OUTLYING * spread)).any(axis=1)


def _corners_at_scale(unique: Array) -> Array:
    """The corner weights of distinct policies (K, d), K ≥ 2 and d ≥ 2, as well as one scaling of each objective shows
    them."""
    # Imported here to keep the import of the package fast.
    from scipy.spatial import HalfspaceIntersection, QhullError

    d = unique.shape[1]
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
    distinct = _distinct(np.vstack([np.eye(d), np.clip(scaled, 0.0, None)]))
    # Where quotients could overflow, products that cannot.
    smallest = spread.min()
    corners = distinct / spread if smallest > SMALL else distinct * np.maximum(smallest / spread, sys.float_info.min)
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
    _, first = np.unique(np.round(weights, 13) + 0.0, axis=0, return_index=True)
    return weights[first]


def distinct_policies(values: Array) -> np.ndarray:
    """The lowest index of every distinct row of ``values`` (K, d), increasing."""
    _, first = np.unique(values, axis=0, return_index=True)
    return np.sort(first)


def essential_policies(values: Array) -> np.ndarray:
    """Indices, increasing, of policies with vertex values (K, d) that keep the lower envelope; redundant ones go.

    A policy is redundant where it is strictly best nowhere: a duplicate, one that is never best, one that only ties
    (all to rounding). Of equal policies the lowest index stays. A policy's cell is spanned by the corner weights at
    which it is best, so it is strictly best somewhere iff it is so at their centroid. Where ties closer than rounding
    make that centroid one of another cell, the corner lemma tells: a policy that the rest miss at one of their own
    corners comes back.
    """
    kept = undominated(values)
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
    everyone = values[kept]
    while True:
        corners = corner_weights(everyone[alive])
        best = lower_envelope(everyone, corners)
        short = best.best - lower_envelope(everyone[alive], corners).best - rounding_at(everyone, corners)
        if short.max() <= 0:
            return kept[alive]
        alive[best.policy[short.argmax()]] = True
