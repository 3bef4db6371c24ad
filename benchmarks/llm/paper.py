"""The paper's three experiments as configurations for GPUs. NOT RUN HERE: this project's machines have none.

    python benchmarks/llm/paper.py rlvr-gsm --prompts train.jsonl --held-out test.jsonl --gpu 0 --gpu 1 --fresh 10
    python benchmarks/llm/paper.py safety-alignment --base MODEL --reward better=MODEL --reward safer=MODEL ...

"Many Preferences, Few Policies" (arXiv 2604.04144): RLVR-GSM trains a policy a weight by GRPO; Safety Alignment and
Helpful Assistants train one expert an objective and mix them by multi-objective decoding (MOD). Base and reward models
that are not defaults below are given on the command line. Held-out weights get a fresh policy each (``validation``).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from backends.llm import Adapter, DecodingMixture, Evaluation, LLMBackend, LLMPolicy, Planning, Training, Workers
from benchmarks.llm.validation import held_out_weights, validate
from palm_theory import Planned
from palm_theory.covers import random_weights
from palm_theory.simplex import Array, simplex_lattice


@dataclass(frozen=True)
class Experiment:
    """``rewards``: objective → reward as ``LLMBackend`` takes it, or None where the command line must name a model."""

    rewards: dict[str, str | None]
    base: str | None
    realised_by: Literal["training", "decoding"]
    max_new_tokens: int
    beta: float = 0.05


EXPERIMENTS = {
    "rlvr-gsm": Experiment(
        {"brevity": "brevity", "helpfulness": "helpfulness=Skywork/Skywork-Reward-Llama-3.1-8B"},
        "Qwen/Qwen2.5-3B-Instruct",
        "training",
        300,
    ),
    "safety-alignment": Experiment({"better": None, "safer": None}, None, "decoding", 256),
    "helpful-assistants": Experiment({"helpful": None, "harmless": None, "humour": None}, None, "decoding", 256),
}


def backend(name: str, options: argparse.Namespace) -> LLMBackend:
    """The experiment's backend: one policy a GPU, gradient checkpointing, 64 completions a step."""
    experiment = EXPERIMENTS[name]
    given = dict(text.split("=", 1) for text in options.reward or [])
    rewards = []
    for objective, reward in experiment.rewards.items():
        if objective in given:
            rewards.append(f"{objective}={given[objective]}")
        elif reward is not None:
            rewards.append(reward)
        else:
            raise SystemExit(f"{name} needs --reward {objective}=MODEL")
    base = options.base or experiment.base
    if base is None:
        raise SystemExit(f"{name} needs --base MODEL")
    gpus = tuple(options.gpu or ())
    return LLMBackend(
        model=base,
        rewards=rewards,
        beta=experiment.beta,
        prompts=options.prompts,
        held_out=options.held_out,
        training=Training(
            steps=200,
            learning_rate=1e-5,
            prompts_per_step=8,
            generations=8,
            micro_batch=8,
            checkpoint_every=20,
            gradient_checkpointing=True,
        ),
        evaluation=Evaluation(4),
        planning=Planning(128, 64),
        system_prompt=None,
        max_new_tokens=experiment.max_new_tokens,
        folder=Path("runs") / name,
        workers=Workers(count=max(1, len(gpus)), threads=4, gpus=gpus),
    )


def policy_for(weights: Array, llm: LLMBackend, realised_by: str) -> LLMPolicy:
    """The policy of one weight vector: trained for it, or decoded from the experts of the objectives."""
    if realised_by == "training":
        return llm.optimize(weights).policy
    experts = [llm.optimize(vertex).policy for vertex in np.eye(len(llm.objectives))]
    folders = tuple(expert.folder for expert in experts if isinstance(expert, Adapter))
    return DecodingMixture(llm.problem.chat, folders, tuple(float(w) for w in weights))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=EXPERIMENTS)
    parser.add_argument("--base")
    parser.add_argument("--reward", action="append", help="objective=MODEL")
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--gpu", action="append")
    parser.add_argument("--lattice", type=int, default=4, help="n of the uniform grid that sets K")
    parser.add_argument("--fresh", type=int, default=10, help="held-out weights, a fresh policy each")
    options = parser.parse_args()
    llm = backend(options.name, options)
    realised_by = EXPERIMENTS[options.name].realised_by

    def evaluate(weights: Array) -> Array:
        return llm.evaluate(policy_for(weights, llm, realised_by)).vertex_values

    d = len(llm.objectives)
    uniform = simplex_lattice(d, options.lattice)
    k = len(uniform)
    plan = Planned(specialists=False).forecast(llm.surrogate(), k)
    portfolios = {"planned": plan.weights, "uniform": uniform, "random": random_weights(d, k, seed=0)}
    rows = [row.to_dict() for row in validate(portfolios, held_out_weights(d, options.fresh), evaluate)]
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
