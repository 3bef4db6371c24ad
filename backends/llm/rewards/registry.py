"""Rewards by name, for the command line and for settings files."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from backends.llm.rewards.base import Measure, Reward
from backends.llm.rewards.brevity import brevity
from backends.llm.rewards.correctness import correctness
from backends.llm.rewards.positivity import positivity
from backends.llm.rewards.readability import readability
from backends.llm.rewards.relevance import relevance
from backends.llm.rewards.reward_model import RewardModel
from backends.llm.rewards.safety import safety
from palm_theory.errors import InputError


def built_in(token_limit: int) -> dict[str, Reward]:
    """The built-in rewards of replies of at most ``token_limit`` tokens, by name."""
    rewards = (brevity(token_limit), relevance(), positivity(), safety(), readability(), correctness())
    return {reward.name: reward for reward in rewards}


def resolve_reward(reward: Reward | Measure | str, token_limit: int) -> Reward:
    """A Reward from a Reward, a callable (its ``__name__`` becomes the objective's name), or text: a built-in name,
    ``name=MODEL`` for a reward model, or ``module:function`` for one's own.

    Raises InputError on an unknown name, with the names that exist.
    """
    if isinstance(reward, Reward):
        return reward
    if callable(reward):
        return Reward(getattr(reward, "__name__", type(reward).__name__), reward)
    if not isinstance(reward, str):
        raise InputError(f"a reward must be a Reward, a callable or a name, got {type(reward).__name__}")
    known = built_in(token_limit)
    if reward in known:
        return known[reward]
    name, equals, model = reward.partition("=")
    if equals and name and model:
        return Reward(name, RewardModel(model))
    if ":" in reward:
        return resolve_reward(_imported(reward), token_limit)
    raise InputError(
        f"unknown reward {reward!r}; the built-in ones are {', '.join(known)}; or name=MODEL for a reward model, "
        "module:function for your own"
    )


def _imported(reward: str) -> Any:
    module, _, function = reward.partition(":")
    # The palm command does not look for modules in the current folder by itself, as python -m does. Last, so that
    # nothing is hidden.
    sys.path.extend({os.getcwd()}.difference(sys.path))
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(f"the reward {reward!r} cannot be imported: {error}") from None


def resolve_rewards(rewards: Sequence[Any], token_limit: int) -> tuple[Reward, ...]:
    """Rewards of unique names; raises InputError where there are none or a name occurs twice."""
    if isinstance(rewards, str) or not rewards:
        raise InputError(f"rewards must be a list of one or more rewards, got {rewards!r}")
    resolved = tuple(resolve_reward(reward, token_limit) for reward in rewards)
    names = [reward.name for reward in resolved]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"rewards must have unique names, {twice[0]!r} occurs {names.count(twice[0])} times")
    return resolved
