"""Multi-objective linear programs, solved by the simplex method: optima are vertices, computed to float64 rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import highspy
import numpy as np
from numpy.typing import ArrayLike

from backends.programs.program import LinearProgram
from backends.programs.rows import SMALLEST_ENTRY, row_exponents, scaled_rows, scaled_sides, violated_rows
from backends.programs.vertex import refined_vertex
from backends.programs.weak_duality import weak_duality
from palm_theory.bounds import OracleError
from palm_theory.contract.backend import PolicyBackend, Power, Solution, Witness
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.contract.value import Value
from palm_theory.errors import BackendError, InputError
from palm_theory.files import array_digest
from palm_theory.geometry.envelope import corner_weights
from palm_theory.geometry.quiet_highs import QuietHighs
from palm_theory.geometry.rational import float_above
from palm_theory.geometry.sandwich import weight_keys
from palm_theory.geometry.simplex import Array

TOLERANCE = 1e-9
"""Every solve is proven, by its dual solution, to lie within this multiple of R_max of J*; else it is an error."""

FEASIBILITY = 1e-7
"""How far a point may leave a row or bound, relative to 1 + the row's largest term, rows scaled as in ``rows``."""

SOLVER_TOLERANCE = 1e-10
"""HiGHS' strictest; objectives are scaled to largest coefficient 1 first, since it is absolute."""

REACH = 100.0
"""The dual bound takes unbounded variables to be at most REACH·(1 + ‖x‖_∞) where rounding leaves a reduced cost."""


MARGINS = (0.0, 1e-14, 1e-12, 1e-10, 1e-8)
"""By how much, relative to the largest, prices of variables without an end are raised until a witness is found."""


class _Optimum(NamedTuple):
    point: Array
    bound: float
    columns: Array
    rows: Array


class _Unbounded(Exception):
    """The program has no finite optimum, or none at all."""


