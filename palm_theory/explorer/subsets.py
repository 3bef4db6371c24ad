"""The best subset of every size K = 1..N: what one more policy buys."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import highspy
import numpy as np

from palm_theory.certify.audit import certify
from palm_theory.certify.certificate import Certificate
from palm_theory.certify.optimum import Asked, Optimum
from palm_theory.contract.value import Value
from palm_theory.geometry.corners import AdditiveGap, MultiplicativeGap
from palm_theory.geometry.envelope import ROUNDING, corner_weights, scalarize
from palm_theory.geometry.quiet_highs import QuietHighs
from palm_theory.geometry.simplex import Array, sample_dirichlet

MAX_WEIGHTS = 3000
"""Weights in the table of gaps to begin with; audits of subsets add their worst corners."""

ROUNDS = 12
"""How often a subset's worst corner may join the table before the best certified so far is taken."""

AGREEMENT = 1e-9
"""A certified gap this close, relatively, to what no subset can beat counts as equal to it."""


@dataclass(frozen=True, eq=False)
class SizedSubset:
    """At most ``size`` policies and their certificate.

    ``members`` are indices, increasing; fewer than ``size`` where more do not help. ``gap`` is the certificate's ε
    (δ = 0) where that is finite for the whole portfolio, else its additive gap; ``least_gap`` a proven lower bound on
    the gap of any subset of this size, 0 where nothing was proven.
    """

    size: int
    members: tuple[int, ...]
    certificate: Certificate
    gap: float
    least_gap: float

    @property
    def is_best(self) -> bool:
        """Whether it is proven that no subset of this size has a smaller worst gap."""
        return self.gap <= self.least_gap * (1 + AGREEMENT) + ROUNDING


def best_subsets(
    values: Sequence[Value],
    reference: Optimum,
    *,
    advance: Callable[[], None] = lambda: None,
    budget: float = 20.0,
) -> list[SizedSubset]:
    """For every K = 1..N a subset of at most K of N policies with a small worst gap, each certified by an audit.

    The gap of a subset is at least its gap on any finite set of weights, where the best subset is a covering problem:
    greedy, then integer programs (HiGHS) that either find a better one or prove there is none. The audit's worst
    corner joins the weights and the search is repeated, until audit and table agree: then the subset is the best
    there is. ``budget`` in seconds limits the search for proofs, not the audits. ``advance`` is called after each K.
    """
    return list(_Search(values, reference, advance, time.monotonic() + budget).run())


