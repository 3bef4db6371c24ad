"""Any convex program of cvxpy as a policy class: maximise w·R(x) − f(x), canonicalised once, solved many times."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import highspy
import numpy as np
from scipy import sparse

from backends.bandit import default_objectives
from backends.exact_sums import UNIT
from backends.programs.conic_bound import dual_lower_bound
from backends.programs.rows import SMALLEST_ENTRY, row_exponents, scaled_rows, scaled_sides, violated_rows
from palm_theory.bounds import OracleError, positive
from palm_theory.contract.backend import PolicyBackend, Solution, Status
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.contract.value import Value
from palm_theory.errors import BackendError, InputError
from palm_theory.files import array_digest
from palm_theory.geometry.quiet_highs import QuietHighs
from palm_theory.geometry.simplex import Array

if TYPE_CHECKING:
    import cvxpy as cp

HEADROOM = 1e-7
"""Computed ranges are widened by this multiple of their width, so that a solver's rounding stays inside them."""

FEASIBILITY = 1e-6
"""How far a vertex may leave a row of a linear program, relative to 1 + the row's largest term, rows scaled as in
``rows``: ten times HiGHS' tolerance."""

HIGHS_STATUS = {
    highspy.HighsModelStatus.kOptimal: "optimal",
    highspy.HighsModelStatus.kInfeasible: "infeasible",
    highspy.HighsModelStatus.kUnbounded: "unbounded",
    highspy.HighsModelStatus.kUnboundedOrInfeasible: "infeasible_or_unbounded",
}

EXPLANATIONS = {
    "infeasible": "the constraints contradict each other: no point satisfies them all",
    "infeasible_inaccurate": "the constraints appear to contradict each other: no point satisfies them all",
    "unbounded": "the objective is unbounded: add constraints that bound every reward from above",
    "unbounded_inaccurate": "the objective appears unbounded: add constraints that bound every reward from above",
    "infeasible_or_unbounded": "the constraints contradict each other or the objective is unbounded",
}


