"""The lower envelope in rational arithmetic: where a linear function exceeds it most, and a mixture that proves it.

Every float64 is a rational number. So nothing here is rounded, and what it returns is a proof: by linear programming
duality, with L(w) = max_k ⟨w, G_k⟩,

    max_{w ∈ Δ} ⟨w, h⟩ − L(w)  =  min_{q ≥ 0, Σq = 1} max_i h_i − Σ_k q_k·G_ki.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from operator import mul
from typing import NamedTuple

Rational = Sequence[Fraction]


class Support(NamedTuple):
    """Where ⟨w, h⟩ exceeds L most: the ``excess`` (negative where it stays below), the weights (d,) at which it does,
    and a mixture of policies, q_k by k, with h_i − Σ_k q_k·G_ki ≤ excess for every i."""

    excess: Fraction
    weights: tuple[Fraction, ...]
    mixture: dict[int, Fraction]


class _Corner(NamedTuple):
    """A basis: d constraints that meet in one point (w, t), and the inverse N/D of their matrix, D > 0.

    Constraint k < K is t ≥ ⟨w, G_k⟩, constraint K + i is w_i ≥ 0. Column 0 of N belongs to Σw = 1, so it holds the
    point; column 1 + j to the j-th constraint, so it holds the way that leaves it while all others stay tight.
    """

    tight: tuple[int, ...]
    numerators: tuple[tuple[int, ...], ...]
    denominator: int


class ExactEnvelope:
    """L(w) = max_k ⟨w, G_k⟩ of rational rows (K, d), searched by the simplex method from corner to corner.

    Integers throughout: rows are multiplied by their common denominator, and bases keep the adjugate of their matrix
    (Edmonds 1967). Bland's rule, so no search goes round in circles. Corners met are remembered.
    """

    def __init__(self, rows: Sequence[Rational]) -> None:
        self._unit = math.lcm(*(x.denominator for row in rows for x in row))
        self._rows = [[int(x * self._unit) for x in row] for row in rows]
        self._d = len(rows[0])
        start = self._at_vertex(0)
        self._known = {start.tight: start}
        self._next: dict[tuple[tuple[int, ...], int], tuple[int, ...]] = {}
        self._last = start

    def _at_vertex(self, vertex: int) -> _Corner:
        """The simplex's vertex e_v, with the best policy there: w_i = 0 for i ≠ v, w_v = 1, t = G_kv."""
        d, best = self._d, max(range(len(self._rows)), key=lambda k: self._rows[k][vertex])
        row = self._rows[best]
        others = [i for i in range(d) if i != vertex]
        columns = [[int(i == vertex) for i in range(d)] + [row[vertex]], [0] * d + [1]]
        # Leaving w_i = 0 means w_i grows, w_v falls as much, and t follows the policy.
        for i in others:
            columns.append([(j == i) - (j == vertex) for j in range(d)] + [row[i] - row[vertex]])
        numerators = tuple(zip(*columns, strict=True))
        return _Corner((best, *(len(self._rows) + i for i in others)), numerators, 1)

    def support(self, target: Rational) -> Support:
        """Where ⟨w, h⟩ − L(w) is largest, for h = ``target`` (d,)."""
        scale = math.lcm(self._unit, *(x.denominator for x in target))
        # ⟨w, h⟩ − t in integers: t counts in units of the rows.
        objective = [int(x * scale) for x in target]
        objective.append(-(scale // self._unit))
        corner = self._last
        while True:
            gains = [sum(map(mul, objective, column)) for column in zip(*corner.numerators, strict=True)]
            leaving = min((c for c, gain in zip(corner.tight, gains[1:], strict=True) if gain > 0), default=None)
            if leaving is None:
                break
            corner = self._neighbour(corner, leaving)
        self._last = corner
        whole = scale * corner.denominator
        weights = tuple(Fraction(row[0], corner.denominator) for row in corner.numerators[:-1])
        mixture = {
            c: Fraction(-gain * self._unit, whole)
            for c, gain in zip(corner.tight, gains[1:], strict=True)
            if c < len(self._rows) and gain
        }
        return Support(Fraction(gains[0], whole), weights, mixture)

    def _neighbour(self, corner: _Corner, leaving: int) -> _Corner:
        """The corner at the other end of the edge on which constraint ``leaving`` is the one that is not tight."""
        key = (corner.tight, leaving)
        if key not in self._next:
            position = 1 + corner.tight.index(leaving)
            entering = self._first_met(corner, position)
            moved = self._pivoted(corner, position, entering)
            self._next[key] = self._known.setdefault(moved.tight, moved).tight
        return self._known[self._next[key]]

    def _slack(self, constraint: int, point: Sequence[int]) -> int:
        """How far a constraint is from being tight at, or moves along, (w, t) up to a positive factor."""
        if constraint >= len(self._rows):
            return point[constraint - len(self._rows)]
        return point[-1] - sum(map(mul, self._rows[constraint], point))

    def _first_met(self, corner: _Corner, position: int) -> int:
        """Which constraint ends the edge; of several the first (Bland)."""
        at, along = ([row[column] for row in corner.numerators] for column in (0, position))
        best, nearest, rate = -1, 0, 0
        for c in range(len(self._rows) + self._d):
            if c in corner.tight:
                continue
            falls = -self._slack(c, along)
            if falls > 0:
                slack = self._slack(c, at)
                if best < 0 or slack * rate < nearest * falls:
                    best, nearest, rate = c, slack, falls
        return best

    def _pivoted(self, corner: _Corner, position: int, entering: int) -> _Corner:
        """The basis with one constraint exchanged. All divisions are exact."""
        columns = list(zip(*corner.numerators, strict=True))
        moves = [self._slack(entering, column) for column in columns]
        pivot, out = moves[position], columns[position]
        sign = 1 if pivot > 0 else -1
        for j, (column, move) in enumerate(zip(columns, moves, strict=True)):
            if j == position:
                columns[j] = tuple(sign * y for y in out)
                continue
            pairs = zip(column, out, strict=True)
            columns[j] = tuple(sign * (x * pivot - y * move) // corner.denominator for x, y in pairs)
        tight = list(corner.tight)
        tight[position - 1] = entering
        return _Corner(tuple(tight), tuple(zip(*columns, strict=True)), abs(pivot))
