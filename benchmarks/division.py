"""Solves with intervals divided into as few pieces as they need, against halving (docs/theory/oracle-calls.md).

    OMP_NUM_THREADS=1 python -m benchmarks.division

Two objectives, Adaptive(keep_all=True), random KL bandits and MDPs. Prints totals; writes results/division.json.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from backends.bandit import BanditBackend
from backends.mdp import MDPBackend
from benchmarks.common import CountingBackend, show, store
from palm_theory import Adaptive, build_portfolio
from palm_theory.contract.backend import PolicyBackend
from palm_theory.geometry.simplex import Array


@dataclass(frozen=True)
class Halving(Adaptive):
    """Adaptive that always solves the corner itself, as Optimistic Linear Support does."""

    def _weights_to_solve(self, history: Any, scan: Any, corner: int) -> Array:
        return scan.weights[corner]


def bandit(seed: int) -> BanditBackend:
    """5 contexts, 20 actions, two objectives uniform on [0, 1], β = 0.05."""
    return BanditBackend(np.random.default_rng(seed).uniform(size=(5, 20, 2)), beta=0.05)


def mdp(seed: int) -> MDPBackend:
    """20 states, 4 actions, two objectives, γ = 0.9, as ``random_mdp``."""
    rng = np.random.default_rng(seed)
    transitions = rng.dirichlet(np.full(20, 0.5), size=(20, 4))
    return MDPBackend(transitions, rng.uniform(size=(20, 4, 2)), np.full(20, 1 / 20), discount=0.9)


def solves(strategy: Adaptive, backend: PolicyBackend) -> int:
    """How many solves a construction takes; its certificate must hold."""
    counting = CountingBackend(backend)
    portfolio = build_portfolio(counting, strategy)
    assert portfolio.certificate.certifies(strategy.epsilon + 1e-12)
    return counting.solves


def main() -> None:
    rows = []
    families: dict[str, tuple[Callable[[int], PolicyBackend], range, tuple[float, ...]]] = {
        "KL bandits": (bandit, range(100, 130), (0.03, 0.01, 0.003, 0.001, 0.0003)),
        "MDPs": (mdp, range(200, 215), (0.03, 0.01, 0.003, 0.001)),
    }
    for name, (make, seeds, epsilons) in families.items():
        for epsilon in epsilons:
            halving = sum(solves(Halving(epsilon, keep_all=True), make(seed)) for seed in seeds)
            divided = sum(solves(Adaptive(epsilon, keep_all=True), make(seed)) for seed in seeds)
            rows.append(
                {
                    "instances": name,
                    "seeds": len(seeds),
                    "epsilon": epsilon,
                    "halving": halving,
                    "divided": divided,
                    "ratio": round(divided / halving, 3),
                }
            )
    show("solves in all", rows)
    store("division", {"rows": rows})


if __name__ == "__main__":
    main()
