"""The smallest subset of given policies that still meets a target everywhere: set cover with corner cuts.

A subset S is right iff L_S(w) ≥ required(w) for every w, and by the corner lemma iff it is so at S's own corner
weights. So: cover a finite set of weights, look at the corners of the answer, add those that fail, repeat.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import highspy
import numpy as np

from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.corners import Target
from palm_theory.geometry.envelope import corner_weights, lower_envelope, rounding_at, scalarize
from palm_theory.geometry.local_search import RowWeightingSearch
from palm_theory.geometry.quiet_highs import QuietHighs
from palm_theory.geometry.sandwich import weight_keys
from palm_theory.geometry.simplex import Array

Required = Callable[[Array], Array]
"""Weights (n, d) ↦ the least L(w) that suffices there, (n,): (1−ε)J* − δ, or an upper bound on it."""

Method = Literal["exact", "greedy"]

SEARCH_STEPS = 3000
"""Moves of local search without a smaller cover before it gives way to the integer program."""


@dataclass(frozen=True, eq=False)
class Selection:
    """A certified subset.

    ``members`` holds its indices, increasing; ``lower_bound`` a proven lower bound on the size of any subset of the
    candidates that meets the same requirement; ``rounds`` how often corners were added as cuts.
    """

    members: np.ndarray
    lower_bound: int
    rounds: int

    @property
    def size(self) -> int:
        """How many policies were selected."""
        return len(self.members)

    @property
    def is_smallest(self) -> bool:
        """Whether no smaller subset of the candidates meets the requirement."""
        return self.size == self.lower_bound


class CoverGraph:
    """Which of N candidates, (N, d), meets the requirement at which weight: a boolean matrix that grows row by row."""

    def __init__(self, values: Array, required: Required) -> None:
        self.values = values
        self.required = required
        self._seen: dict[bytes, Array] = {}
        self._rows: list[np.ndarray] = []

    @property
    def matrix(self) -> np.ndarray:
        """meets[w, k], shape (n, N), one row a weight in the order they were added."""
        return np.array(self._rows, dtype=bool).reshape(-1, len(self.values))

    def add(self, weights: Array) -> np.ndarray:
        """Add weights (n, d) not seen before; returns their rows.

        Raises CertificateError where no candidate is enough.
        """
        fresh = {key: row for key, row in zip(weight_keys(weights), weights, strict=True) if key not in self._seen}
        if not fresh:
            return np.zeros((0, len(self.values)), dtype=bool)
        rows = np.stack(list(fresh.values()))
        self._seen |= fresh
        needed = self.required(rows) - rounding_at(self.values, rows)
        meets = scalarize(self.values, rows) >= needed[:, None]
        empty = np.flatnonzero(~meets.any(axis=1))
        if empty.size:
            at = rows[empty[0]]
            short = needed[empty[0]] - scalarize(self.values, at[None, :]).max()
            raise CertificateError(
                f"no candidate meets the target at weights {at.tolist()}: the best is {short:.3g} short; "
                "relax epsilon or delta, or add candidates"
            )
        self._rows.extend(meets)
        return meets

    def failing_corners(self, members: np.ndarray) -> Array:
        """The corner weights of a subset at which it misses the requirement, (m, d)."""
        corners = corner_weights(self.values[members])
        # A corner met before is taken at the very weight that has a row: an ulp beside it, it could fail for ever.
        for i, key in enumerate(weight_keys(corners)):
            if key in self._seen:
                corners[i] = self._seen[key]
        best = lower_envelope(self.values[members], corners).best
        return corners[best < self.required(corners) - rounding_at(self.values, corners)]


def requirement(target: Target, optimum: Callable[[Array], Array]) -> Required:
    """w ↦ (1−ε)·J*_w − δ, with ``optimum`` mapping weights (n, d) to J* (n,)."""
    return lambda weights: target.violation(optimum(weights), np.zeros(len(weights)))


def smallest_subset(
    values: Array,
    required: Required,
    *,
    method: Method = "exact",
    weights: Array | None = None,
    time_limit: float = 60.0,
) -> Selection:
    """A subset S of N candidates with L_S(w) ≥ required(w) for every w ∈ Δ, as small as ``method`` finds.

    Parameters
    ----------
    values : vertex values G of the candidates, (N, d).
    required : what L must reach; (1−ε)·J* − δ with J* convex, or anything at least that at the corners.
    method : "greedy" takes the policy that meets most weights not met yet, then drops what is not needed. "exact"
        goes on with local search, then with integer programs and corner cuts (HiGHS) until the subset is proven the
        smallest, or for ``time_limit`` seconds. Both come with a proven lower bound; only a result cut short by
        the time limit can differ between runs.
    weights : weights to start from, (n, d), besides the corners of all candidates together.

    Raises CertificateError where all candidates together miss the target, InputError on bad arguments.
    """
    if method not in ("exact", "greedy"):
        raise InputError(f"method must be 'exact' or 'greedy', got {method!r}")
    graph = CoverGraph(values, required)
    graph.add(corner_weights(values))
    if weights is not None:
        graph.add(weights)
    greedy = _greedy(graph)
    if method == "greedy":
        return Selection(greedy, max(1, math.ceil(_fractional_bound(graph) - 1e-6)), 0)
    return _exact(graph, _search(graph, greedy), time.monotonic() + time_limit)


def best_subset(values: Array, optimum: Callable[[Array], Array], size: int, *, steps: int = 30) -> np.ndarray:
    """At most ``size`` of N candidates with a small worst gap max_w 1 − L/J*, as indices, increasing.

    Bisection on ε over greedy covers: every step's subset is right for its ε, but a better one may exist. ``optimum``
    maps weights (n, d) to J* (n,), or to what is to stand for it. Raises InputError where size < 1.
    """
    if size < 1:
        raise InputError(f"size must be >= 1, got {size}")
    low, high, best = 0.0, 1.0, None
    for _ in range(steps):
        epsilon = (low + high) / 2
        try:
            members = smallest_subset(values, requirement(Target(epsilon), optimum), method="greedy").members
        except CertificateError:
            low = epsilon
            continue
        if len(members) <= size:
            best, high = members, epsilon
        else:
            low = epsilon
    if best is None:
        # No subset of this size has a gap below 1: every policy is as good a start.
        return np.arange(min(size, len(values)))
    return best


def _greedy(graph: CoverGraph) -> np.ndarray:
    members: list[int] = []
    while True:
        matrix = graph.matrix
        unmet = ~matrix[:, members].any(axis=1) if members else np.ones(len(matrix), dtype=bool)
        while unmet.any():
            members.append(int(matrix[unmet].sum(axis=0).argmax()))
            unmet &= ~matrix[:, members[-1]]
        members = _without_redundant(matrix, members)
        chosen = np.sort(np.array(members))
        failing = graph.failing_corners(chosen)
        if len(failing) == 0:
            return chosen
        graph.add(failing)


def _without_redundant(matrix: np.ndarray, members: list[int]) -> list[int]:
    """Drop, latest first, members whose weights the others meet."""
    counts = matrix[:, members].sum(axis=1)
    kept = list(members)
    for k in reversed(members):
        if (counts - matrix[:, k] >= 1).all():
            counts = counts - matrix[:, k]
            kept.remove(k)
    return kept


def _cover_program(candidates: int, *, integer: bool) -> QuietHighs:
    solver = QuietHighs()
    solver.setOptionValue("mip_rel_gap", 0.0)
    for k in range(candidates):
        solver.addVar(0.0, 1.0)
        solver.changeColCost(k, 1.0)
        if integer:
            solver.changeColIntegrality(k, highspy.HighsVarType.kInteger)
    return solver


def _add_rows(solver: QuietHighs, matrix: np.ndarray) -> None:
    for row in matrix:
        support = np.flatnonzero(row).astype(np.int32)
        solver.addRow(1.0, highspy.kHighsInf, len(support), support, np.ones(len(support)))


def _fractional_bound(graph: CoverGraph) -> float:
    """The linear relaxation of the cover of the weights seen: a lower bound on any subset's size."""
    solver = _cover_program(len(graph.values), integer=False)
    _add_rows(solver, graph.matrix)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise CertificateError(f"the cover's linear relaxation ended {solver.getModelStatus()}")
    return float(solver.getInfo().objective_function_value)


