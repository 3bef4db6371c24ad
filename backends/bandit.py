"""Contextual bandit, plain or KL-regularised, solved exactly in closed form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backends.arrays import from_arrays
from backends.decision_witness import DecisionProblem
from backends.exact_sums import UNIT
from backends.soft_maximum import SoftMaximum, normalized
from palm_theory.bounds import EXACT, non_negative
from palm_theory.contract.backend import PolicyBackend, Power, Solution, Witness
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


class BanditBackend(PolicyBackend, kind="backends.bandit.BanditBackend"):
    """maximise E_x[Σ_a π(a|x)⟨w, r(x,a)⟩] − β·E_x KL(π(·|x)‖π_ref(·|x)) over all π.

    For β > 0, π*_w(a|x) ∝ π_ref(a|x)·exp(⟨w, r(x,a)⟩/β) and J*_w = β·E_x log E_{a∼π_ref} exp(⟨w, r⟩/β) (Theorem 2,
    docs/theory/theorem-2.md), computed without cancellation at any β (``SoftMaximum``). For β = 0, the best action in
    each context, ties to the lowest index.

    Parameters
    ----------
    rewards : r, shape (X, A, d) for X contexts and A actions, finite, ≥ 0.
    beta : β ≥ 0, same unit as the rewards.
    reference : π_ref, shape (X, A), rows summing to 1; uniform by default. Actions of probability 0 are never taken.
    context_probabilities : shape (X,), summing to 1; uniform by default.
    objectives : d names; r1, r2, … by default.
    reward_max : R_max; the largest reward by default.

    A policy is an array (X, A) of action probabilities. Rows of policies and of the reference are taken relative to
    their sums, which rounding keeps from being 1. The oracle is exact to rounding, and every solve has an upper bound
    that rounding is part of. Raises InputError on any bad argument.
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
        self._soft = SoftMaximum(self._reference, self._beta)
        self._units = d + contexts + self._soft.units + 8
        self.declared = Declarations(
            objectives=default_objectives(objectives, d),
            reward_max=largest,
            # The most any policy on the reference's support can pay.
            regularizer_max=float(self._beta * (self._contexts @ self._soft.largest_divergence)),
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
        return frozenset({Power.OPTIMAL_VALUE, Power.WITNESSES})

    def describe(self) -> Mapping[str, Any]:
        return {
            "beta": self._beta,
            "rewards": array_digest(self._rewards),
            "reference": array_digest(self._reference),
            "context_probabilities": array_digest(self._contexts),
        }

    def optimize(self, weights: Array) -> Solution:
        policy, _, upper = self._solve(weights)
        value = self._value(normalized(policy))
        return Solution(policy, value, upper_bound=max(upper, value.scalarize(weights)))

    def optimal_value(self, weights: Array) -> float:
        return self._solve(weights)[1]

    def optimal_bracket(self, weights: Array) -> tuple[float, float]:
        return self._solve(weights)[1:]

    def _solve(self, weights: Array) -> tuple[Array, float, float]:
        """π*_w, J*_w, and J*_w rounded up: scores and soft maxima err relative to the latter's scale."""
        scores = self._rewards @ weights
        policy, best, scale = self._soft.attained(scores)
        value = float(self._contexts @ best)
        return policy, value, value + self._units * UNIT * float(self._contexts @ scale)

    def witnessed_problem(self) -> Mapping[str, Any]:
        return self._stated.stated()

    def witness(self, weights: Array) -> Witness:
        return self._stated.witness(weights)

    @property
    def _stated(self) -> DecisionProblem:
        return DecisionProblem(self._rewards, self._contexts, self._soft, self._reference > 0)

    def evaluate(self, policy: Any) -> Value:
        """R(π) = E_x Σ_a π(a|x) r(x,a), f(π) = β·E_x KL. Raises InputError unless π is (X, A), rows summing to 1."""
        return self._value(normalized(checked_distribution(policy, self._reference.shape, "policy")))

    def _value(self, pi: Array) -> Value:
        rewards = (self._contexts[:, None] * pi).ravel() @ self._rewards.reshape(pi.size, -1)
        if self._beta == 0:
            return Value(rewards)
        divergence = float(self._contexts @ self._soft.divergence(pi))
        if not math.isfinite(divergence):
            raise InputError("the policy takes actions that the reference never takes: its KL is infinite")
        return Value(rewards, self._beta * divergence)

    def effective_sample_size(self, weights: ArrayLike) -> Array:
        """(Σp)²/Σp² of p = π*_w(·|x) for each context, shape (X,): how many samples the tilted weights amount to.

        In [1, A]; near 1 means that a forecast made from these samples is worthless.
        """
        policy = self.optimize(as_float_array(weights, "weights")).policy
        return 1 / (policy**2).sum(axis=1)
