"""One LLM problem: which model, rewards, prompts and sizes. Everything a worker process needs, as plain data."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from backends.llm.model.loading import model_identity
from backends.llm.rewards import Reward, reward_parameters
from backends.llm.settings import Chat, Evaluation, Planning, Training, to_plain
from backends.llm.texts import Prompt
from palm_theory.errors import InputError
from palm_theory.files import canonical_json, sha256

MIN_HELD_OUT = 2


@dataclass(frozen=True)
class Problem:
    """maximise J_w(π) = ⟨w, R(π)⟩ − β·E_x KL(π(·|x)‖π_ref(·|x)) over adapters of the base model π_ref.

    R(π) = E_x E_{y∼π(·|x)} r(x, y) ∈ [0, R_max]^d. Training draws x from ``prompts``; R and f are measured on
    ``held_out``, N different ones: each counts as an independent unit. Raises InputError on β ≤ 0, fewer than two
    held-out prompts, one that occurs twice, no training prompt, or prompts in both.
    """

    chat: Chat
    rewards: tuple[Reward, ...]
    beta: float
    reward_max: float
    prompts: tuple[Prompt, ...]
    held_out: tuple[Prompt, ...]
    training: Training
    evaluation: Evaluation
    planning: Planning
    seed: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.beta) and self.beta > 0):
            raise InputError(f"beta must be finite and > 0 (without a KL term training collapses), got {self.beta}")
        if not (math.isfinite(self.reward_max) and self.reward_max > 0):
            raise InputError(f"reward_max must be finite and > 0, got {self.reward_max}")
        if not self.prompts:
            raise InputError("at least one training prompt is needed")
        if len(self.held_out) < MIN_HELD_OUT:
            raise InputError(f"at least {MIN_HELD_OUT} held-out prompts are needed, got {len(self.held_out)}")
        repeated = [prompt for prompt, times in Counter(self.held_out).items() if times > 1]
        if repeated:
            raise InputError(
                f"held-out prompts must differ, each is a unit of evaluation; {repeated[0]!r} occurs twice"
            )
        both = set(self.prompts) & set(self.held_out)
        if both:
            raise InputError(f"held-out prompts must not be training prompts; {min(both)!r} is in both")

    @property
    def objectives(self) -> tuple[str, ...]:
        """The rewards' names."""
        return tuple(reward.name for reward in self.rewards)

    @property
    def planning_prompts(self) -> tuple[Prompt, ...]:
        """The training prompts that planning samples."""
        return self.prompts[: self.planning.prompts]

    def describe_policies(self) -> dict[str, Any]:
        """What decides how a policy comes out of training."""
        described = {**self._describe_rewards(), "prompts": _texts(self.prompts), "training": to_plain(self.training)}
        return described | ({"planning": to_plain(self.planning)} if self.training.plan_steps else {})

    def describe_evaluation(self) -> dict[str, Any]:
        """What decides the measured value of a given policy."""
        return {
            **self._describe_rewards(),
            "held_out": _texts(self.held_out),
            "evaluation": to_plain(self.evaluation),
        }

    def describe_planning(self) -> dict[str, Any]:
        """What decides the samples and scores of planning."""
        return {
            **self._describe_rewards(),
            "prompts": _texts(self.planning_prompts),
            "samples": self.planning.samples,
        }

    def _describe_rewards(self) -> dict[str, Any]:
        return {
            "chat": to_plain(self.chat),
            "model": model_identity(self.chat.model),
            "rewards": [dict(reward_parameters(reward)) for reward in self.rewards],
            "reward_max": self.reward_max,
            "beta": self.beta,
            "seed": self.seed,
        }


def fingerprint(description: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits that differ between different descriptions."""
    return sha256(canonical_json(description).encode())[:16]


def _texts(prompts: tuple[Prompt, ...]) -> list[list[str | None]]:
    return [[str(prompt), prompt.answer] for prompt in prompts]