class ConvexBackend(PolicyBackend, kind="backends.convex.ConvexBackend"):
    """maximise ⟨w, R(x)⟩ − f(x) over the points x that satisfy ``constraints``.

    Parameters
    ----------
    rewards : d scalar cvxpy expressions R_i, concave (affine included).
    constraints : convex constraints, as for ``cvxpy.Problem``.
    regularizer : f ≥ 0, a convex scalar expression; f = 0 by default.
    objectives : d names; r1, r2, … by default.
    reward_min : lower bounds on the R_i over the feasible set, d numbers. By default 0 where cvxpy proves R_i ≥ 0,
        else the least value of R_i, from one more solve each; that needs an affine R_i. A negative one is subtracted,
        and the shift is stored in ``normalizers``.
    reward_max : R_max after the shift; by default the largest value of any R_i, from d more solves.
    regularizer_max : an upper bound on f over the optima; None (unknown) by default, 0 without a regulariser.
    has_reference : whether some feasible point has f = 0; with no regulariser every point has.
    tolerance : every solve must come with a bound on J* within ``tolerance``·R_max of what it reaches, or it is an
        error. It is the declared ``oracle_error``.

    A policy is a dict from variable name to its value. The problem must follow cvxpy's parametrised rules (DPP), so it
    is canonicalised once and only its data change with w. Linear programs are solved by the simplex method (HiGHS),
    which returns vertices, always started from the basis that is optimal at equal weights; others by Clarabel's
    interior-point method. ``upper_bound`` is a dual value: ``conic_bound`` says for which points it holds and how the
    solver's residual is accounted for. An approximate optimum violates constraints by no more than the solver's
    tolerance; rewards that leave their range by no more than ``tolerance``·R_max are clipped to it.

    Raises InputError on expressions that are not concave (regulariser: convex), on integer variables and on bad
    arguments; BackendError, in words, where the problem is infeasible or unbounded or the solver fails.
    """

    def __init__(
        self,
        rewards: Sequence[cp.Expression],
        constraints: Sequence[cp.Constraint] = (),
        *,
        regularizer: cp.Expression | None = None,
        objectives: Sequence[str] | None = None,
        reward_min: Sequence[float] | None = None,
        reward_max: float | None = None,
        regularizer_max: float | None = None,
        has_reference: bool | None = None,
        tolerance: float = 1e-5,
    ) -> None:
        import cvxpy as cp

        self._rewards: list[Any] = [_scalar(expression, f"reward {i}") for i, expression in enumerate(rewards)]
        if not self._rewards:
            raise InputError("rewards must hold one or more expressions")
        self._names = default_objectives(objectives, len(self._rewards))
        for name, expression in zip(self._names, self._rewards, strict=True):
            if not expression.is_concave():
                raise InputError(f"reward {name!r} is not concave by cvxpy's rules: {expression}")
        self._regularizer: Any = None if regularizer is None else _scalar(regularizer, "the regulariser")
        if self._regularizer is not None and not self._regularizer.is_convex():
            raise InputError(f"the regulariser is not convex by cvxpy's rules: {regularizer}")
        if not 0 < tolerance < 1:
            raise InputError(f"tolerance must lie in (0, 1), got {tolerance}")
        self._tolerance = tolerance
        self._weights = cp.Parameter(len(self._rewards), nonneg=True, name="weights")
        self._price = cp.Parameter(nonneg=True, name="price")
        total = sum(self._weights[i] * expression for i, expression in enumerate(self._rewards))
        if self._regularizer is not None:
            total = total - self._price * self._regularizer
        # cvxpy's annotations are too loose to check against; its objects are Any from here on.
        self._problem: Any = cp.Problem(cp.Maximize(total), list(constraints))
        _check(self._problem)
        self._variables = _by_name(self._problem)
        self._lock = threading.Lock()
        self._start: Any = None
        self._solver = self._choose_solver()
        if self._solver == "HIGHS":
            self._solve(np.full(len(self._rewards), 1 / len(self._rewards)), self._price_of_optimum, remember=True)

        lows = self._lowest(reward_min)
        highs = self._highest() if reward_max is None else None
        normalizers = tuple(IDENTITY if low >= 0 else Normalizer(1.0, -low) for low in lows)
        if highs is not None:
            tops = [normalizer.offset + high for normalizer, high in zip(normalizers, highs, strict=True)]
            reward_max = max(tops) * (1 + HEADROOM) or 1.0
        assert reward_max is not None  # computed above where it was not given
        limit = positive(reward_max, "reward_max")
        if self._regularizer is None:
            regularizer_max, has_reference = 0.0, True
        self.declared = Declarations(
            objectives=self._names,
            reward_max=limit,
            regularizer_max=None if regularizer_max is None else float(regularizer_max),
            # Checked on every solve.
            oracle_error=OracleError(0.0, self._tolerance * limit),
            has_reference=bool(has_reference) or regularizer_max == 0,
            normalizers=normalizers,
        )

    @property
    def _price_of_optimum(self) -> float:
        return 0.0 if self._regularizer is None else 1.0

    def _choose_solver(self) -> str:
        """HIGHS for linear programs, CLARABEL for all others."""
        self._weights.value, self._price.value = np.ones(len(self._rewards)), 1.0
        data, _, _ = self._problem.get_problem_data("CLARABEL", solver_opts={})
        dims, quadratic = data["dims"], data.get("P")
        linear = dims.zero + dims.nonneg == data["A"].shape[0] and (quadratic is None or quadratic.nnz == 0)
        return "HIGHS" if linear else "CLARABEL"

    def _lowest(self, given: Sequence[float] | None) -> list[float]:
        if given is not None:
            if len(given) != len(self._rewards) or not np.all(np.isfinite(given)):
                raise InputError(f"reward_min must be {len(self._rewards)} finite numbers, got {list(given)}")
            return [float(low) for low in given]
        return [self._least(i) for i in range(len(self._rewards))]

    def _least(self, i: int) -> float:
        import cvxpy as cp

        expression = self._rewards[i]
        if expression.is_nonneg():
            return 0.0
        if not expression.is_affine():
            raise InputError(
                f"the least value of reward {self._names[i]!r} over the feasible set is not a convex problem; "
                "give reward_min"
            )
        problem = cp.Problem(cp.Maximize(-expression), self._problem.constraints)
        value, bound = _solve_once(problem, self._solver, self._names[i])
        # A least reward of zero to rounding is zero: a shift of 1e-9 would only be noise in the stored result.
        low = -bound
        scale = max(abs(value), abs(low), float(np.abs(expression.value or 0.0)))
        return 0.0 if abs(low) <= HEADROOM * max(scale, 1.0) else low - HEADROOM * abs(low)

    def _highest(self) -> list[float]:
        highs = []
        for i in range(len(self._rewards)):
            _, bound = self._solve(np.eye(len(self._rewards))[i], 0.0)
            highs.append(bound)
        return highs

    @property
    def problem(self) -> cp.Problem:
        """The parametrised cvxpy problem."""
        return self._problem

    def describe(self) -> Mapping[str, Any]:
        """Besides the parameters, digests of the canonical program at d + 1 weights, which determine it."""
        digests = []
        d = len(self._rewards)
        with self._lock:
            for row in [*np.eye(d), np.full(d, 1 / d)]:
                self._weights.value, self._price.value = row, 1.0
                data, _, _ = self._problem.get_problem_data("CLARABEL", solver_opts={})
                parts = [data["A"].toarray(), data["b"], data["c"]]
                if data.get("P") is not None:
                    parts.append(data["P"].toarray())
                digests.extend(array_digest(np.asarray(part)) for part in parts)
        return {
            "program": digests,
            "variables": {name: list(variable.shape) for name, variable in self._variables.items()},
            "tolerance": self._tolerance,
        }

    def optimize(self, weights: Array) -> Solution:
        """One conic solve at w (d,), its dual value the upper bound. Raises BackendError where the gap is too wide."""
        with self._lock:
            _, bound = self._solve(weights, self._price_of_optimum)
            policy = {name: np.array(variable.value) for name, variable in self._variables.items()}
            value = self._value()
        offsets = np.array([normalizer.offset for normalizer in self.normalizers])
        rounding = (len(offsets) + 4) * UNIT * (abs(bound) + float(weights @ np.abs(offsets)))
        upper = bound + (float(weights @ offsets) + rounding)
        reached = value.scalarize(weights)
        if upper - reached > self._tolerance * self.reward_max:
            raise BackendError(
                f"{self._solver} proves J* <= {upper} but reaches {reached}: a gap of more than "
                f"{self._tolerance}·R_max; rescale the problem, or raise tolerance"
            )
        return Solution(policy, value, upper_bound=max(upper, reached), status=Status.OPTIMAL)

    def evaluate(self, policy: Any) -> Value:
        """R(x) and f(x). Raises InputError unless x has every variable in its shape and meets the constraints to
        ``tolerance``·(1 + ‖x‖_∞), times the largest coefficient of a linear constraint where that is below 1."""
        if not isinstance(policy, dict) or set(policy) != set(self._variables):
            raise InputError(f"a policy is a dict with the keys {', '.join(self._variables)}, got {policy!r}")
        with self._lock:
            for name, variable in self._variables.items():
                point = np.asarray(policy[name], dtype=np.float64)
                if point.shape != variable.shape or not np.all(np.isfinite(point)):
                    raise InputError(f"variable {name!r} must be finite, of shape {variable.shape}")
                variable.save_value(point)
            allowed = self._tolerance * (1 + max(float(np.abs(v.value).max()) for v in self._variables.values()))
            for constraint in self._problem.constraints:
                violation = np.ravel(constraint.violation(), order="F")
                if np.any(violation > allowed * _sizes(constraint, len(violation))):
                    raise InputError(f"the policy violates the constraint {constraint} by {violation.max()}")
            return self._value()

    def _value(self) -> Value:
        raw = np.array([float(expression.value) for expression in self._rewards])
        rewards = np.array([float(n.apply(value)) for n, value in zip(self.normalizers, raw, strict=True)])
        slack = self._tolerance * self.reward_max
        near = np.clip(rewards, 0.0, self.reward_max)
        rewards = np.where(np.abs(near - rewards) <= slack, near, rewards)
        regularizer = 0.0 if self._regularizer is None else float(self._regularizer.value)
        return Value(rewards, 0.0 if -slack <= regularizer < 0 else regularizer)

    def _solve(self, weights: Array, price: float, *, remember: bool = False) -> tuple[float, float]:
        """Solve at one weight; the variables hold the optimum. Returns its objective and an upper bound on the best."""
        self._weights.value, self._price.value = weights, price
        where = "the rewards' ranges" if price != self._price_of_optimum else "the program"
        value, bound, basis = _solve_canonical(self._problem, self._solver, self._start, where)
        if remember:
            self._start = basis
        return value, bound

    def __getstate__(self) -> dict[str, Any]:
        # A lock does not pickle, nor does what a solver left in the problem; both are made anew.
        import cvxpy as cp

        state = dict(vars(self))
        del state["_lock"]
        state["_start"] = None
        state["_problem"] = cp.Problem(self._problem.objective, self._problem.constraints)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()
        self._variables = _by_name(self._problem)
        if self._solver == "HIGHS":
            d = len(self._rewards)
            self._solve(np.full(d, 1 / d), self._price_of_optimum, remember=True)


