"""Rows of a linear program, scaled up by powers of two, so that absolute tolerances mean what they say, and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from palm_theory.geometry.simplex import Array

SMALLEST_ENTRY = 1e-12
"""HiGHS leaves out matrix entries up to this size, by default up to 1e-9; it allows no less."""


def row_exponents(matrix: Any) -> np.ndarray:
    """The least k_i ≥ 0 with 2^{k_i}·max_j |a_ij| ≥ 1, (m,), of a matrix (m, n), sparse or not; 0 for rows of zeros.

    Rows are never scaled down: a violation by 1 of a row of large integers must not sink below a tolerance.
    """
    entries: Any = sparse.coo_matrix(matrix)
    largest = np.zeros(entries.shape[0])
    np.maximum.at(largest, entries.row, np.abs(entries.data))
    return np.where(largest > 0, np.maximum(1 - np.frexp(largest)[1], 0), 0)


def scaled_rows(matrix: Any, exponents: np.ndarray) -> Any:
    """2^{k_i}·a_ij, a csr_matrix (m, n); exact."""
    scaled = matrix.copy()
    scaled.data = np.ldexp(matrix.data, np.repeat(exponents, np.diff(matrix.indptr)))
    return scaled


def violated_rows(point: Array, matrix: Any, lower: Array, upper: Array, tolerance: float) -> np.ndarray:
    """Which of the rows lower ≤ A·x ≤ upper, A a csr_matrix (m, n), a point x (n,) leaves by more than
    ``tolerance``·(1 + the row's largest term), a mask (m,)."""
    if matrix.shape[0] == 0:
        return np.zeros(0, dtype=bool)
    activity = matrix @ point
    allowed = tolerance * (1 + abs(matrix).multiply(np.abs(point)).max(axis=1).toarray().ravel())
    return (activity > upper + allowed) | (activity < lower - allowed)


def scaled_sides(sides: Array, exponents: np.ndarray) -> Array:
    """2^{k_i}·b_i, (m,); exact, or infinite beyond float64."""
    with np.errstate(over="ignore"):
        return np.ldexp(sides, exponents)