class LinearBackend(PolicyBackend, kind="backends.linear.LinearBackend"):
    """Optimise d linear objectives, each maximised or minimised, over row_lower ≤ A·x ≤ row_upper, lower ≤ x ≤ upper.

    Parameters
    ----------
    program : a ``LinearProgram`` without integer variables; ``from_file`` reads one.
    reward_min : lower bounds on the objectives, oriented so that more is better, over all points that are optimal at
        some weights: d numbers. By default the least value over the feasible set, from one solve each; where that is
        unbounded (minimisation over x ≥ 0, say), the least value over all optima, from one solve at each corner
        weight of the whole problem.

    A minimised objective becomes the reward ``offset − value`` and one that can be negative is shifted, as
    ``normalizers`` declare; the shift changes no optimum but it is what ε is relative to.

    A policy is the vector x. At weights with zeros many points can be optimal, some of them dominated: ties are broken
    by the sum of all objectives, so that every solution is nondominated. ``upper_bound`` is a dual value.

    Raises InputError on integer variables; BackendError, in words, where no point is feasible, or where the objective
    is unbounded at some weights.
    """

    def __init__(self, program: LinearProgram, *, reward_min: Sequence[float] | None = None) -> None:
        if program.integer.any():
            raise InputError(
                "the program has integer variables: use palm build integer (backends.integer.IntegerBackend)"
            )
        self._program, self._scaled = program, _scaled(program)
        signs, constants = program.signs, program.constants
        self._gains = signs[:, None] * program.costs
        d = len(signs)
        lows = self._lows(reward_min)
        highs = [self._best(row, f"objective {name!r}").bound for row, name in self._named_gains()]
        self._signed_constants = signs * constants
        offsets = []
        for i in range(d):
            low = lows[i] + self._signed_constants[i]
            # Maximised objectives that are never negative stay as they are.
            offsets.append(0.0 if signs[i] > 0 and low >= 0 else -low)
        normalizers = tuple(
            IDENTITY if sign > 0 and offset == 0 else Normalizer(float(sign), float(offset) + 0.0)
            for sign, offset in zip(signs, offsets, strict=True)
        )
        tops = np.array(highs) + self._signed_constants + np.array(offsets)
        reward_max = float(tops.max()) if tops.max() > 0 else 1.0
        self.declared = Declarations(
            objectives=program.objectives,
            reward_max=reward_max,
            regularizer_max=0.0,
            oracle_error=OracleError(0.0, TOLERANCE * reward_max),
            normalizers=normalizers,
        )

    @classmethod
    def from_file(cls, path: str | Path, form: str | None = None) -> LinearBackend:
        """The program of a file; see ``backends.programs.files.read_program`` for the formats."""
        from backends.programs.files import read_program

        return cls(read_program(path, form))

    @property
    def program(self) -> LinearProgram:
        """The program as it was given."""
        return self._program

    def describe(self) -> Mapping[str, Any]:
        program = self._program
        arrays = {
            "costs": program.costs,
            "constants": program.constants,
            "entries": program.matrix.data,
            "columns": program.matrix.indices,
            "rows": program.matrix.indptr,
            "row_lower": program.row_lower,
            "row_upper": program.row_upper,
            "lower": program.lower,
            "upper": program.upper,
        }
        digests = {name: array_digest(np.asarray(array, dtype=np.float64)) for name, array in arrays.items()}
        return {**digests, "minimize": list(program.minimize)}

    def optimize(self, weights: Array) -> Solution:
        """The nondominated vertex that is best at ``weights`` (d,), with its dual bound. Raises BackendError where the
        solver fails or its bound and its vertex do not meet."""
        found = self._nondominated(weights)
        value = self._value(found.point)
        offsets = np.array([normalizer.offset for normalizer in self.normalizers])
        upper = found.bound + float(weights @ (offsets + self._signed_constants))
        reached = value.scalarize(weights)
        if upper - reached > TOLERANCE * self.reward_max:
            raise BackendError(
                f"HiGHS proves J* <= {upper} but reaches {reached}, a gap of more than {TOLERANCE}·R_max: rescale the "
                "program, its coefficients span too many orders of magnitude"
            )
        return Solution(found.point, value, upper_bound=max(reached, upper))

    @property
    def powers(self) -> frozenset[Power]:
        """WITNESSES where every variable has a finite end: one without can have no multiplier that floats express."""
        program = self._program
        bounded = np.isfinite(program.lower) | np.isfinite(program.upper)
        return frozenset({Power.WITNESSES}) if bounded.all() else frozenset()

    def witnessed_problem(self) -> Mapping[str, Any]:
        program = self._scaled
        offsets = [Fraction(normalizer.offset) for normalizer in self.normalizers]
        signed = [Fraction(float(constant)) for constant in self._signed_constants]
        return {
            "type": "linear",
            "constants": [float_above(a + b) for a, b in zip(offsets, signed, strict=True)],
            "columns": self._gains.T.tolist(),
            "rows": [
                {"entries": entries, "range": ends}
                for entries, ends in zip(
                    program.matrix.toarray().tolist(), _ends(program.row_lower, program.row_upper), strict=True
                )
            ],
            "ranges": _ends(program.lower, program.upper),
        }

    def witness(self, weights: Array) -> Witness:
        """Row multipliers and what they prove of J*, all in fractions.

        Multipliers of a program whose prices are a little too high leave no price on a variable without an end there.
        Raises BackendError where no such multipliers are found.
        """
        problem, program = self.witnessed_problem(), self._scaled
        # +1 where a variable has no upper end, −1 where it has no lower one.
        one_sided = np.isinf(program.upper).astype(np.float64) - np.isinf(program.lower)
        gains = weights @ self._gains
        for margin in MARGINS:
            dearer = gains + margin * float(np.abs(gains).max()) * one_sided
            found = self._best(dearer, f"weights {weights.tolist()}")
            multipliers = -found.rows * float(np.abs(dearer).max())
            # A multiplier of the sign of an end that is not there is rounding.
            nowhere = np.isinf(np.where(multipliers > 0, program.row_upper, program.row_lower))
            prices = np.where(nowhere, 0.0, multipliers).tolist()
            upper = weak_duality(problem, weights.tolist(), prices)
            if upper is not None:
                return Witness(upper, (prices,))
        raise BackendError(f"no multipliers prove a bound at weights {weights.tolist()}: rescale the program")

    def evaluate(self, policy: ArrayLike) -> Value:
        """The rewards of x. Raises InputError unless x is a finite vector (n,) that meets all constraints to
        ``FEASIBILITY``."""
        point = np.asarray(policy, dtype=np.float64)
        program = self._scaled
        if point.shape != program.lower.shape or not np.all(np.isfinite(point)):
            raise InputError(f"a policy is a finite vector of shape {program.lower.shape}, got {policy!r}")
        broken = _violation(
            point, program.matrix, (program.lower, program.upper), (program.row_lower, program.row_upper)
        )
        if broken is not None:
            raise InputError(f"the policy violates {broken}")
        return self._value(point)

    def _named_gains(self) -> list[tuple[Array, str]]:
        return list(zip(self._gains, self._program.objectives, strict=True))

    def _value(self, point: Array) -> Value:
        totals = self._program.costs @ point + self._program.constants
        return Value(np.array([float(n.apply(t)) for n, t in zip(self.normalizers, totals, strict=True)]))

    def _lows(self, given: Sequence[float] | None) -> list[float]:
        """Lower bounds on the oriented objectives, constants left out, over every point that ``optimize`` returns."""
        constants = self._program.signs * self._program.constants
        if given is not None:
            lows = np.asarray(given, dtype=np.float64)
            if lows.shape != constants.shape or not np.all(np.isfinite(lows)):
                raise InputError(f"reward_min must be {len(constants)} finite numbers, got {list(given)}")
            return [float(low) for low in lows - constants]
        lows = []
        for row in self._gains:
            try:
                lows.append(-self._solve(-row).bound)
            except _Unbounded:
                return self._lows_of_optima()
        # A least value of zero to rounding is zero: a shift of 1e-16 would only be noise in the stored result.
        scales = np.abs(self._gains).max(axis=1)
        return [0.0 if abs(low) <= 1e-12 * scale else low for low, scale in zip(lows, scales, strict=True)]

    def _lows_of_optima(self) -> list[float]:
        """The least value of each objective over all optima: those of the corner weights, until none is new.

        On the set of optima at one w > 0, which is the convex hull of its vertices, an objective is least at a vertex;
        every vertex of conv{C·x} + R₋^d is found, as in ``Adaptive(0, 0)``, whose geometry no shift changes.
        """
        found: list[Array] = []
        seen: set[bytes] = set()
        waiting = np.eye(len(self._gains))
        while len(waiting):
            for weights, key in zip(waiting, weight_keys(waiting), strict=True):
                seen.add(key)
                found.append(self._gains @ self._nondominated(weights).point)
            corners = corner_weights(np.array(found))
            waiting = corners[[key not in seen for key in weight_keys(corners)]]
        return [float(low) for low in np.array(found).min(axis=0)]

    def _nondominated(self, weights: Array) -> _Optimum:
        """An optimum at ``weights``; where some are 0, one with the largest sum of objectives among them."""
        first = self._best(weights @ self._gains, f"the weights {weights.tolist()}")
        if np.all(weights > 0):
            return first
        program = self._scaled
        # Complementary slackness: the optimal face keeps every variable and row with a nonzero multiplier at its bound.
        tight = np.abs(first.columns) > SOLVER_TOLERANCE * 10
        bound = np.abs(first.rows) > SOLVER_TOLERANCE * 10
        activity = program.matrix @ first.point
        try:
            second = self._solve(
                self._gains.sum(axis=0),
                (np.where(tight, first.point, program.lower), np.where(tight, first.point, program.upper)),
                (np.where(bound, activity, program.row_lower), np.where(bound, activity, program.row_upper)),
            )
        except _Unbounded as error:
            raise BackendError(
                f"among the optima at weights {weights.tolist()} another objective is unbounded: "
                "weights near them have no optimum"
            ) from error
        scale = float(np.abs(self._gains).max())
        lost = float(weights @ self._gains @ (first.point - second.point))
        if abs(lost) > SOLVER_TOLERANCE * scale * (1 + float(np.abs(first.point).max())):
            raise BackendError(f"ties at weights {weights.tolist()} could not be broken: rescale the program")
        return _Optimum(second.point, max(first.bound, float(weights @ self._gains @ second.point)), *first[2:])

    def _best(self, gains: Array, where: str) -> _Optimum:
        try:
            return self._solve(gains)
        except _Unbounded as error:
            raise BackendError(
                f"the objective is unbounded at {where}: no optimum exists there, so no portfolio covers all weights"
            ) from error

    def _solve(
        self, gains: Array, columns: tuple[Array, Array] | None = None, rows: tuple[Array, Array] | None = None
    ) -> _Optimum:
        """max gains·x; the vertex, an upper bound on the maximum, and the multipliers of columns and scaled rows."""
        program = self._scaled
        size = float(np.abs(gains).max())
        scale = 1 / size if size > 0 else 1.0
        lower, upper = columns or (program.lower, program.upper)
        row_lower, row_upper = rows or (program.row_lower, program.row_upper)
        solver = _minimization(-scale * gains, program, (lower, upper), (row_lower, row_upper))
        solver.run()
        status = solver.getModelStatus()
        if status == highspy.HighsModelStatus.kUnboundedOrInfeasible:
            # Presolve may stop at "one of the two"; without it the simplex method says which.
            solver.setOptionValue("presolve", "off")
            solver.run()
            status = solver.getModelStatus()
        if status == highspy.HighsModelStatus.kInfeasible:
            raise BackendError("the constraints contradict each other: no point satisfies them all")
        if status in (highspy.HighsModelStatus.kUnbounded, highspy.HighsModelStatus.kUnboundedOrInfeasible):
            raise _Unbounded
        if status != highspy.HighsModelStatus.kOptimal:
            raise BackendError(f"HiGHS ended with status {solver.modelStatusToString(status)!r}")
        solution = solver.getSolution()
        point = refined_vertex(
            np.array(solution.col_value), solver.getBasis(), program.matrix, lower, upper, row_lower, row_upper
        )
        broken = _violation(point, program.matrix, (lower, upper), (row_lower, row_upper))
        if broken is not None:
            raise BackendError(
                f"HiGHS returned a point that violates {broken}: rescale the program, its coefficients span too many "
                "orders of magnitude"
            )
        multipliers = np.array(solution.row_dual)
        reduced = -scale * gains - program.matrix.T @ multipliers
        bound = -(
            _least(multipliers, row_lower, row_upper, abs(program.matrix) @ np.abs(point))
            + _least(reduced, lower, upper, np.abs(point))
        )
        return _Optimum(point, max(bound / scale, float(gains @ point)), reduced, multipliers)


