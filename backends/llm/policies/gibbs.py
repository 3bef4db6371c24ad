"""Gibbs resampling (a soft best-of-n): sample n answers from the base model, keep one by its reward. No training."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.special import logsumexp, xlogy

from backends.llm.policies.adapter import ReferenceSampler
from backends.llm.policies.base import LLMPolicy, LoadedPolicy, Replies
from backends.llm.rewards import Reward, reward_parameters, score
from backends.llm.settings import Chat
from backends.llm.texts import Completion
from palm_theory.errors import ArtifactError, InputError
from palm_theory.files import canonical_json
from palm_theory.geometry.simplex import Array


@dataclass(frozen=True)
class GibbsResampling(LLMPolicy):
    """y = y_i with probability p_i ∝ exp(⟨w, r(x, y_i)⟩/β) among y_1..y_n ∼ π_ref(·|x); β = 0 keeps the best of n.

    KL(π‖π_ref) ≤ log n + E Σ_i p_i log p_i: choosing an index i among n costs that against a uniform choice, and
    forgetting the other n − 1 answers can only lower a KL divergence. That bound is what evaluation reports as f/β,
    so J_w is understated, never overstated; at the policy's own w it equals β·E log((1/n) Σ_i exp(⟨w, r_i⟩/β)), the
    forecast of planning with n samples. ``rewards`` are the objectives, ``weights`` w.
    """

    kind: ClassVar[str] = "gibbs resampling"

    rewards: tuple[Reward, ...]
    weights: tuple[float, ...]
    beta: float
    samples: int = 16
    reward_max: float = 1.0

    def __post_init__(self) -> None:
        if len(self.rewards) != len(self.weights):
            raise InputError(f"one weight a reward is needed, got {len(self.weights)} for {len(self.rewards)} rewards")
        if self.samples < 1:
            raise InputError(f"samples must be >= 1, got {self.samples}")
        if not (math.isfinite(self.beta) and self.beta >= 0):
            raise InputError(f"beta must be finite and >= 0, got {self.beta}")

    def open(self) -> LoadedPolicy:
        return GibbsResampler(self)

    def write(self, folder: Path) -> dict[str, Any]:
        return self.content()

    @classmethod
    def read(cls, record: dict[str, Any], folder: Path, chat: Chat, rewards: tuple[Reward, ...]) -> GibbsResampling:
        known = [dict(reward_parameters(reward)) for reward in rewards]
        if json.loads(canonical_json(known)) != record["rewards"]:
            raise ArtifactError(f"the policy in {folder} chooses by other rewards than this backend's")
        weights = tuple(record["weights"])
        return GibbsResampling(chat, rewards, weights, record["beta"], record["samples"], record["reward_max"])

    def content(self) -> dict[str, Any]:
        return {
            "rewards": [dict(reward_parameters(reward)) for reward in self.rewards],
            "weights": list(self.weights),
            "beta": self.beta,
            "samples": self.samples,
            "reward_max": self.reward_max,
        }


class GibbsResampler(LoadedPolicy):
    """The base model in memory, with the rewards that choose among its answers."""

    def __init__(self, policy: GibbsResampling) -> None:
        self.policy = policy
        self.base = ReferenceSampler(policy.chat)

    def generate(self, prompts: Sequence[str], generations: int = 1, seed: int = 0) -> list[list[Completion]]:
        """Each of the ``generations`` completions comes from a pool of its own."""
        rng = np.random.default_rng(seed)
        chosen: list[list[Completion]] = [[] for _ in prompts]
        for generation in range(generations):
            replies = self.replies(prompts, self.policy.samples, seed + generation)
            for i, (pool, p) in enumerate(zip(replies.completions, replies.probabilities, strict=True)):
                chosen[i].append(pool[rng.choice(len(pool), p=p)])
        return chosen

    def replies(self, prompts: Sequence[str], generations: int, seed: int) -> Replies:
        """One pool of the policy's own n answers a prompt, whatever ``generations`` says, with the probability that
        each is kept: the expectation over the choice is taken exactly."""
        n = self.policy.samples
        pools = self.base.generate(prompts, n, seed)
        asked = [prompt for prompt in prompts for _ in range(n)]
        texts = [text for pool in pools for text in pool]
        scores = np.column_stack([score(r, asked, texts, self.policy.reward_max) for r in self.policy.rewards])
        p = resampling_probabilities((scores @ np.array(self.policy.weights)).reshape(-1, n), self.policy.beta)
        divergence = math.log(n) + xlogy(p, p).sum(axis=1)
        return Replies(pools, p, divergence, None)


def resampled_values(answers: Array, weights: Array, beta: float) -> Array:
    """Vertex values r − f·1, (N, d), of resampling among scored answers (N, n, d) at ``weights``, f the bound above."""
    p = resampling_probabilities(answers @ weights, beta)
    divergence = math.log(answers.shape[1]) + xlogy(p, p).sum(axis=1)
    return np.einsum("xn,xnd->xd", p, answers) - beta * divergence[:, None]


def resampling_probabilities(scores: Array, beta: float) -> Array:
    """p ∝ exp(scores/β) along the last axis, (N, n); for β = 0 all on the largest, the first of equals."""
    if beta == 0:
        p = np.zeros_like(scores)
        np.put_along_axis(p, scores.argmax(axis=1)[:, None], 1.0, axis=1)
        return p
    return np.exp(scores / beta - np.asarray(logsumexp(scores / beta, axis=1, keepdims=True)))
