"""Rows of one model that are continued together, a token each at a time, over one key-value cache.

Row i has length l_i, its prompt and the tokens after it that are in the cache. The cache is padded on the left: row i
fills the last l_i of its columns, so that the next token of every row goes into one new column. A row's attention mask
and positions are its own: what it computes does not depend on its neighbours, but for the order of floating-point sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backends.llm.model.tokens import Tokens, padded_batch
from palm_theory.errors import InputError


class Rows:
    """``copies[i]`` rows for each of ``prompts``, which is read once for all of them.

    ``adapters`` names the adapter of each prompt, or is None where the model is used as it is. ``cache`` is an empty
    cache of transformers; None leaves the choice to the model. ``logits`` (B, V) predict each row's next token.
    """

    def __init__(
        self,
        model: Any,
        pad: int,
        prompts: Sequence[Tokens],
        copies: Sequence[int],
        adapters: Sequence[str] | None = None,
        cache: Any = None,
    ) -> None:
        import torch

        self._model = model
        self._adapters = None if adapters is None else list(adapters)
        self._cache = cache
        ids, mask = padded_batch(prompts, pad, model.device)
        self._width: int = ids.shape[1]
        self._lengths = mask.sum(-1)
        self._forward(ids, mask, (mask.cumsum(-1) - 1).clamp(min=0))
        counts = torch.tensor(list(copies), device=ids.device)
        self.keep(torch.arange(len(prompts), device=ids.device).repeat_interleave(counts))

    def step(self, tokens: Any) -> None:
        """Append one token (B,) to every row."""
        import torch

        self._lengths = self._lengths + 1
        self._width += 1
        columns = torch.arange(self._width, device=tokens.device)
        mask = (columns >= self._width - self._lengths[:, None]).long()
        self._forward(tokens[:, None], mask, self._lengths[:, None] - 1)

    def keep(self, rows: Any) -> None:
        """Go on with the rows of these indices (one or more), in this order; a row may be there several times."""
        self._cache.batch_select_indices(rows)
        self.logits = self.logits[rows]
        self._lengths = self._lengths[rows]
        if self._adapters is not None:
            self._adapters = [self._adapters[i] for i in rows.tolist()]

    def trim(self) -> None:
        """Give up the columns that no row fills any more. Needs a cache as for ``join``."""
        width = int(self._lengths.max())
        if width < self._width:
            self._replace([(k[:, :, -width:], v[:, :, -width:]) for k, v in self._layers()])
            self._width = width

    def join(self, others: Rows) -> None:
        """Take in rows of the same model behind one's own. Raises InputError where the cache holds another state than
        keys and values of attention, or not those of every column."""
        import torch
        from torch.nn.functional import pad

        width = max(self._width, others._width)

        def both(first: Any, second: Any) -> Any:
            return torch.cat([pad(part, (0, 0, width - part.shape[-2], 0)) for part in (first, second)])

        pairs = zip(self._layers(), others._layers(), strict=True)
        self._replace([(both(k, other_k), both(v, other_v)) for (k, v), (other_k, other_v) in pairs])
        self._width = width
        self._lengths = torch.cat([self._lengths, others._lengths])
        self.logits = torch.cat([self.logits, others.logits])
        if self._adapters is not None and others._adapters is not None:
            self._adapters += others._adapters

    def _layers(self) -> list[tuple[Any, Any]]:
        """Keys and values of every layer, both (B, heads, width, features)."""
        found = [(getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in self._cache.layers]
        if any(k is None or v is None or k.dim() != 4 or k.shape[-2] != self._width for k, v in found):
            raise InputError(
                "this model keeps a state other than keys and values of attention, which the in-process engine cannot "
                "batch; serve it with vLLM and --upstream"
            )
        return found

    def _replace(self, layers: list[tuple[Any, Any]]) -> None:
        for layer, (keys, values) in zip(self._cache.layers, layers, strict=True):
            layer.keys, layer.values = keys, values

    def _forward(self, ids: Any, mask: Any, positions: Any) -> None:
        import torch

        with torch.no_grad():
            output = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
                **({} if self._adapters is None else {"adapter_names": self._adapters}),
            )
        self._cache = output.past_key_values
        self.logits = output.logits[:, -1].float()