def _ends(lower: Array, upper: Array) -> list[list[float | None]]:
    """(lower, upper) of each row or variable; None where there is none."""
    return [
        [end if np.isfinite(end) else None for end in pair] for pair in zip(lower.tolist(), upper.tolist(), strict=True)
    ]


def _scaled(program: LinearProgram) -> LinearProgram:
    exponents = row_exponents(program.matrix)
    if not exponents.any():
        return program
    return replace(
        program,
        matrix=scaled_rows(program.matrix, exponents),
        row_lower=scaled_sides(program.row_lower, exponents),
        row_upper=scaled_sides(program.row_upper, exponents),
    )


def _violation(point: Array, matrix: Any, columns: tuple[Array, Array], rows: tuple[Array, Array]) -> str | None:
    """In words, a row or bound that a point (n,) leaves by more than FEASIBILITY, or None."""
    off = violated_rows(point, matrix, *rows, FEASIBILITY)
    if off.any():
        return f"row {int(off.argmax()) + 1}"
    allowed = FEASIBILITY * (1 + np.abs(point))
    off = (point > columns[1] + allowed) | (point < columns[0] - allowed)
    return f"a bound of variable {int(off.argmax()) + 1}" if off.any() else None


def _least(prices: Array, lower: Array, upper: Array, sizes: Array) -> float:
    """min Σ p_k·t_k over lower ≤ t ≤ upper, infinite bounds taken as ±REACH·(1 + largest size)."""
    reach = REACH * (1 + float(sizes.max(initial=0.0)))
    ends = np.where(prices > 0, np.where(np.isfinite(lower), lower, -reach), np.where(np.isfinite(upper), upper, reach))
    return float(np.where(prices == 0, 0.0, prices * ends).sum())


def _minimization(
    costs: Array, program: LinearProgram, columns: tuple[Array, Array], rows: tuple[Array, Array]
) -> QuietHighs:
    infinity = highspy.kHighsInf
    solver = QuietHighs()
    solver.setOptionValue("solver", "simplex")
    for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
        solver.setOptionValue(option, SOLVER_TOLERANCE)
    solver.setOptionValue("small_matrix_value", SMALLEST_ENTRY)
    model = highspy.HighsModel()
    lp: Any = model.lp_
    lp.num_row_, lp.num_col_ = program.matrix.shape
    lp.col_cost_ = costs
    lp.col_lower_, lp.col_upper_ = (np.clip(bound, -infinity, infinity) for bound in columns)
    lp.row_lower_, lp.row_upper_ = (np.clip(bound, -infinity, infinity) for bound in rows)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = program.matrix.indptr
    lp.a_matrix_.index_ = program.matrix.indices
    lp.a_matrix_.value_ = program.matrix.data
    solver.passModel(model)
    return solver
