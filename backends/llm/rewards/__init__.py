"""Reward functions of a reply, each with range [0, R_max] and a normaliser that is stored with every result."""

from backends.llm.rewards.base import Reward, reward_parameters, score
from backends.llm.rewards.registry import built_in, resolve_reward, resolve_rewards

__all__ = ["Reward", "built_in", "resolve_reward", "resolve_rewards", "reward_parameters", "score"]
