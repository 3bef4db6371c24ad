"""The values a coordinate of Theorem 1's hybrid cover takes, their exact count, and the two proofs' rounding rules."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array, validate_dimension, validate_weights

TOP_TOLERANCE = 1e-12
"""α(1+μ)^k within this relative distance of 1 counts as exactly 1: α and μ are floats, (2/3)·1.5 is meant as 1."""

SMALLEST_MU = 1e-11
"""Neighbouring values closer than this could not be told from equal ones, by ``TOP_TOLERANCE``."""

SMALLEST_ALPHA = sys.float_info.min
"""Floats below it do not have 53 bits, and neighbouring values would be the same."""


def _check_mu(mu: float) -> None:
    if not (math.isfinite(mu) and 0 < mu <= 1):
        raise InputError(f"mu must lie in (0, 1], got {mu}")
    if mu < SMALLEST_MU:
        raise InputError(f"mu must be at least {SMALLEST_MU:g}, got {mu}: values so close cannot be told apart")


@dataclass(frozen=True)
class HybridGrid:
    """The values one coordinate of Theorem 1's cover takes: {0} ∪ {α(1+μ)^k : k = 0..K}, K = ⌊log(1/α)/log(1+μ)⌋.

    Parameters
    ----------
    mu : μ ∈ (0, 1], the ratio between neighbouring values less one; at least ``SMALLEST_MU``.
    alpha : α ∈ (0, 1), the smallest value above 0; at least ``SMALLEST_ALPHA``.

    Raises InputError where a parameter is out of range.
    """

    mu: float
    alpha: float

    def __post_init__(self) -> None:
        _check_mu(self.mu)
        if not (math.isfinite(self.alpha) and 0 < self.alpha < 1):
            raise InputError(f"alpha must lie in (0, 1), got {self.alpha}")
        if self.alpha < SMALLEST_ALPHA:
            raise InputError(f"alpha must be at least {SMALLEST_ALPHA:.3g}, got {self.alpha}: floats are coarser below")

    @classmethod
    def aligned(cls, mu: float, top_exponent: int) -> HybridGrid:
        """The grid with α = (1+μ)^−K, whose top value is 1, for K = ``top_exponent``: the grids of Theorem 1″.

        Raises InputError where μ ∉ (0, 1] or K is no integer ≥ 1.
        """
        if isinstance(top_exponent, bool) or not isinstance(top_exponent, int | np.integer) or top_exponent < 1:
            raise InputError(f"the top exponent K must be an integer >= 1, got {top_exponent!r}")
        _check_mu(mu)
        return cls(mu, math.exp(-top_exponent * math.log1p(mu)))

    @property
    def top_exponent(self) -> int:
        """K, the largest k with α(1+μ)^k ≤ 1."""
        return math.floor((TOP_TOLERANCE - math.log(self.alpha)) / math.log1p(self.mu))

    @property
    def levels(self) -> int:
        """L = K + 2, the number of values."""
        return self.top_exponent + 2

    @property
    def top_is_one(self) -> bool:
        """Whether the largest value is exactly 1, so that vectors can repeat between the d faces."""
        return self.misalignment <= TOP_TOLERANCE

    @property
    def misalignment(self) -> float:
        """|log(α(1+μ)^K)|, how far the largest value is from 1."""
        return abs(math.log(self.alpha) + self.top_exponent * math.log1p(self.mu))

    def values(self) -> Array:
        """The L values, shape (L,), increasing, the first 0."""
        powers = self.alpha * np.exp(np.arange(self.levels - 1) * math.log1p(self.mu))
        if self.top_is_one:
            powers[-1] = 1.0
        return np.concatenate([[0.0], powers])

    def size(self, objectives: int) -> int:
        """The exact number of distinct weights: L^d − (L−1)^d when the top value is 1, else d·L^(d−1)."""
        d, levels = validate_dimension(objectives), self.levels
        if self.top_is_one:
            return levels**d - (levels - 1) ** d
        return d * levels ** (d - 1)

    def round_down(self, weights: ArrayLike) -> Array:
        """The cover's point for each weight, by the rounding rule of Theorem 1's proof. Shape as given.

        Scale w so that its largest coordinate (of equals, the first) is 1, round every other coordinate down to the
        grid, normalise.
        """
        array = validate_weights(weights)
        rows = np.atleast_2d(array)
        scaled = rows / rows.max(axis=1, keepdims=True)
        values = self.values()
        # A weight already on the grid may sit an ulp below its grid value after scaling; it rounds to that value.
        index = np.searchsorted(values * (1 - TOP_TOLERANCE), scaled, side="right") - 1
        rounded = values[index]
        np.put_along_axis(rounded, rows.argmax(axis=1)[:, None], 1.0, axis=1)
        return (rounded / rounded.sum(axis=1, keepdims=True)).reshape(array.shape)

    def chain(self, weights: ArrayLike) -> tuple[Array, Array]:
        """The points of the cover that Theorem 1″ rounds one weight (d,) to, (m, d) with m ≤ d, and their chances (m,).

        Scale w so that its largest coordinate is 1. A coordinate v_j between neighbouring values lo and hi goes up if
        U < p_j = (v_j − lo)/(hi − lo), U uniform on [0, 1] and the same for all, so that the mean of the rounded
        vector is v. Between two neighbours among the p_j nothing changes: that makes at most d points. In order of
        growing U, so from the point with most coordinates up to the point of ``round_down``.

        Raises InputError where the top value is not 1: then some v_j has no value above it.
        """
        if not self.top_is_one:
            raise InputError(f"alpha={self.alpha} is not (1 + mu)^-K for an integer K; see HybridGrid.aligned")
        w = validate_weights(weights)
        v = w / w.max()
        values = self.values()
        low = np.searchsorted(values * (1 - TOP_TOLERANCE), v, side="right") - 1
        high = np.minimum(low + 1, self.levels - 1)
        step = values[high] - values[low]
        share = np.clip(np.divide(v - values[low], step, out=np.zeros_like(v), where=step > 0), 0.0, 1.0)
        share[share <= TOP_TOLERANCE] = 0.0
        thresholds = np.unique(np.append(share, 0.0))
        points = np.where(share > thresholds[:, None], values[high], values[low])
        chances = np.diff(np.append(thresholds, 1.0))
        return points / points.sum(axis=1, keepdims=True), chances
