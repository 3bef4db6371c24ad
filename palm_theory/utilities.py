"""Concave, monotone utilities of the reward vector, for ``Portfolio.mixture`` (Theorem 4).

Each is a frozen value with the utility as a cvxpy expression and as a NumPy function of R ∈ R^d, R ≥ 0.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array, validate_weights

if TYPE_CHECKING:
    import cvxpy as cp


class Utility(ABC):
    """u: R^d → R, concave and non-decreasing in every coordinate.

    ``is_homogeneous`` declares u(c·R) = c·u(R) for c ≥ 0; such utilities are maximised for rewards rescaled to order
    1, which solvers like better. A utility of yours that is not homogeneous must set it to False.
    """

    is_homogeneous = True

    @abstractmethod
    def expression(self, rewards: cp.Expression) -> cp.Expression:
        """u as a concave cvxpy expression of the rewards (d,)."""

    @abstractmethod
    def __call__(self, rewards: Array) -> float:
        """u(R) for one reward vector (d,), exactly."""


@dataclass(frozen=True)
class Linear(Utility):
    """u(R) = ⟨w, R⟩ for weights w on the simplex."""

    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        validate_weights(self.weights)

    def expression(self, rewards: cp.Expression) -> cp.Expression:
        return np.array(self.weights) @ rewards

    def __call__(self, rewards: Array) -> float:
        return float(np.array(self.weights) @ rewards)


@dataclass(frozen=True)
class Minimum(Utility):
    """u(R) = min_i R_i: the worst objective counts (Rawls)."""

    def expression(self, rewards: cp.Expression) -> cp.Expression:
        import cvxpy as cp

        return cp.min(rewards)

    def __call__(self, rewards: Array) -> float:
        return float(rewards.min())


@dataclass(frozen=True)
class CVaR(Utility):
    """u(R) = the mean of the worst share ``level`` ∈ (0, 1] of the objectives, each of mass 1/d:
    max_t t − Σ_i max(t − R_i, 0)/(level·d). Level 1 is the mean; level ≤ 1/d the minimum."""

    level: float

    def __post_init__(self) -> None:
        if not 0 < self.level <= 1:
            raise InputError(f"the CVaR level must lie in (0, 1], got {self.level}")

    def expression(self, rewards: cp.Expression) -> cp.Expression:
        import cvxpy as cp

        threshold = cp.Variable()
        return threshold - cp.sum(cp.pos(threshold - rewards)) / (self.level * rewards.size)

    def __call__(self, rewards: Array) -> float:
        ordered = np.sort(rewards)
        share = np.clip(self.level * len(ordered) - np.arange(len(ordered)), 0.0, 1.0)
        return float(share @ ordered / (self.level * len(ordered)))


@dataclass(frozen=True)
class PowerMean(Utility):
    """u(R) = (Σ_i a_i·R_i^p)^(1/p) for p ≤ 1, with shares a on the simplex (equal by default).

    p = 1 is the mean, p = 0 the geometric mean Π R_i^(a_i), p → −∞ the minimum. Defined for R ≥ 0; 0 where some
    R_i = 0 with a_i > 0 and p ≤ 0.
    """

    p: float
    shares: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.p) and self.p <= 1):
            raise InputError(f"a power mean is concave for finite p <= 1, got {self.p}; use Minimum() for -inf")
        if self.shares is not None:
            validate_weights(self.shares)

    def _shares(self, d: int) -> Array:
        return np.full(d, 1 / d) if self.shares is None else validate_weights(self.shares, d)

    def expression(self, rewards: cp.Expression) -> cp.Expression:
        import cvxpy as cp

        shares = self._shares(rewards.size)
        used = np.flatnonzero(shares)
        if self.p == 1:
            return shares @ rewards
        if self.p == 0:
            return cp.geo_mean(rewards[used], shares[used])
        scales = shares[used] ** (1 / self.p)
        return cp.pnorm(cp.multiply(scales, rewards[used]), self.p)  # pyright: ignore[reportArgumentType]

    def __call__(self, rewards: Array) -> float:
        shares = self._shares(len(rewards))
        used = shares > 0
        values, shares = np.maximum(rewards[used], 0.0), shares[used]
        if self.p <= 0 and (values == 0).any():
            return 0.0
        if self.p == 0:
            return float(np.exp(shares @ np.log(values)))
        if values.max() == 0:
            return 0.0
        # In logarithms and around the largest power, so that nothing overflows and p may be as near 0 as it likes.
        with np.errstate(divide="ignore"):
            powers = self.p * np.log(values)
        top = powers.max()
        return float(np.exp((top + np.log1p(shares @ np.expm1(powers - top))) / self.p))


def ces(elasticity: float, shares: tuple[float, ...] | None = None) -> PowerMean:
    """Constant elasticity of substitution σ > 0: the power mean with p = 1 − 1/σ (σ = 1 is Cobb–Douglas).

    Raises InputError unless σ is finite and > 0.
    """
    if not (math.isfinite(elasticity) and elasticity > 0):
        raise InputError(f"the elasticity of substitution must be finite and > 0, got {elasticity}")
    return PowerMean(1 - 1 / elasticity, shares)