def _scalar(expression: Any, what: str) -> Any:
    import cvxpy as cp

    converted = cp.Expression.cast_to_const(expression)
    if converted.size != 1:
        raise InputError(f"{what} must be a scalar expression, its shape is {converted.shape}")
    return cp.reshape(converted, (), order="F") if converted.shape != () else converted


def _check(problem: Any) -> None:
    if not problem.variables():
        raise InputError("the rewards and constraints contain no variable")
    if problem.is_mixed_integer():
        raise InputError("the problem has integer variables: use backends.integer.IntegerBackend")
    if not problem.is_dcp():
        raise InputError("the constraints do not follow cvxpy's rules for convex problems (DCP)")
    if not problem.is_dcp(dpp=True):
        raise InputError("the problem does not follow cvxpy's rules for parameters (DPP): multiply them out first")
    unset = [p.name() for p in problem.parameters() if p.value is None and p.name() not in ("weights", "price")]
    if unset:
        raise InputError(f"parameter {unset[0]!r} has no value")


def _sizes(constraint: Any, count: int) -> Array:
    """For each row of a linear constraint its largest coefficient, at most 1; 1 for other constraints, (count,)."""
    sizes = np.ones(count)
    expression = getattr(constraint, "expr", None)
    if expression is None or expression.size != count or not expression.is_affine():
        return sizes
    slopes = [abs(slope).max(axis=0).toarray().ravel() for slope in map(sparse.csc_array, expression.grad.values())]
    largest = np.max(slopes, axis=0) if slopes else sizes
    return np.where(largest > 0, np.minimum(largest, 1.0), 1.0)


