"""The bound calculator: what each theorem promises before anything is solved. Its inverse is ``design``.

Symbols: d objectives, rewards in [0, R_max], regulariser f in [0, f_max], oracle error (ε₀, δ₀) meaning
J_w(π) ≥ (1−ε₀)J*_w − δ₀ at every weight solved. "Portfolio" is meant as: for every w,
max_{π∈P} J_w(π) ≥ (1−ε)J*_w − δ. J* ≥ 0 is assumed wherever ε > 0 is used.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from palm_theory.errors import InputError
from palm_theory.geometry.hybrid import HybridGrid
from palm_theory.geometry.simplex import lattice_radius, lattice_size, validate_dimension

TheoremName = Literal["1", "1'", "2"]


class OracleError(NamedTuple):
    """(ε₀, δ₀): every solve satisfies J_w(π) ≥ (1−ε₀)·J*_w − δ₀. Exact oracles have (0, 0)."""

    epsilon: float = 0.0
    delta: float = 0.0

    def validated(self) -> OracleError:
        """Self, after checking ε₀ ∈ [0, 1) and δ₀ ∈ [0, ∞); raises InputError otherwise."""
        if not (0 <= self.epsilon < 1):
            raise InputError(f"the oracle's epsilon must lie in [0, 1), got {self.epsilon}")
        if not (math.isfinite(self.delta) and self.delta >= 0):
            raise InputError(f"the oracle's delta must be finite and >= 0, got {self.delta}")
        return OracleError(float(self.epsilon), float(self.delta))


EXACT = OracleError()


@dataclass(frozen=True)
class Bound:
    """One theorem evaluated: a portfolio of ``size`` policies is an (``epsilon``, ``delta``)-portfolio.

    ``size`` is the exact number of distinct weights; ``size_bound`` is the theorem's closed form for it (for
    Theorem 2 the two agree). ``mu`` and ``alpha`` (Theorems 1 and 1′) or ``resolution`` n (Theorem 2) are the cover's
    parameters.
    """

    theorem: TheoremName
    objectives: int
    size: int
    size_bound: float
    epsilon: float
    delta: float
    mu: float | None = None
    alpha: float | None = None
    resolution: int | None = None

    def to_dict(self) -> dict[str, object]:
        """The fields as plain data; those that do not apply to the theorem are None."""
        return asdict(self)


def positive(value: float, name: str) -> float:
    """``value`` as a float; raises InputError unless it is finite and > 0."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be finite and > 0, got {value}")
    return float(value)


def non_negative(value: float, name: str) -> float:
    """``value`` as a float; raises InputError unless it is finite and >= 0."""
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name} must be finite and >= 0, got {value}")
    return float(value)


def hybrid_size_bound(objectives: int, mu: float, alpha: float) -> float:
    """Theorem 1's closed form for the size of the hybrid cover: d·(2 + (2/μ)·log(1/α))^(d−1); inf if over 1e308."""
    d = validate_dimension(objectives)
    grid = HybridGrid(mu, alpha)
    try:
        return d * (2 - 2 / grid.mu * math.log(grid.alpha)) ** (d - 1)
    except OverflowError:
        return math.inf


def theorem1(
    objectives: int,
    mu: float,
    alpha: float,
    *,
    reward_max: float,
    regularizer_max: float,
    oracle: OracleError = EXACT,
) -> Bound:
    """Theorem 1 (arXiv 2604.04144) as the paper states it: ε ≤ 4μ, δ ≤ 2(d·α·R_max + μ·f_max).

    With an approximate oracle (ε₀, δ₀): ε ≤ 4μ + ε₀, δ ≤ δ₀ + 2(d·α·R_max + μ·f_max); both follow from Theorem 1′,
    since 1 − (1−ε₀)/(1+μ) ≤ μ + ε₀.

    Raises InputError where d < 1, μ ∉ (0, 1], α ∉ (0, 1), R_max ≤ 0 or f_max < 0.
    """
    d = validate_dimension(objectives)
    grid = HybridGrid(mu, alpha)
    reward = positive(reward_max, "reward_max")
    regularizer = non_negative(regularizer_max, "regularizer_max")
    oracle = OracleError(*oracle).validated()
    return Bound(
        theorem="1",
        objectives=d,
        size=grid.size(d),
        size_bound=hybrid_size_bound(d, mu, alpha),
        epsilon=4 * mu + oracle.epsilon,
        delta=2 * (d * alpha * reward + mu * regularizer) + oracle.delta,
        mu=mu,
        alpha=alpha,
    )


