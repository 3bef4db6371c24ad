"""The bound calculator: what each theorem promises before anything is solved. Its inverse is ``design``.

Symbols: d objectives, rewards in [0, R_max], regulariser f in [0, f_max], oracle error (ε₀, δ₀) meaning
J_w(π) ≥ (1−ε₀)J*_w − δ₀ at every weight solved. "Portfolio" is meant as: for every w,
max_{π∈P} J_w(π) ≥ (1−ε)J*_w − δ. J* ≥ 0 is assumed wherever ε > 0 is used, except where a theorem says that it holds
whatever the sign. ε and δ of our own theorems are rounded up, so that they are never below their formulas' values.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from palm_theory.errors import InputError
from palm_theory.geometry.hybrid import HybridGrid
from palm_theory.geometry.simplex import lattice_radius, lattice_size, validate_dimension
from palm_theory.geometry.tilt import tilt_loss

TheoremName = Literal["1", "1'", "1''", "1'''", "2", "2'"]

UNIT = 2.0**-53
"""The largest relative error of one operation in float64."""


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

    ``size`` is the exact number of distinct weights; ``size_bound`` is the theorem's closed form for it (for Theorems 2
    and 2′ the two agree). ``mu`` and ``alpha`` (Theorems 1 to 1‴) or ``resolution`` n (Theorems 2 and 2′) are the
    cover's parameters.
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


def rounded_up(value: float) -> float:
    """At least the exact value of a formula without cancellation, given as ``value`` ≥ 0 computed to 64 units."""
    return value * (1 + 128 * UNIT)


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

    Where α = (1+μ)^−K, ``theorem1_double_prime`` promises about half of it or less for the same cover.

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
        epsilon=rounded_up((mu + oracle.epsilon) / (1 + mu)),
        delta=rounded_up(oracle.delta + ((d - 1) * alpha * (reward + min(bound_f, reward)) + mu * bound_f) / (1 + mu)),
        mu=mu,
        alpha=alpha,
    )


def kept_share(objectives: int, mu: float) -> float:
    """1/V_d = (1/d)·Σ_{k<d} (1+μ)^(−k/d), the share that Theorem 1″ keeps; 1 − 1/V_d is its ε for exact solves."""
    return 1 - lost_share(objectives, mu)


def lost_share(objectives: int, mu: float) -> float:
    """1 − 1/V_d = 1 − (1/d)·Σ_{k<d} (1+μ)^(−k/d), without cancellation for small μ; at most μ(d−1)/(2d)."""
    d = objectives
    return -math.fsum(math.expm1(-k / d * math.log1p(mu)) for k in range(1, d)) / d


def _aligned(mu: float, alpha: float) -> HybridGrid:
    """The grid, after checking that α = (1+μ)^−K for an integer K; raises InputError otherwise."""
    grid = HybridGrid(mu, alpha)
    if not grid.top_is_one:
        below = HybridGrid.aligned(mu, grid.top_exponent + 1).alpha
        raise InputError(
            f"Theorem 1″ needs alpha = (1 + mu)^-K for an integer K, got alpha={alpha} with mu={mu}; "
            f"the next smaller one is {below!r}"
        )
    return grid


def _largest_step(grid: HybridGrid) -> float:
    """At least the largest ratio less one of neighbouring values of an aligned grid, as they are in float64."""
    return grid.mu + (1 + grid.mu) * (grid.misalignment + 32 * UNIT * (1 - math.log(grid.alpha)))


def theorem1_double_prime(
    objectives: int,
    mu: float,
    alpha: float,
    *,
    reward_max: float,
    regularizer_max: float | None,
    has_reference: bool = False,
    oracle: OracleError = EXACT,
) -> Bound:
    """Theorem 1″ (ours): for α = (1+μ)^−K the cover promises ε = 1 − 1/V_d, δ = (1 − 1/V_d)F + (d−1)αA/(4V_d).

    V_d = d/Σ_{k<d} (1+μ)^(−k/d), so that ε = 1 − (1/d)Σ_{k<d} (1+μ)^(−k/d) ≤ μ(d−1)/(2d): for f = 0 no analysis of
    this cover gives less. F = f_max in general and min(f_max, R_max + δ₀) with a policy of f = 0 (``has_reference``);
    A = R_max + min(F, R_max + δ₀). With an approximate oracle ε = 1 − (1−ε₀)/V_d, and δ₀/V_d is added to δ. Size
    (K+2)^d − (K+1)^d. Holds whatever the sign of J*. Complete proof: docs/theory/theorem-1.md.

    Raises InputError where a parameter is out of range, α is no such power, or F is unbounded.
    """
    d = validate_dimension(objectives)
    grid = _aligned(mu, alpha)
    oracle = OracleError(*oracle).validated()
    reward = positive(reward_max, "reward_max")
    bound_f = regularizer_reach(reward + oracle.delta, regularizer_max, has_reference=has_reference)
    kept, lost = kept_share(d, mu), lost_share(d, _largest_step(grid))
    spread = reward + min(bound_f, reward + oracle.delta)
    epsilon = rounded_up(lost + kept * oracle.epsilon)
    # Where J* < 0 a larger ε promises more: J* ≥ −F, and δ pays for what rounding added to ε.
    rounding = (epsilon - lost_share(d, mu) - kept * oracle.epsilon) * bound_f
    delta = kept * oracle.delta + lost * bound_f + (d - 1) * alpha * spread * kept / 4
    return _of_aligned_cover("1''", d, grid, epsilon, rounded_up(delta + rounding))


def theorem1_triple_prime(objectives: int, mu: float, alpha: float, *, oracle: OracleError = EXACT) -> Bound:
    """Theorem 1‴ (ours), for f = 0: with every objective divided by its own maximum, δ = 0.

    ε = 1 − (1 − (d−1)α/4)/V_d for α = (1+μ)^−K; no R_max. The d maxima max_π R_i(π) are d solves; objectives whose
    maximum is 0 are dropped, and ``covers.for_undivided`` gives the cover's weights for the objectives as they were.
    With an oracle of (ε₀, 0), used for the maxima too: ε = 1 − ((1−ε₀) − (d−1)α/(4(1−ε₀)))/V_d.

    Raises InputError where a parameter is out of range, α is no such power, or δ₀ > 0.
    """
    d = validate_dimension(objectives)
    grid = _aligned(mu, alpha)
    oracle = OracleError(*oracle).validated()
    if oracle.delta > 0:
        raise InputError("Theorem 1‴ promises δ = 0, so its oracle must have delta = 0")
    kept, lost = kept_share(d, mu), lost_share(d, _largest_step(grid))
    epsilon = lost + kept * (oracle.epsilon + (d - 1) * alpha / (4 * (1 - oracle.epsilon)))
    return _of_aligned_cover("1'''", d, grid, rounded_up(epsilon), 0.0)


def _of_aligned_cover(theorem: TheoremName, d: int, grid: HybridGrid, epsilon: float, delta: float) -> Bound:
    bound = hybrid_size_bound(d, grid.mu, grid.alpha)
    return Bound(theorem, d, grid.size(d), bound, epsilon, delta, mu=grid.mu, alpha=grid.alpha)


def regularizer_reach(reward_max: float, regularizer_max: float | None, *, has_reference: bool) -> float:
    """F, how large f can be at the policies compared: min(f_max, ``reward_max``) with a reference, else f_max.

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
    error = oracle.delta + oracle.epsilon * reward_max
    return _of_lattice("2", d, resolution, (math.sqrt(error) + slope * lattice_radius(d, resolution)) ** 2)


