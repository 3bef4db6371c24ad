"""Positivity: the sentiment of a reply by the VADER lexicon (Hutto & Gilbert 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from backends.llm.identity import known_as
from backends.llm.rewards.base import Reward
from palm_theory.contract.normalizer import Normalizer
from palm_theory.errors import InputError


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        raise InputError("the reward 'positivity' needs VADER: pip install vaderSentiment") from None
    return SentimentIntensityAnalyzer()


@known_as("backends.llm.rewards.positivity.compound_sentiment")
def compound_sentiment(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """VADER's compound score of each reply, in [−1, 1]."""
    analyzer = _analyzer()
    return [analyzer.polarity_scores(str(text))["compound"] for text in completions]


def positivity() -> Reward:
    """(1 + compound)/2, in [0, 1]; a neutral reply has ½."""
    return Reward("positivity", compound_sentiment, Normalizer(0.5, 0.5))
