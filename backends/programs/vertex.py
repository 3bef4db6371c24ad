"""The vertex of a simplex basis to float64 rounding, so that one vertex reached by two bases has one value."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from palm_theory.geometry.simplex import Array

REFINEMENTS = 3
WIDE_ENTRIES = 4_000_000
"""Residuals are computed in extended precision up to this many entries of the active rows, in float64 above."""

TRUSTED = 1e-6
"""A refined point farther than this from the solver's, relative to its size, is not its vertex: the solver's stays."""

BASIC = highspy.HighsBasisStatus.kBasic
UPPER = highspy.HighsBasisStatus.kUpper


def refined_vertex(
    point: Array, basis: Any, matrix: sparse.csr_matrix, lower: Array, upper: Array, row_lower: Array, row_upper: Array
) -> Array:
    """x, shape (n,), with its nonbasic variables and rows at their bounds exactly, and the basic variables solved for.

    The square system A[nonbasic rows, basic columns]·x_B = bound − A[nonbasic rows, nonbasic columns]·x_N is solved by
    sparse LU with iterative refinement, residuals in extended precision. Falls back to ``point`` where the basis is
    singular or incomplete, which loses digits and nothing else.
    """
    columns = np.array([status == BASIC for status in basis.col_status])
    rows = np.array([status != BASIC for status in basis.row_status], dtype=bool)
    if not basis.valid or columns.sum() != rows.sum():
        return point
    at_upper = np.array([status == UPPER for status in basis.col_status])
    fixed = np.where(at_upper, upper, lower)
    # A free nonbasic variable has no bound to sit at: it stays where the solver left it.
    vertex = np.where(columns | ~np.isfinite(fixed), point, fixed)
    if rows.any():
        rows_at_upper = np.array([status == UPPER for status in basis.row_status])
        bound = np.where(rows_at_upper, row_upper, row_lower)[rows]
        active = matrix[rows]
        if not np.all(np.isfinite(bound)):
            return point
        try:
            factors = splu(sparse.csc_matrix(active[:, columns]))
        except RuntimeError:
            return point
        small = active.shape[0] * active.shape[1] <= WIDE_ENTRIES
        wide: Any = active.toarray().astype(np.longdouble) if small else active
        for _ in range(REFINEMENTS):
            residual = bound - wide @ vertex.astype(np.longdouble if small else np.float64)
            vertex[columns] += factors.solve(np.asarray(residual, dtype=np.float64))
    if not np.all(np.isfinite(vertex)) or np.abs(vertex - point).max() > TRUSTED * (1 + np.abs(point).max()):
        return point
    return vertex
