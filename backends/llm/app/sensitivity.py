"""How much the choice of policies hangs on the scale of each reward.

A reward's scale is the user's choice, and scaling reward i by c changes which weights are worth a policy. On the
planning samples that can be seen before training: rescale one reward, plan again, and compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backends.bandit import BanditBackend
from backends.llm.backend import LLMBackend
from palm_theory.certify.audit import audit
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array, l1_distance
from palm_theory.strategies.planned import Planned

FACTORS = (0.5, 2.0)


@dataclass(frozen=True, eq=False)
class Rescaled:
    """What planning says after reward ``objective`` was multiplied by ``factor``.

    ``weights`` (K, d) are the weights now chosen; ``moved`` is the largest ‖·‖₁ distance of one of them from the
    nearest weight of the original plan, in [0, 2]; ``epsilon`` is the forecast worst gap of the new plan,
    ``epsilon_kept`` that of the original plan's policies under the new rewards.
    """

    objective: str
    factor: float
    weights: Array
    moved: float
    epsilon: float
    epsilon_kept: float


def sensitivity_of(backend: LLMBackend, strategy: Planned | None = None) -> list[Rescaled]:
    """``sensitivity`` on a backend's planning samples, which are made where they are missing."""
    samples = backend.runs.planning_samples()
    return sensitivity(samples, backend.problem.beta, backend.objectives, strategy or Planned())


def sensitivity(
    rewards: Array, beta: float, objectives: Sequence[str], strategy: Planned, factors: Sequence[float] = FACTORS
) -> list[Rescaled]:
    """One row for every reward and factor > 0; ``rewards`` (X, m, d) are the scored planning samples.

    Raises InputError on a factor that is not finite and > 0.
    """
    d = len(objectives)
    original = BanditBackend.from_samples(rewards, beta=beta, objectives=objectives)
    chosen = strategy.choose(strategy.forecast(original), d)
    policies = [original.optimize(w).policy for w in chosen]
    rows = []
    for i, objective in enumerate(objectives):
        for factor in factors:
            if not (np.isfinite(factor) and factor > 0):
                raise InputError(f"a reward is rescaled by a finite factor > 0, got {factor}")
            scale = np.ones(d)
            scale[i] = factor
            rescaled = BanditBackend.from_samples(rewards * scale, beta=beta, objectives=objectives)
            plan = strategy.forecast(rescaled)
            weights = strategy.choose(plan, d)
            distances = l1_distance(weights[:, None, :], chosen[None, :, :])
            kept = audit([rescaled.evaluate(policy) for policy in policies], rescaled)
            rows.append(
                Rescaled(
                    objective,
                    float(factor),
                    weights,
                    float(distances.min(axis=1).max()),
                    float(plan.epsilon[len(weights) - 1]),
                    kept.epsilon,
                )
            )
    return rows
