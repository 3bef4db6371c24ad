"""The first part of training: fit the adapter to the scored planning samples, before any new reply is sampled.

The optimum satisfies log π*_w(y|x)/π_ref(y|x) = ⟨w, r(x, y)⟩/β − const(x) (Theorem 2). So among G sampled answers of
one prompt the softmax of log π/π_ref should be that of ⟨w, r⟩/β, and the cross-entropy between the two,

    −Σ_i softmax(⟨w, r⟩/β)_i · log softmax(log π/π_ref)_i,

is least exactly where that holds (InfoNCA: Chen et al. 2024, "Noise Contrastive Alignment of Language Models with
Explicit Rewards"). Answers below the mean are unlearnt as those above it are learnt, which plain imitation of the best
answers does not do. A step costs no sampling; the reinforcement steps that follow maximise J_w itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.llm.measure.pools import load_answers
from backends.llm.model.decoding import Sampled
from backends.llm.model.scoring import gather_logprobs, next_token_logprobs
from backends.llm.model.tokens import Tokens
from backends.llm.problem import Problem
from palm_theory.geometry.simplex import Array

MAX_GRADIENT = 1.0
"""Gradients longer than this are shortened, as TRL's trainers do."""


def take_offline_steps(
    problem: Problem, weights: Array, samples: Path, prompts: list[Tokens], model: Any, pad: int, seed: int
) -> list[float]:
    """Take ``problem.training.plan_steps`` steps for w (d,) on the adapter in ``model``; returns the loss of each, the
    mean cross-entropy over its prompts, in nats.

    A step sees ``prompts_per_step`` planning prompts with ``generations`` of their answers each. ``prompts`` are the
    planning prompts in tokens; ``samples`` is the folder that planning left.
    """
    import torch

    training = problem.training
    answers, rewards = load_answers(samples)
    scores = rewards @ weights / problem.beta
    rng = np.random.default_rng([seed, len(answers)])
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(wanted, lr=training.plan_learning_rate, weight_decay=0.0)
    order: list[int] = []
    losses = []
    for _ in range(training.plan_steps):
        total = 0.0
        while len(order) < training.prompts_per_step:
            order.extend(int(x) for x in rng.permutation(len(prompts)))
        asked, order = order[: training.prompts_per_step], order[training.prompts_per_step :]
        for x in asked:
            chosen = pick(scores[x], training.generations, rng)
            loss = contrast(model, prompts[x], [answers[x][i] for i in chosen], scores[x, chosen], pad)
            # The scale of the reinforcement steps' loss, for the same shortening.
            (loss / (len(asked) * problem.chat.max_new_tokens)).backward()
            total += float(loss.detach()) / len(asked)
        torch.nn.utils.clip_grad_norm_(wanted, MAX_GRADIENT)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses


def pick(scores: Array, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices (count,) of answers with ``scores`` (m,), half from the best third and half from the worst; of all m
    where there are fewer.

    The loss is least at the same place whichever answers are taken by their scores alone; far apart they tell most.
    """
    order = np.argsort(-scores, kind="stable")
    third = max(len(order) // 3, -(-count // 2))
    if count >= len(order) or 2 * third > len(order):
        return rng.permutation(len(order))[:count]
    best = rng.choice(order[:third], size=-(-count // 2), replace=False)
    return np.concatenate([best, rng.choice(order[-third:], size=count // 2, replace=False)])


def contrast(model: Any, prompt: Tokens, answers: Sequence[Sampled], scores: Array, pad: int) -> Any:
    """The cross-entropy above over the answers of one prompt; ``scores`` are their ⟨w, r⟩/β, (G,)."""
    import torch

    rows = [answer.tokens for answer in answers]
    own = _totals(model, prompt, rows, pad)
    if model.dtype == torch.float32:
        base = torch.tensor([sum(answer.logprobs) for answer in answers], device=own.device)
    else:
        # What was said in a coarser type is scored anew, in the way that π is: their errors then cancel.
        with torch.no_grad(), model.disable_adapter():
            base = _totals(model, prompt, rows, pad)
    target = torch.tensor(scores, dtype=own.dtype, device=own.device).softmax(-1)
    return -(target * (own - base).log_softmax(-1)).sum()


def _totals(model: Any, prompt: Tokens, rows: list[Tokens], pad: int) -> Any:
    """log π(y|x) of every answer, (G,)."""
    import torch

    logprobs = next_token_logprobs(model, [prompt] * len(rows), rows, pad)
    return torch.stack([row.sum() for row in gather_logprobs(logprobs, rows)])