def theorem1_prime(
    objectives: int,
    mu: float,
    alpha: float,
    *,
    reward_max: float,
    regularizer_max: float | None,
    has_reference: bool = False,
    oracle: OracleError = EXACT,
) -> Bound:
    """Theorem 1′ (ours): the same cover, ε ≤ μ/(1+μ), δ ≤ [(d−1)·α·(R_max + min(F, R_max)) + μ·F]/(1+μ).

    F = f_max in general and min(f_max, R_max) when a policy with f = 0 exists (``has_reference``); ``regularizer_max``
    None means unknown, and then only a reference gives an F. With an approximate oracle: ε ≤ 1 − (1−ε₀)/(1+μ), δ ≤ δ₀ +
    the same. Holds whatever the sign of J*. Complete proof: docs/theory/theorem-1.md.

    Raises InputError where a parameter is out of range or F is unbounded.
    """
    d = validate_dimension(objectives)
    grid = HybridGrid(mu, alpha)
    oracle = OracleError(*oracle).validated()
    reward = positive(reward_max, "reward_max")
    bound_f = regularizer_reach(reward, regularizer_max, has_reference=has_reference)
    return Bound(
        theorem="1'",
        objectives=d,
        size=grid.size(d),
        size_bound=hybrid_size_bound(d, mu, alpha),
        epsilon=1 - (1 - oracle.epsilon) / (1 + mu),
        delta=oracle.delta + ((d - 1) * alpha * (reward + min(bound_f, reward)) + mu * bound_f) / (1 + mu),
        mu=mu,
        alpha=alpha,
    )


def regularizer_reach(reward_max: float, regularizer_max: float | None, *, has_reference: bool) -> float:
    """F of Theorem 1′: how large f can be at the policies the proof compares (same unit as the rewards).

    Raises InputError where F is unbounded: f_max unknown and no policy with f = 0.
    """
    if regularizer_max is None:
        if not has_reference:
            raise InputError("regularizer_max is unknown and no policy with f = 0 is available: F is unbounded")
        return reward_max
    regularizer = non_negative(regularizer_max, "regularizer_max")
    return min(regularizer, reward_max) if has_reference else regularizer


def theorem2(
    objectives: int,
    resolution: int,
    *,
    beta: float,
    reward_max: float,
    oracle: OracleError = EXACT,
) -> Bound:
    """Theorem 2 (ours), KL-regularised bandits and sequence-level LLMs: the lattice {k/n} is a (0, δ)-portfolio.

    δ = R_max²·ρ²/(8β) with ρ the lattice's covering radius in ‖·‖₁ (``lattice_radius``); size C(n+d−1, d−1).

    With an approximate oracle: δ = (√(δ₀ + ε₀·R_max) + R_max·ρ/√(8β))². Proof: with Δ = w−w̃ and J* ≤ R_max the solve
    at w̃ has β·KL(π̃‖π*_w̃) = J*_w̃ − J_w̃(π̃) ≤ η = δ₀ + ε₀R_max, so by Pinsker ⟨Δ, R(π*_w̃) − R(π̃)⟩ ≤
    R_max‖Δ‖₁√(η/2β); add η and Theorem 2's R_max²‖Δ‖₁²/(8β) and complete the square (docs/theory/theorem-2.md).

    Raises InputError where β ≤ 0, n < 1, d < 1 or R_max ≤ 0.
    """
    d = validate_dimension(objectives)
    slope = positive(reward_max, "reward_max") / math.sqrt(8 * positive(beta, "beta"))
    oracle = OracleError(*oracle).validated()
    size = lattice_size(d, resolution)
    error = oracle.delta + oracle.epsilon * reward_max
    return Bound(
        theorem="2",
        objectives=d,
        size=size,
        size_bound=_as_float(size),
        epsilon=0.0,
        delta=(math.sqrt(error) + slope * lattice_radius(d, resolution)) ** 2,
        resolution=int(resolution),
    )


def _as_float(count: int) -> float:
    try:
        return float(count)
    except OverflowError:
        return math.inf
