"""Scoring many completions of one prompt in one pass: the prompt once, its completions behind it side by side.

A row of the packed batch is [prompt, completion 1, …, completion G]. Each completion attends to the prompt and to
itself only, and counts its positions from the prompt's end, so every log-probability is what a row of its own would
give, for (P + G·T) tokens instead of G·(P + T).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backends.llm.model.tokens import Tokens


@dataclass(frozen=True)
class Packed:
    """n packed rows of length L = P + G·T.

    ``ids`` and ``positions`` (n, L), ``mask`` (n, 1, L, L) boolean, True where a token sees another; ``group`` and
    ``slot`` (B,): where each of the B completions is; ``prompt`` P and ``completion`` T, the padded lengths.
    """

    ids: Any
    positions: Any
    mask: Any
    group: Any
    slot: Any
    prompt: int
    completion: int


def pack(prompts: Sequence[Tokens], answers: Sequence[Tokens], pad: int, device: Any) -> Packed:
    """Pack B completions, those of equal prompts together; prompts are padded on the left, completions on the right."""
    import torch

    groups: dict[tuple[int, ...], int] = {}
    sizes: list[int] = []
    where: list[tuple[int, int]] = []
    for prompt in prompts:
        group = groups.setdefault(tuple(prompt), len(groups))
        if group == len(sizes):
            sizes.append(0)
        where.append((group, sizes[group]))
        sizes[group] += 1
    p, t, n = max(len(prompt) for prompt in groups), max(map(len, answers)), len(groups)
    length = p + max(sizes) * t
    ids = torch.full((n, length), pad)
    positions = torch.zeros((n, length), dtype=torch.long)
    segment = torch.full((n, length), -1)  # −1 padding, 0 the prompt, s + 1 the completion in slot s
    for prompt, group in groups.items():
        ids[group, p - len(prompt) : p] = torch.tensor(prompt)
        positions[group, p - len(prompt) : p] = torch.arange(len(prompt))
        segment[group, p - len(prompt) : p] = 0
    for prompt, answer, (group, slot) in zip(prompts, answers, where, strict=True):
        start = p + slot * t
        ids[group, start : start + len(answer)] = torch.tensor(answer, dtype=torch.long)
        positions[group, start : start + len(answer)] = len(prompt) + torch.arange(len(answer))
        segment[group, start : start + len(answer)] = slot + 1
    asks, seen = segment[:, :, None], segment[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mask = causal & (seen >= 0) & ((seen == 0) | (seen == asks))
    # A padding token that saw nothing would give NaN, which masks do not stop from spreading backwards.
    mask |= torch.eye(length, dtype=torch.bool)
    group, slot = torch.tensor(where).T
    return Packed(
        ids.to(device), positions.to(device), mask[:, None].to(device), group.to(device), slot.to(device), p, t
    )


def packed_logits(model: Any, packed: Packed) -> Any:
    """Logits that predict every token of every completion, (B, T, V); past a completion's end without a meaning."""
    import torch

    p, t = packed.prompt, packed.completion
    slots = (packed.ids.shape[1] - p) // t
    # The first token of each completion is predicted at the prompt's last, the others by the token before them.
    first = p + t * torch.arange(slots, device=packed.ids.device)[:, None]
    keep = torch.cat([torch.full_like(first, p - 1), first + torch.arange(t - 1, device=first.device)], dim=1)
    logits = model(
        input_ids=packed.ids,
        attention_mask=packed.mask,
        position_ids=packed.positions,
        logits_to_keep=keep.flatten(),
        use_cache=False,
    ).logits
    return logits.view(len(packed.ids), slots, t, -1)[packed.group, packed.slot]


def can_pack(model: Any) -> bool:
    """Whether the model takes a mask of which token sees which: full attention in every layer, by torch's kernels."""
    config = model.config
    layers = getattr(config, "layer_types", None) or ["full_attention"]
    plain = set(layers) == {"full_attention"} and not getattr(config, "sliding_window", None)
    return plain and getattr(config, "_attn_implementation", None) == "sdpa"


def shared_prompts(prompts: Sequence[Tokens]) -> bool:
    """Whether packing saves anything: some prompt stands there twice."""
    return len({tuple(prompt) for prompt in prompts}) < len(prompts)
