"""The paper's three experiments in small, on the embedded model, without a GPU.

    python -m benchmarks.llm.small [rlvr-gsm safety-alignment helpful-assistants] [--out benchmarks/llm/results]

RLVR-GSM trains a policy a weight; the other two train one expert an objective and mix them by multi-objective decoding,
as in the paper. Its data and reward models are replaced by small stand-ins: one-digit sums with a checked answer for
GSM8K, MiniLM similarity for better and helpful, absence of profanity for safer and harmless, VADER sentiment for
humour. Prints each table and writes one JSON file an experiment. Run again after a kill: what is finished is kept.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from backends.llm import (
    Evaluation,
    LLMBackend,
    Planning,
    Prompt,
    Training,
    Workers,
    arithmetic_prompts,
    bundled_held_out,
    bundled_prompts,
)
from backends.llm.rewards import Reward, resolve_reward
from benchmarks.llm.experiments import RealisedBy, print_experiment, run_experiment

TOKENS = 24


@dataclass(frozen=True)
class Experiment:
    """Objectives with their stand-in rewards, prompts, and the sizes: grids {k/n} for n in ``lattices`` set K."""

    rewards: dict[str, str]
    train: tuple[Prompt, ...]
    held_out: tuple[Prompt, ...]
    realised_by: RealisedBy
    lattices: tuple[int, ...]
    fresh: int
    system_prompt: str = "Answer in one short sentence."


def experiments() -> dict[str, Experiment]:
    """The three experiments."""
    drawn = arithmetic_prompts(60, task="chain_sum", min_terms=2, max_terms=2, min_digits=1, max_digits=1)
    sums = tuple(dict.fromkeys(drawn))
    chat_train, chat_held_out = bundled_prompts()[:16], bundled_held_out()[:16]
    return {
        "rlvr-gsm": Experiment(
            {"brevity": "brevity", "correct": "correctness"},
            sums[:20],
            sums[20:],
            "training",
            (2,),
            3,
            "Give the answer.",
        ),
        "safety-alignment": Experiment(
            {"better": "relevance", "safer": "safety"}, chat_train, chat_held_out, "decoding", (1, 2), 5
        ),
        "helpful-assistants": Experiment(
            {"helpful": "relevance", "harmless": "safety", "humour": "positivity"},
            chat_train,
            chat_held_out,
            "decoding",
            (1,),
            5,
        ),
    }


def renamed(name: str, stand_in: str) -> Reward:
    """A built-in reward under the paper's name for the objective."""
    return replace(resolve_reward(stand_in, TOKENS), name=name)


def backend(experiment: Experiment, folder: Path, workers: int) -> LLMBackend:
    """The embedded model with the experiment's rewards and prompts, and a small training."""
    return LLMBackend(
        rewards=[renamed(*pair) for pair in experiment.rewards.items()],
        prompts=experiment.train,
        held_out=experiment.held_out,
        training=Training(steps=2, micro_batch=6, checkpoint_every=2, plan_steps=5, schedule="linear"),
        planning=Planning(len(experiment.train), 16),
        evaluation=Evaluation(2, 4),
        system_prompt=experiment.system_prompt,
        max_new_tokens=TOKENS,
        folder=folder,
        workers=Workers(count=workers),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = experiments()
    parser.add_argument("names", nargs="*", help="experiments; all by default", metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/llm/results"))
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/llm-small"), help="where runs are kept and resumed from"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes, one thread each")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"unknown experiment {unknown[0]!r}; there are {', '.join(known)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or known:
        experiment = known[name]
        llm = backend(experiment, options.runs / name, options.workers)
        result = run_experiment(name, llm, experiment.realised_by, experiment.lattices, experiment.fresh)
        print_experiment(result)
        (options.out / f"{name}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
