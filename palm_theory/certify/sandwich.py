"""What solved weights prove of J* everywhere, and the corner of an envelope where the gap may be largest.

Theorem 3: (1−ε)J* − δ − L is convex on every cell of the lower envelope L, so its largest value is at a corner
weight. At a corner, J* is known (the corner was solved) or bounded by the upper hull of what was solved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from palm_theory.geometry.envelope import corner_weights, lower_envelope, rounding_at
from palm_theory.geometry.hull import UpperHull
from palm_theory.geometry.simplex import Array

KEY_BITS = 40
"""Corner weights whose coordinates agree to this many bits are the same corner, found again by Qhull."""

EXACT_TOLERANCE = 1e-9
"""An upper bound U that exceeds the value reached by at most this multiple of max(|U|, |L|) counts as the exact J*."""


def weight_keys(weights: Array) -> list[bytes]:
    """A hashable key for each row of (n, d): its coordinates to ``KEY_BITS`` significant bits."""
    mantissa, exponent = np.frexp(weights)
    rounded = np.ldexp(np.rint(np.ldexp(mantissa, KEY_BITS)), exponent - KEY_BITS)
    return [row.tobytes() for row in rounded + 0.0]


class SolvedWeights:
    """Weights at which J* has been bracketed: reached ≤ J* ≤ upper. Grows; bounds only tighten."""

    def __init__(self, objectives: int, *, hull: bool = True) -> None:
        self._objectives = objectives
        self._use_hull = hull
        self._hull: UpperHull | None = None
        # The hull is made when it is first asked for, and many uses never ask.
        self._not_in_hull: list[tuple[Array, float]] = []
        self._index: dict[bytes, int] = {}
        self.weights: list[Array] = []
        self.reached: list[float] = []
        self.upper: list[float] = []
        self._cached: dict[bytes, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self.weights)

    def add(self, weights: Array, reached: float, upper: float) -> None:
        """Record one solve at w (d,): some policy has J_w = ``reached``, and J*_w ≤ ``upper`` (inf if not known)."""
        key = weight_keys(weights[None, :])[0]
        known = self._index.get(key)
        if known is not None:
            self.reached[known] = max(self.reached[known], reached)
            self.upper[known] = min(self.upper[known], upper)
        else:
            self._index[key] = len(self.weights)
            self.weights.append(weights)
            self.reached.append(reached)
            self.upper.append(upper)
        self._not_in_hull.append((weights, upper))

    def _current_hull(self) -> UpperHull | None:
        """The hull with all that is solved; None while a vertex of the simplex has no bound."""
        if self._hull is None:
            if not self._use_hull or len(self.unbounded_vertices()):
                return None
            vertices = [self._index[key] for key in weight_keys(np.eye(self._objectives))]
            self._hull = UpperHull(np.array([self.upper[k] for k in vertices]))
        for weights, upper in self._not_in_hull:
            if math.isfinite(upper):
                self._hull.add(weights, upper)
        self._not_in_hull.clear()
        return self._hull

    def unsolved_vertices(self) -> Array:
        """The vertices of the simplex not solved yet, (m, d)."""
        vertices = np.eye(self._objectives)
        return vertices[[self.find(key) is None for key in weight_keys(vertices)]]

    def unbounded_vertices(self) -> Array:
        """The vertices of the simplex at which no finite upper bound on J* is known, (m, d)."""
        vertices = np.eye(self._objectives)
        known = [self.find(key) for key in weight_keys(vertices)]
        return vertices[[k is None or self.upper[k] == math.inf for k in known]]

    def find(self, key: bytes) -> int | None:
        """The number of the solved weight with this key, or None."""
        return self._index.get(key)

    def cached_upper(self, key: bytes) -> float:
        """The least upper bound on J* computed so far at the weight with this key; inf if none."""
        return self._cached.get(key, (0, math.inf))[1]

    def refresh_upper(self, key: bytes, weights: Array) -> float:
        """The upper hull U(w) at one weight (d,) of all that is solved; inf before the simplex's vertices are."""
        version, bound = self._cached.get(key, (-1, math.inf))
        if version == len(self):
            return bound
        hull = self._current_hull()
        if hull is None:
            return math.inf
        bound = min(hull(weights), bound)
        self._cached[key] = (len(self), bound)
        return bound


def without_rounding(upper: Array, lower: Array, rounding: Array) -> Array:
    """U, but L where the two are equal to rounding, all of shape (m,): float64 noise is not a gap."""
    return np.where(upper - lower <= rounding, np.minimum(upper, lower), upper)


@dataclass(frozen=True)
class Target:
    """The inequality L(w) ≥ (1−ε)·J*_w − δ that is to hold for every w."""

    epsilon: float = 0.0
    delta: float = 0.0

    def violation(self, upper: Array, lower: Array) -> Array:
        """(1−ε)U − δ − L, all of shape (m,): at most 0 where the target holds."""
        return (1 - self.epsilon) * upper - self.delta - lower