def _by_name(problem: Any) -> dict[str, Any]:
    variables = {variable.name(): variable for variable in problem.variables()}
    if len(variables) < len(problem.variables()):
        raise InputError("variables need distinct names: cvxpy.Variable(..., name=...)")
    return variables


def _solve_once(problem: Any, solver: str, what: str) -> tuple[float, float]:
    value, bound, _ = _solve_canonical(problem, solver, None, f"the range of reward {what!r}")
    return value, bound


def _solve_canonical(problem: Any, solver: str, start: Any, where: str) -> tuple[float, float, Any]:
    """Solve a maximisation as it stands: its value, an upper bound on the optimum, and the final basis (HiGHS)."""
    from cvxpy import SolverError

    data, chain, inverse = problem.get_problem_data(solver, solver_opts={})
    if solver == "HIGHS":
        raw, status, point, multipliers, basis = _simplex(data, start)
    else:
        raw = chain.solve_via_data(problem, data, False, False, {})
        status, point, multipliers, basis = None, np.array(raw.x), np.array(raw.z), None
    if status in (None, "optimal"):
        try:
            problem.unpack_results(raw, chain, inverse)
        except SolverError:
            raise BackendError(f"{where}: {solver} failed; rescale the problem") from None
        status = problem.status
    if status != "optimal":
        raise BackendError(f"{where}: {EXPLANATIONS.get(status, f'{solver} ended with status {status!r}')}")
    value = float(problem.value)
    # The canonical program is a minimisation of −objective, up to a constant that both its values share.
    slope = 0.0 if data.get("P") is None else float(point @ (data["P"] @ point))
    minimum = float(np.asarray(data["c"]) @ point) + 0.5 * slope
    gap = max(minimum - dual_lower_bound(data, point, multipliers), 0.0)
    return value, value + (gap + 8 * UNIT * (abs(value) + abs(minimum))), basis


