"""The rows being generated together: joining, leaving and stepping, over one key-value cache padded on the left.

Row i has length l_i (prompt and generated tokens that are in the cache); the cache is max_i l_i wide, and row i fills
its last l_i columns, so the next token of every row goes into one new column. A row's attention mask and positions are
its own: what it computes does not depend on its neighbours, but for the order of floating-point sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from backends.llm.model.tokens import Tokens, padded_batch
from palm_theory.errors import InputError

R = TypeVar("R")
BASE = "__base__"
"""peft's name for no adapter."""


class Batch(Generic[R]):
    """Rows of one model, each with its adapter. ``model`` takes ``adapter_names`` iff ``mixed``."""

    def __init__(self, model: Any, pad: int, *, mixed: bool) -> None:
        self.rows: list[R] = []
        self._model = model
        self._pad = pad
        self._mixed = mixed
        self._adapters: list[str] = []
        self._lengths: list[int] = []
        self._layers: list[tuple[Any, Any]] = []
        """Keys and values of every layer, both (B, heads, width, features)."""

    @property
    def width(self) -> int:
        """Columns of the cache."""
        return max(self._lengths, default=0)

    def join(self, rows: Sequence[Sequence[R]], prompts: Sequence[Tokens], adapters: Sequence[str]) -> Any:
        """Add ``rows[i]``, all continuing ``prompts[i]`` under ``adapters[i]``; the logits of their first tokens.

        A prompt goes through the model once, however many rows continue it. Logits (Σ len(rows[i]), V), float32.
        """
        import torch

        ids, mask = padded_batch(list(prompts), self._pad, self._model.device)
        logits, layers = self._forward(ids, mask, (mask.cumsum(-1) - 1).clamp(min=0), list(adapters), None)
        copies = torch.tensor([len(group) for group in rows], device=ids.device)
        source = torch.arange(len(prompts), device=ids.device).repeat_interleave(copies)
        layers = [(keys[source], values[source]) for keys, values in layers]
        for i, group in enumerate(rows):
            self.rows.extend(group)
            self._adapters.extend([adapters[i]] * len(group))
            self._lengths.extend([len(prompts[i])] * len(group))
        self._layers = _stacked(self._layers, layers) if self._layers else layers
        return logits[source]

    def step(self, tokens: Sequence[int]) -> Any:
        """Append one token to every row; the logits of the next, (B, V), float32."""
        import torch

        device = self._model.device
        self._lengths = [length + 1 for length in self._lengths]
        lengths = torch.tensor(self._lengths, device=device)
        columns = torch.arange(self.width, device=device)
        mask = (columns[None, :] >= self.width - lengths[:, None]).long()
        ids = torch.tensor(tokens, device=device)[:, None]
        logits, self._layers = self._forward(ids, mask, lengths[:, None] - 1, self._adapters, self._layers)
        return logits

    def keep(self, kept: Sequence[int]) -> None:
        """Drop every row but ``kept``, and the columns that only they filled."""
        import torch

        if len(kept) == len(self.rows):
            return
        self.rows = [self.rows[i] for i in kept]
        self._adapters = [self._adapters[i] for i in kept]
        self._lengths = [self._lengths[i] for i in kept]
        if not kept:
            self._layers = []
            return
        index = torch.tensor(kept, device=self._model.device)
        self._layers = [(k[index, :, -self.width :], v[index, :, -self.width :]) for k, v in self._layers]

    def _forward(
        self, ids: Any, mask: Any, positions: Any, adapters: list[str], layers: list[tuple[Any, Any]] | None
    ) -> tuple[Any, list[tuple[Any, Any]]]:
        import torch
        from transformers import DynamicCache

        # A plain cache keeps every position, also for layers with a sliding window: their mask does the sliding.
        cache = DynamicCache() if layers is None else DynamicCache(layers)
        with torch.no_grad():
            output = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
                **({"adapter_names": adapters} if self._mixed else {}),
            )
        return output.logits[:, -1].float(), _layers(output.past_key_values)


def _layers(cache: Any) -> list[tuple[Any, Any]]:
    layers = [(getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in cache.layers]
    if any(keys is None or values is None or keys.dim() != 4 for keys, values in layers):
        raise InputError(
            "this model keeps a state other than keys and values of attention, which the in-process engine cannot "
            "batch; serve it with vLLM and --upstream"
        )
    return layers


def _stacked(first: list[tuple[Any, Any]], second: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    import torch
    from torch.nn.functional import pad

    width = max(first[0][0].shape[-2], second[0][0].shape[-2])

    def both(a: Any, b: Any) -> Any:
        return torch.cat([pad(part, (0, 0, width - part.shape[-2], 0)) for part in (a, b)])

    return [(both(k, other_k), both(v, other_v)) for (k, v), (other_k, other_v) in zip(first, second, strict=True)]
