"""Readability: how many years of schooling a reply asks of its reader (automated readability index)."""

from __future__ import annotations

from collections.abc import Sequence

from backends.llm.identity import known_as
from backends.llm.rewards.base import Reward
from palm_theory.contract.normalizer import Normalizer
from palm_theory.errors import InputError

HARDEST = 18.0


@known_as("backends.llm.rewards.readability.grade_level")
def grade_level(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """The automated readability index of each reply, cut to [0, 18]; an empty reply counts as 18.

    textstat's other indices download a word list on first use; this one needs none. Raises InputError without textstat.
    """
    try:
        from textstat import textstat
    except ImportError:
        raise InputError("the reward 'readability' needs textstat: pip install textstat") from None
    return [
        min(max(float(textstat.automated_readability_index(str(text))), 0.0), HARDEST) if text.strip() else HARDEST
        for text in completions
    ]


def readability() -> Reward:
    """1 − grade/18, in [0, 1]."""
    return Reward("readability", grade_level, Normalizer(-1 / HARDEST, 1.0))
