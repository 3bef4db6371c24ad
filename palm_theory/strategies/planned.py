"""Planning before training: let a cheap surrogate say which few weights are worth an expensive solve.

Where a solve costs minutes (a fine-tune), a backend can offer a surrogate: the empirical bandit of the base model's
own answers, say (THEORY, "Planning before training"). On the surrogate every weight is solved in milliseconds, so the
gap that K policies would leave is known for every K before the first real solve. It is a forecast, not a certificate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.certify.audit import audit
from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.contract.calls import optimal_value, solve
from palm_theory.errors import InputError
from palm_theory.geometry.envelope import scalarize
from palm_theory.geometry.simplex import Array, as_float_array, lattice_size, simplex_lattice, validate_weights
from palm_theory.strategies.base import Construction, Given, Strategy
from palm_theory.strategies.baselines import solve_all

MAX_CANDIDATES = 600


@dataclass(frozen=True, eq=False)
class Forecast:
    """What K policies would leave on the surrogate, for every K.

    ``weights`` (n, d) in the order worth solving; ``epsilon``[k−1] and ``delta``[k−1] are the exact worst gaps over
    the simplex (the least ε at δ = 0, the least δ at ε = 0) of the surrogate's policies for the first k weights.
    """

    weights: Array
    epsilon: Array
    delta: Array

    def size_for(self, epsilon: float) -> int | None:
        """The fewest policies whose forecast gap is at most ``epsilon``, or None where all of them miss it."""
        enough = np.flatnonzero(self.epsilon <= epsilon)
        return int(enough[0]) + 1 if enough.size else None


def forecast(
    surrogate: PolicyBackend, count: int, *, first: ArrayLike | None = None, max_candidates: int = MAX_CANDIDATES
) -> Forecast:
    """Order ``count`` weights of a simplex lattice greedily: each next one lowers the worst gap over the lattice most.

    Parameters
    ----------
    surrogate : a backend with the power OPTIMAL_VALUE, cheap to solve.
    count : how many weights to order; fewer come back where the lattice has no more.
    first : weights (n, d) that come before all others: the vertices, for policies that specialise in one objective.
    max_candidates : the finest lattice {k/n} with at most this many points holds the candidates.

    Raises InputError where the surrogate cannot tell J*, or on bad arguments.
    """
    if Power.OPTIMAL_VALUE not in surrogate.powers:
        raise InputError(f"a forecast needs a surrogate with exact optima, {type(surrogate).__name__} has none")
    if count < 1:
        raise InputError(f"count must be >= 1, got {count}")
    d = len(surrogate.objectives)
    start = np.empty((0, d)) if first is None else validate_weights(np.atleast_2d(as_float_array(first, "first")), d)
    lattice = simplex_lattice(d, _resolution(d, max_candidates))
    candidates = np.unique(np.vstack([start, lattice]), axis=0)
    optimum = np.array([optimal_value(surrogate, w) for w in candidates])
    values = [solve(surrogate, w).value for w in candidates]
    table = scalarize(np.stack([value.vertex_values for value in values]), candidates)
    required = [int(np.flatnonzero((candidates == row).all(axis=1))[0]) for row in start]
    order = _greedy(table, optimum, required, min(count, len(candidates)))
    audits = [audit([values[i] for i in order[: k + 1]], surrogate) for k in range(len(order))]
    return Forecast(
        candidates[order],
        np.array([certificate.epsilon for certificate in audits]),
        np.array([certificate.additive_gap for certificate in audits]),
    )


def _resolution(d: int, max_candidates: int) -> int:
    if lattice_size(d, 1) > max_candidates:
        raise InputError(f"planning needs at least {d} candidates for {d} objectives, got {max_candidates}")
    n = 1
    while d > 1 and lattice_size(d, n + 1) <= max_candidates:
        n += 1
    return n


def _greedy(table: Array, optimum: Array, required: list[int], count: int) -> list[int]:
    """Indices of candidates in the order taken. ``table``[w, k] is J_w of candidate k's policy."""
    order: list[int] = []
    reached = np.full(len(optimum), -math.inf)
    scale = np.where(optimum > 0, optimum, 1.0)
    for step in range(count):
        if step < len(required):
            best = required[step]
        else:
            gaps = (optimum[:, None] - np.maximum(reached[:, None], table)) / scale[:, None]
            gaps[:, order] = math.inf
            worst = gaps.max(axis=0)
            # Among candidates that leave the same worst gap, the one that serves the others best.
            ties = np.flatnonzero(worst <= worst.min() + 1e-12)
            best = int(ties[gaps[:, ties].mean(axis=0).argmin()])
        order.append(best)
        reached = np.maximum(reached, table[:, best])
    return order


@dataclass(frozen=True)
class Planned(Strategy):
    """Forecast on the backend's surrogate, then solve only the weights that the forecast finds worth it.

    Parameters
    ----------
    epsilon : solve the fewest weights whose forecast gap is at most this.
    max_policies : and never more than this many; d + 1 by default, each being expensive.
    specialists : solve the d vertices of the simplex first: one policy an objective, from which soups and decoding
        mixtures can be made too.

    Certificates come from the values measured afterwards, not from the forecast. Raises InputError where the backend
    has no surrogate.
    """

    epsilon: float = 0.05
    max_policies: int | None = None
    specialists: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < 1:
            raise InputError(f"epsilon must lie in [0, 1), got {self.epsilon}")
        if self.max_policies is not None and self.max_policies < 1:
            raise InputError(f"max_policies must be None or >= 1, got {self.max_policies}")

    def limit(self, objectives: int) -> int:
        """The most policies it will solve."""
        return objectives + 1 if self.max_policies is None else self.max_policies

    def forecast(self, surrogate: PolicyBackend, count: int | None = None) -> Forecast:
        """The forecast it goes by, for ``count`` policies (its own limit by default)."""
        d = len(surrogate.objectives)
        return forecast(surrogate, count or self.limit(d), first=np.eye(d) if self.specialists else None)

    def choose(self, forecast: Forecast, objectives: int) -> Array:
        """The weights of a forecast that it solves, (K, d): the specialists where asked for, and as many as needed."""
        enough = forecast.size_for(self.epsilon)
        limit = self.limit(objectives)
        size = limit if enough is None else min(enough, limit)
        return forecast.weights[: max(size, min(objectives, limit) if self.specialists else 1)]

    def construct(self, given: Given) -> Construction:
        """Forecast, then solve what the forecast chose. Raises InputError where the backend has no surrogate."""
        if given.surrogate is None:
            raise InputError("Planned needs a backend with a surrogate; use Adaptive, UniformGrid or RandomWeights")
        weights = self.choose(self.forecast(given.surrogate()), given.declared.d)
        return (yield from solve_all(given.declared, weights))
