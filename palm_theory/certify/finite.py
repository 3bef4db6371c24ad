"""Gaps beside finitely many rivals, in rational arithmetic: what is claimed is proven, and the least there is.

J*_w = max_j ⟨w, G_j⟩ over rivals j. L(w) ≥ (1−ε)J*_w − δ for every w iff ⟨w, h⟩ ≤ L(w) for h = (1−ε)G_j − δ·1, every j
and every w. That is one linear program a rival, solved exactly (``geometry.exact``). Where it fails at some w, the
least ε that mends it there is known, and the search goes on with that (Newton's method of Dinkelbach 1967, which ends
here, L having finitely many corners).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from palm_theory.geometry.exact import ExactEnvelope
from palm_theory.geometry.rational import float_above, rational_dot
from palm_theory.geometry.simplex import Array

Row = tuple[Fraction, ...]
Rows = Sequence[Row]


class Gap(NamedTuple):
    """The least gap, None where none will do; ``weights`` (d,) where it is tightest, None: where the search started."""

    size: Fraction | None
    weights: Row | None


class FiniteGaps:
    """Gaps of K ≥ 1 policies with vertex values ``ours`` (K, d) beside rivals (J, d).

    ``lowest`` is min_w L(w).
    """

    def __init__(self, ours: Rows, rivals: Rows) -> None:
        self._ours = ours
        self._rivals = list(dict.fromkeys(rivals))
        self._envelope = ExactEnvelope(ours)
        self._below = np.array([[_float_below(x) for x in row] for row in ours])
        self.lowest = -self._envelope.support((Fraction(0),) * len(ours[0])).excess

    def least_epsilon(self, delta: Fraction, start: Array | None = None) -> Gap:
        """The least ε ∈ [0, 1] with L ≥ (1−ε)J* − δ everywhere. ``start`` (d,), float weights where the gap may be the
        largest, saves time."""
        epsilon = Fraction(0) if start is None else self._needed_at(start, delta)
        where: Row | None = None
        for rival in self._not_covered(self._rivals, epsilon, delta):
            while True:
                excess, weights, _ = self._envelope.support(_scaled(rival, epsilon, delta))
                if excess <= 0:
                    break
                optimum = rational_dot(weights, rival)
                lower = (1 - epsilon) * optimum - delta - excess
                if optimum <= 0 or lower + delta < 0:
                    return Gap(None, weights)
                epsilon, where = 1 - (lower + delta) / optimum, weights
        if self.lowest + delta < 0 and epsilon > 0:
            # Where J* < 0 a larger ε claims more: every rival once more, our own policies among them.
            for rival in [*self._rivals, *self._ours]:
                excess, weights, _ = self._envelope.support(_scaled(rival, epsilon, delta))
                if excess > 0:
                    return Gap(None, weights)
        return Gap(epsilon, where)

    def least_delta(self, epsilon: Fraction, start: Array | None = None) -> Gap:
        """The least δ ≥ 0 with L ≥ (1−ε)J* − δ everywhere; ``start`` (d,) as for ``least_epsilon``."""
        delta, where = Fraction(0), None
        if start is not None:
            at = _exactly(start)
            delta = max(delta, (1 - epsilon) * max(rational_dot(at, row) for row in self._rivals) - self._lower(at))
        rivals = self._rivals if epsilon == 0 or self.lowest >= 0 else [*self._rivals, *self._ours]
        for rival in self._not_covered(rivals, epsilon, delta):
            excess, weights, _ = self._envelope.support(_scaled(rival, epsilon, delta))
            if excess > 0:
                delta, where = delta + excess, weights
        return Gap(delta, where)

    def holds(self, epsilon: Fraction, delta: Fraction) -> bool:
        """Whether L ≥ (1−ε)J* − δ everywhere, for J* the best of the rivals and of our own policies."""
        everyone = [*self._rivals, *self._ours]
        doubtful = self._not_covered(everyone, epsilon, delta)
        return all(self._envelope.support(_scaled(row, epsilon, delta)).excess <= 0 for row in doubtful)

    def _lower(self, weights: Row) -> Fraction:
        return max(rational_dot(weights, row) for row in self._ours)

    def _needed_at(self, start: Array, delta: Fraction) -> Fraction:
        """An ε in [0, 1] that J* at some weights makes necessary."""
        at = _exactly(start)
        optimum, lower = max(rational_dot(at, row) for row in self._rivals), self._lower(at)
        if optimum <= 0 or lower + delta < 0:
            return Fraction(0)
        return max(Fraction(0), 1 - (lower + delta) / optimum)

    def _not_covered(self, rivals: Iterable[Row], epsilon: Fraction, delta: Fraction) -> list[Row]:
        """The rivals j that no single policy covers: G_k ≥ (1−ε)G_j − δ in every coordinate. What covers one at some ε
        covers it at a larger one, if L + δ ≥ 0."""
        some = list(rivals)
        if not some:
            return []
        needed = np.array([[float_above(x) for x in _scaled(row, epsilon, delta)] for row in some])
        return [row for row, need in zip(some, needed, strict=True) if not (self._below >= need).all(axis=1).any()]


def _scaled(row: Row, epsilon: Fraction, delta: Fraction) -> Row:
    """(1−ε)G − δ·1."""
    return tuple((1 - epsilon) * x - delta for x in row)


def _exactly(weights: Array) -> Row:
    """Float weights as a point of the simplex: made rational, then divided by their sum."""
    exact = [Fraction(float(w)) for w in weights]
    total = sum(exact)
    return tuple(w / total for w in exact)


def _float_below(number: Fraction) -> float:
    return -float_above(-number)
