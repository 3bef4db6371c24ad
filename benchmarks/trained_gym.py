"""Policies really trained by stable-baselines3, against the exact optimum of the same environment.

    OMP_NUM_THREADS=1 python -m benchmarks.trained_gym [fruit-tree | resource-gathering] ...

GymBackend(mode="train") trains one policy for each of a few weights; GymBackend(mode="exact") enumerates the same
environment and knows J*. Printed for each weight: J_w of the trained policy with its 95% interval (normal, over
evaluation episodes), and J*_w; for the portfolio: the exact worst gap of the measured means, and the certificate that
the trained backend can give by itself. Writes results/trained_gym.json. A few minutes of CPU.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backends.gym import GymBackend
from backends.gym.training import RLTraining
from benchmarks.common import Stopwatch, show, store
from palm_theory import RandomWeights, Value, audit, build_portfolio
from palm_theory.geometry.simplex import Array


@dataclass(frozen=True)
class Case:
    """An environment, small enough to enumerate, and how much it is trained."""

    environment: str
    discount: float
    horizon: int
    training: RLTraining
    weights: int
    arguments: dict[str, Any] = field(default_factory=dict)


CASES = {
    "fruit-tree": Case(
        "fruit-tree-v0",
        1.0,
        5,
        RLTraining("PPO", 20_000, 20, {"n_steps": 256, "batch_size": 64, "learning_rate": 1e-3, "ent_coef": 0.05}),
        4,
        {"depth": 5},
    ),
    "resource-gathering": Case(
        "resource-gathering-v0",
        0.9,
        60,
        RLTraining("PPO", 30_000, 200, {"n_steps": 512, "batch_size": 128, "learning_rate": 1e-3, "ent_coef": 0.02}),
        3,
    ),
}


def interval(value: Value, weights: Array) -> float:
    """Half the 95% interval of J_w, from the standard errors as if the objectives were independent."""
    assert value.rewards_stderr is not None
    return 1.96 * math.sqrt(float((weights**2) @ (value.rewards_stderr**2)))


def run(name: str) -> dict[str, Any]:
    """Train, measure, compare."""
    case = CASES[name]
    common: dict[str, Any] = {"discount": case.discount, "horizon": case.horizon, "arguments": case.arguments}
    exact = GymBackend(case.environment, mode="exact", **common)
    trained = GymBackend(case.environment, mode="train", training=case.training, **common)
    watch = Stopwatch()
    portfolio = build_portfolio(trained, RandomWeights(case.weights, seed=0))
    seconds = watch.seconds
    # Both measure the environment's own return; each has its own shift.
    back = np.array([normalizer.offset for normalizer in trained.normalizers])
    there = np.array([normalizer.offset for normalizer in exact.normalizers])
    rows, means = [], []
    for member in portfolio:
        assert member.weights is not None
        w = member.weights
        own = member.value.rewards - back
        best = exact.optimal_value(w) - float(w @ there)
        reached = float(w @ own)
        half = interval(member.value, w)
        rows.append(
            {
                "instance": name,
                "weights": " ".join(f"{x:.2f}" for x in w),
                "trained J_w": round(reached, 4),
                "95% interval": f"± {half:.4f}",
                "exact J*_w": round(best, 4),
                "short of it": round(best - reached, 4),
                "significant": bool(best - reached > half + 1e-9 * exact.reward_max),
            }
        )
        means.append(Value(np.clip(own + there, 0.0, exact.reward_max)))
    against = audit(means, exact, epsilon=0.0)
    itself = portfolio.certificate
    summary = {
        "instance": name,
        "policies": len(portfolio),
        "steps each": case.training.total_steps,
        "episodes each": case.training.episodes,
        "seconds": round(seconds, 1),
        "worst gap of the means, exact": round(against.delta, 4),
        "R_max": round(exact.reward_max, 4),
        "its own certificate": itself.kind.value,
        "over": itself.reference,
    }
    return {"policies": rows, "summary": summary}


def main() -> None:
    found = [run(name) for name in sys.argv[1:] or CASES]
    for part in found:
        show("trained policies", part["policies"])
    show("portfolios", [part["summary"] for part in found])
    store("trained_gym", {"runs": found})


if __name__ == "__main__":
    main()
