"""The instances of the benchmarks: each a backend with an exact oracle, made from its name alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backends.bandit import BanditBackend
from backends.convex import ConvexBackend
from backends.gym import GymBackend
from backends.knapsack import KnapsackBackend
from backends.mdp import MDPBackend
from palm_theory.contract.backend import PolicyBackend


@dataclass(frozen=True)
class Instance:
    """``finite``: whether J* is piecewise linear, so that finitely many policies are optimal everywhere."""

    name: str
    objectives: int
    finite: bool
    make: Callable[[], PolicyBackend]


def fruit_tree(depth: int) -> GymBackend:
    """MO-Gymnasium's fruit tree, undiscounted: one leaf an episode, 2^depth of them."""
    return GymBackend("fruit-tree-v0", arguments={"depth": depth}, discount=1.0, horizon=depth, mode="exact")


def discounted(environment: str, discount: float) -> GymBackend:
    """An environment as an exact discounted MDP."""
    return GymBackend(environment, discount=discount, mode="exact")


def bandit(objectives: int, beta: float) -> BanditBackend:
    """5 contexts, 20 actions, rewards uniform on [0, 1], seed 0."""
    rewards = np.random.default_rng(0).uniform(size=(5, 20, objectives))
    return BanditBackend(rewards, beta=beta)


def random_mdp(objectives: int) -> MDPBackend:
    """20 states, 4 actions, transitions Dirichlet(1/2), rewards uniform on [0, 1], γ = 0.9, seed 0."""
    rng = np.random.default_rng(0)
    transitions = rng.dirichlet(np.full(20, 0.5), size=(20, 4))
    return MDPBackend(transitions, rng.uniform(size=(20, 4, objectives)), np.full(20, 1 / 20), discount=0.9)


def knapsack(items: int, seed: int = 0) -> KnapsackBackend:
    """Three objectives, values and weights uniform integers in 1..1000, capacity half of all (3kp, Kirlik & Sayin)."""
    rng = np.random.default_rng(seed)
    values, weights = rng.integers(1, 1001, size=(3, items)), rng.integers(1, 1001, size=items)
    return KnapsackBackend(values, weights, int(np.ceil(weights.sum() / 2)))


def linear_program(objectives: int) -> ConvexBackend:
    """max C·x, A·x ≤ 1, x ≥ 0 with 12 variables and 8 rows, C and A uniform on [0, 1], seed 0."""
    import cvxpy as cp

    rng = np.random.default_rng(0)
    rows, costs = rng.uniform(size=(8, 12)), rng.uniform(size=(objectives, 12))
    x = cp.Variable(12, nonneg=True, name="x")
    return ConvexBackend([cost @ x for cost in costs], [rows @ x <= 1])


def _all() -> list[Instance]:
    found = [Instance(f"fruit-tree-{n}", 6, True, lambda n=n: fruit_tree(n)) for n in (5, 6, 7)]
    for form in ("", "-concave", "-mirrored"):
        name = f"deep-sea-treasure{form}"
        found.append(Instance(name, 2, True, lambda name=name: discounted(f"{name}-v0", 0.99)))
    found.append(Instance("resource-gathering", 3, True, lambda: discounted("resource-gathering-v0", 0.9)))
    for d in range(2, 7):
        found.append(Instance(f"kl-bandit-{d}", d, False, lambda d=d: bandit(d, 0.05)))
    for d in range(2, 7):
        found.append(Instance(f"random-mdp-{d}", d, True, lambda d=d: random_mdp(d)))
    for n in (20, 40):
        found.append(Instance(f"3kp{n}", 3, True, lambda n=n: knapsack(n)))
    for d in (2, 3, 4):
        found.append(Instance(f"lp-{d}", d, True, lambda d=d: linear_program(d)))
    return found


INSTANCES: dict[str, Instance] = {instance.name: instance for instance in _all()}
