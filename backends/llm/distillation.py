"""The first part of training: fit the adapter to the tilted planning samples, before any new reply is sampled.

Planning has sampled and scored the base model's answers, and knows the optimum on them: π*_w ∝ π_ref·exp(⟨w, r⟩/β)
(Theorem 2). Minimising KL(π*_w‖π) over adapters is weighted maximum likelihood on answers that are there already, which
costs a fraction of a reinforcement step. Those steps, which follow, maximise J_w itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from backends.llm.pools import load_answers
from backends.llm.problem import Problem
from backends.llm.scoring import gather_logprobs, next_token_logprobs
from backends.llm.tokens import Tokens
from palm_theory.simplex import Array

MAX_GRADIENT = 1.0
"""Gradients longer than this are shortened, as TRL's trainers do."""


@dataclass(frozen=True)
class Drawn:
    """An answer drawn for one step, in tokens; ``share`` is the part of the step's draws that it stands for."""

    prompt: Tokens
    answer: Tokens
    share: float


def draw_step(
    answers: Sequence[Sequence[Tokens]],
    tilt: Array,
    prompts: Sequence[Tokens],
    asked: Sequence[int],
    generations: int,
    rng: np.random.Generator,
) -> list[Drawn]:
    """``generations`` draws from π*_w on the samples of each prompt in ``asked``. An answer drawn more than once stands
    there once, with a larger share; the shares sum to 1. ``tilt`` (X, m) is π*_w on the ``answers``."""
    drawn = []
    for x in asked:
        found, counts = np.unique(rng.choice(len(tilt[x]), size=generations, p=tilt[x]), return_counts=True)
        shares = counts / (generations * len(asked))
        drawn += [Drawn(prompts[x], answers[x][i], float(share)) for i, share in zip(found, shares, strict=True)]
    return drawn


def distil(
    problem: Problem, weights: Array, samples: Path, prompts: list[Tokens], model: Any, pad: int, seed: int
) -> list[float]:
    """Take ``problem.training.plan_steps`` steps on the adapter in ``model``; returns the loss of each:
    the cross-entropy −E_{π*_w} log π of the answers drawn, in nats a reply.

    ``prompts`` are the planning prompts in tokens; ``samples`` is the folder that planning left.
    """
    import torch

    training = problem.training
    answers, rewards = load_answers(samples)
    tilt = softmax(rewards @ weights / problem.beta, axis=1)
    rng = np.random.default_rng([seed, len(answers)])
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(wanted, lr=training.learning_rate, weight_decay=0.0)
    order: list[int] = []
    losses = []
    for _ in range(training.plan_steps):
        while len(order) < training.prompts_per_step:
            order.extend(int(x) for x in rng.permutation(len(prompts)))
        asked, order = order[: training.prompts_per_step], order[training.prompts_per_step :]
        rows = draw_step(answers, tilt, prompts, asked, training.generations, rng)
        losses.append(_accumulate(model, rows, training.micro_batch or len(rows), pad, problem.chat.max_new_tokens))
        torch.nn.utils.clip_grad_norm_(wanted, MAX_GRADIENT)
        optimizer.step()
        optimizer.zero_grad()
    return losses


def _accumulate(model: Any, rows: list[Drawn], size: int, pad: int, limit: int) -> float:
    """Add up the gradient of the cross-entropy, a few rows at a time; returns the loss."""
    import torch

    total = 0.0
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        logprobs = next_token_logprobs(model, [row.prompt for row in part], [row.answer for row in part], pad)
        own = gather_logprobs(logprobs, [row.answer for row in part])
        loss = -torch.stack([row.share * of_row.sum() for row, of_row in zip(part, own, strict=True)]).sum()
        (loss / limit).backward()  # the scale that the reinforcement steps have, for the same gradient clipping
        total += float(loss.detach())
    return total
