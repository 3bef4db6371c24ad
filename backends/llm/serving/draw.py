"""Drawing one token for each row of a batch, each row with its own settings and its own random numbers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backends.llm.model.drawing import invert
from palm_theory.serving.engine import Sampling


@dataclass(frozen=True)
class Drawer:
    """One row's settings, and the source of its random numbers, one a token: no other row touches it."""

    temperature: float
    top_p: float
    random: random.Random

    @classmethod
    def of(cls, sampling: Sampling, choice: int) -> Drawer:
        """The drawer of one choice: its random numbers follow from the seed and the choice alone."""
        source = random.SystemRandom().getrandbits(64) if sampling.seed is None else sampling.seed
        return cls(sampling.temperature, sampling.top_p, random.Random(f"{source}/{choice}"))


def draw(logits: Any, drawers: Sequence[Drawer]) -> list[int]:
    """One token a row from logits (B, V): the likeliest at temperature 0, else by inversion of the tempered, cut
    distribution at one uniform number. Computed in float64, so that equal logits give equal tokens in any batch."""
    import torch

    tokens = logits.argmax(-1)
    rows = [i for i, drawer in enumerate(drawers) if drawer.temperature > 0]
    if rows:
        chosen = [drawers[i] for i in rows]
        scores = logits[rows].double()
        scores -= scores.amax(-1, keepdim=True)
        scores /= torch.tensor([d.temperature for d in chosen], dtype=torch.float64, device=scores.device)[:, None]
        p = scores.softmax(-1)
        cut = [j for j, drawer in enumerate(chosen) if drawer.top_p < 1]
        if cut:
            p[cut] = _nucleus(p[cut], torch.tensor([chosen[j].top_p for j in cut], dtype=p.dtype, device=p.device))
        uniform = torch.tensor([d.random.random() for d in chosen], dtype=torch.float64, device=p.device)
        tokens[rows] = invert(p, uniform)
    return tokens.tolist()


def _nucleus(p: Any, top_p: Any) -> Any:
    """p with everything outside the smallest set of likeliest tokens of total probability ≥ top_p set to 0."""
    import torch

    ordered, index = torch.sort(p, dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    ordered = torch.where(before < top_p[:, None], ordered, torch.zeros_like(ordered))
    return torch.zeros_like(p).scatter(-1, index, ordered)
