"""The paper's algorithm: Theorem 1's hybrid cover, searched lazily, then pruned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from palm_theory.bounds import Bound, theorem1_double_prime, theorem1_prime
from palm_theory.certify.selection import smallest_subset
from palm_theory.contract.declarations import Declarations
from palm_theory.covers import hybrid_cover
from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.corners import CornerScan, MultiplicativeGap, Target
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.hybrid import HybridGrid
from palm_theory.geometry.sandwich import weight_keys
from palm_theory.geometry.simplex import MAX_POINTS, Array
from palm_theory.strategies.base import Chosen, Construction, Given, Request, Search, Strategy
from palm_theory.strategies.history import History

TARGET = ("epsilon", "delta")


@dataclass(frozen=True)
class Palm(Strategy):
    """The paper's algorithm: the policies of Theorem 1's hybrid cover, searched lazily, then pruned.

    Parameters
    ----------
    mu, alpha : μ ∈ (0, 1] and α ∈ (0, 1) of the hybrid cover. They promise Theorem 1″'s (ε, δ) where α = (1+μ)^−K for
        an integer K (``covers.aligned_alpha``), else Theorem 1′'s.
    lazy : solve only the grid weights that the target needs. A corner weight is settled, being served as promised, once
        the grid weights that it is rounded to are solved: at most d of them (``HybridGrid.chain``), by Theorem 1′ one.
        Other corners are seen to meet the target by the sandwich. So the worst corner that is neither is taken, and the
        likeliest of its grid weights that are not solved is, until no corner is left; the grid is never listed.
    prune : keep the smallest subset found greedily that still provably meets the target, or loses nothing where the
        whole does not meet it.
    epsilon, delta : the target (ε, δ); one that is given alone leaves the other at 0. With neither it is what the
        theorem promises, as in the paper: few policies, and no better than promised. A target that is sharper than the
        promise is met wherever the grid weights around a corner meet it; what was reached, the certificate says.

    Without known solve errors or without a bound on f nothing is promised; then ``lazy`` and ``prune`` must be False.
    """

    mu: float
    alpha: float
    lazy: bool = True
    prune: bool = True
    max_points: int = MAX_POINTS
    epsilon: float | None = None
    delta: float | None = None

    def __post_init__(self) -> None:
        HybridGrid(self.mu, self.alpha)
        for name in TARGET:
            asked = getattr(self, name)
            if asked is not None and not (math.isfinite(asked) and asked >= 0):
                raise InputError(f"{name} must be None or finite and >= 0, got {asked}")
        if self.epsilon is not None and self.epsilon > 1:
            raise InputError(f"epsilon must lie in [0, 1], got {self.epsilon}")

    def describe(self) -> dict[str, Any]:
        """Name and parameters, stored with the portfolio; the target only where one was asked for."""
        # Portfolios were stored before a target could be asked for: without one the description is as it was.
        return {name: value for name, value in super().describe().items() if name not in TARGET or value is not None}

    def construct(self, given: Given) -> Construction:
        declared = given.declared
        promise = self._promise(declared)
        history = History(declared)
        if promise is None or not self.lazy:
            cover = hybrid_cover(declared.d, self.mu, self.alpha, max_points=self.max_points)
            history.absorb(cover, (yield Request(cover)))
        else:
            yield from self._search(history, self._target(promise))
        members = history.distinct()
        if promise is not None and self.prune:
            members = self._pruned(history, members, self._target(promise))
        return Chosen(members, history.solved, promise)

    def _target(self, promise: Bound) -> Target:
        if self.epsilon is self.delta is None:
            return Target(promise.epsilon, promise.delta)
        return Target(self.epsilon or 0.0, self.delta or 0.0)

    def _promise(self, declared: Declarations) -> Bound | None:
        unknown = None
        if declared.oracle_error is None:
            unknown = "this backend declares no oracle_error"
        elif declared.regularizer_max is None and not declared.has_reference:
            unknown = "this backend bounds neither f nor declares a policy with f = 0"
        if unknown is None:
            assert declared.oracle_error is not None
            theorem = theorem1_double_prime if HybridGrid(self.mu, self.alpha).top_is_one else theorem1_prime
            return theorem(
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
        settled: set[bytes] = set()
        while True:
            scan = CornerScan(history.values_of(history.distinct()), history.solved)
            row = self._next_grid_weight(scan, grid, settled, target)
            if row is None:
                return
            gap = scan.worst(MultiplicativeGap(target.delta))
            assert gap is not None
            history.absorb(row, (yield Request(row, gap.gap)))

    def _next_grid_weight(
        self, scan: CornerScan, grid: HybridGrid, settled: set[bytes], target: Target
    ) -> Array | None:
        """The next weight to solve, (1, d), for the worst corner that is not settled; None if there is none.

        ``settled`` holds the keys of corners whose grid weights are all solved, and grows.
        """
        keys = weight_keys(scan.weights)
        skip = [i for i, key in enumerate(keys) if key in settled]
        while True:
            corner = scan.worst(target, skip=skip)
            if corner is None or scan.holds(corner, target):
                return None
            points, chances = _rounded(grid, corner.weights)
            missing = [k for k, key in enumerate(weight_keys(points)) if scan.solved.find(key) is None]
            if missing:
                # The likeliest is the nearest, and often enough: the corner may be gone with it.
                best = max(missing, key=lambda k: chances[k])
                return points[[best]]
            settled.add(keys[corner.position])
            skip.append(corner.position)

    def _pruned(self, history: History, members: tuple[int, ...], target: Target) -> tuple[int, ...]:
        values = history.values_of(members)
        solved = history.solved

        def required(weights: Array) -> Array:
            # Where all members together miss the target they serve as promised: reaching them is enough.
            keys = weight_keys(weights)
            upper = np.array([solved.refresh_upper(key, row) for key, row in zip(keys, weights, strict=True)])
            together = lower_envelope(values, weights).best
            return np.minimum(target.violation(upper, np.zeros(len(weights))), together)

        selection = smallest_subset(values, required, method="greedy")
        return tuple(members[int(k)] for k in selection.members)


def _rounded(grid: HybridGrid, weights: Array) -> tuple[Array, Array]:
    """The grid weights by which a theorem serves a weight (d,), and their chances."""
    return grid.chain(weights) if grid.top_is_one else (grid.round_down(weights)[None, :], np.ones(1))
