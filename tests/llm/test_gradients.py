"""The claim 'optimises ⟨w, r⟩ − β·KL', by enumeration of every completion of a tiny model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from backends.llm.problem import Problem
from backends.llm.rewards import Reward
from backends.llm.settings import Algorithm, Chat, Evaluation, Planning, Training
from backends.llm.texts import Prompt
from backends.llm.train.trainers import SequenceKLGRPOTrainer
from backends.llm.train.training import make_trainer

from .tiny import make_tiny_model
from .tolerance import assert_equal_but_for_rounding, rounding_error

LENGTH = 2
BETA = 0.5
WEIGHTS = np.array([0.3, 0.7])
WORDS = ["a", "b", "c"]


def count_a(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    return [c.split().count("a") / LENGTH for c in completions]


def ends_in_b(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    return [float(c.endswith("b")) for c in completions]


@pytest.fixture(scope="module")
def enumerable_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("enumerable"), WORDS, chat=False, hidden=16, layers=1)


def enumerable_trainer(model: Path, algorithm: Algorithm, folder: Path, generations: int):
    problem = Problem(
        chat=Chat(str(model), None, LENGTH, "float32"),
        rewards=(Reward("a", count_a), Reward("b", ends_in_b)),
        beta=BETA,
        reward_max=1.0,
        prompts=(Prompt("a b"),),
        held_out=(Prompt("a"), Prompt("b")),
        training=Training(algorithm, steps=1, prompts_per_step=1, generations=generations, lora_rank=2, lora_alpha=4),
        evaluation=Evaluation(1),
        planning=Planning(1, 1),
        seed=0,
    )
    trainer = make_trainer(problem, WEIGHTS, folder, seed=0)
    torch.manual_seed(1)
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:  # zero at the start, where π = π_ref and the KL term has no gradient
            parameter.data.normal_(std=0.5)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1  # set by train(), which is not called here
    return trainer


def completions() -> list[list[int]]:
    """Every completion of at most LENGTH tokens, token 0 being the end."""
    words = range(1, len(WORDS) + 1)
    rows = [[*head, 0] for n in range(LENGTH) for head in itertools.product(words, repeat=n)]
    return rows + [list(row) for row in itertools.product(words, repeat=LENGTH)]


def log_probabilities(model, prompt: list[int], rows: list[list[int]]) -> torch.Tensor:
    totals = []
    for row in rows:
        logits = model(input_ids=torch.tensor([prompt + row])).logits[0, len(prompt) - 1 : -1]
        totals.append(logits.log_softmax(-1).gather(-1, torch.tensor(row)[:, None]).sum())
    return torch.stack(totals)


def adapter_gradient(model, scalar: torch.Tensor) -> torch.Tensor:
    parameters = [p for p in model.parameters() if p.requires_grad]
    return torch.cat([g.flatten() for g in torch.autograd.grad(scalar, parameters)])


def exact_gradient(trainer) -> tuple[torch.Tensor, torch.Tensor]:
    """∇J_w by enumeration, and the probabilities of all completions."""
    rows, prompt = completions(), trainer.processing_class("a b")["input_ids"]
    ours = log_probabilities(trainer.model, prompt, rows)
    with torch.no_grad(), trainer.model.disable_adapter():
        base = log_probabilities(trainer.model, prompt, rows)
    texts = [trainer.processing_class.decode(row, skip_special_tokens=True) for row in rows]
    rewards = torch.tensor(np.array([count_a([], texts), ends_in_b([], texts)]).T @ WEIGHTS, dtype=torch.float32)
    objective = (ours.exp() * (rewards - BETA * (ours - base))).sum()
    return adapter_gradient(trainer.model, objective), ours.detach().exp()


def expected_trainer_gradient(trainer, probabilities: torch.Tensor) -> tuple[torch.Tensor, float]:
    """−E ∇loss over every pair of completions, each with its probability: what the trainer ascends. And Σ‖terms‖."""
    rows = completions()
    inputs = [{"prompt": "a b", "index": 0}] * 2
    total: torch.Tensor | float = 0.0
    size = 0.0
    for i, j in itertools.combinations_with_replacement(range(len(rows)), 2):
        forced = [rows[i], rows[j]]
        if isinstance(trainer, SequenceKLGRPOTrainer):
            trainer._generate_single_turn = lambda *_, forced=forced, **__: (forced, None)
        else:
            trainer._generate_single_turn = lambda *_, forced=forced, **__: forced
        batch = trainer._generate_and_score_completions(inputs)
        loss = trainer.compute_loss(trainer.model, batch)
        multiplicity = 1 if i == j else 2
        term = multiplicity * probabilities[i] * probabilities[j] * adapter_gradient(trainer.model, loss)
        total, size = total - term, size + float(term.norm())
    assert isinstance(total, torch.Tensor)
    return total, size


@pytest.mark.parametrize(("algorithm", "scale"), [("rloo", 1.0), ("grpo", 1 / LENGTH)])
def test_expected_gradient_is_the_exact_gradient_of_J(
    enumerable_model: Path, tmp_path: Path, algorithm: Algorithm, scale: float
):
    trainer = enumerable_trainer(enumerable_model, algorithm, tmp_path, generations=2)
    exact, probabilities = exact_gradient(trainer)
    tokens = probabilities.numel() * (2 + LENGTH)
    error, error_of_sum = rounding_error(
        trainer.model, lambda: [exact_gradient(trainer)[0], exact_gradient(trainer)[1].sum()], tokens
    )
    assert_equal_but_for_rounding([probabilities.sum()], [torch.tensor(1.0)], [error_of_sum])
    found, size = expected_trainer_gradient(trainer, probabilities)
    assert float(exact.norm()) > 1e-2
    # Every pair's gradient is off by as much, relative to itself, as the exact one; their sum cancels.
    assert_equal_but_for_rounding([found], [scale * exact], [size * error / float(exact.norm())])


def test_plain_grpo_follows_another_gradient(enumerable_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Why SequenceKLGRPOTrainer exists: with the same settings TRL's own GRPOTrainer is off by several percent."""
    from trl import GRPOTrainer

    plain = GRPOTrainer._generate_and_score_completions
    monkeypatch.setattr(SequenceKLGRPOTrainer, "_generate_and_score_completions", plain)
    trainer = enumerable_trainer(enumerable_model, "grpo", tmp_path, generations=2)
    exact, probabilities = exact_gradient(trainer)
    found = expected_trainer_gradient(trainer, probabilities)[0] * LENGTH
    assert float((found - exact).norm() / exact.norm()) > 0.05
