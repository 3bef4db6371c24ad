"""Brevity: how few tokens a whole reply takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backends.llm.identity import known_as
from backends.llm.rewards.base import Reward
from backends.llm.texts import as_completion
from palm_theory.contract.normalizer import Normalizer
from palm_theory.errors import InputError


@known_as("backends.llm.rewards.brevity.TokenCount")
@dataclass(frozen=True)
class TokenCount:
    """Tokens of a reply, at most ``limit``; an empty or cut-off reply counts as ``limit``, so saying nothing and
    running into the token limit earn nothing."""

    limit: int

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise InputError(f"the brevity limit must be >= 1 token, got {self.limit}")

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        answers = [as_completion(text) for text in completions]
        return [
            float(min(answer.tokens, self.limit)) if answer.finished and answer.strip() else float(self.limit)
            for answer in answers
        ]


def brevity(limit: int) -> Reward:
    """1 − tokens/limit, in [0, 1]."""
    return Reward("brevity", TokenCount(limit), Normalizer(-1 / limit, 1.0))