def _search(graph: CoverGraph, best: np.ndarray) -> np.ndarray:
    """Ever smaller covers by local search, each checked at its own corners, until one size is not found."""
    search = RowWeightingSearch(graph.matrix, best)
    while len(best) > 1:
        found = search.find(len(best) - 1, SEARCH_STEPS)
        if found is None:
            return best
        failing = graph.failing_corners(found)
        if len(failing) == 0:
            best = found
        else:
            search.add_rows(graph.add(failing))
    return best


def _exact(graph: CoverGraph, best: np.ndarray, deadline: float) -> Selection:
    """Integer programs for a cover smaller than the best known, with lazily added rows.

    Each round's dual bound holds for every subset. The search ends when no smaller cover exists, so the best known is
    the smallest, or at the deadline.
    """
    solver = _cover_program(len(graph.values), integer=True)
    everything = np.arange(len(graph.values), dtype=np.int32)
    solver.addRow(0.0, len(best) - 1, len(everything), everything, np.ones(len(everything)))
    _add_rows(solver, graph.matrix)
    bound, rounds = 1, 0
    while len(best) > bound:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        solver.setOptionValue("time_limit", solver.getRunTime() + left)
        solver.run()
        rounds += 1
        status = solver.getModelStatus()
        if status == highspy.HighsModelStatus.kInfeasible:
            bound = len(best)
            break
        if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kTimeLimit):
            raise CertificateError(f"the cover's integer program ended {status}")
        bound = min(len(best), max(bound, math.ceil(solver.getInfo().mip_dual_bound - 1e-6)))
        if status == highspy.HighsModelStatus.kTimeLimit:
            break
        chosen = np.flatnonzero(np.asarray(solver.getSolution().col_value) > 0.5)
        failing = graph.failing_corners(chosen)
        if len(failing) == 0:
            best = chosen
            solver.changeRowBounds(0, 0.0, len(best) - 1)
        else:
            _add_rows(solver, graph.add(failing))
    return Selection(best, bound, rounds)
