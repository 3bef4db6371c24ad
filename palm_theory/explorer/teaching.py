"""The teaching example: a small assistant as a KL-regularised bandit, solved exactly."""

from __future__ import annotations

from typing import Any

import numpy as np

from palm_theory.build import build_portfolio
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.registry import backend_class
from palm_theory.errors import InputError
from palm_theory.portfolio import Portfolio
from palm_theory.strategies.adaptive import Adaptive

OBJECTIVES = ("helpful", "brief", "safe", "cheap", "polite", "original")

EPSILONS = {2: 0.005, 3: 0.02, 4: 0.05}
"""The ε that is certified, by the number of objectives: portfolios small enough to read. More objectives: 0.12."""


def example(objectives: int = 3) -> tuple[Portfolio, PolicyBackend]:
    """A certified portfolio of a KL bandit with 5 contexts, 20 actions and β = 0.05, built in a second, and its
    backend. Raises InputError unless 2 ≤ ``objectives`` ≤ 6."""
    if not 2 <= objectives <= len(OBJECTIVES):
        raise InputError(f"the example has 2 to {len(OBJECTIVES)} objectives, got {objectives}")
    make: Any = backend_class("bandit")
    rewards = np.random.default_rng(0).random((5, 20, objectives))
    backend = make(rewards, beta=0.05, objectives=OBJECTIVES[:objectives], reward_max=1.0)
    strategy = Adaptive(epsilon=EPSILONS.get(objectives, 0.12), max_policies=30)
    return build_portfolio(backend, strategy, progress=False), backend
