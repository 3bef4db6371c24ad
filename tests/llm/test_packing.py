"""Prompts read once for all their completions: the same numbers as a row each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.llm.model.decoding import _batches, sample_completions
from backends.llm.model.drawing import draw
from backends.llm.model.loading import load_model
from backends.llm.model.packing import can_pack, pack, packed_logits, shared_prompts
from backends.llm.model.scoring import gather_logprobs, next_token_logprobs
from backends.llm.settings import Chat

from .tolerance import assert_equal_but_for_rounding, rounding_error

TOKENS = st.lists(st.integers(1, 20), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def model(tiny_model: Path):
    return load_model(Chat(str(tiny_model), dtype="float32"))


def alone(model, prompt: list[int], answer: list[int]) -> torch.Tensor:
    logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(answer)[:, None])[:, 0]


@settings(max_examples=25, deadline=None)
@given(prompts=st.lists(TOKENS, min_size=1, max_size=3, unique_by=tuple), data=st.data())
def test_packed_completions_score_as_they_do_alone(model, prompts: list[list[int]], data: st.DataObject):
    asked = data.draw(st.lists(st.sampled_from(prompts), min_size=1, max_size=5))
    answers = [data.draw(TOKENS) for _ in asked]

    def together() -> list[torch.Tensor]:
        return gather_logprobs(packed_logits(model, pack(asked, answers, 0, "cpu")).log_softmax(-1), answers)

    with torch.no_grad():
        expected = [alone(model, prompt, answer) for prompt, answer in zip(asked, answers, strict=True)]
        assert_equal_but_for_rounding(together(), expected, rounding_error(model, together))


def test_scoring_packs_shared_prompts_and_gives_the_same(model, monkeypatch: pytest.MonkeyPatch):
    prompts, answers = [[1, 2], [1, 2], [3]], [[4, 5, 6], [7], [8, 9]]

    def scored() -> list[torch.Tensor]:
        return gather_logprobs(next_token_logprobs(model, prompts, answers, 0), answers)

    with torch.no_grad():
        packed, error = scored(), rounding_error(model, scored)
        monkeypatch.setattr("backends.llm.model.scoring.can_pack", lambda model: False)
        assert_equal_but_for_rounding(packed, scored(), error)


def test_what_can_be_packed(model):
    assert can_pack(model)
    assert shared_prompts([[1], [2], [1]])
    assert not shared_prompts([[1], [2]])
    model.config.sliding_window = 4
    try:
        assert not can_pack(model)
    finally:
        del model.config.sliding_window


@settings(max_examples=20, deadline=None)
@given(
    prompts=st.lists(TOKENS, min_size=1, max_size=4),
    generations=st.integers(1, 5),
    size=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_sampled_logprobs_are_the_models_own_and_completions_end_once(
    model, prompts: list[list[int]], generations: int, size: int, seed: int
):
    torch.manual_seed(seed)
    found = sample_completions(model, prompts, generations, ends=[0, 3], pad=0, max_new_tokens=6, batch_size=size)
    assert [len(rows) for rows in found] == [generations] * len(prompts)
    for rows in found:
        for row in rows:
            assert len(row.tokens) == len(row.logprobs) <= 6
            assert not {0, 3} & set(row.tokens[:-1])
            assert len(row.tokens) == 6 or row.tokens[-1] in (0, 3)

    def scored() -> list[torch.Tensor]:
        return [alone(model, prompt, row.tokens) for prompt, rows in zip(prompts, found, strict=True) for row in rows]

    with torch.no_grad():
        own = [torch.tensor(row.logprobs) for rows in found for row in rows]
        assert_equal_but_for_rounding(own, scored(), rounding_error(model, scored))


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), generations=st.integers(1, 9), size=st.integers(1, 8)
)
def test_batches_hold_every_completion_once(lengths: list[int], generations: int, size: int):
    batches = _batches([[1] * n for n in lengths], generations, size)
    assert all(sum(n for _, n in batch) <= size for batch in batches)
    for i in range(len(lengths)):
        assert sum(n for batch in batches for j, n in batch if j == i) == generations


def test_draw_follows_the_distribution_and_never_takes_the_impossible():
    p = torch.tensor([0.5, 0.0, 0.3, 0.2, 0.0])
    torch.manual_seed(0)
    tokens = draw(p.log().repeat(20000, 1))
    shares = torch.bincount(tokens, minlength=5) / 20000
    assert shares[1] == shares[4] == 0
    torch.testing.assert_close(shares, p, rtol=0, atol=0.015)
