"""The decision: from weights to a policy, and what is known of how far that policy is from optimal."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from palm_theory.certify.optimum import Knowledge
from palm_theory.geometry.envelope import scalarize
from palm_theory.geometry.simplex import Array
from palm_theory.portfolio import Portfolio

REMEMBERED = 4096
"""Decisions kept: users ask again and again with the same weights."""


@dataclass(frozen=True, eq=False)
class Gap:
    """An estimate of J*_w − J_w(π_k), the regret of policy k at weights w, in the unit of the rewards.

    ``kind`` says what ``value`` is: "exact", "bounded" or "sampled" as the portfolio's certificate, from which it then
    follows; "predicted" where it rests on each policy being optimal at the weights it was trained for, or on values
    that are estimates; "unknown", with value inf, where nothing is known. Only "exact" and "bounded" are bounds.
    """

    value: float
    kind: str


@dataclass(frozen=True, eq=False)
class Decision:
    """Which policy answers: its index and name, the weights (or None where a policy was named) and its gap there."""

    policy: int
    name: str
    weights: Array | None
    source: str
    gap: Gap | None


class RoutingTable:
    """argmax_k ⟨w, R_k⟩ − f_k over a portfolio, ties to the lowest index, with the gap of any policy at any weights.

    Two upper bounds on J*_w are held against J_w(π_k), and the smaller is taken: what the portfolio's certificate
    implies (``certify.optimum.Certified``), and the prediction that every policy is optimal where it was trained
    (``certify.optimum.Predicted``), where any was trained at known weights.
    """

    def __init__(self, portfolio: Portfolio) -> None:
        self.portfolio = portfolio
        self.names = tuple(member.name for member in portfolio)
        self._values = portfolio.vertex_values
        self._certified = portfolio.certified_optimum()
        self._predicted = portfolio.predicted_optimum()
        self._remembered: OrderedDict[bytes, tuple[int, Array, Gap]] = OrderedDict()

    def route(self, weights: Array, source: str) -> Decision:
        """The policy for weights (d,) that were already checked."""
        policy, _, gap = self._at(weights)
        return Decision(policy, self.names[policy], weights, source, gap)

    def named(self, policy: int, weights: Array | None, source: str) -> Decision:
        """A policy the client named itself; with weights (d,), its gap there."""
        gap = None
        if weights is not None:
            best, values, of_best = self._at(weights)
            gap = Gap(of_best.value + float(values[best] - values[policy]), of_best.kind)
        return Decision(policy, self.names[policy], weights, source, gap)

    def _at(self, weights: Array) -> tuple[int, Array, Gap]:
        key = weights.tobytes()
        found = self._remembered.get(key)
        if found is None:
            found = self._decide(weights)
            self._remembered[key] = found
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return found

    def _decide(self, weights: Array) -> tuple[int, Array, Gap]:
        values = scalarize(self._values, weights[None, :])[0]
        policy = int(values.argmax())
        bounds = [(float(known.upper(weights[None, :])[0]), known.kind) for known in (self._certified, self._predicted)]
        upper, kind = min(bounds, key=lambda bound: bound[0])
        if upper == math.inf:
            return policy, values, Gap(math.inf, Knowledge.UNKNOWN.value)
        return policy, values, Gap(max(0.0, upper - float(values[policy])), kind.value)
