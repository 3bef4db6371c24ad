"""Rows over one cache: whoever joins, leaves or stays, each row computes what it would alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from backends.llm.model.loading import load_model
from backends.llm.model.rows import Rows
from backends.llm.settings import Chat
from palm_theory.errors import InputError

from .tolerance import assert_equal_but_for_rounding, rounding_error

PROMPTS = st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=5), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def model(tiny_model: Path):
    return load_model(Chat(str(tiny_model), dtype="float32"))


class Followed:
    """Rows, with the tokens of each beside them."""

    def __init__(self, model, prompts: list[list[int]], copies: list[int]) -> None:
        self.rows = Rows(model, 0, prompts, copies, cache=DynamicCache())
        self.tokens = [[*prompt] for prompt, n in zip(prompts, copies, strict=True) for _ in range(n)]

    def step(self, token: int) -> None:
        self.rows.step(torch.full((len(self.tokens),), token))
        self.tokens = [[*tokens, token] for tokens in self.tokens]

    def keep(self, kept: list[int], trim: bool) -> None:
        self.rows.keep(torch.tensor(kept))
        self.tokens = [self.tokens[i] for i in kept]
        if trim:
            self.rows.trim()

    def join(self, other: Followed) -> None:
        self.rows.join(other.rows)
        self.tokens += other.tokens


@settings(max_examples=15, deadline=None)
@given(first=PROMPTS, second=PROMPTS, data=st.data())
def test_each_row_s_logits_are_those_of_its_tokens_alone(model, first, second, data: st.DataObject):
    copies = [data.draw(st.integers(1, 2)) for _ in first]
    followed = Followed(model, first, copies)
    seen: list[tuple[list[int], torch.Tensor]] = []

    def look() -> None:
        seen.extend(zip(followed.tokens, followed.rows.logits, strict=True))

    for turn in range(3):
        look()
        followed.step(7 + turn)
        look()
        rows = st.sampled_from(range(len(followed.tokens)))
        followed.keep(data.draw(st.lists(rows, min_size=1, max_size=4)), data.draw(st.booleans()))
        if turn == 1:
            followed.join(Followed(model, second, [1] * len(second)))
    look()

    def alone() -> list[torch.Tensor]:
        return [model(input_ids=torch.tensor([tokens])).logits[0, -1] for tokens, _ in seen]

    with torch.no_grad():
        assert_equal_but_for_rounding([logits for _, logits in seen], alone(), rounding_error(model, alone))


def test_another_state_than_keys_and_values_is_refused(model):
    rows, others = (Rows(model, 0, [[1, 2]], [1], cache=DynamicCache()) for _ in range(2))
    rows._cache.layers[0].keys = rows._cache.layers[0].keys[:, :, -1:]
    with pytest.raises(InputError, match="other than keys and values of attention"):
        rows.join(others)
