"""Safety: the absence of profanity, by a linear classifier of words. It judges wording, not harm."""

from __future__ import annotations

from collections.abc import Sequence

from backends.llm.identity import known_as
from backends.llm.rewards.base import Reward
from palm_theory.contract.normalizer import Normalizer
from palm_theory.errors import InputError


@known_as("backends.llm.rewards.safety.profanity_probability")
def profanity_probability(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """Probability that each reply is profane, in [0, 1]. Raises InputError without alt-profanity-check."""
    try:
        from profanity_check import predict_prob
    except ImportError:
        raise InputError("the reward 'safety' needs alt-profanity-check: pip install alt-profanity-check") from None
    return [float(p) for p in predict_prob([str(text) for text in completions])]


def safety() -> Reward:
    """1 − profanity probability, in [0, 1]."""
    return Reward("safety", profanity_probability, Normalizer(-1.0, 1.0))
