"""The choices being generated together, each a row of the model with its adapter; they join and leave at any step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from backends.llm.model.rows import Rows
from backends.llm.model.tokens import Tokens

C = TypeVar("C")
BASE = "__base__"
"""peft's name for no adapter."""


class Batch(Generic[C]):
    """Choices of one model, one a row. ``model`` takes ``adapter_names`` iff ``mixed``."""

    def __init__(self, model: Any, pad: int, *, mixed: bool) -> None:
        self.choices: list[C] = []
        self._model = model
        self._pad = pad
        self._mixed = mixed
        self._rows: Rows | None = None

    def join(self, groups: Sequence[Sequence[C]], prompts: Sequence[Tokens], adapters: Sequence[str]) -> Any:
        """Add the choices ``groups[i]``, all continuing ``prompts[i]`` under ``adapters[i]``; the logits of their first
        tokens, float32 (Σ len(groups[i]), V)."""
        from transformers import DynamicCache

        names = adapters if self._mixed else None
        # A plain cache keeps every position, also for layers with a sliding window: their mask does the sliding.
        rows = Rows(self._model, self._pad, prompts, [len(group) for group in groups], names, DynamicCache())
        logits = rows.logits
        if self._rows is None:
            self._rows = rows
        else:
            self._rows.join(rows)
        self.choices.extend(choice for group in groups for choice in group)
        return logits

    def step(self, tokens: Sequence[int]) -> Any:
        """Append one token to every row; the logits of the next, float32 (B, V)."""
        import torch

        assert self._rows is not None
        self._rows.step(torch.tensor(tokens, device=self._model.device))
        return self._rows.logits

    def keep(self, kept: Sequence[int]) -> None:
        """Drop every choice but ``kept``, and the columns that only they filled."""
        import torch

        if len(kept) == len(self.choices):
            return
        self.choices = [self.choices[i] for i in kept]
        if not kept:
            self._rows = None
        elif self._rows is not None:
            self._rows.keep(torch.tensor(kept, device=self._model.device))
            self._rows.trim()
