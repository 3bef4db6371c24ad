"""The corner of a lower envelope where a gap to what is known of J* may be largest.

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
from palm_theory.geometry.sandwich import SolvedWeights, weight_keys
from palm_theory.geometry.simplex import Array


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
