"""Upper bounds on J* between solved weights: the sandwich of Theorem 3."""

from __future__ import annotations

import highspy
import numpy as np

from palm_theory.geometry.quiet_highs import QuietHighs
from palm_theory.geometry.simplex import Array


class UpperHull:
    """U(w) = min{Σλ_k u_k : Σλ_k w_k = w, λ ≥ 0}, with u_k ≥ J* at w_k. J* is convex, so U(w) ≥ J*_w.

    ``monotone``: U⁺(w) = min{Σλ_k u_k : Σλ_k w_k ≥ w, λ ≥ 0} ≤ U(w) instead, for problems with f = 0 and R ≥ 0. There
    J*, extended by J*_cw = c·J*_w, falls in no coordinate, so U⁺(w) ≥ J*_w (docs/theory/theorem-3.md).

    Starts from bounds (d,) at the vertices of the simplex, so U is finite everywhere. Adding a point only lowers U.
    One linear program is kept and re-solved warm; its answer is then made feasible in exact form (below), so a
    solver's tolerance never turns into a bound that is too low.
    """

    def __init__(self, vertex_bounds: Array, *, monotone: bool = False) -> None:
        d = len(vertex_bounds)
        self._monotone = monotone
        self._weights: list[Array] = []
        self._bounds: list[float] = []
        self._vertex_bounds = np.array(vertex_bounds, dtype=np.float64)
        self._solver = QuietHighs()
        self._solver.setOptionValue("presolve", "off")
        self._solver.setOptionValue("solver", "simplex")
        self._solver.setOptionValue("primal_feasibility_tolerance", 1e-10)
        for _ in range(d):
            self._solver.addRow(0.0, 0.0, 0, np.array([], dtype=np.int32), np.array([], dtype=np.float64))
        # The program's costs are bounds over this unit: a solver's tolerances are absolute.
        self._unit = float(np.abs(self._vertex_bounds).max()) or 1.0
        for vertex, bound in zip(np.eye(d), self._vertex_bounds, strict=True):
            self.add(vertex, float(bound))

    def add(self, weights: Array, bound: float) -> None:
        """Add the point (w_k, u_k), u_k ≥ J* at w_k."""
        support = np.flatnonzero(weights).astype(np.int32)
        self._solver.addCol(bound / self._unit, 0.0, highspy.kHighsInf, len(support), support, weights[support])
        self._weights.append(np.array(weights, dtype=np.float64))
        self._bounds.append(bound)

    def __call__(self, weights: Array) -> float:
        """U(w) for one weight vector (d,), in the unit of the bounds."""
        for i, value in enumerate(weights):
            self._solver.changeRowBounds(i, float(value), highspy.kHighsInf if self._monotone else float(value))
        self._solver.run()
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            # A warm start can leave the simplex method stuck; a cold one is slower and safe.
            self._solver.clearSolver()
            self._solver.run()
        solution = np.maximum(np.asarray(self._solver.getSolution().col_value), 0.0)
        used = np.flatnonzero(solution)
        # Any combination proves a bound, an optimal one the best; the vertices alone always give one.
        return min(self._feasible_value(weights, used, solution[used]), float(weights @ self._vertex_bounds))

    def plane(self, weights: Array) -> Array:
        """g (d,) with ⟨g, w_k⟩ ≤ u_k at every point of the hull and ⟨g, w⟩ = U(w), to the solver's tolerance.

        The vertex values of the best policy at ``weights`` that all points allow: the dual of U's program.
        """
        self(weights)
        g = np.asarray(self._solver.getSolution().row_dual, dtype=np.float64)[: len(weights)] * self._unit
        excess = np.stack(self._weights) @ g - np.array(self._bounds)
        return g - max(0.0, float(excess.max()))

    def _feasible_value(self, weights: Array, used: np.ndarray, multipliers: Array) -> float:
        """The cost of a combination that meets the program's constraints exactly, made from a nearly feasible one.

        For U shrink each λ_k until no coordinate it uses exceeds w. Then make up the rest with simplex vertices.
        """
        if len(used) == 0:
            return float(weights @ self._vertex_bounds)
        points = np.stack([self._weights[k] for k in used])
        if not self._monotone:
            reached = multipliers @ points
            ratio = np.minimum(1.0, np.divide(weights, reached, out=np.ones_like(weights), where=reached > 0))
            multipliers = multipliers * np.where(points > 0, ratio, 1.0).min(axis=1)
        rest = np.maximum(weights - multipliers @ points, 0.0)
        cost = multipliers @ np.array([self._bounds[k] for k in used])
        return float(cost + rest @ self._vertex_bounds)
