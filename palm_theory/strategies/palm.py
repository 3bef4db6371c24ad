"""The paper's algorithm: Theorem 1's hybrid cover, searched lazily, then pruned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palm_theory.bounds import Bound, theorem1_prime
from palm_theory.certify.selection import smallest_subset
from palm_theory.contract.declarations import Declarations
from palm_theory.covers import hybrid_cover
from palm_theory.errors import CertificateError
from palm_theory.geometry.corners import CornerScan, MultiplicativeGap, Target
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.hybrid import HybridGrid
from palm_theory.geometry.sandwich import SolvedWeights, weight_keys
from palm_theory.geometry.simplex import MAX_POINTS, Array
from palm_theory.strategies.base import Chosen, Construction, Given, Request, Search, Strategy
from palm_theory.strategies.history import History


@dataclass(frozen=True)
class Palm(Strategy):
    """The paper's algorithm: the policies of Theorem 1's hybrid cover, searched lazily, then pruned.

    Parameters
    ----------
    mu, alpha : μ ∈ (0, 1] and α ∈ (0, 1) of the hybrid cover. They promise Theorem 1′'s (ε, δ).
    lazy : solve only the grid weights that the promise needs. By Theorem 1′ a corner weight whose rounded grid weight
        is solved meets the promise; by the sandwich many others are seen to. So the worst corner not settled either
        way is rounded to its grid weight, which is solved, until none is left: every grid weight not solved is one
        that the portfolio provably covers, and the grid is never listed.
    prune : keep the smallest subset found greedily that still provably meets the promise.

    Without known solve errors or without a bound on f nothing is promised; then ``lazy`` and ``prune`` must be False.
    """

    mu: float
    alpha: float
    lazy: bool = True
    prune: bool = True
    max_points: int = MAX_POINTS

    def __post_init__(self) -> None:
        HybridGrid(self.mu, self.alpha)

    def construct(self, given: Given) -> Construction:
        declared = given.declared
        promise = self._promise(declared)
        history = History(declared)
        if promise is None or not self.lazy:
            cover = hybrid_cover(declared.d, self.mu, self.alpha, max_points=self.max_points)
            history.absorb(cover, (yield Request(cover)))
        else:
            yield from self._search(history, Target(promise.epsilon, promise.delta))
        members = history.distinct()
        if promise is not None and self.prune:
            members = self._pruned(history, members, Target(promise.epsilon, promise.delta))
        return Chosen(members, history.solved, promise)

    def _promise(self, declared: Declarations) -> Bound | None:
        unknown = None
        if declared.oracle_error is None:
            unknown = "this backend declares no oracle_error"
        elif declared.regularizer_max is None and not declared.has_reference:
            unknown = "this backend bounds neither f nor declares a policy with f = 0"
        if unknown is None:
            assert declared.oracle_error is not None
            return theorem1_prime(
                declared.d,
                self.mu,
                self.alpha,
                reward_max=declared.reward_max,
                regularizer_max=declared.regularizer_max,
                has_reference=declared.has_reference,
                oracle=declared.oracle_error,
            )
        if self.lazy or self.prune:
            raise CertificateError(
                f"{unknown}, so Palm promises nothing to search or prune by; use lazy=False, prune=False"
            )
        return None

    def _search(self, history: History, target: Target) -> Search:
        grid = HybridGrid(self.mu, self.alpha)
        vertices = np.eye(history.declared.d)
        history.absorb(vertices, (yield Request(vertices)))
        while True:
            scan = CornerScan(history.values_of(history.distinct()), history.solved)
            grid_weights = self._next_grid_weight(grid, scan, history.solved, target)
            if grid_weights is None:
                return
            gap = scan.worst(MultiplicativeGap(target.delta))
            assert gap is not None
            row = grid_weights[None, :]
            history.absorb(row, (yield Request(row, gap.gap)))

    def _next_grid_weight(
        self, grid: HybridGrid, scan: CornerScan, solved: SolvedWeights, target: Target
    ) -> Array | None:
        rounded = grid.round_down(scan.weights)
        settled = [i for i, key in enumerate(weight_keys(rounded)) if solved.find(key) is not None]
        corner = scan.worst(target, skip=settled)
        if corner is None or scan.holds(corner, target):
            return None
        return rounded[corner.position]

    def _pruned(self, history: History, members: tuple[int, ...], target: Target) -> tuple[int, ...]:
        values = history.values_of(members)
        solved = history.solved

        def required(weights: Array) -> Array:
            # All members together meet the promise everywhere (Theorem 1′), so reaching them is enough too.
            keys = weight_keys(weights)
            upper = np.array([solved.refresh_upper(key, row) for key, row in zip(keys, weights, strict=True)])
            together = lower_envelope(values, weights).best
            return np.minimum(target.violation(upper, np.zeros(len(weights))), together)

        selection = smallest_subset(values, required, method="greedy")
        return tuple(members[int(k)] for k in selection.members)
