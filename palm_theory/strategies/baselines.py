"""Baselines: uniform and random weights, all solved."""

from __future__ import annotations

from dataclasses import dataclass

from palm_theory.covers import random_weights, uniform_grid
from palm_theory.geometry.sandwich import SolvedWeights
from palm_theory.geometry.simplex import MAX_POINTS, Array
from palm_theory.strategies.base import Construction, Plan, Problem, Request, Strategy
from palm_theory.strategies.history import History


@dataclass(frozen=True)
class UniformGrid(Strategy):
    """Baseline: the simplex lattice {k/n}, C(n+d−1, d−1) weights; its distinct policies are the portfolio."""

    n: int
    max_points: int = MAX_POINTS

    def construct(self, problem: Problem) -> Construction:
        return (yield from solve_all(problem, uniform_grid(problem.objectives, self.n, max_points=self.max_points)))


@dataclass(frozen=True)
class RandomWeights(Strategy):
    """Baseline: n weights uniform on the simplex, from ``seed`` (the build's seed if None)."""

    n: int
    seed: int | None = None

    def construct(self, problem: Problem) -> Construction:
        seed = problem.seed if self.seed is None else self.seed
        return (yield from solve_all(problem, random_weights(problem.objectives, self.n, seed=seed)))


def solve_all(problem: Problem, weights: Array) -> Construction:
    """Solve the given weights (n, d), independent of each other, and keep every distinct policy."""
    history = History(problem, SolvedWeights(problem.objectives))
    history.absorb(weights, (yield Request(weights)))
    return Plan(history.distinct(), history.solved)
