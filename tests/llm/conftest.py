"""Fixtures of the LLM tests: tiny models, a tiny problem, no network, one thread."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

import torch

from backends.llm import Evaluation, LLMBackend, Planning, Training

from .here import Here
from .tiny import make_tiny_model

torch.set_num_threads(1)

PROMPTS = ["I like tea", "the cat is happy", "you like bread", "the rain is bad", "is the sun good", "I hate rain"]
TINY_TRAINING = Training(steps=4, prompts_per_step=2, generations=4, checkpoint_every=2, lora_rank=4, lora_alpha=8)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


def happiness(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """Share of 'happy' and 'good' among the words of a reply."""
    return [sum(w in ("happy", "good") for w in c.split()) / max(1, len(c.split())) for c in completions]


@pytest.fixture
def make_backend(tiny_model: Path, tmp_path: Path):
    """A function that makes a tiny backend, in this process unless told otherwise."""

    def make(**changes: object) -> LLMBackend:
        arguments: dict[str, object] = {
            "model": str(tiny_model),
            "rewards": ["brevity", happiness],
            "prompts": PROMPTS[:4],
            "held_out": PROMPTS[4:],
            "training": TINY_TRAINING,
            "evaluation": Evaluation(8),
            "planning": Planning(3, 12),
            "system_prompt": None,
            "max_new_tokens": 8,
            "dtype": "float32",
            "folder": tmp_path / "runs",
            "workers": Here(),
        }
        return LLMBackend(**{**arguments, **changes})  # type: ignore[arg-type]

    return make
