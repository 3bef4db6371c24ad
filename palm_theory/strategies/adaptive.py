"""Adaptive: solve the worst corner until (ε, δ) is certified (Theorem 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palm_theory.certify.selection import best_subset
from palm_theory.errors import InputError
from palm_theory.geometry.corners import AdditiveGap, CornerScan, MultiplicativeGap, Target
from palm_theory.geometry.envelope import ROUNDING, distinct_policies, essential_policies, lower_envelope, rounding_at
from palm_theory.geometry.sandwich import weight_keys
from palm_theory.geometry.simplex import Array, validate_weights
from palm_theory.strategies.base import Chosen, Construction, Given, Request, Search, Strategy
from palm_theory.strategies.history import History

MAX_PIECES = 100
"""Above this many pieces halving is as good as any division."""


OVERSHOOT = 5
"""Solves spent for each policy kept, where their number is limited."""


@dataclass(frozen=True)
class Adaptive(Strategy):
    """Solve the worst corner, add its policy, repeat, until (ε, δ) is certified (Theorem 3; corner weights are the key
    step of Optimistic Linear Support, Roijers 2016).

    Parameters
    ----------
    epsilon, delta : the target; L(w) ≥ (1−ε)J*_w − δ for every w. (0, 0) finds every policy that is needed.
    max_policies : at most this many policies, certified for what they give; None for no limit. Where the target needs
        more, the best subset found is kept (``selection.best_subset``).
    max_solves : at most this many solves (but the d vertices of the simplex): a budget of training runs. By default
        5·max_policies, or no limit.
    batch : corners solved at once, for parallel solves; 1 asks for the fewest. The result depends on it, not on how
        many workers there are.
    keep_all : take in every policy that helps where it was solved, not only where the target is missed: fewer solves,
        more policies. For oracles that cost more than a place in the portfolio; ``Portfolio.prune`` makes it smaller.
        With two objectives, solves are then placed beside corners where that divides an interval into fewer pieces.
    start : weights asked for before any corner, and whose policies are taken in: those whose solves are at hand.

    Corners that the sandwich settles are not solved. Raises CertificateError where solves give no upper bound on J*.
    """

    epsilon: float = 0.01
    delta: float = 0.0
    max_policies: int | None = None
    max_solves: int | None = None
    batch: int = 1
    keep_all: bool = False
    start: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < 1:
            raise InputError(f"epsilon must lie in [0, 1), got {self.epsilon}")
        if not (math.isfinite(self.delta) and self.delta >= 0):
            raise InputError(f"delta must be finite and >= 0, got {self.delta}")
        for name in ("max_policies", "max_solves", "batch"):
            number = getattr(self, name)
            if number is None and name != "batch":
                continue
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                none = "" if name == "batch" else "None or "
                raise InputError(f"{name} must be {none}an integer >= 1, got {number!r}")

    def construct(self, given: Given) -> Construction:
        target = Target(self.epsilon, self.delta)
        everything = self.epsilon == self.delta == 0 and self.max_policies is self.max_solves is None
        history = History(given.declared)
        vertices = np.eye(given.declared.d)
        history.absorb(vertices, (yield Request(vertices)))
        if self.start:
            rows = validate_weights(self.start, given.declared.d)
            history.absorb(rows, (yield Request(rows)))
        history.require_bounds("Adaptive")
        members = [int(k) for k in distinct_policies(history.values)]
        if everything:
            yield from self._solve_every_corner(history, members, target)
        else:
            yield from self._solve_worst_corners(history, members, target)
        return Chosen(tuple(sorted(self._kept(history, members))), history.solved)

    def _solve_every_corner(self, history: History, members: list[int], target: Target) -> Search:
        """Until every corner of the members' envelope is solved, as (0, 0) demands.

        A policy just found lifts the envelope at some corners, which then are corners no more and need no solve; all
        others stay corners. So the envelope's geometry is worked out anew only when none is left.
        """
        while True:
            scan = CornerScan(history.values_of(members), history.solved)
            waiting = np.flatnonzero(~scan.is_solved)
            if waiting.size == 0:
                return
            while waiting.size:
                weights, waiting = scan.weights[waiting[: self.batch]], waiting[self.batch :]
                for k in history.absorb(weights, (yield Request(weights))):
                    added = self._add_if_short(history, members, history.weights[k], target)
                    if added or self._add_if_it_lifts(history, members, k, scan, waiting):
                        waiting = waiting[~_lifted(history.values_of(members[-1:]), scan, waiting)]

    def _solve_worst_corners(self, history: History, members: list[int], target: Target) -> Search:
        """Until no corner can miss the target, or a limit is reached."""
        helps = Target() if self.keep_all else target
        scan = CornerScan(history.values_of(members), history.solved)
        while True:
            added = self._improve_at_solved(history, members, scan, target)
            if not added:
                room = max(0, min(self._solve_limit - len(history), len(scan)))
                corners = self._unsolved_violations(scan, target)[: int(room)]
                if not corners:
                    return
                weights = np.array([self._weights_to_solve(history, scan, corner) for corner in corners])
                gap = scan.worst(MultiplicativeGap(self.delta))
                assert gap is not None
                remaining = _remaining_solves(len(history), gap.gap, self.epsilon, history.declared.d)
                for k in history.absorb(weights, (yield Request(weights, gap.gap, remaining))):
                    added |= self._add_if_short(history, members, history.weights[k], helps)
                    if self.keep_all and not added:
                        added = self._add_if_it_lifts(history, members, k, scan, np.flatnonzero(~scan.is_solved))
                if not added:
                    for corner in corners:
                        scan.update_if_solved(corner)
            if added:
                scan = CornerScan(history.values_of(members), history.solved)

    def _weights_to_solve(self, history: History, scan: CornerScan, corner: int) -> Array:
        """The corner itself; with two objectives and ``keep_all``, beside it where halving is not the best division.

        Between neighbouring solved weights a < b the bounds on a smooth J* are apart by at most J*''·(b−a)²/4, at the
        corner, so an interval whose gap is r times the allowed one needs n = ⌈√r⌉ pieces and n−1 solves. Halving makes
        their number a power of 2; a solve at ⌊n/2⌋/n of the way makes it n (docs/theory/oracle-calls.md).
        """
        weights = scan.weights[corner]
        if not self.keep_all or history.declared.d != 2:
            return weights
        allowed = self.epsilon * scan.upper[corner] + self.delta
        ratio = (scan.upper[corner] - scan.lower[corner]) / allowed if allowed > 0 else math.inf
        if not 4 < ratio < MAX_PIECES**2:
            return weights
        pieces = math.ceil(math.sqrt(ratio) * (1 - ROUNDING))
        solved = np.array([row[0] for row in history.solved.weights])
        left = solved[solved <= weights[0]].max()
        first = left + 2 * (pieces // 2) / pieces * (weights[0] - left)
        return weights if pieces % 2 == 0 else np.array([first, 1 - first])

    @property
    def _order(self) -> MultiplicativeGap | AdditiveGap:
        """The gap by which the worst corner is chosen; it is within the target iff the target holds."""
        return AdditiveGap() if self.epsilon == 0 < self.delta else MultiplicativeGap(self.delta)

    @property
    def _solve_limit(self) -> float:
        if self.max_solves is not None:
            return self.max_solves
        return math.inf if self.max_policies is None else OVERSHOOT * self.max_policies

    def _kept(self, history: History, members: list[int]) -> list[int]:
        """The members whose absence would show, and the best ``max_policies`` of them where there are more."""
        needed = [members[k] for k in essential_policies(history.values_of(members))]
        if self.max_policies is None or len(needed) <= self.max_policies:
            return needed
        solved = history.solved

        def upper(weights: Array) -> Array:
            return np.array(
                [solved.refresh_upper(key, row) for key, row in zip(weight_keys(weights), weights, strict=True)]
            )

        return [needed[int(k)] for k in best_subset(history.values_of(needed), upper, self.max_policies)]

    def _improve_at_solved(self, history: History, members: list[int], scan: CornerScan, target: Target) -> bool:
        """Take in a policy already found, where the worst corner is a solved one. Whether any was."""
        corner = scan.worst(self._order)
        assert corner is not None
        if not corner.solved:
            return False
        return self._add_if_short(history, members, corner.weights, target)

    def _add_if_short(self, history: History, members: list[int], weights: Array, target: Target) -> bool:
        """Add the best policy known at ``weights`` where the members miss the target there and it helps."""
        row = weights[None, :]
        current = history.values_of(members)
        lower = lower_envelope(current, row).best
        rounding = float(rounding_at(current, row)[0])
        known = history.solved.find(weight_keys(row)[0])
        assert known is not None
        upper = np.array([history.solved.upper[known]])
        best = lower_envelope(history.values, row)
        short = float(target.violation(upper, lower)[0]) > rounding
        if not short or float(best.best[0] - lower[0]) <= rounding:
            return False
        members.append(int(best.policy[0]))
        return True

    def _add_if_it_lifts(
        self, history: History, members: list[int], k: int, scan: CornerScan, corners: NDArray[np.int64]
    ) -> bool:
        """Add solution k where it lifts the envelope at one of ``corners``: where it was solved it may only be as good
        as the members, one of several optima, and another solve would find it again."""
        lifts = k not in members and bool(_lifted(history.values_of([k]), scan, corners).any())
        if lifts:
            members.append(k)
        return lifts

    def _unsolved_violations(self, scan: CornerScan, target: Target) -> list[int]:
        """Positions of the worst corners not solved yet that may miss the target, worst first, at most ``batch``."""
        found: list[int] = []
        while len(found) < self.batch:
            corner = scan.worst(self._order, unsolved_only=True, skip=found)
            if corner is None or scan.holds(corner, target):
                break
            found.append(corner.position)
        return found


def _lifted(values: Array, scan: CornerScan, corners: NDArray[np.int64]) -> NDArray[np.bool_]:
    """At which of ``corners``, positions (m,), a policy (1, d) is better than the scan's envelope."""
    reached = lower_envelope(values, scan.weights[corners]).best
    return reached > scan.lower[corners] + scan.rounding[corners]


def _remaining_solves(done: int, gap: float, epsilon: float, objectives: int) -> int | None:
    """A guess for the progress bar: the gap falls like K^(−2/(d−1)) (docs/theory/order-of-growth.md)."""
    if epsilon <= 0 or not math.isfinite(gap) or gap <= epsilon:
        return None
    return math.ceil(done * ((gap / epsilon) ** ((objectives - 1) / 2) - 1))
