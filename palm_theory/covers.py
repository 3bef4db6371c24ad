"""Finite sets of weights that cover the simplex: the hybrid cover of Theorems 1 to 1‴, Theorem 2's lattice, baselines.

All arrays have shape (n, d), one weight vector a row, in an order that depends on the parameters alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.design import theorem2_prime_resolution
from palm_theory.errors import CoverTooLargeError, InputError
from palm_theory.geometry.hybrid import HybridGrid
from palm_theory.geometry.simplex import (
    MAX_POINTS,
    Array,
    as_float_array,
    sample_dirichlet,
    simplex_lattice,
    validate_dimension,
    validate_weights,
)

BLOCK = 65_536


def hybrid_size(objectives: int, mu: float, alpha: float) -> int:
    """The exact number of distinct points of ``hybrid_cover(objectives, mu, alpha)``; a Python int, no overflow."""
    return HybridGrid(mu, alpha).size(objectives)


def aligned_alpha(mu: float, top_exponent: int) -> float:
    """α = (1+μ)^−K for K = ``top_exponent``: the hybrid covers of Theorem 1″, of (K+2)^d − (K+1)^d weights.

    Raises InputError where μ ∉ (0, 1] or K is no integer ≥ 1.
    """
    return HybridGrid.aligned(mu, top_exponent).alpha


def hybrid_cover(objectives: int, mu: float, alpha: float, *, max_points: int = MAX_POINTS) -> Array:
    """Theorem 1's hybrid cover as one array (n, d) of distinct weights, n = ``hybrid_size(objectives, mu, alpha)``.

    For each objective i: v_i = 1, every other v_j runs over {0} ∪ {α(1+μ)^k}, then w = v/Σv (arXiv 2604.04144).

    Raises
    ------
    InputError : d, μ or α out of range.
    CoverTooLargeError : more than ``max_points`` points; the error holds the count. Use ``hybrid_cover_blocks``.
    """
    size = hybrid_size(objectives, mu, alpha)
    if size > max_points:
        raise CoverTooLargeError(size, max_points, f"the hybrid cover with d={objectives}, mu={mu}, alpha={alpha}")
    return np.concatenate(list(hybrid_cover_blocks(objectives, mu, alpha)))


def hybrid_cover_blocks(objectives: int, mu: float, alpha: float, *, block: int = BLOCK) -> Iterator[Array]:
    """The points of ``hybrid_cover`` in the same order, as arrays (n, d) of n ≤ ``block`` rows, in constant memory.

    Raises InputError where d, μ or α is out of range.
    """
    d = validate_dimension(objectives)
    grid = HybridGrid(mu, alpha)
    values, levels = grid.values(), grid.levels
    # The face of i holds the vectors whose *first* coordinate equal to 1 is i, so no vector is made twice.
    below = levels - 1 if grid.top_is_one else levels
    for i in range(d):
        radices = [below] * i + [levels] * (d - 1 - i)
        total = math.prod(radices)
        for start in range(0, total, block):
            count = min(block, total - start)
            vectors = np.ones((count, d))
            others = [j for j in range(d) if j != i]
            for j, digits in zip(others, _digits(start, count, radices), strict=True):
                vectors[:, j] = values[digits]
            yield vectors / vectors.sum(axis=1, keepdims=True)


def _digits(start: int, count: int, radices: list[int]) -> list[np.ndarray]:
    """The mixed-radix digits of start .. start+count−1, most significant first; ``start`` may exceed 64 bits."""
    digits: list[np.ndarray] = []
    carry = np.arange(count, dtype=np.int64)
    for radix in reversed(radices):
        start, low = divmod(start, radix)
        total = carry + low
        digits.append(total % radix)
        carry = total // radix
    return digits[::-1]


def for_undivided(weights: ArrayLike, maxima: ArrayLike) -> Array:
    """Weights (n, d) for objectives divided by ``maxima`` (d,), as weights of the objectives as they were: ∝ w_i/m_i.

    A policy is best at w for the objectives R_i/m_i exactly where it is best at the result for the R_i. Theorem 1‴'s
    cover is ``hybrid_cover`` put through this, with m_i = max_π R_i(π).

    Raises InputError unless every maximum is finite and > 0.
    """
    rows = validate_weights(weights)
    m = as_float_array(maxima, "maxima")
    if m.shape != rows.shape[-1:] or not (np.isfinite(m) & (m > 0)).all():
        raise InputError(f"maxima must be {rows.shape[-1]} finite numbers > 0, one an objective, got {maxima}")
    # Around the least maximum, so that nothing overflows.
    scaled = rows * (m.min() / m)
    return scaled / scaled.sum(axis=-1, keepdims=True)


def kl_lattice(objectives: int, *, delta: float, beta: float, reward_max: float, max_points: int = MAX_POINTS) -> Array:
    """Theorem 2′'s cover: the coarsest simplex lattice that it says is a (0, δ)-portfolio for KL-regularised policies.

    For f = β·E_x KL(π‖π_ref), outcome rewards in [0, R_max] and an unrestricted policy class (bandits, LLMs seen as
    one sequence-level choice; not MDPs with random transitions). Shape (C(n+d−1, d−1), d), n from
    ``design.theorem2_prime_resolution``.
    """
    n = theorem2_prime_resolution(objectives, delta=delta, beta=beta, reward_max=reward_max)
    return simplex_lattice(objectives, n, max_points=max_points)


def uniform_grid(objectives: int, n: int, *, max_points: int = MAX_POINTS) -> Array:
    """Baseline: the simplex lattice {k/n}, C(n+d−1, d−1) points, with no guarantee for a general regulariser."""
    return simplex_lattice(objectives, n, max_points=max_points)


def random_weights(objectives: int, n: int, *, seed: int = 0) -> Array:
    """Baseline: ``n`` weights drawn uniformly from the simplex, shape (n, d)."""
    return sample_dirichlet(objectives, n, seed=seed)
