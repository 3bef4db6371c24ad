"""A multi-objective linear or integer program as data: what the file readers return and the backends take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from backends.bandit import default_objectives
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """Optimise each of the d objectives C·x + c₀ over row_lower ≤ A·x ≤ row_upper and lower ≤ x ≤ upper.

    ``costs`` is C, shape (d, n), in the units and orientation of the source; ``constants`` c₀, (d,); ``minimize``
    says for each objective whether it is minimised; ``matrix`` is A, a SciPy csr_matrix (m, n); bounds may be infinite;
    ``integer`` (n,) marks the integer variables. Raises InputError where shapes disagree, a coefficient is not
    finite, or a lower bound exceeds its upper bound.
    """

    costs: Array
    minimize: tuple[bool, ...]
    matrix: Any
    row_lower: Array
    row_upper: Array
    lower: Array
    upper: Array
    integer: np.ndarray
    objectives: tuple[str, ...]
    constants: Array

    def __post_init__(self) -> None:
        d, n = self.costs.shape
        m = self.matrix.shape[0]
        if d < 1 or n < 1:
            raise InputError(f"a program needs objectives and variables, got {d} and {n}")
        shapes = {
            "matrix": (self.matrix.shape, (m, n)),
            "row_lower": (self.row_lower.shape, (m,)),
            "row_upper": (self.row_upper.shape, (m,)),
            "lower": (self.lower.shape, (n,)),
            "upper": (self.upper.shape, (n,)),
            "integer": (self.integer.shape, (n,)),
            "constants": (self.constants.shape, (d,)),
            "minimize": ((len(self.minimize),), (d,)),
            "objectives": ((len(self.objectives),), (d,)),
        }
        for name, (found, wanted) in shapes.items():
            if found != wanted:
                raise InputError(f"{name} must have shape {wanted}, got {found}")
        for name, array in (("costs", self.costs), ("matrix", self.matrix.data), ("constants", self.constants)):
            if not np.all(np.isfinite(array)):
                raise InputError(f"{name} must be finite")
        for what, low, high in (("row", self.row_lower, self.row_upper), ("variable", self.lower, self.upper)):
            wrong = ~(low <= high)
            if wrong.any():
                k = int(wrong.argmax())
                raise InputError(f"{what} {k + 1} has lower bound {low[k]} and upper bound {high[k]}")

    @property
    def signs(self) -> Array:
        """+1 for each objective that is maximised, −1 for each that is minimised, (d,)."""
        return np.where(self.minimize, -1.0, 1.0)


def linear_program(
    costs: Array,
    matrix: Array | sparse.spmatrix,
    row_lower: Array,
    row_upper: Array,
    *,
    minimize: bool | Sequence[bool] = False,
    lower: float | Array = 0.0,
    upper: float | Array = np.inf,
    integer: bool | np.ndarray = False,
    objectives: Sequence[str] | None = None,
    constants: float | Array = 0.0,
) -> LinearProgram:
    """A ``LinearProgram`` from arrays: costs (d, n), matrix (m, n), bounds (m,) and (n,); single numbers stand for all
    objectives or variables. x ≥ 0 by default. Raises InputError as ``LinearProgram`` does."""
    table = np.atleast_2d(np.asarray(costs, dtype=np.float64))
    d, n = table.shape
    senses = (minimize,) * d if isinstance(minimize, bool) else tuple(bool(sense) for sense in minimize)
    return LinearProgram(
        costs=table,
        minimize=senses,
        matrix=sparse.csr_matrix(matrix, dtype=np.float64),
        row_lower=np.asarray(row_lower, dtype=np.float64),
        row_upper=np.asarray(row_upper, dtype=np.float64),
        lower=np.array(np.broadcast_to(np.asarray(lower, dtype=np.float64), (n,))),
        upper=np.array(np.broadcast_to(np.asarray(upper, dtype=np.float64), (n,))),
        integer=np.array(np.broadcast_to(np.asarray(integer, dtype=bool), (n,))),
        objectives=default_objectives(objectives, d),
        constants=np.array(np.broadcast_to(np.asarray(constants, dtype=np.float64), (d,))),
    )
