"""A user's weights from pairwise choices: the posterior of a Bradley–Terry model on the simplex.

A user with weights w ∈ Δ who compares answers with rewards a, b ∈ R^d prefers the first with probability
σ(⟨w, a − b⟩/T), σ the logistic function and T > 0 the temperature, in the unit of the rewards (Bradley and Terry 1952;
Luce 1959). Under a Dirichlet(α) prior the posterior density of w with respect to dw_1…dw_{d−1} is proportional to
Π w_i^{α_i − 1}·Π σ(±⟨w, Δ_n⟩/T).

**Coordinates.** Modes and Gaussian approximations live in isometric log-ratio coordinates z ∈ R^{d−1},
w = softmax(V z), the columns of V orthonormal and orthogonal to 1 (Egozcue et al. 2003). There the density is

    p(z) ∝ Π w_i^{α_i}·Π σ(±⟨w, Δ_n⟩/T),    w = softmax(V z),

since dw_1…dw_{d−1} ∝ Π w_i dz. As a function of w, log p is strictly concave on Δ and −∞ at the boundary: one mode,
always inside, found by Newton's method. At the mode the gradient in w is a multiple of 1, so the curvature of softmax
drops out and the Hessian in z is JᵀHJ with J = (diag w − wwᵀ)V: negative definite always.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.simplex import Array, as_float_array, validate_dimension

SHARPEST = 1e6
"""The largest |⟨w, Δ⟩|/T that is fitted; beyond it, choices are free of noise to every digit that matters."""

NEWTON_STEPS = 500
PROPOSAL_FREEDOM = 5.0
MIN_EFFECTIVE = 0.1
"""Below this share of effective samples importance sampling gives way to tempering."""
TEMPERING_EFFECTIVE = 0.5
MOVES = 12
MOVE_LENGTHS = (2.0, 1.0, 0.3)


@dataclass(frozen=True)
class Comparison:
    """One choice between two answers.

    ``first``, ``second`` are their rewards (d,), as the portfolio normalises them; ``preferred`` is 1 where the first
    was chosen, 0 where the second was, 1/2 where the user could not tell (half a win each). ``names`` and ``prompt``
    say what was shown. Raises InputError on vectors of unequal length, non-finite rewards or another ``preferred``.
    """

    first: tuple[float, ...]
    second: tuple[float, ...]
    preferred: float
    names: tuple[str, str] = ("", "")
    prompt: str | None = None

    def __post_init__(self) -> None:
        for side in ("first", "second"):
            vector = as_float_array(getattr(self, side), side)
            if vector.ndim != 1 or vector.size == 0 or not np.all(np.isfinite(vector)):
                raise InputError(f"{side} must be finite rewards of shape (d,), got {getattr(self, side)!r}")
            object.__setattr__(self, side, tuple(vector.tolist()))
        if len(self.first) != len(self.second):
            raise InputError(f"the answers compared have {len(self.first)} and {len(self.second)} rewards")
        if self.preferred not in (0, 0.5, 1):
            raise InputError(f"preferred must be 1 (the first), 0 (the second) or 0.5, got {self.preferred!r}")

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain data, exactly."""
        return {
            "first": list(self.first),
            "second": list(self.second),
            "preferred": float(self.preferred),
            "names": list(self.names),
            "prompt": self.prompt,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Comparison:
        """The inverse of ``to_dict``."""
        return cls(
            data["first"], data["second"], data["preferred"], (data["names"][0], data["names"][1]), data["prompt"]
        )


@dataclass(frozen=True)
class ChoiceModel:
    """Prior and likelihood.

    ``temperature`` T > 0, in the unit of the rewards: a difference of T in ⟨w, R⟩ is chosen right with probability
    σ(1) = 73%, one of 3T with 95%. ``concentration`` α > 0 of the Dirichlet prior, the same for every objective; 1 is
    uniform on Δ. Raises InputError on anything not finite and > 0.
    """

    temperature: float
    concentration: float = 1.0

    def __post_init__(self) -> None:
        for name in ("temperature", "concentration"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
                raise InputError(f"{name} must be a finite number > 0, got {number!r}")

    def probability(self, weights: ArrayLike, first: ArrayLike, second: ArrayLike) -> Array:
        """P(first chosen) = σ(⟨w, a − b⟩/T), with NumPy broadcasting over the last axis."""
        difference = as_float_array(first, "first") - as_float_array(second, "second")
        return logistic(np.sum(as_float_array(weights, "weights") * difference, axis=-1) / self.temperature)


def logistic(x: ArrayLike) -> Array:
    """σ(x) = 1/(1 + e^{−x}) elementwise, without overflow."""
    x = np.asarray(x, dtype=np.float64)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def log_logistic(x: Array) -> Array:
    """log σ(x) elementwise, without overflow."""
    return np.minimum(x, 0.0) - np.log1p(np.exp(-np.abs(x)))


def log_ratio_basis(d: int) -> Array:
    """V, shape (d, d−1): orthonormal columns orthogonal to 1 (Helmert's)."""
    basis = np.zeros((d, d - 1))
    for k in range(1, d):
        basis[:k, k - 1] = 1.0
        basis[k, k - 1] = -k
        basis[:, k - 1] /= math.sqrt(k * (k + 1))
    return basis


def weights_of(coordinates: Array) -> Array:
    """w = softmax(V z) for each row of z (n, d−1)."""
    logits = coordinates @ log_ratio_basis(coordinates.shape[1] + 1).T
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Data:
    """Comparisons as arrays: scaled differences Δ_n/T (n, d) and who was preferred (n,)."""

    slopes: Array
    preferred: Array
    concentration: float

    @classmethod
    def of(cls, comparisons: Sequence[Comparison], model: ChoiceModel, d: int) -> Data:
        """Raises InputError on comparisons of another d, and on a temperature too low for their differences."""
        for number, comparison in enumerate(comparisons):
            if len(comparison.first) != d:
                raise InputError(f"comparison {number} has {len(comparison.first)} rewards, not {d}")
        differences = np.array([np.subtract(c.first, c.second) for c in comparisons]).reshape(-1, d)
        largest = float(np.abs(differences).max(initial=0.0))
        if largest > SHARPEST * model.temperature:
            raise InputError(
                f"the temperature {model.temperature:g} is below a millionth of the differences compared, {largest:g}; "
                f"use at least {largest / SHARPEST:g}"
            )
        preferred = np.array([float(c.preferred) for c in comparisons])
        return cls(differences / model.temperature, preferred, float(model.concentration))

    def log_likelihood(self, weights: Array) -> Array:
        """Σ_n log P(choice n | w) for each row of (m, d)."""
        x = weights @ self.slopes.T
        return log_logistic(x) @ self.preferred + log_logistic(-x) @ (1.0 - self.preferred)

    def log_density(self, coordinates: Array) -> Array:
        """log p(z) up to a constant, for each row of z (m, d−1)."""
        logits = coordinates @ log_ratio_basis(coordinates.shape[1] + 1).T
        top = logits.max(axis=1, keepdims=True)
        shares = np.exp(logits - top)
        total = shares.sum(axis=1, keepdims=True)
        log_weights = logits - top - np.log(total)
        return self.concentration * log_weights.sum(axis=1) + self.log_likelihood(shares / total)

    def tempered(self, factor: float) -> Data:
        """The same choices at a temperature ``1/factor`` times as high."""
        return Data(self.slopes * factor, self.preferred, self.concentration)


def mode(data: Data) -> Array:
    """The maximum (d,) of log p over Δ, in its interior, by Newton's method with a line search.

    Sharp choices are approached from blunt ones: a warm start for each temperature on the way down. Raises
    CertificateError where Newton's method does not converge.
    """
    weights = np.full(data.slopes.shape[1], 1.0 / data.slopes.shape[1])
    steepest = float(np.abs(data.slopes).max(initial=0.0))
    blunt = min(1.0, 4.0 / steepest) if steepest > 0 else 1.0
    for factor in np.geomspace(blunt, 1.0, 1 + math.ceil(-math.log(blunt, 4))) if blunt < 1 else [1.0]:
        weights = _newton(data.tempered(float(factor)), weights)
    return weights


def _newton(data: Data, weights: Array) -> Array:
    def objective(w: Array) -> float:
        return float(data.concentration * np.log(w).sum() + data.log_likelihood(w[None, :])[0])

    d = len(weights)
    value = objective(weights)
    for _ in range(NEWTON_STEPS):
        p = logistic(data.slopes @ weights)
        scaled = data.slopes * weights
        # In u = s/w the Hessian is bounded away from singular, however close w is to the boundary.
        gradient = data.concentration + scaled.T @ (data.preferred - p)
        curvature = data.concentration * np.eye(d) + scaled.T @ (scaled * (p * (1.0 - p))[:, None])
        system = np.block([[curvature, weights[:, None]], [weights[None, :], np.zeros((1, 1))]])
        direction = np.linalg.solve(system, np.append(gradient, 0.0))[:d]
        decrement = float(direction @ curvature @ direction)
        if decrement <= 1e-18 * (1.0 + abs(value)) or d == 1:
            return weights
        step = min(1.0, 0.95 / max(float(-direction.min()), 1e-300))
        while True:
            moved = weights * (1.0 + step * direction)
            moved = moved / moved.sum()
            reached = objective(moved)
            if reached >= value + 0.25 * step * decrement:
                break
            step /= 2.0
            if step * math.sqrt(decrement) < 1e-10:
                return weights
        weights, value = moved, reached
    raise CertificateError("Newton's method found no mode of the posterior; raise the temperature")


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is believed of a user's weights.

    Attributes
    ----------
    mode : ŵ (d,), the mode of p(z), z the log-ratio coordinates.
    laplace_covariance : (d−1, d−1), the inverse of the negative Hessian of log p(z) at the mode: the Laplace
        approximation is N(ẑ, this) in z, not a Gaussian on Δ.
    weights, masses : samples (m, d) of the exact posterior and their masses (m,), Σ = 1: expectations are
        masses @ f(weights). Laplace's approximation only proposes them.
    effective_samples : 1/Σ masses², of m.
    """

    mode: Array
    laplace_covariance: Array
    weights: Array
    masses: Array

    @property
    def effective_samples(self) -> float:
        """1/Σp² of the sample's masses p, between 1 and their number: how many equal ones they amount to."""
        return float(1.0 / np.sum(self.masses**2))

    @property
    def mean(self) -> Array:
        """E[w], shape (d,): a point of Δ. J_w is linear in w, so E[J_w(π)] = J_{E[w]}(π)."""
        mean = self.masses @ self.weights
        return mean / mean.sum()

    @property
    def covariance(self) -> Array:
        """Cov[w], (d, d)."""
        centred = self.weights - self.mean
        return centred.T @ (centred * self.masses[:, None])

    def interval(self, level: float = 0.9) -> Array:
        """Equal-tailed credible intervals, (d, 2), each coordinate's own: a level of the model, not of coverage.

        Raises InputError unless 0 < level < 1.
        """
        if not 0 < level < 1:
            raise InputError(f"the level must lie in (0, 1), got {level!r}")
        tail = (1.0 - level) / 2.0
        return np.array([_quantiles(column, self.masses, (tail, 1.0 - tail)) for column in self.weights.T])


def _quantiles(values: Array, masses: Array, levels: Sequence[float]) -> Array:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(masses[order])
    found = np.searchsorted(reached, np.asarray(levels) * reached[-1])
    return values[order][np.minimum(found, len(values) - 1)]


def posterior(
    comparisons: Sequence[Comparison],
    model: ChoiceModel,
    objectives: int,
    *,
    samples: int = 4096,
    seed: int = 0,
) -> Posterior:
    """The posterior of w ∈ Δ (d = ``objectives``) after some comparisons; a function of its arguments alone.

    Samples are drawn from a Student-t around the mode with Laplace's covariance, in z, and weighted by the exact
    density (self-normalised importance sampling). Where fewer than a tenth would count (sharp choices, many
    objectives), they are moved to it by tempered sequential Monte Carlo (Del Moral, Doucet, Jasra 2006).

    Raises InputError on comparisons of another d or a temperature below a millionth of the differences compared.
    """
    d = validate_dimension(objectives)
    if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < 2:
        raise InputError(f"samples must be an integer >= 2, got {samples!r}")
    data = Data.of(comparisons, model, d)
    best = mode(data)
    if d == 1:
        return Posterior(best, np.zeros((0, 0)), np.ones((samples, 1)), np.full(samples, 1.0 / samples))
    basis = log_ratio_basis(d)
    p = logistic(data.slopes @ best)
    scaled = data.slopes * (p * (1.0 - p))[:, None]
    # −JᵀHJ with H = −diag(α/w²) − Σ p(1−p)ΔΔᵀ/T²: diag(1/w)·J = (I − 1wᵀ)V stays finite at the boundary.
    projection = basis - np.outer(np.ones(d), best @ basis)
    jacobian = best[:, None] * projection
    precision = data.concentration * projection.T @ projection + jacobian.T @ data.slopes.T @ scaled @ jacobian
    covariance = np.linalg.inv(precision)
    covariance = (covariance + covariance.T) / 2.0
    proposal = _Proposal(basis.T @ np.log(best), np.asarray(np.linalg.cholesky(covariance), dtype=np.float64))
    rng = np.random.default_rng(seed)
    coordinates = proposal.draw(samples, rng)
    masses = _normalized(data.log_density(coordinates) - proposal.log_density(coordinates))
    if 1.0 / np.sum(masses**2) < MIN_EFFECTIVE * samples:
        coordinates = _tempered(data, proposal, coordinates, rng)
        masses = np.full(samples, 1.0 / samples)
    return Posterior(best, covariance, weights_of(coordinates), masses)


class _Proposal:
    """A Student-t in z around the mode, with Laplace's covariance as its scale: tails above any posterior's."""

    def __init__(self, centre: Array, factor: Array) -> None:
        self._centre, self._factor, self._inverse = centre, factor, np.linalg.inv(factor)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        stretch = np.sqrt(PROPOSAL_FREEDOM / rng.chisquare(PROPOSAL_FREEDOM, (n, 1)))
        return self._centre + stretch * rng.standard_normal((n, len(self._centre))) @ self._factor.T

    def log_density(self, coordinates: Array) -> Array:
        """Up to a constant."""
        distance = np.sum(((coordinates - self._centre) @ self._inverse.T) ** 2, axis=1)
        return -0.5 * (PROPOSAL_FREEDOM + len(self._centre)) * np.log1p(distance / PROPOSAL_FREEDOM)


def _normalized(log_masses: Array) -> Array:
    masses = np.exp(log_masses - log_masses.max())
    return masses / masses.sum()


def _tempered(data: Data, proposal: _Proposal, coordinates: Array, rng: np.random.Generator) -> Array:
    """Samples of p(z) by sequential Monte Carlo over q^{1−t}·p^t, from draws of the proposal q (t = 0) to t = 1."""
    n, dimension = coordinates.shape

    def log_densities(z: Array) -> tuple[Array, Array]:
        base = proposal.log_density(z)
        return base, data.log_density(z) - base

    base, ratio = log_densities(coordinates)
    reached = 0.0
    while reached < 1.0:
        step = _next_exponent(ratio, reached)
        masses = _normalized((step - reached) * ratio)
        reached = step
        # Systematic resampling: fewer lost samples than independent draws.
        chosen = np.minimum(np.searchsorted(np.cumsum(masses), (np.arange(n) + rng.random()) / n), n - 1)
        coordinates, base, ratio = coordinates[chosen], base[chosen], ratio[chosen]
        spread = np.cov(coordinates.T).reshape(dimension, dimension) + 1e-12 * np.eye(dimension)
        factor = np.linalg.cholesky(spread) * 2.38 / math.sqrt(dimension)
        for move in range(MOVES):
            # Short and long moves in turn: one length fits no distribution with edges.
            length = MOVE_LENGTHS[move % len(MOVE_LENGTHS)]
            trial = coordinates + length * rng.standard_normal((n, dimension)) @ factor.T
            trial_base, trial_ratio = log_densities(trial)
            gain = (trial_base - base) + reached * (trial_ratio - ratio)
            taken = np.log1p(-rng.random(n)) < gain
            coordinates = np.where(taken[:, None], trial, coordinates)
            base, ratio = np.where(taken, trial_base, base), np.where(taken, trial_ratio, ratio)
    return coordinates


def _next_exponent(ratio: Array, reached: float) -> float:
    """The largest t ≤ 1 at which half of the samples still count, by bisection."""

    def share(exponent: float) -> float:
        masses = _normalized((exponent - reached) * ratio)
        return float(1.0 / np.sum(masses**2) / len(masses))

    if share(1.0) >= TEMPERING_EFFECTIVE:
        return 1.0
    low, high = reached, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if share(middle) >= TEMPERING_EFFECTIVE else (low, middle)
    return max(low, math.nextafter(reached, 1.0))