def _simplex(data: Mapping[str, Any], start: Any) -> tuple[dict[str, Any], str, Array, Array, Any]:
    """One linear program by the dual simplex method; raw results in the form cvxpy's HIGHS interface reads."""
    exponents = row_exponents(data["A"])
    matrix = scaled_rows(data["A"].tocsr(), exponents)
    dims, infinity = data["dims"], highspy.kHighsInf
    upper = scaled_sides(np.asarray(data["b"], dtype=np.float64), exponents)
    lower = np.where(np.arange(len(upper)) < dims.zero, upper, -infinity)
    columns = matrix.shape[1]
    low, high = data.get("lower_bounds"), data.get("upper_bounds")
    model = highspy.HighsModel()
    lp = model.lp_
    lp.num_col_, lp.num_row_ = columns, matrix.shape[0]
    lp.col_cost_ = np.asarray(data["c"], dtype=np.float64)
    lp.col_lower_ = np.full(columns, -infinity) if low is None else np.asarray(low, dtype=np.float64)
    lp.col_upper_ = np.full(columns, infinity) if high is None else np.asarray(high, dtype=np.float64)
    lp.row_lower_, lp.row_upper_ = lower, upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = matrix.indptr, matrix.indices
    lp.a_matrix_.value_ = matrix.data
    solver = QuietHighs()
    solver.setOptionValue("solver", "simplex")
    solver.setOptionValue("small_matrix_value", SMALLEST_ENTRY)
    solver.passModel(model)
    if start is not None:
        solver.setBasis(start)
    solver.run()
    state = solver.getModelStatus()
    solution = solver.getSolution()
    point = np.array(solution.col_value)
    if state == highspy.HighsModelStatus.kOptimal:
        if violated_rows(point, matrix, lower, upper, FEASIBILITY).any():
            raise BackendError(
                "HiGHS returned a point that violates a constraint: rescale the problem, its coefficients span too "
                "many orders of magnitude"
            )
        # The multipliers of the rows as they were given.
        solution.row_dual = np.ldexp(np.array(solution.row_dual), exponents).tolist()
    raw = {
        "model_status": state.name,
        "info": solver.getInfo(),
        "run_time": solver.getRunTime(),
        "solution": solution,
    }
    multipliers = -np.array(solution.row_dual)
    inequality = np.arange(len(multipliers)) >= dims.zero
    multipliers = np.where(inequality, np.maximum(multipliers, 0.0), multipliers)
    return raw, HIGHS_STATUS.get(state, state.name), point, multipliers, solver.getBasis()
