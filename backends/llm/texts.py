"""Prompts and completions: plain strings that remember what a reward may need to know of them."""

from __future__ import annotations

from typing import Any


class Prompt(str):
    """A user prompt x. ``answer`` is the reference answer of a verifiable task, or None."""

    answer: str | None

    def __new__(cls, text: str, answer: str | None = None) -> Prompt:
        prompt = super().__new__(cls, text)
        prompt.answer = answer
        return prompt

    def __reduce__(self) -> tuple[Any, ...]:
        return Prompt, (str(self), self.answer)


class Completion(str):
    """A completion y, as text without special tokens.

    ``tokens`` is its length in tokens, the end-of-sequence token not counted; where a plain string is wrapped it is
    the number of words. ``finished`` is False where the reply was cut off at the token limit.
    """

    tokens: int
    finished: bool

    def __new__(cls, text: str, tokens: int | None = None, finished: bool = True) -> Completion:
        completion = super().__new__(cls, text)
        completion.tokens = len(text.split()) if tokens is None else tokens
        completion.finished = finished
        return completion

    def __reduce__(self) -> tuple[Any, ...]:
        return Completion, (str(self), self.tokens, self.finished)


def as_completion(text: str) -> Completion:
    """``text`` itself where it is a Completion, else wrapped."""
    return text if isinstance(text, Completion) else Completion(text)