@dataclass(frozen=True)
class MultiplicativeGap:
    """The least ε ≥ 0 with L ≥ (1−ε)U − δ for a fixed δ; inf where none in [0, 1] does (J* ≤ 0, or L + δ < 0)."""

    delta: float = 0.0

    def measure(self, upper: Array, lower: Array) -> Array:
        """The gap at each of m corners from U and L there, each of shape (m,): 1 − (L+δ)/U, 0 or inf."""
        short = upper - self.delta - lower
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = np.where(upper == np.inf, np.inf, short / upper)
        return np.where(short <= 0, 0.0, np.where((upper > 0) & (ratio <= 1), ratio, np.inf))


@dataclass(frozen=True)
class AdditiveGap:
    """The least δ ≥ 0 with L ≥ (1−ε)U − δ for a fixed ε."""

    epsilon: float = 0.0

    def measure(self, upper: Array, lower: Array) -> Array:
        """The gap at each of m corners from U and L there, each of shape (m,): max(0, (1−ε)U − L)."""
        return np.maximum((1 - self.epsilon) * upper - lower, 0.0)


class Corner(NamedTuple):
    """One corner weight with what is known there: L(w), reached ≤ J* ≤ upper, whether it has been solved, its gap."""

    position: int
    weights: Array
    lower: float
    upper: float
    reached: float
    solved: bool
    gap: float


class CornerScan:
    """The m corner weights of one lower envelope, of policies (K, d), against a growing record of solved weights.

    ``worst`` finds where a gap is largest by lazy re-evaluation: bounds at corners only fall as weights are solved, so
    a bound is refreshed only when its corner comes out on top.
    """

    def __init__(self, values: Array, solved: SolvedWeights) -> None:
        self.solved = solved
        self.weights = corner_weights(values)
        self._keys = weight_keys(self.weights)
        found = [solved.find(key) for key in self._keys]
        for i, k in enumerate(found):
            # A corner met before is taken at the very weight that was solved, not an ulp beside it.
            if k is not None:
                self.weights[i] = solved.weights[k]
        self.lower = lower_envelope(values, self.weights).best
        self.rounding = rounding_at(values, self.weights)
        self.is_solved = np.array([k is not None for k in found])
        self.upper = np.array(
            [
                solved.cached_upper(key) if k is None else solved.upper[k]
                for key, k in zip(self._keys, found, strict=True)
            ]
        )
        self.reached = np.array([-math.inf if k is None else solved.reached[k] for k in found])
        self._fresh = np.full(len(found), -1)

    def __len__(self) -> int:
        return len(self.weights)

    def update_if_solved(self, position: int) -> None:
        """``update``, where the corner at ``position`` has been solved."""
        if self.solved.find(self._keys[position]) is not None:
            self.update(position)

    def update(self, position: int) -> None:
        """Take over what ``solved`` now holds for the corner at ``position``."""
        k = self.solved.find(self._keys[position])
        assert k is not None, "update follows a solve of the corner"
        self.is_solved[position] = True
        self.upper[position] = self.solved.upper[k]
        self.reached[position] = self.solved.reached[k]

    def settle(self, optimum: Array) -> None:
        """Take J* as known at every corner: ``optimum`` (m,)."""
        self.upper, self.reached = optimum.copy(), optimum.copy()
        self.is_solved[:] = True

    def gaps(self, gap: MultiplicativeGap | AdditiveGap | Target) -> Array:
        """The gap at every corner, (m,), from the bounds at hand; values equal to rounding count as equal."""
        upper = without_rounding(self.upper, self.lower, self.rounding)
        return gap.violation(upper, self.lower) if isinstance(gap, Target) else gap.measure(upper, self.lower)

    def worst(
        self,
        gap: MultiplicativeGap | AdditiveGap | Target,
        *,
        unsolved_only: bool = False,
        skip: Sequence[int] = (),
    ) -> Corner | None:
        """The corner with the largest gap, its bound up to date; ties to the first. None if there is no such corner.

        ``skip`` holds positions to leave out, ``unsolved_only`` leaves out the solved ones.
        """
        allowed = ~self.is_solved if unsolved_only else np.ones(len(self), dtype=bool)
        allowed[list(skip)] = False
        if not allowed.any():
            return None
        gaps = np.where(allowed, self.gaps(gap), -np.inf)
        version = len(self.solved)
        while True:
            i = int(gaps.argmax())
            if self.is_solved[i] or self._fresh[i] == version:
                break
            self.upper[i] = self.solved.refresh_upper(self._keys[i], self.weights[i])
            self._fresh[i] = version
            gaps[i] = self._gap_at(gap, i)
        return Corner(
            position=i,
            weights=self.weights[i],
            lower=float(self.lower[i]),
            upper=float(self.upper[i]),
            reached=float(self.reached[i]),
            solved=bool(self.is_solved[i]),
            gap=float(gaps[i]),
        )

    def _gap_at(self, gap: MultiplicativeGap | AdditiveGap | Target, i: int) -> float:
        upper, lower = self.upper[i : i + 1], self.lower[i : i + 1]
        upper = without_rounding(upper, lower, self.rounding[i : i + 1])
        value = gap.violation(upper, lower) if isinstance(gap, Target) else gap.measure(upper, lower)
        return float(value[0])

    def holds(self, corner: Corner, target: Target) -> bool:
        """Whether the target holds at a corner, to rounding."""
        violation = float(target.violation(np.array([corner.upper]), np.array([corner.lower]))[0])
        return violation <= self.rounding[corner.position]