def theorem2_prime(
    objectives: int,
    resolution: int,
    *,
    beta: float,
    reward_max: float,
    oracle: OracleError = EXACT,
) -> Bound:
    """Theorem 2′ (ours): δ = β·Ψ(R_max·ρ/β) for the lattice of Theorem 2, with Ψ = ``geometry.tilt.tilt_loss``.

    Exact: for every two weights at a distance ρ in ‖·‖₁ some problem loses just βΨ(R_max·ρ/β) between them. Never above
    Theorem 2, as Ψ(ℓ) ≤ ℓ²/8, and never above R_max·ρ.

    With an approximate oracle, η = δ₀ + ε₀·R_max: δ = η + min(βΨ(R_max·ρ/β) + R_max·ρ·√(η/2β), R_max·ρ).

    Raises InputError as ``theorem2`` does.
    """
    d = validate_dimension(objectives)
    beta = positive(beta, "beta")
    reach = positive(reward_max, "reward_max") * lattice_radius(d, resolution)
    oracle = OracleError(*oracle).validated()
    error = oracle.delta + oracle.epsilon * reward_max
    curved = beta * tilt_loss(reach / beta) + reach * math.sqrt(error / (2 * beta))
    return _of_lattice("2'", d, resolution, error + min(curved, reach))


def _of_lattice(theorem: TheoremName, d: int, resolution: int, delta: float) -> Bound:
    size = lattice_size(d, resolution)
    return Bound(theorem, d, size, _as_float(size), 0.0, rounded_up(delta), resolution=int(resolution))


def _as_float(count: int) -> float:
    try:
        return float(count)
    except OverflowError:
        return math.inf
