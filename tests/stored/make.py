"""Folders as people have them: portfolios, a build that was killed, and a run of a tiny language model with its
portfolio. ``python tests/stored/make.py`` writes them beside this file, with the checkout that is first on PYTHONPATH.

What is kept here was written by the last commit before modules moved (see ``created_by`` and git log): tests load and
resume it with the code of today. Writing it anew would keep them from testing that, so add new folders beside the old
ones instead. The model lies here too: its random weights are not the same bits on every processor.

A table's values are halves and weights are quarters, so every machine computes the same bits from them.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from backends.bandit import BanditBackend
from backends.mdp import MDPBackend
from backends.table import TableBackend
from palm_theory import Planned, PolicyBackend, UniformGrid, build_portfolio

HERE = Path(__file__).parent
STRATEGY = UniformGrid(4)
LLM_STRATEGY = Planned(epsilon=0.0, max_policies=3)
KILLED_AFTER = 4
"""Solves whose lines are whole in the journal of ``killed``; one more was being written."""


def table() -> PolicyBackend:
    """Six policies with three objectives, all of them best for someone."""
    rewards = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.5], [0.0, 0.5, 4.0], [2.5, 2.5, 0.0], [0.0, 2.5, 3.0], [2.0, 2.0, 2.0]]
    return TableBackend(np.array(rewards), objectives=["speed", "price", "quality"])


def bandit() -> PolicyBackend:
    """Two contexts, two actions, β > 0: policies are arrays."""
    return BanditBackend([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.25], [0.25, 0.5]]], beta=0.25)


def mdp() -> PolicyBackend:
    """Two states, two actions, discounted."""
    transitions = [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.5, 0.5]]]
    rewards = [[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.25], [0.25, 0.5]]]
    return MDPBackend(transitions, rewards, [1.0, 0.0], discount=0.5)


def language_model(**changes: Any) -> Any:
    """The backend of the run, in a working folder that holds ``model`` and ``a_stored_reward.py``."""
    from backends.llm import Evaluation, LLMBackend, Planning, Training

    arguments: dict[str, Any] = {
        "model": "model",
        "rewards": ["brevity", "a_stored_reward:cheer"],
        "beta": 0.125,
        "prompts": ["I like tea", "the cat is happy"],
        "held_out": ["the rain is bad", "is the sun good", "I hate rain", "you like bread"],
        "training": Training(
            steps=2, prompts_per_step=1, generations=4, checkpoint_every=1, lora_rank=2, lora_alpha=4, plan_steps=1
        ),
        "evaluation": Evaluation(2, 4),
        "planning": Planning(2, 8),
        "system_prompt": None,
        "max_new_tokens": 8,
        "dtype": "float32",
        "batch_size": 16,
        "folder": "run",
    }
    return LLMBackend(**{**arguments, **changes})


def kill_a_build(folder: Path) -> None:
    """A build of the table that ends while a line of its journal is written."""
    backend = table()
    optimize, calls = backend.optimize, 0

    def dying(weights: Any) -> Any:
        nonlocal calls
        if calls > KILLED_AFTER:
            raise KeyboardInterrupt
        calls += 1
        return optimize(weights)

    backend.optimize = dying  # type: ignore[method-assign]
    try:
        build_portfolio(backend, STRATEGY, path=folder)
    except KeyboardInterrupt:
        journal = folder / "journal.jsonl"
        journal.write_bytes(journal.read_bytes()[:-20])


def run_a_language_model(folder: Path) -> None:
    """A model with random weights, and a portfolio of three adapters of it with everything that the run leaves."""
    from tests.llm.here import Here
    from tests.llm.tiny import make_tiny_model

    os.chdir(folder)
    sys.path.insert(0, str(folder))
    make_tiny_model(Path("model"), hidden=16, layers=1)
    backend = language_model(workers=Here())
    build_portfolio(backend, LLM_STRATEGY, path="portfolio")
    # What names this machine, and is read by people alone.
    shutil.rmtree("run/slots")
    for name in ("steps.log", "log.txt", "*.lock", ".*.lock"):
        for path in Path("run").rglob(name):
            path.unlink()


def main() -> None:
    """Write every folder that is not there."""
    for make in (table, bandit, mdp):
        if not (HERE / make.__name__).exists():
            build_portfolio(make(), STRATEGY, path=HERE / make.__name__)
    if not (HERE / "killed").exists():
        kill_a_build(HERE / "killed")
    if not (HERE / "llm" / "model").exists():
        run_a_language_model(HERE / "llm")
    for path in HERE.rglob("journal.lock"):
        path.unlink()


if __name__ == "__main__":
    main()
