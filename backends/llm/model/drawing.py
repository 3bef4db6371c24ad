"""Drawing tokens: the one inversion of a cumulative distribution that sampling and serving share."""

from __future__ import annotations

from typing import Any


def invert(weights: Any, uniform: Any) -> Any:
    """One token a row, (B,): where the cumulative sum of ``weights`` (B, V), each ≥ 0, passes the share ``uniform``
    (B,), float64 in [0, 1), of its total. Summed in float64, so that rare tokens keep their probability."""
    import torch

    cumulative = weights.cumsum(-1, dtype=torch.float64)
    tokens = torch.searchsorted(cumulative, uniform[:, None] * cumulative[:, -1:], right=True)[:, 0]
    return tokens.clamp(max=weights.shape[-1] - 1)


def draw(logprobs: Any) -> Any:
    """One token a row, (B,), from log-probabilities (B, V), with torch's global generator."""
    import torch

    return invert(logprobs.exp(), torch.rand(len(logprobs), dtype=torch.float64, device=logprobs.device))
