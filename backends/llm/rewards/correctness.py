"""Correctness: whether the answer in a reply is mathematically equal to the prompt's reference answer."""

from __future__ import annotations

from collections.abc import Sequence

from backends.llm.identity import known_as
from backends.llm.rewards.base import Reward
from palm_theory.errors import InputError


@known_as("backends.llm.rewards.correctness.is_correct")
def is_correct(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """1 where math-verify finds the reply's answer equal to ``prompt.answer``, else 0.

    Raises InputError on a prompt without a reference answer.
    """
    try:
        from math_verify import parse, verify
    except ImportError:
        raise InputError("the reward 'correctness' needs math-verify: pip install math-verify") from None
    scores = []
    for prompt, completion in zip(prompts, completions, strict=True):
        answer = getattr(prompt, "answer", None)
        if answer is None:
            raise InputError(
                f"the reward 'correctness' needs prompts with an answer, {str(prompt)[:80]!r} has none; use a .jsonl "
                'file with {"prompt": ..., "answer": ...}'
            )
        # math-verify's time limits use signals, which only the main thread may set.
        gold, found = parse(answer, parsing_timeout=0), parse(str(completion), parsing_timeout=0)
        scores.append(float(verify(gold, found, timeout_seconds=0)))
    return scores


def correctness() -> Reward:
    """1 or 0."""
    return Reward("correctness", is_correct)
