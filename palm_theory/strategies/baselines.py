"""Baselines: uniform and random weights, all solved."""

from __future__ import annotations

from dataclasses import dataclass

from palm_theory.contract.declarations import Declarations
from palm_theory.covers import random_weights, uniform_grid
from palm_theory.geometry.simplex import MAX_POINTS, Array
from palm_theory.strategies.base import Chosen, Construction, Given, Request, Strategy
from palm_theory.strategies.history import History


@dataclass(frozen=True)
class UniformGrid(Strategy):
    """Baseline: the simplex lattice {k/n}, C(n+d−1, d−1) weights; its distinct policies are the portfolio."""

    n: int
    max_points: int = MAX_POINTS

    def construct(self, given: Given) -> Construction:
        weights = uniform_grid(given.declared.d, self.n, max_points=self.max_points)
        return (yield from solve_all(given.declared, weights))


@dataclass(frozen=True)
class RandomWeights(Strategy):
    """Baseline: n weights uniform on the simplex, from ``seed`` (the build's seed if None)."""

    n: int
    seed: int | None = None

    def construct(self, given: Given) -> Construction:
        seed = given.seed if self.seed is None else self.seed
        return (yield from solve_all(given.declared, random_weights(given.declared.d, self.n, seed=seed)))


def solve_all(declared: Declarations, weights: Array) -> Construction:
    """Solve the given weights (n, d), independent of each other, and keep every distinct policy."""
    history = History(declared)
    history.absorb(weights, (yield Request(weights)))
    return Chosen(history.distinct(), history.solved)
