"""Contextual bandit, plain or KL-regularised, solved exactly in closed form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from backends.arrays import from_arrays
from palm_theory.bounds import EXACT, non_negative
from palm_theory.contract.backend import PolicyBackend, Power, Solution
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.value import Value, frozen_array
from palm_theory.errors import InputError
from palm_theory.files import array_digest
from palm_theory.geometry.simplex import Array, as_float_array

PROBABILITY_TOLERANCE = 1e-9


def default_objectives(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """``names``, or r1, r2, … where none are given. Raises InputError unless they are ``count`` distinct names."""
    if names is None:
        return tuple(f"r{i + 1}" for i in range(count))
    if len(names) != count or len(set(names)) != count:
        raise InputError(f"objectives must be {count} distinct names, got {list(names)}")
    return tuple(names)


def checked_rewards(rewards: ArrayLike, dimensions: str, reward_max: float | None) -> tuple[Array, float]:
    """Rewards as a read-only array of shape ``dimensions``, and R_max (the largest entry unless given, 1 if all are 0).

    Raises InputError on a wrong number of dimensions, empty axes, non-finite, negative or too large entries.
    """
    array = frozen_array(rewards, "rewards")
    if array.ndim != dimensions.count(",") + 1 or 0 in array.shape:
        raise InputError(f"rewards must have shape ({dimensions}) with no empty axis, got {array.shape}")
    if not np.all(np.isfinite(array)):
        raise InputError(f"rewards must be finite, entry {np.argwhere(~np.isfinite(array))[0].tolist()} is not")
    if array.min() < 0:
        where = np.argwhere(array < 0)[0]
        raise InputError(f"rewards must be >= 0, entry {where.tolist()} is {array[tuple(where)]}; shift them first")
    largest = float(array.max())
    if reward_max is None:
        return array, largest or 1.0
    if not math.isfinite(reward_max) or reward_max < largest or reward_max <= 0:
        raise InputError(f"reward_max must be > 0 and at least the largest reward {largest}, got {reward_max}")
    return array, float(reward_max)


def checked_distribution(probabilities: ArrayLike, shape: tuple[int, ...], name: str) -> Array:
    """Probability vectors along the last axis, read-only. Raises InputError unless ≥ 0 and summing to 1."""
    array = frozen_array(probabilities, name)
    if array.shape != shape:
        raise InputError(f"{name} must have shape {shape}, got {array.shape}")
    sums = array.sum(axis=-1)
    if not np.all(np.isfinite(array)) or array.min() < 0 or np.abs(sums - 1).max() > PROBABILITY_TOLERANCE:
        raise InputError(f"{name} must be >= 0 and sum to 1 along the last axis")
    return array


def log_probabilities(probabilities: Array) -> Array:
    """Elementwise log with log 0 = −inf."""
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def greedy(values: Array) -> Array:
    """Deterministic policy on the last axis: probability 1 on the largest value, ties to the lowest index."""
    policy = np.zeros_like(values)
    np.put_along_axis(policy, values.argmax(axis=-1)[..., None], 1.0, axis=-1)
    return policy


def tilt(logits: Array) -> tuple[Array, Array]:
    """exp(logits) normalised along the last axis, and log Σ exp(logits), without overflow.

    (SciPy's logsumexp and softmax take many times as long on arrays of this size.)
    """
    top = logits.max(axis=-1, keepdims=True)
    weights = np.exp(logits - top)
    total = weights.sum(axis=-1, keepdims=True)
    return weights / total, (top + np.log(total))[..., 0]


def kl_divergence(policy: Array, log_reference: Array) -> Array:
    """KL(π‖π_ref) along the last axis, 0·log 0 = 0; inf where π leaves the reference's support."""
    with np.errstate(invalid="ignore"):
        cross = np.where(policy > 0, policy * log_reference, 0.0)
    return xlogy(policy, policy).sum(axis=-1) - cross.sum(axis=-1)


class BanditBackend(PolicyBackend, kind="backends.bandit.BanditBackend"):
    """maximise E_x[Σ_a π(a|x)⟨w, r(x,a)⟩] − β·E_x KL(π(·|x)‖π_ref(·|x)) over all π.

    For β > 0, π*_w(a|x) ∝ π_ref(a|x)·exp(⟨w, r(x,a)⟩/β) and J*_w = β·E_x log E_{a∼π_ref} exp(⟨w, r⟩/β) (Theorem 2,
    docs/theory/theorem-2.md), computed in log space. For β = 0, the best action in each context, ties to the lowest
    index.

    Parameters
    ----------
    rewards : r, shape (X, A, d) for X contexts and A actions, finite, ≥ 0.
    beta : β ≥ 0, same unit as the rewards.
    reference : π_ref, shape (X, A), rows summing to 1; uniform by default. Actions of probability 0 are never taken.
    context_probabilities : shape (X,), summing to 1; uniform by default.
    objectives : d names; r1, r2, … by default.
    reward_max : R_max; the largest reward by default.

    A policy is an array (X, A) of action probabilities. The oracle is exact. Raises InputError on any bad argument.
    """

    def __init__(
        self,
        rewards: ArrayLike,
        *,
        beta: float = 0.0,
        reference: ArrayLike | None = None,
        context_probabilities: ArrayLike | None = None,
        objectives: Sequence[str] | None = None,
        reward_max: float | None = None,
    ) -> None:
        self._rewards, largest = checked_rewards(rewards, "X, A, d", reward_max)
        contexts, actions, d = self._rewards.shape
        self._beta = non_negative(beta, "beta")
        if reference is None:
            reference = np.full((contexts, actions), 1 / actions)
        if context_probabilities is None:
            context_probabilities = np.full(contexts, 1 / contexts)
        self._reference = checked_distribution(reference, (contexts, actions), "reference")
        self._contexts = checked_distribution(context_probabilities, (contexts,), "context_probabilities")
        self._log_reference = log_probabilities(self._reference)
        # β·E_x max_a log 1/π_ref(a|x) over the reference's support is the most any policy can pay.
        worst = np.where(self._reference > 0, -self._log_reference, 0.0).max(axis=1)
        self.declared = Declarations(
            objectives=default_objectives(objectives, d),
            reward_max=largest,
            regularizer_max=float(self._beta * (self._contexts @ worst)),
            oracle_error=EXACT,
            has_reference=True,
        )

    @classmethod
    def from_samples(
        cls,
        scores: ArrayLike,
        *,
        beta: float,
        objectives: Sequence[str] | None = None,
        reward_max: float | None = None,
    ) -> BanditBackend:
        """The empirical bandit of m sampled answers to each of X prompts: scores (X, m, d), uniform weights.

        Its optimum is a forecast of the sampled problem's, biased low (docs/theory/statistics.md); look at
        ``effective_sample_size`` before trusting it.
        """
        return cls(scores, beta=beta, objectives=objectives, reward_max=reward_max)

    @classmethod
    def from_file(cls, path: Path, *, beta: float = 0.0) -> BanditBackend:
        """The bandit of an .npz file of arrays: ``rewards``; optional ``reference`` and ``context_probabilities``."""
        return from_arrays(cls, "a bandit", path, beta=beta)

    @property
    def beta(self) -> float:
        """β, the price of one nat of KL."""
        return self._beta

    @property
    def powers(self) -> frozenset[Power]:
        return frozenset({Power.OPTIMAL_VALUE})

    def describe(self) -> Mapping[str, Any]:
        return {
            "beta": self._beta,
            "rewards": array_digest(self._rewards),
            "reference": array_digest(self._reference),
            "context_probabilities": array_digest(self._contexts),
        }

    def _scores(self, weights: Array) -> Array:
        """⟨w, r(x,a)⟩, −inf on actions outside the reference's support, shape (X, A)."""
        return np.where(self._reference > 0, self._rewards @ weights, -np.inf)

    def optimize(self, weights: Array) -> Solution:
        scores = self._scores(weights)
        policy = greedy(scores) if self._beta == 0 else tilt(self._log_reference + scores / self._beta)[0]
        return Solution(policy, self.evaluate(policy))

    def optimal_value(self, weights: Array) -> float:
        scores = self._scores(weights)
        if self._beta == 0:
            return float(self._contexts @ scores.max(axis=1))
        _, log_means = tilt(self._log_reference + scores / self._beta)
        return float(self._beta * (self._contexts @ log_means))

    def evaluate(self, policy: Any) -> Value:
        """R(π) = E_x Σ_a π(a|x) r(x,a), f(π) = β·E_x KL. Raises InputError unless π is (X, A), rows summing to 1."""
        pi = checked_distribution(policy, self._reference.shape, "policy")
        rewards = np.einsum("x,xa,xad->d", self._contexts, pi, self._rewards)
        if self._beta == 0:
            return Value(rewards)
        divergence = float(self._contexts @ kl_divergence(pi, self._log_reference))
        if not math.isfinite(divergence):
            raise InputError("the policy takes actions that the reference never takes: its KL is infinite")
        return Value(rewards, self._beta * max(divergence, 0.0))

    def effective_sample_size(self, weights: ArrayLike) -> Array:
        """(Σp)²/Σp² of p = π*_w(·|x) for each context, shape (X,): how many samples the tilted weights amount to.

        In [1, A]; near 1 means that a forecast made from these samples is worthless.
        """
        policy = self.optimize(as_float_array(weights, "weights")).policy
        return 1 / (policy**2).sum(axis=1)
