"""Preference weights: points of the simplex Δ = {w ∈ R^d : w ≥ 0, Σw = 1}."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palm_theory.errors import CoverTooLargeError, InputError

SUM_TOLERANCE = 1e-6
"""How far Σw may be from 1: wide enough for weights held in float32. Weights are taken as given, never rescaled."""

MAX_POINTS = 5_000_000
"""The most points any generator of this package returns as one array unless told otherwise."""

Array = NDArray[np.float64]


def as_float_array(values: ArrayLike, name: str) -> Array:
    """``values`` as a float64 array of the same shape; raises InputError where they are ragged or not numbers."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of numbers of one shape: {error}") from None


def validate_dimension(objectives: int) -> int:
    """The number of objectives d as an int; raises InputError unless d is an integer ≥ 1."""
    if isinstance(objectives, bool) or not isinstance(objectives, int | np.integer) or objectives < 1:
        raise InputError(f"the number of objectives must be an integer >= 1, got {objectives!r}")
    return int(objectives)


def validate_weights(weights: ArrayLike, objectives: int | None = None) -> Array:
    """Check that every row of ``weights`` lies on the simplex Δ.

    Parameters
    ----------
    weights : shape (d,) or (n, d); entries ≥ 0 with Σ = 1 (to ``SUM_TOLERANCE``) in every row.
    objectives : d, when it is known.

    Returns
    -------
    The weights as float64, same shape, unchanged.

    Raises
    ------
    InputError : wrong shape, non-finite or negative entries, or a row that does not sum to 1, with the row named.
    """
    array = as_float_array(weights, "weights")
    if array.ndim not in (1, 2) or array.shape[-1] == 0:
        raise InputError(f"weights must have shape (d,) or (n, d) with d >= 1, got {array.shape}")
    if objectives is not None and array.shape[-1] != objectives:
        raise InputError(f"weights must have {objectives} entries, one an objective, got {array.shape[-1]}")
    rows = np.atleast_2d(array)
    for bad, what in ((~np.isfinite(rows), "finite"), (rows < 0, ">= 0")):
        if bad.any():
            row, column = (int(i) for i in np.argwhere(bad)[0])
            raise InputError(
                f"weights must be {what}, {_row_name(array, row)} has {rows[row, column]} at position {column}"
            )
    sums = rows.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1.0) > SUM_TOLERANCE)
    if wrong.size:
        row = int(wrong[0])
        raise InputError(f"weights must sum to 1, {_row_name(array, row)} sums to {sums[row]:.6g}")
    return array


def _row_name(array: Array, row: int) -> str:
    return f"row {row}" if array.ndim == 2 else "the vector"


def parse_weights(text: str) -> dict[str, float] | list[float]:
    """``a=0.7,b=0.3`` as a mapping, ``0.7,0.3`` as a list. Raises InputError on anything else."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        if all("=" in part for part in parts):
            pairs = [part.split("=", 1) for part in parts]
            named = {key.strip(): float(value) for key, value in pairs}
            if len(named) < len(pairs):
                raise InputError(f"an objective is named twice in {text!r}")
            return named
        return [float(part) for part in parts]
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"weights are name=number,… or numbers, got {text!r}") from None


def named_weights(weights: Mapping[str, float], objectives: Sequence[str]) -> Array:
    """Weights given by objective name, as a vector (d,); objectives left out get weight 0.

    Raises InputError on an unknown name or where the values are not a point of the simplex.
    """
    unknown = [name for name in weights if name not in objectives]
    if unknown:
        raise InputError(f"unknown objective {unknown[0]!r}; the objectives are {', '.join(objectives)}")
    return validate_weights([float(weights.get(name, 0.0)) for name in objectives], len(objectives))


def sample_dirichlet(
    objectives: int,
    n: int,
    *,
    seed: int | np.random.Generator = 0,
    concentration: float | ArrayLike = 1.0,
) -> Array:
    """``n`` independent weights from Dirichlet(a); a = 1, the default, is uniform on Δ. Shape (n, d).

    ``concentration`` is one a > 0 for all objectives or one per objective. Equal seeds give equal weights. Raises
    InputError where d or n < 1 or a ≤ 0.
    """
    d = validate_dimension(objectives)
    n = _validate_count(n, "n")
    alpha = np.broadcast_to(as_float_array(concentration, "concentration"), (d,))
    if not np.all(np.isfinite(alpha) & (alpha > 0)):
        raise InputError("concentration must be finite and > 0")
    return np.random.default_rng(seed).dirichlet(alpha, size=n)


def _validate_count(n: Any, name: str) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InputError(f"{name} must be an integer >= 1, got {n!r}")
    return int(n)


def lattice_size(objectives: int, n: int) -> int:
    """|{k ∈ N^d : Σk = n}| = C(n+d−1, d−1), exactly."""
    d = validate_dimension(objectives)
    return math.comb(_validate_count(n, "n") + d - 1, d - 1)


def simplex_lattice(objectives: int, n: int, *, max_points: int = MAX_POINTS) -> Array:
    """The lattice {k/n : k ∈ N^d, Σk = n} on Δ (Das & Dennis 1998), shape (C(n+d−1, d−1), d), lexicographic in k.

    Its covering radius in ‖·‖₁ is at most ``lattice_radius(d, n)``. Raises CoverTooLargeError above ``max_points``.
    """
    size = lattice_size(objectives, n)
    if size > max_points:
        raise CoverTooLargeError(size, max_points, f"the simplex lattice with d={objectives}, n={n}")
    d, n = int(objectives), int(n)
    # Stars and bars: the positions of d-1 bars among n+d-1 places, in lexicographic order.
    bars = np.fromiter(
        itertools.chain.from_iterable(itertools.combinations(range(n + d - 1), d - 1)),
        dtype=np.int64,
        count=size * (d - 1),
    ).reshape(size, d - 1)
    edges = np.hstack([np.full((size, 1), -1), bars, np.full((size, 1), n + d - 1)])
    return (np.diff(edges, axis=1) - 1) / n


def lattice_radius(objectives: int, n: int) -> float:
    """Covering radius of the lattice {k/n} on Δ in ‖·‖₁: 2m(d−m)/(d·n) with m = min(n, ⌊d/2⌋).

    That is 2⌊d/2⌋⌈d/2⌉/(d·n) ≤ d/(2n) for n ≥ ⌊d/2⌋, and 2(d−n)/d for coarser lattices (docs/theory/theorem-2.md).
    """
    d, n = validate_dimension(objectives), _validate_count(n, "n")
    m = min(n, d // 2)
    return 2 * m * (d - m) / (d * n)


def nearest_lattice_point(weights: ArrayLike, n: int) -> Array:
    """For each row of ``weights`` a nearest point of {k/n} in ‖·‖₁ (largest-remainder rounding). Shape as given."""
    array = validate_weights(weights)
    rows = np.atleast_2d(array)
    scaled = rows * _validate_count(n, "n")
    floor = np.floor(scaled)
    missing = (n - floor.sum(axis=1)).astype(int)
    order = np.argsort(-(scaled - floor), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(rows.shape[1])[None, :], axis=1)
    return ((floor + (rank < missing[:, None])) / n).reshape(array.shape)


def l1_distance(first: ArrayLike, second: ArrayLike) -> Array:
    """‖a − b‖₁ along the last axis, with NumPy broadcasting; on Δ it lies in [0, 2]."""
    return np.abs(as_float_array(first, "weights") - as_float_array(second, "weights")).sum(axis=-1)
