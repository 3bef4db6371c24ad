"""Rows of a linear program scaled up by powers of two: a solver's absolute tolerances then mean what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from palm_theory.simplex import Array

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


def scaled_sides(sides: Array, exponents: np.ndarray) -> Array:
    """2^{k_i}·b_i, (m,); exact, or infinite beyond float64."""
    with np.errstate(over="ignore"):
        return np.ldexp(sides, exponents)
