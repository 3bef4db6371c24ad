"""The paper's three experiments in small, on the embedded model, without a GPU.

    python benchmarks/llm/small.py [rlvr-gsm safety-alignment helpful-assistants] [--out benchmarks/llm/results]

Policies are Gibbs resampling of the base model's answers (no training), so that a fresh policy for each of many
held-out weights is affordable: weights are planned on training prompts and everything is measured on held-out prompts.
The reward models of the paper are replaced by small stand-ins: MiniLM similarity for helpful and better, absence of
profanity for harmless and safer, VADER sentiment for humour. Prints the table and writes one JSON file an experiment.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import xlogy

from backends.llm import LLMBackend, Planning, Prompt, Workers, arithmetic_prompts, bundled_held_out, bundled_prompts
from backends.llm.policies.gibbs import resampling_probabilities
from backends.llm.rewards import Reward, resolve_reward
from benchmarks.llm.validation import held_out_weights, validate
from palm_theory.covers import random_weights
from palm_theory.planned import forecast
from palm_theory.simplex import Array, simplex_lattice

TOKENS = 32
SAMPLES = 24
FRESH = 100


@dataclass(frozen=True)
class Experiment:
    """Objectives with their stand-in rewards, prompts, and the portfolio sizes to validate."""

    rewards: tuple[tuple[str, str], ...]
    train: tuple[Prompt, ...]
    held_out: tuple[Prompt, ...]
    lattices: tuple[int, ...]
    beta: float = 0.05


def experiments() -> dict[str, Experiment]:
    """The three experiments; uniform grids {k/n} for n in ``lattices`` set the sizes K compared."""
    arithmetic = arithmetic_prompts(32, task="gsm_symbolic")
    chat_train, chat_held_out = bundled_prompts()[:16], bundled_held_out()[:16]
    return {
        "rlvr-gsm": Experiment(
            (("brevity", "brevity"), ("helpfulness", "relevance")), arithmetic[:16], arithmetic[16:], (1, 2, 4)
        ),
        "safety-alignment": Experiment(
            (("better", "relevance"), ("safer", "safety")), chat_train, chat_held_out, (1, 2, 4)
        ),
        "helpful-assistants": Experiment(
            (("helpful", "relevance"), ("harmless", "safety"), ("humour", "positivity")),
            chat_train,
            chat_held_out,
            (1, 2, 3),
        ),
    }


def renamed(name: str, stand_in: str) -> Reward:
    """A built-in reward under the paper's name for the objective."""
    return replace(resolve_reward(stand_in, TOKENS), name=name)


def pools(experiment: Experiment, prompts: tuple[Prompt, ...], folder: Path) -> tuple[LLMBackend, Array]:
    """Scored answers of the base model to ``prompts``, (X, m, d), kept in ``folder``."""
    backend = LLMBackend(
        rewards=[renamed(*pair) for pair in experiment.rewards],
        beta=experiment.beta,
        prompts=prompts,
        held_out=[Prompt("unused a"), Prompt("unused b")],
        planning=Planning(len(prompts), SAMPLES),
        max_new_tokens=TOKENS,
        folder=folder,
        workers=Workers(threads=int(os.environ.get("OMP_NUM_THREADS", "1"))),
    )
    return backend, backend.planning_samples()


def run(name: str, experiment: Experiment, folder: Path) -> dict[str, object]:
    """Sample both pools, choose weights on the training pool, validate on the held-out pool."""
    started = time.monotonic()
    planner, _ = pools(experiment, experiment.train, folder)
    _, held_out = pools(experiment, experiment.held_out, folder)

    def evaluate(weights: Array) -> Array:
        p = resampling_probabilities(held_out @ weights, experiment.beta)
        rewards = np.einsum("xm,xmd->d", p, held_out) / len(held_out)
        divergence = float(np.mean(np.log(held_out.shape[1]) + xlogy(p, p).sum(axis=1)))
        return rewards - experiment.beta * divergence

    d = len(experiment.rewards)
    largest = max(len(simplex_lattice(d, n)) for n in experiment.lattices)
    plan = forecast(planner.surrogate(), largest)
    fresh = held_out_weights(d, FRESH)
    rows = []
    for n in experiment.lattices:
        uniform = simplex_lattice(d, n)
        k = len(uniform)
        portfolios = {"planned": plan.weights[:k], "uniform": uniform, "random": random_weights(d, k, seed=0)}
        rows.extend(row.to_dict() for row in validate(portfolios, fresh, evaluate))
    return {
        "experiment": name,
        "objectives": dict(experiment.rewards),
        "beta": experiment.beta,
        "samples_per_prompt": SAMPLES,
        "held_out_prompts": len(experiment.held_out),
        "fresh_policies": FRESH,
        "forecast_quality": str(planner.forecast_quality()),
        "rows": rows,
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="experiments; all by default")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/llm/results"))
    parser.add_argument("--runs", type=Path, default=Path("runs/llm-small"), help="where samples are kept")
    options = parser.parse_args()
    known = experiments()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or known:
        result = run(name, known[name], options.runs)
        print(f"\n{name}: {result['objectives']}, {result['forecast_quality']}, {result['seconds']} s")
        print(
            f"{'method':8} {'K':>2} {'worst ε':>8} {'mean ε':>8} {'worst δ':>8} {'mean δ':>8} {'usage perplexity':>17}"
        )
        for row in result["rows"]:  # type: ignore[attr-defined]
            numbers = (row[key] for key in ("worst_multiplicative", "mean_multiplicative", "worst_additive"))
            print(
                f"{row['method']:8} {row['policies']:2d} "
                + " ".join(f"{x:8.4f}" for x in numbers)
                + f" {row['mean_additive']:8.4f} {row['usage_perplexity']:6.2f}"
            )
        (options.out / f"{name}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
