"""Exact checks of extreme points in integer arithmetic, without the code under test's floating-point geometry."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np

from palm_theory.geometry.envelope import corner_weights


def is_uniquely_best_somewhere(point: np.ndarray, others: np.ndarray, weights: np.ndarray) -> bool:
    """Whether ⟨w, point⟩ > ⟨w, other⟩ for all others, at ``weights`` made rational: a proof that point is extreme."""
    exact = [Fraction(float(w)) for w in weights]
    assert all(w > 0 for w in exact)
    own = sum(w * int(x) for w, x in zip(exact, point, strict=True))
    return all(own > sum(w * int(x) for w, x in zip(exact, row, strict=True)) for row in others)


def centroid_of_cell(k: int, points: np.ndarray) -> np.ndarray:
    """A weight inside the cell of point k: the mean of the corner weights at which it is best."""
    corners = corner_weights(points)
    scores = corners @ points.T
    best = scores.max(axis=1)
    mine = corners[scores[:, k] >= best - 1e-9 * np.abs(best)]
    return mine.mean(axis=0)


def exact_corners(points: np.ndarray) -> list[tuple[int, ...]]:
    """The corner weights of three-objective integer points as integer vectors (not normalised), each proven a vertex.

    Near every corner that floating-point geometry gives, the exact one is the cross product of two differences of
    points (or of one and an axis, on the simplex's boundary); that it is on the envelope is checked exactly.
    """
    found = set()
    table = [[int(x) for x in row] for row in points]
    for weights in corner_weights(points.astype(float)):
        scores = weights @ points.T
        active = np.flatnonzero(scores >= scores.max() - 1e-9 * abs(scores.max()))
        zeros = [i for i in range(3) if weights[i] == 0]
        normals = [
            [a - b for a, b in zip(table[p], table[q], strict=True)] for p, q in itertools.combinations(active, 2)
        ]
        normals += [[int(i == k) for i in range(3)] for k in zeros]
        for first, second in itertools.combinations(normals, 2):
            cross = (
                first[1] * second[2] - first[2] * second[1],
                first[2] * second[0] - first[0] * second[2],
                first[0] * second[1] - first[1] * second[0],
            )
            if (any(x > 0 for x in cross) and any(x < 0 for x in cross)) or not any(cross):
                continue
            exact = tuple(abs(x) for x in cross)
            near = np.array([float(Fraction(x, sum(exact))) for x in exact])
            if np.abs(near - weights).max() < 1e-7:
                found.add(exact)
                break
        else:
            raise AssertionError(f"no exact vertex near {weights}")
    return sorted(found)


def knapsack_optimum(row: list[int], sizes: list[int], capacity: int) -> int:
    """max Σ row_j·x_j by dynamic programming in 64-bit integers; exact while Σ row < 2^63."""
    assert sum(row) < 2**62
    best = np.zeros(capacity + 1, dtype=np.int64)
    for gain, size in zip(row, sizes, strict=True):
        if size <= capacity and gain > 0:
            best[size:] = np.maximum(best[size:], best[: capacity + 1 - size] + gain)
    return int(best[-1])


def best_of(points: np.ndarray, weights: tuple[int, ...]) -> int:
    """max_k ⟨weights, point_k⟩ in Python's integers."""
    return max(sum(w * int(x) for w, x in zip(weights, row, strict=True)) for row in points)


def reduced(weights: tuple[int, ...]) -> tuple[int, ...]:
    """Integer weights without their common divisor."""
    divisor = int(np.gcd.reduce(np.array(weights, dtype=object)))
    return tuple(w // divisor for w in weights)
