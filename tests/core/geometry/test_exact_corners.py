"""Corner weights in rational arithmetic: against brute force over all bases, ties and all."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from palm_theory.geometry.envelope import corner_weights
from palm_theory.geometry.exact_corners import exact_corners
from palm_theory.geometry.rational import float_above, rational_dot


def _solved(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction] | None:
    """The one solution of a square system, or None."""
    n = len(matrix)
    rows = [[*row, side] for row, side in zip(matrix, right, strict=True)]
    for i in range(n):
        pivot = next((r for r in range(i, n) if rows[r][i]), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for r in range(n):
            if r != i:
                rows[r] = [x - rows[r][i] * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [row[-1] for row in rows]


def _by_bases(rows: list[list[Fraction]]) -> set[tuple[Fraction, ...]]:
    """Every vertex of {(w, t): t ≥ ⟨w, G_k⟩, w ∈ Δ}: all choices of d constraints that meet in one feasible point."""
    d = len(rows[0])
    planes = [[*[-x for x in row], Fraction(1)] for row in rows]
    planes += [[Fraction(i == j) for j in range(d)] + [Fraction(0)] for i in range(d)]
    simplex = [Fraction(1)] * d + [Fraction(0)]
    found = set()
    for chosen in combinations(planes, d):
        point = _solved([simplex, *chosen], [Fraction(1)] + [Fraction(0)] * d)
        if point is not None and all(rational_dot(plane, point) >= 0 for plane in planes):
            found.add(tuple(point[:-1]))
    return found


@given(st.integers(1, 4), st.data())
def test_the_corners_are_the_vertices_of_all_bases(d, data):
    # Small integers tie, repeat and degenerate all the time.
    row = st.lists(st.integers(0, 3).map(Fraction), min_size=d, max_size=d)
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    corners = exact_corners(rows)
    assert set(corners) == _by_bases(rows)
    assert all(value == max(rational_dot(w, row) for row in rows) for w, value in corners.items())


def test_it_finds_the_corners_that_qhull_finds():
    values = np.random.default_rng(0).random((25, 4))
    exact = np.array([[float(x) for x in w] for w in exact_corners([[Fraction(x) for x in row] for row in values])])
    near = corner_weights(values)
    distance = np.abs(exact[:, None] - near[None]).sum(axis=2)
    assert len(exact) == len(near)
    assert max(distance.min(axis=0).max(), distance.min(axis=1).max()) < 1e-12


@given(st.fractions())
def test_a_float_above_is_the_least_one(number):
    above = float_above(number)
    assert Fraction(above) >= number > Fraction(np.nextafter(above, -np.inf))
