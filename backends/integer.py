"""Multi-objective pure integer programs, solved by HiGHS to optimality or to a proven bound."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import highspy
import numpy as np
from numpy.typing import ArrayLike

from backends.bandit import default_objectives
from backends.programs.program import LinearProgram
from backends.programs.rows import SMALLEST_ENTRY, row_exponents, scaled_sides
from palm_theory.bounds import EXACT
from palm_theory.contract.backend import PolicyBackend, Solution, Status
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.contract.value import Value, frozen_array
from palm_theory.errors import BackendError, InputError
from palm_theory.files import array_digest
from palm_theory.geometry.quiet_highs import QuietHighs
from palm_theory.geometry.simplex import Array, as_float_array

OBJECTIVE_SIZE = 1e5
"""Objectives are scaled so that their largest coefficient is this: HiGHS prunes nodes within an absolute 1e-6."""

FEASIBILITY = 1e-9
"""How far a rounded solution may leave a row, relative to the row's largest term or coefficient, of those below 1:
float64 rounding and no more."""

STOPPED = (
    highspy.HighsModelStatus.kTimeLimit,
    highspy.HighsModelStatus.kSolutionLimit,
    highspy.HighsModelStatus.kIterationLimit,
    highspy.HighsModelStatus.kInterrupt,
)


class IntegerBackend(PolicyBackend, kind="backends.integer.IntegerBackend"):
    """maximise ⟨w, C·x⟩ over integer vectors x with A·x ≤ b, E·x = e, lower ≤ x ≤ upper.

    Parameters
    ----------
    rewards : C, shape (d, n): what one unit of each variable adds to each objective.
    minimize : whether all objectives are minimised, or d such answers. A minimised objective becomes the reward
        ``largest value − value``, as ``normalizers`` declare.
    constants : what is added to each objective, a number or (d,).
    at_most : (A, b), shapes (m, n) and (m,).
    equal : (E, e).
    lower, upper : bounds of x, numbers or (n,); 0 and 1 by default. May be infinite.
    objectives : d names; r1, r2, … by default.
    max_nodes : stop a solve after this many nodes of branch and bound; None for no limit. A solve that is stopped
        returns the best solution found with the solver's dual bound as ``upper_bound`` and status BOUNDED, and
        certificates become "bounded". The answer is the same on every machine.
    time_limit : the same in seconds; then answers can depend on the machine's load, so prefer ``max_nodes``.

    A policy is the vector x as integers. Rewards are computed from the rounded x, and the constraints are checked on
    it again. Gaps are set to 0 and the objective is scaled up, so an optimum is one to about 1e-11 relative to the
    largest coefficient. Where some objective can be negative, its least value (d solves) is subtracted; the shift is
    in ``normalizers``.

    Raises InputError on bad shapes; BackendError, in words, on infeasible or unbounded programs.
    """

    def __init__(
        self,
        rewards: ArrayLike,
        *,
        at_most: tuple[ArrayLike, ArrayLike] | None = None,
        equal: tuple[ArrayLike, ArrayLike] | None = None,
        minimize: bool | Sequence[bool] = False,
        constants: ArrayLike = 0.0,
        lower: ArrayLike = 0,
        upper: ArrayLike = 1,
        objectives: Sequence[str] | None = None,
        max_nodes: int | None = None,
        time_limit: float | None = None,
    ) -> None:
        self._rewards = frozen_array(rewards, "rewards")
        if self._rewards.ndim != 2 or 0 in self._rewards.shape or not np.all(np.isfinite(self._rewards)):
            raise InputError(f"rewards must be finite, of shape (d, n) with d, n >= 1, got {self._rewards.shape}")
        d, n = self._rewards.shape
        senses = np.asarray(minimize)
        if senses.dtype != bool or senses.shape not in ((), (d,)):
            raise InputError(f"minimize must be True, False or {d} of them, got {minimize!r}")
        self._signs = np.where(np.broadcast_to(senses, (d,)), -1.0, 1.0)
        self._constants = _box(constants, "constants", d)
        self._gains = frozen_array(self._signs[:, None] * self._rewards, "rewards")
        names = default_objectives(objectives, d)
        self._lower, self._upper = _box(lower, "lower", n), _box(upper, "upper", n)
        if np.any(np.ceil(self._lower) > np.floor(self._upper)):
            variable = int(np.argmax(np.ceil(self._lower) > np.floor(self._upper)))
            raise InputError(f"variable {variable} has no integer between its bounds")
        below, above = _rows(at_most, "at_most", n), _rows(equal, "equal", n)
        self._matrix = frozen_array(np.vstack([below[0], above[0]]), "constraints")
        self._row_upper = np.concatenate([below[1], above[1]])
        self._row_lower = np.concatenate([np.full(len(below[1]), -np.inf), above[1]])
        self._scale_rows()
        if max_nodes is not None and (isinstance(max_nodes, bool) or not isinstance(max_nodes, int) or max_nodes < 1):
            raise InputError(f"max_nodes must be None or an integer >= 1, got {max_nodes!r}")
        if time_limit is not None and not time_limit > 0:
            raise InputError(f"time_limit must be None or > 0, got {time_limit}")
        self._max_nodes, self._time_limit = max_nodes, time_limit

        shift = self._signs * self._constants
        highs = [self._range_end(self._gains[i]) + shift[i] for i in range(d)]
        lows = [self._least(i) + shift[i] for i in range(d)]
        normalizers = tuple(
            IDENTITY if sign > 0 and low >= 0 else Normalizer(float(sign), float(-low) + 0.0)
            for sign, low in zip(self._signs, lows, strict=True)
        )
        tops = [high - low if n != IDENTITY else high for n, high, low in zip(normalizers, highs, lows, strict=True)]
        self.declared = Declarations(
            objectives=names,
            reward_max=float(max(tops)) if max(tops) > 0 else 1.0,
            regularizer_max=0.0,
            # Without limits every solve ends with an optimum, to rounding; with them nothing is known in advance.
            oracle_error=EXACT if max_nodes is None and time_limit is None else None,
            normalizers=normalizers,
        )

    @classmethod
    def from_program(cls, program: LinearProgram, *, max_nodes: int | None = None) -> IntegerBackend:
        """A ``LinearProgram`` whose variables are all integer. Raises InputError where one is not."""
        if not program.integer.all():
            raise InputError(
                f"variable {int(np.argmin(program.integer)) + 1} is not integer: mixed programs are not supported, and "
                "LinearBackend takes those without integer variables"
            )
        matrix, low, high = program.matrix.toarray(), program.row_lower, program.row_upper
        equal = low == high
        above, below = np.isfinite(high) & ~equal, np.isfinite(low) & ~equal
        return cls(
            program.costs,
            at_most=(np.vstack([matrix[above], -matrix[below]]), np.concatenate([high[above], -low[below]])),
            equal=(matrix[equal], high[equal]),
            minimize=program.minimize,
            constants=program.constants,
            lower=program.lower,
            upper=program.upper,
            objectives=program.objectives,
            max_nodes=max_nodes,
        )

    @classmethod
    def from_file(cls, path: str | Path, form: str | None = None, *, max_nodes: int | None = None) -> IntegerBackend:
        """The program of a file; see ``backends.programs.files.read_program`` for the formats."""
        from backends.programs.files import read_program

        return cls.from_program(read_program(path, form), max_nodes=max_nodes)

    def _scale_rows(self) -> None:
        exponents = row_exponents(self._matrix)
        self._scaled = np.ldexp(self._matrix, exponents[:, None])
        self._scaled_lower = scaled_sides(self._row_lower, exponents)
        self._scaled_upper = scaled_sides(self._row_upper, exponents)
        lost = ((self._scaled != 0) & (np.abs(self._scaled) <= SMALLEST_ENTRY)).any(axis=1)
        if lost.any():
            k = int(lost.argmax())
            sizes = np.abs(self._matrix[k][self._matrix[k] != 0])
            raise InputError(
                f"constraint {k} has coefficients from {sizes.min():g} to {sizes.max():g}, and HiGHS would leave out "
                "the smallest: choose other units"
            )

    def _least(self, i: int) -> float:
        """A lower bound on objective i that is exact where it is negative."""
        row = self._gains[i]
        least = float(np.where(row > 0, row * np.where(row > 0, self._lower, 0.0), 0.0).sum())
        if row.min() >= 0 and np.all(self._lower >= 0) and least >= 0:
            return 0.0
        return min(-self._range_end(-row), 0.0)

    def _range_end(self, row: Array) -> float:
        """An upper bound on max row·x; the maximum itself where the solve ends."""
        point, bound = self._solve(row)
        return max(bound, float(row @ point))

    def describe(self) -> Mapping[str, Any]:
        arrays = {
            "rewards": self._rewards,
            "constants": self._constants,
            "matrix": self._matrix,
            "row_lower": self._row_lower,
            "row_upper": self._row_upper,
            "lower": self._lower,
            "upper": self._upper,
        }
        digests = {name: array_digest(array) for name, array in arrays.items()}
        return {
            **digests,
            "minimize": (self._signs < 0).tolist(),
            "max_nodes": self._max_nodes,
            "time_limit": self._time_limit,
        }

    def optimize(self, weights: Array) -> Solution:
        point, bound = self._solve(weights @ self._gains)
        value = self._value(point)
        reached = value.scalarize(weights)
        offsets = np.array([normalizer.offset for normalizer in self.normalizers])
        upper = bound + float(weights @ (offsets + self._signs * self._constants))
        closed = upper - reached <= FEASIBILITY * self.reward_max
        return Solution(
            point,
            value,
            upper_bound=max(reached, upper),
            status=Status.OPTIMAL if closed else Status.BOUNDED,
        )

    def evaluate(self, policy: Any) -> Value:
        """R(x) = C·x, shifted. Raises InputError unless x is an integer vector (n,) that meets all constraints."""
        point = np.asarray(policy)
        if point.shape != self._lower.shape or point.dtype.kind not in "iu":
            raise InputError(f"a policy is an integer vector of shape {self._lower.shape}, got {policy!r}")
        broken = self._violation(point)
        if broken is not None:
            raise InputError(f"the policy violates {broken}")
        return self._value(point)

    def _value(self, point: np.ndarray) -> Value:
        totals = self._rewards @ point + self._constants
        return Value(np.array([float(n.apply(total)) for n, total in zip(self.normalizers, totals, strict=True)]))

    def _violation(self, point: np.ndarray) -> str | None:
        """In words, a constraint that an integer point breaks by more than rounding, or None."""
        if np.any(point < self._lower) or np.any(point > self._upper):
            return f"a bound of variable {int(np.argmax((point < self._lower) | (point > self._upper)))}"
        activity = self._scaled @ point
        allowed = FEASIBILITY * np.abs(self._scaled * point).max(axis=1, initial=1.0)
        off = (activity > self._scaled_upper + allowed) | (activity < self._scaled_lower - allowed)
        return f"constraint {int(off.argmax())}" if off.any() else None

    def _solve(self, row: Array) -> tuple[np.ndarray, float]:
        """An integer point that maximises row·x, and an upper bound on the maximum."""
        size = float(np.abs(row).max())
        scale = OBJECTIVE_SIZE / size if size > 0 else 1.0
        solver = self._program(-scale * row)
        solver.run()
        status, info = solver.getModelStatus(), solver.getInfo()
        if status == highspy.HighsModelStatus.kInfeasible:
            raise BackendError("the constraints contradict each other: no integer point satisfies them all")
        if status in (highspy.HighsModelStatus.kUnbounded, highspy.HighsModelStatus.kUnboundedOrInfeasible):
            raise BackendError("the objective is unbounded, or no integer point exists: bound the variables")
        if status != highspy.HighsModelStatus.kOptimal and status not in STOPPED:
            raise BackendError(f"HiGHS ended with status {solver.modelStatusToString(status)!r}")
        if not math.isfinite(info.objective_function_value) or not solver.getSolution().value_valid:
            raise BackendError("the limits were reached before any integer solution was found: raise them")
        point = np.rint(np.array(solver.getSolution().col_value)).astype(np.int64)
        broken = self._violation(point)
        if broken is not None:
            raise BackendError(f"HiGHS returned a point that, rounded to integers, violates {broken}")
        bound = float(row @ point) if status == highspy.HighsModelStatus.kOptimal else -info.mip_dual_bound / scale
        return point, bound

    def _program(self, costs: Array) -> QuietHighs:
        """min costs·x with every tolerance that HiGHS allows at its strictest."""
        infinity = highspy.kHighsInf
        solver = QuietHighs()
        for option in ("mip_rel_gap", "mip_abs_gap"):
            solver.setOptionValue(option, 0.0)
        solver.setOptionValue("small_matrix_value", SMALLEST_ENTRY)
        if self._max_nodes is not None:
            solver.setOptionValue("mip_max_nodes", self._max_nodes)
        if self._time_limit is not None:
            solver.setOptionValue("time_limit", float(self._time_limit))
        model = highspy.HighsModel()
        lp = model.lp_
        rows, columns = self._matrix.shape
        lp.num_col_, lp.num_row_ = columns, rows
        lp.col_cost_ = costs
        lp.col_lower_ = np.maximum(self._lower, -infinity)
        lp.col_upper_ = np.minimum(self._upper, infinity)
        lp.row_lower_ = np.maximum(self._scaled_lower, -infinity)
        lp.row_upper_ = np.minimum(self._scaled_upper, infinity)
        lp.integrality_ = [highspy.HighsVarType.kInteger] * columns
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        starts, indices, entries = [0], [], []
        for line in self._scaled:
            support = np.flatnonzero(line)
            indices.extend(support.tolist())
            entries.extend(line[support].tolist())
            starts.append(len(indices))
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = starts, indices, entries
        solver.passModel(model)
        return solver


def _box(bound: ArrayLike, name: str, n: int) -> Array:
    array = as_float_array(bound, name)
    if array.shape not in ((), (n,)) or np.any(np.isnan(array)):
        raise InputError(f"{name} must be a number or have shape ({n},), got shape {array.shape}")
    return frozen_array(np.broadcast_to(array, (n,)), name)


def _rows(pair: tuple[ArrayLike, ArrayLike] | None, name: str, n: int) -> tuple[Array, Array]:
    if pair is None:
        return np.zeros((0, n)), np.zeros(0)
    matrix, limits = as_float_array(pair[0], name), as_float_array(pair[1], name)
    if matrix.ndim != 2 or matrix.shape[1] != n or limits.shape != (len(matrix),):
        raise InputError(f"{name} must be a matrix (m, {n}) and a vector (m,), got {matrix.shape} and {limits.shape}")
    if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(limits))):
        raise InputError(f"{name} must be finite")
    return matrix, limits
