"""Log-probabilities of given completions, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backends.llm.model.packing import can_pack, pack, packed_logits, shared_prompts
from backends.llm.model.tokens import Tokens


def next_token_logprobs(model: Any, prompt: Sequence[Tokens], answers: Sequence[Tokens], pad: int) -> Any:
    """Log-probabilities of the whole vocabulary at every completion position, float32 (B, T, V).

    Positions past a row's end hold numbers without a meaning.
    """
    import torch

    if shared_prompts(prompt) and can_pack(model):
        return packed_logits(model, pack(prompt, answers, pad, model.device)).float().log_softmax(-1)
    width = max(len(answer) for answer in answers)
    rows = [before + answer for before, answer in zip(prompt, answers, strict=True)]
    # Completions are padded on the right so that every row's completion starts at the same column.
    left = max(len(before) for before in prompt)
    ids = torch.full((len(rows), left + width), pad, device=model.device)
    mask = torch.zeros_like(ids)
    for i, (before, row) in enumerate(zip(prompt, rows, strict=True)):
        start = left - len(before)
        ids[i, start : start + len(row)] = torch.tensor(row, device=model.device)
        mask[i, start : start + len(row)] = 1
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        logits_to_keep=width + 1,
        use_cache=False,
    )
    return output.logits[:, :-1].float().log_softmax(-1)


def gather_logprobs(logprobs: Any, answers: Sequence[Tokens]) -> list[Any]:
    """For each row the log-probabilities of its own tokens, (len(row),), out of (B, T, V)."""
    import torch

    return [
        logprobs[i, : len(row)].gather(-1, torch.tensor(row, device=logprobs.device)[:, None])[:, 0]
        for i, row in enumerate(answers)
    ]
