"""A portfolio of random adapters of a tiny random model: answers differ by policy, nothing is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from backends.llm import Adapter, Chat, LLMBackend, LLMPolicy, Reference
from palm_theory import Certificate, Portfolio, Value
from palm_theory.certify.certificate import Kind

VALUES = ([0.9, 0.2], [0.6, 0.6], [0.2, 0.9])
WEIGHTS = ([1.0, 0.0], [0.5, 0.5], [0.0, 1.0])
PROMPTS = ["I like tea", "the cat is happy", "you like bread", "the rain is bad", "is the sun good"]


def random_adapter(model: Path, folder: Path, seed: int, rank: int = 4) -> Path:
    """A LoRA adapter with random weights large enough to change every answer."""
    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(model)
    config = LoraConfig(r=rank, lora_alpha=4 * rank, target_modules="all-linear", init_lora_weights=False)
    wrapped = get_peft_model(base, config)
    wrapped.peft_config["default"].base_model_name_or_path = str(model)
    wrapped.save_pretrained(folder)
    return folder


def tiny_backend(model: Path, folder: Path) -> LLMBackend:
    """The backend that such a portfolio is saved by."""
    return LLMBackend(
        model=str(model),
        rewards=["brevity", "positivity"],
        prompts=PROMPTS[:3],
        held_out=PROMPTS[3:],
        max_new_tokens=12,
        dtype="float32",
        folder=folder,
    )


def tiny_policies(model: Path, folder: Path) -> list[LLMPolicy]:
    """Two adapters of different rank and, between them, the base model."""
    chat = Chat(str(model), "Answer in one short sentence.", 12, "float32")
    first = Adapter(chat, str(random_adapter(model, folder / "a", 1)), "brevity 1.00")
    last = Adapter(chat, str(random_adapter(model, folder / "b", 2, rank=2)), "positivity 1.00")
    return [first, Reference(chat), last]


def save_tiny_portfolio(model: Path, folder: Path) -> Path:
    """The portfolio, saved in ``folder``/portfolio."""
    backend = tiny_backend(model, folder / "runs")
    policies = tiny_policies(model, folder)
    entries = [
        (policy, Value(np.array(rewards)), np.array(weights))
        for policy, rewards, weights in zip(policies, VALUES, WEIGHTS, strict=True)
    ]
    unknown = Certificate(float("inf"), 0.0, None, Kind.UNKNOWN, confidence=0.0, size=len(entries))
    return Portfolio.of(backend, entries, unknown).save(folder / "portfolio", backend)
