"""The paper's three experiments as configurations for GPUs. NOT RUN HERE: this project's machines have none.

    python -m benchmarks.llm.paper rlvr-gsm --prompts train.jsonl --held-out test.jsonl --gpu 0 --gpu 1 --fresh 10
    python -m benchmarks.llm.paper safety-alignment --base MODEL --reward better=MODEL --reward safer=MODEL ...

"Many Preferences, Few Policies" (arXiv 2604.04144): RLVR-GSM trains a policy a weight by GRPO; Safety Alignment and
Helpful Assistants train one expert an objective and mix them by multi-objective decoding (MOD). Base and reward models
that are not defaults below are given on the command line. Held-out weights get a fresh policy each (``validation``).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from backends.llm import Evaluation, LLMBackend, Planning, Training, Workers
from benchmarks.llm.experiments import RealisedBy, print_experiment, run_experiment


@dataclass(frozen=True)
class Experiment:
    """``rewards``: objective → reward as ``LLMBackend`` takes it, or None where the command line must name a model."""

    rewards: dict[str, str | None]
    base: str | None
    realised_by: RealisedBy
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=EXPERIMENTS)
    parser.add_argument("--base")
    parser.add_argument("--reward", action="append", help="objective=MODEL")
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--gpu", action="append")
    parser.add_argument("--lattice", type=int, default=4, help="n of the uniform grid that sets K")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/llm/results"))
    parser.add_argument("--fresh", type=int, default=10, help="held-out weights, a fresh policy each")
    options = parser.parse_args()
    experiment = EXPERIMENTS[options.name]
    llm = backend(options.name, options)
    result = run_experiment(options.name, llm, experiment.realised_by, [options.lattice], options.fresh)
    print_experiment(result)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{options.name}-gpu.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
