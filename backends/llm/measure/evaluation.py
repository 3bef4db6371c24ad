"""Measuring a policy: R(π) and f(π) = β·KL(π‖π_ref) on held-out prompts, with standard errors."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backends.llm.policies import LLMPolicy
from backends.llm.problem import Problem
from backends.llm.rewards import score
from palm_theory.contract.value import Value
from palm_theory.errors import ArtifactError, InputError
from palm_theory.files import canonical_json, write_atomically
from palm_theory.geometry.simplex import Array, as_float_array

EVALUATION_SEED = 1
"""Added to the problem's seed, so that evaluation never reuses the random numbers of planning."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A policy's measurements on N held-out prompts, the same prompts for every policy.

    ``rewards`` (N, d) and ``divergence`` (N,) are means over each prompt's completions: the KL by the k1 estimator;
    ``divergence_check`` (N,) by k3, or None. ``replies`` holds one completion a prompt.
    """

    rewards: Array
    divergence: Array
    divergence_check: Array | None
    beta: float
    replies: tuple[str, ...]

    def value(self) -> Value:
        """R ± s.e. and f = β·KL ± s.e., the N prompts being the independent evaluations."""
        return Value(
            self.rewards.mean(axis=0),
            self.beta * float(self.divergence.mean()),
            _stderr(self.rewards),
            self.beta * float(_stderr(self.divergence)),
            len(self.rewards),
        )

    @property
    def vertex_values(self) -> Array:
        """r − β·KL·1 of each prompt, (N, d)."""
        return self.rewards - self.beta * self.divergence[:, None]

    def scalarized(self, weights: ArrayLike) -> Array:
        """⟨w, r⟩ − β·KL of each prompt, (N,); their mean is J_w."""
        return self.rewards @ as_float_array(weights, "weights") - self.beta * self.divergence

    def to_dict(self) -> dict[str, Any]:
        """Plain data, exactly."""
        return {
            "rewards": self.rewards.tolist(),
            "divergence": self.divergence.tolist(),
            "divergence_check": None if self.divergence_check is None else self.divergence_check.tolist(),
            "beta": self.beta,
            "replies": list(self.replies),
        }


def _stderr(values: Array) -> Array:
    return np.std(values, axis=0, ddof=1) / math.sqrt(len(values))


def paired_difference(first: Measured, second: Measured, weights: ArrayLike) -> tuple[float, float]:
    """Estimate and standard error of J_w(π_1) − J_w(π_2) at w (d,), paired by prompt: their own difficulty cancels.

    Raises InputError where the two were not measured on the same number of prompts.
    """
    if len(first.rewards) != len(second.rewards):
        raise InputError(f"policies measured on {len(first.rewards)} and {len(second.rewards)} prompts do not pair")
    difference = first.scalarized(weights) - second.scalarized(weights)
    return float(difference.mean()), float(_stderr(difference))


def measure(problem: Problem, policy: LLMPolicy) -> Measured:
    """Sample the policy on the held-out prompts at temperature 1 and score rewards and KL."""
    replies = policy.open().replies(problem.held_out, problem.evaluation.generations, problem.seed + EVALUATION_SEED)
    n = replies.probabilities.shape[1]
    prompts = [prompt for prompt in problem.held_out for _ in range(n)]
    texts = [text for row in replies.completions for text in row]
    scores = np.stack([score(reward, prompts, texts, problem.reward_max) for reward in problem.rewards], axis=-1)
    rewards = np.einsum("xn,xnd->xd", replies.probabilities, scores.reshape(len(problem.held_out), n, -1))
    shown = [str(row[int(p.argmax())]) for row, p in zip(replies.completions, replies.probabilities, strict=True)]
    return Measured(rewards, replies.divergence, replies.divergence_check, problem.beta, tuple(shown))


def base_measured(answers: Array, texts: list[list[str]], beta: float) -> Measured:
    """The base model's measurements from scored answers (N, m, d) and their texts [n][i]; its KL is 0."""
    nothing = np.zeros(len(answers))
    return Measured(answers.mean(axis=1), nothing, nothing, beta, tuple(row[0] for row in texts))


def save_measured(measured: Measured, path: Path) -> None:
    """Write measurements as JSON, whole or not at all."""
    write_atomically(path, canonical_json(measured.to_dict()).encode())


def load_measured(path: Path) -> Measured:
    """The inverse of ``save_measured``. Raises ArtifactError on a corrupt file."""
    try:
        data = json.loads(path.read_text())
        check = data["divergence_check"]
        return Measured(
            np.array(data["rewards"]),
            np.array(data["divergence"]),
            None if check is None else np.array(check),
            data["beta"],
            tuple(data["replies"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"the evaluation in {path} cannot be read: {error}") from error
