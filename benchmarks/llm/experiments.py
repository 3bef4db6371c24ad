"""What the paper's three experiments have in common: portfolios chosen in three ways, validated by fresh policies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from backends.llm import Adapter, DecodingMixture, LLMBackend, LLMPolicy
from backends.llm.measure.planning import forecast_quality
from benchmarks.llm.validation import held_out_weights, validate
from palm_theory.covers import random_weights
from palm_theory.geometry.simplex import Array, simplex_lattice
from palm_theory.strategies.planned import Planned

RealisedBy = Literal["training", "decoding"]


def policy_for(weights: Array, llm: LLMBackend, realised_by: RealisedBy) -> LLMPolicy:
    """The policy of one weight vector: trained for it, or decoded from the experts of the objectives."""
    if realised_by == "training" or weights.max() == 1:
        return llm.optimize(weights).policy
    experts = [llm.optimize(vertex).policy for vertex in np.eye(len(llm.objectives))]
    folders = tuple(expert.folder for expert in experts if isinstance(expert, Adapter))
    return DecodingMixture(llm.problem.chat, folders, tuple(float(w) for w in weights))


def run_experiment(
    name: str, llm: LLMBackend, realised_by: RealisedBy, lattices: Sequence[int], fresh: int, seed: int = 1
) -> dict[str, object]:
    """For each n in ``lattices`` a planned, a uniform ({k/n}) and a random portfolio of one size K, validated over
    ``fresh`` held-out weights with a policy made for each. Training and evaluation run on the backend's workers."""
    started = time.monotonic()
    d = len(llm.objectives)
    surrogate = llm.surrogate()
    plan = Planned().forecast(surrogate, max(len(simplex_lattice(d, n)) for n in lattices))
    choices = []
    for n in lattices:
        uniform = simplex_lattice(d, n)
        k = len(uniform)
        choices.append({"planned": plan.weights[:k], "uniform": uniform, "random": random_weights(d, k, seed=0)})
    users = held_out_weights(d, fresh, seed)
    needed = np.unique(np.vstack([users, np.eye(d), *(rows for choice in choices for rows in choice.values())]), axis=0)
    with ThreadPoolExecutor(llm.runs.workers.count) as threads:
        if realised_by == "decoding":
            list(threads.map(llm.optimize, np.eye(d)))
        measured = list(threads.map(lambda w: llm.runs.measured(policy_for(w, llm, realised_by)), needed))
    values = {w.tobytes(): m.vertex_values.mean(axis=0) for w, m in zip(needed, measured, strict=True)}
    rows = [row.to_dict() for choice in choices for row in validate(choice, users, lambda w: values[w.tobytes()])]
    return {
        "experiment": name,
        "objectives": list(llm.objectives),
        "realised_by": realised_by,
        "beta": llm.problem.beta,
        "held_out_prompts": len(llm.problem.held_out),
        "replies_per_prompt": llm.problem.evaluation.generations,
        "training": llm.problem.describe_policies()["training"],
        "forecast_quality": str(forecast_quality(surrogate, llm.problem.planning.samples)),
        "fresh_weights": users.tolist(),
        "policies": [
            {
                "weights": w.tolist(),
                "rewards": m.value().rewards.tolist(),
                "rewards_stderr": np.asarray(m.value().rewards_stderr).tolist(),
                "kl_nats": float(m.divergence.mean()),
            }
            for w, m in zip(needed, measured, strict=True)
        ],
        "rows": rows,
        "seconds": round(time.monotonic() - started, 1),
    }


def print_experiment(result: dict[str, object]) -> None:
    """The table of one experiment. Gaps are at the held-out weights; below 0 the portfolio beat the fresh one."""
    print(f"\n{result['experiment']}: {', '.join(result['objectives'])}, policies by {result['realised_by']}")  # type: ignore[arg-type]
    print(f"{result['forecast_quality']}; {len(result['fresh_weights'])} held-out weights; {result['seconds']} s")  # type: ignore[arg-type]
    print(f"{'method':8} {'K':>2} {'worst ε':>8} {'mean ε':>8} {'worst δ':>8} {'mean δ':>8} {'usage perplexity':>17}")
    for row in result["rows"]:  # type: ignore[attr-defined]
        keys = ("worst_multiplicative", "mean_multiplicative", "worst_additive", "mean_additive")
        numbers = " ".join(f"{row[key]:8.4f}" for key in keys)
        print(f"{row['method']:8} {row['policies']:2d} {numbers} {row['usage_perplexity']:17.2f}")
