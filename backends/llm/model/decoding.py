"""Sampling completions at temperature 1, token by token.

A prompt is read once for all its completions, and rows that have come to their end leave the batch: on short replies
to shared prompts that is most of the arithmetic that a plain batched generation spends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backends.llm.model.drawing import draw
from backends.llm.model.rows import Rows
from backends.llm.model.tokens import Tokens

LEAVE_SHARE = 0.25
"""Finished rows leave the batch when they are at least this share of it: leaving copies the rows that stay."""


@dataclass(frozen=True)
class Sampled:
    """One completion: ``tokens`` up to and with the first end token, ``logprobs`` log π of each, float32."""

    tokens: Tokens
    logprobs: list[float]


@dataclass(frozen=True)
class Experts:
    """K adapters of one model mixed at every token: π ∝ Π_k π_k^c_k, coefficients c ≥ 0 with Σc = 1."""

    adapters: tuple[str, ...]
    coefficients: tuple[float, ...]


def sample_completions(
    model: Any,
    prompts: Sequence[Tokens],
    generations: int,
    *,
    ends: Sequence[int],
    pad: int,
    max_new_tokens: int,
    batch_size: int,
    experts: Experts | None = None,
) -> list[list[Sampled]]:
    """``generations`` completions of each prompt, drawn from π at temperature 1 with torch's global generator.

    At most ``batch_size`` rows (an expert a row, where there are several) are in a batch. Equal generator states and
    arguments give equal completions on one machine.
    """
    import torch

    size = max(1, batch_size // (1 if experts is None else len(experts.adapters)))
    answers: list[list[Sampled]] = [[] for _ in prompts]
    with torch.no_grad():
        for batch in _batches(prompts, generations, size):
            rows = _decode(
                model, [prompts[i] for i, _ in batch], [n for _, n in batch], ends, pad, max_new_tokens, experts
            )
            owners = [i for i, n in batch for _ in range(n)]
            for i, row in zip(owners, rows, strict=True):
                answers[i].append(row)
    return answers


def _batches(prompts: Sequence[Tokens], generations: int, size: int) -> list[list[tuple[int, int]]]:
    """(prompt, how many of its completions) by batch, prompts in order of length, which saves padding."""
    batches: list[list[tuple[int, int]]] = []
    room = 0
    for i in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
        left = generations
        while left:
            if room == 0:
                batches.append([])
                room = size
            taken = min(left, room)
            batches[-1].append((i, taken))
            left -= taken
            room -= taken
    return batches


def _decode(
    model: Any,
    prompts: list[Tokens],
    counts: list[int],
    ends: Sequence[int],
    pad: int,
    max_new_tokens: int,
    experts: Experts | None,
) -> list[Sampled]:
    import torch

    end_ids = torch.tensor(list(ends), device=model.device)
    # Every row once an expert, expert by expert.
    k = 1 if experts is None else len(experts.adapters)
    names = None if experts is None else [name for name in experts.adapters for _ in prompts]
    rows = Rows(model, pad, prompts * k, counts * k, names)
    live = list(range(sum(counts)))
    finished = torch.zeros(len(live), dtype=torch.bool, device=model.device)
    drawn: list[tuple[list[int], list[float]]] = [([], []) for _ in live]
    for step in range(max_new_tokens):
        logprobs = _mixed(rows.logits, experts)
        token = draw(logprobs)
        chosen = logprobs.gather(-1, token[:, None])[:, 0]
        for row, done, t, logprob in zip(live, finished.tolist(), token.tolist(), chosen.tolist(), strict=True):
            if not done:
                drawn[row][0].append(t)
                drawn[row][1].append(logprob)
        finished = finished | torch.isin(token, end_ids)
        if step + 1 == max_new_tokens or bool(finished.all()):
            break
        if float(finished.float().mean()) >= LEAVE_SHARE:
            staying = torch.nonzero(~finished)[:, 0]
            rows.keep(torch.cat([staying + expert * len(live) for expert in range(k)]))
            token = token[staying]
            live = [live[i] for i in staying.tolist()]
            finished = torch.zeros(len(live), dtype=torch.bool, device=model.device)
        rows.step(token.repeat(k))
    return [Sampled(tokens, logprobs) for tokens, logprobs in drawn]


def _mixed(logits: Any, experts: Experts | None) -> Any:
    """log π of every next token, float32 (B, V), out of the experts' logits, float32 (K·B, V)."""
    import torch

    logprobs = logits.log_softmax(-1)
    if experts is None:
        return logprobs
    k = len(experts.adapters)
    mixing = torch.tensor(experts.coefficients, device=logits.device)[:, None, None]
    return (mixing * logprobs.view(k, len(logits) // k, -1)).sum(0).log_softmax(-1)
