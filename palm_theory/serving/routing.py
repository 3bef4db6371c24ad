"""The decision: from weights to a policy, and what is known of how far that policy is from optimal."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

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

    Two upper bounds on J*_w are held against J_w(π_k), and the smaller is taken:

    - a certificate's, unless it is against a reference set only: L(w) = max_k J_w(π_k) ≥ (1−ε)·J*_w − δ gives
      J*_w ≤ (L(w) + δ)/(1 − ε), and its additive gap J*_w ≤ L(w) + gap;
    - the upper hull of the portfolio's own training weights: J* is convex, so J*_w ≤ Σ λ_i J*_{w_i} for w = Σ λ_i w_i.
      J*_{w_i} is taken to be the best value of the portfolio at w_i. That is a prediction, not a bound, unless every
      policy is optimal where it was trained. It needs policies trained at all d vertices of the simplex.

    A certificate of estimated values is about the best policy at w, whichever that is, and not about the one whose
    estimate is the largest, nor about one that the client names: with estimates every gap is a prediction.
    """

    def __init__(self, portfolio: Portfolio) -> None:
        self.portfolio = portfolio
        self.names = tuple(member.name for member in portfolio)
        self._values = portfolio.vertex_values
        self._certificate = portfolio.certificate
        self._estimates = any(value.is_estimate for value in portfolio.policy_values)
        self._hull = _training_hull(portfolio)
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
        best = float(values[policy])
        certified = self._certified(best)
        predicted = math.inf if self._hull is None else max(0.0, float((self._hull @ weights).max()) - best)
        if min(certified, predicted) == math.inf:
            return policy, values, Gap(math.inf, "unknown")
        if certified <= predicted and not self._estimates:
            return policy, values, Gap(certified, self._certificate.kind.value)
        return policy, values, Gap(min(certified, predicted), "predicted")

    def _certified(self, best: float) -> float:
        certificate = self._certificate
        if not certificate.is_against_optimum:
            return math.inf
        gap = certificate.additive_gap
        if math.isfinite(certificate.epsilon) and certificate.epsilon < 1:
            relative = (certificate.epsilon * best + certificate.delta) / (1 - certificate.epsilon)
            gap = min(gap, relative)
        return max(0.0, gap)


def _training_hull(portfolio: Portfolio) -> Array | None:
    """U(w) = max_j ⟨w, H_j⟩, shape (m, d), the upper hull of L over the weights the policies were trained for.

    The lower convex hull of the points (w_i, L(w_i)), by Qhull. None where a vertex of the simplex is not among them.
    """
    from scipy.spatial import ConvexHull

    rows = [member.weights for member in portfolio if member.weights is not None]
    d = len(portfolio.objectives)
    if not rows:
        return None
    weights = np.unique(np.stack(rows), axis=0)
    at_vertices = weights.max(axis=1) == 1.0
    if at_vertices.sum() < d:
        return None
    best = portfolio.best_value(weights)
    vertex_bounds = weights[at_vertices].T @ best[at_vertices]
    if at_vertices.all():
        return vertex_bounds[None, :]
    # An apex far above the simplex makes every facet below it, and no other, one of U's linear pieces.
    spread = float(np.ptp(best)) or 1.0
    unit = (best - best.min()) / spread
    apex = np.full((1, d), 1 / d)
    apex[0, -1] = 10.0
    planes = ConvexHull(np.vstack([np.column_stack([weights[:, :-1], unit]), apex])).equations
    planes = planes[planes[:, d - 1] < -1e-9]
    slopes = -planes[:, : d - 1] / planes[:, d - 1 : d]
    constants = -planes[:, d] / planes[:, d - 1]
    pieces = np.column_stack([slopes + constants[:, None], constants])
    return pieces * spread + best.min()