class _Search:
    def __init__(
        self, values: Sequence[Value], reference: Optimum, advance: Callable[[], None], deadline: float
    ) -> None:
        self._values = list(values)
        self._stacked = np.stack([value.vertex_values for value in values])
        self._reference = reference
        self._advance = advance
        self._deadline = deadline
        self._whole = certify(reference, self._values)
        self._relative = math.isfinite(self._whole.epsilon)
        self._estimates = any(value.is_estimate for value in values)
        self._table = self._gaps(self._first_weights())

    def _first_weights(self) -> Array:
        d = self._stacked.shape[1]
        corners = corner_weights(self._stacked)
        if len(corners) > MAX_WEIGHTS:
            chosen = np.random.default_rng(0).choice(len(corners), MAX_WEIGHTS, replace=False)
            corners = corners[np.sort(chosen)]
        return np.vstack([np.eye(d), corners, sample_dirichlet(d, 200)])

    def _gaps(self, weights: Array) -> Array:
        """The gap of every policy alone at every weight, (n, N); a subset's gap is its smallest."""
        alone = scalarize(self._stacked, weights)
        # Where every question is a solve the best of all policies stands for J*: no subset's gap is below that to it.
        dear = isinstance(self._reference, Asked) and not self._reference.is_cheap
        optimum = (alone.max(axis=1) if dear else self._reference.upper(weights))[:, None]
        measure = MultiplicativeGap() if self._relative else AdditiveGap()
        gaps = measure.measure(np.broadcast_to(optimum, alone.shape), alone)
        # Where a value is negative every policy loses all of J*, but not all lose equally much: any may be the best.
        return np.where(np.isinf(gaps), 1.0 + np.maximum(optimum - alone, 0.0), gaps)

    def _measured(self, certificate: Certificate) -> float:
        return certificate.epsilon if self._relative else certificate.additive_gap

    def run(self) -> Iterator[SizedSubset]:
        count = len(self._values)
        last: SizedSubset | None = None
        for size in range(1, count):
            # Every size gets its share of the time that is left, so that no size goes without.
            now = time.monotonic()
            deadline = now + max(0.0, self._deadline - now) / (count - size)
            found = self._best(size, last, deadline)
            if last is not None and last.gap <= found.gap:
                found = replace(last, size=size, least_gap=found.least_gap)
            last = found
            self._advance()
            yield found
        self._advance()
        gap = self._measured(self._whole)
        yield SizedSubset(count, tuple(range(count)), self._whole, gap, gap)

    def _best(self, size: int, last: SizedSubset | None, deadline: float) -> SizedSubset:
        best: SizedSubset | None = None
        least, start = 0.0, None if last is None else list(last.members)
        for _ in range(ROUNDS):
            members, bound = self._cover(size, start, deadline)
            least = max(least, bound)
            certificate = certify(self._reference, [self._values[k] for k in members])
            gap = self._measured(certificate)
            if best is None or gap < best.gap:
                best = SizedSubset(size, tuple(members), certificate, gap, 0.0)
            agrees = gap <= self._gap_of(members) * (1 + AGREEMENT) + ROUNDING
            if agrees or certificate.worst_weight is None or self._estimates or time.monotonic() > deadline:
                break
            self._table = np.vstack([self._table, self._gaps(certificate.worst_weight[None, :])])
            start = members
        assert best is not None
        # The table is made of estimates where the audit compares their limits: it bounds nothing then.
        return replace(best, least_gap=0.0 if self._estimates else least)

    def _gap_of(self, members: Sequence[int]) -> float:
        return float(self._table[:, list(members)].min(axis=1).max())

    def _cover(self, size: int, start: list[int] | None, deadline: float) -> tuple[list[int], float]:
        """A subset of ``size`` with a small largest gap over the table, and a lower bound on any subset's."""
        members = self._greedy(size)
        if start is not None and self._gap_of(start) < self._gap_of(members):
            members = start
        while (left := deadline - time.monotonic()) > 0:
            gap = self._gap_of(members)
            answer = _smaller(self._table, size, gap, left)
            if answer is None:
                return members, gap
            if not answer:
                break
            members = answer
        return members, 0.0

    def _greedy(self, size: int) -> list[int]:
        """Bisection on the gap over greedy covers."""
        low, high = 0.0, float(self._table.max())
        best = [int(self._table.max(axis=0).argmin())]
        for _ in range(30):
            middle = (low + high) / 2
            members = _greedy_cover(self._table <= middle, size)
            if members is None:
                low = middle
            else:
                best, high = members, self._gap_of(members)
        return best


def _greedy_cover(meets: np.ndarray, size: int) -> list[int] | None:
    """At most ``size`` columns that meet every row, the most unmet rows first; None where greed needs more."""
    members: list[int] = []
    unmet = meets
    while len(unmet):
        if len(members) == size:
            return None
        members.append(int(unmet.sum(axis=0).argmax()))
        left = unmet[~unmet[:, members[-1]]]
        if len(left) == len(unmet):
            return None
        unmet = left
    return sorted(members)


def _smaller(table: Array, size: int, gap: float, seconds: float) -> list[int] | None:
    """At most ``size`` columns whose largest gap over the table is below ``gap``; None where it is proven that there
    are none, empty where the time ran out."""
    meets = np.unique(table < gap, axis=0)
    if not meets.any(axis=1).all():
        return None
    solver = QuietHighs()
    solver.setOptionValue("time_limit", seconds)
    columns = meets.shape[1]
    for k in range(columns):
        solver.addVar(0.0, 1.0)
        solver.changeColIntegrality(k, highspy.HighsVarType.kInteger)
    everything = np.arange(columns, dtype=np.int32)
    solver.addRow(0.0, float(size), columns, everything, np.ones(columns))
    for row in meets:
        support = np.flatnonzero(row).astype(np.int32)
        solver.addRow(1.0, highspy.kHighsInf, len(support), support, np.ones(len(support)))
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return None
    if status != highspy.HighsModelStatus.kOptimal:
        return []
    return [int(k) for k in np.flatnonzero(np.asarray(solver.getSolution().col_value) > 0.5)]
