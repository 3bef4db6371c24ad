"""A tabular model of an environment, solved exactly by ``MDPBackend``, with rewards of any sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backends.gym.enumeration import TabularModel
from backends.mdp import MDPBackend
from palm_theory.contract.backend import PolicyBackend, Power, Solution
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.contract.value import Value
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array


class ExactGymBackend(PolicyBackend, kind="backends.gym_exact.ExactGymBackend"):
    """maximise E_π[Σ_t γ^t ⟨w, r(s_t,a_t)⟩] on a tabular model; policies and discounting as for ``MDPBackend``.

    ``MDPBackend`` needs rewards ≥ 0. Every step's reward, the absorbing state's too, is raised by c_i = −min r_i, which
    raises every policy's return by the same c_i·Σγ^t and is taken off again. An objective whose least return over all
    policies is negative has that return (from one more exact solve) subtracted; the shift is in ``normalizers``.
    """

    def __init__(
        self, model: TabularModel, *, discount: float, horizon: int | None, objectives: Sequence[str] | None
    ) -> None:
        self.model = model
        low, high = model.rewards.min(axis=(0, 1)), model.rewards.max(axis=(0, 1))
        raised = np.maximum(-low, 0.0)

        def solver(rewards: Array) -> MDPBackend:
            return MDPBackend(
                model.transitions,
                rewards,
                model.initial,
                discount=discount,
                horizon=horizon,
                objectives=objectives,
                reward_max=max(float(rewards.max()), 1e-300) if rewards.max() <= 0 else None,
            )

        self._inner = solver(model.rewards + raised)
        opposite = solver(high - model.rewards)
        ones = np.zeros((*model.rewards.shape[:2], 1)) + 1.0
        steps = MDPBackend(model.transitions, ones, model.initial, discount=discount, horizon=horizon).reward_max
        d = model.rewards.shape[2]
        least = [high[i] * steps - opposite.optimal_value(np.eye(d)[i]) for i in range(d)]
        most = [self._inner.optimal_value(np.eye(d)[i]) - raised[i] * steps for i in range(d)]
        # A least return of zero up to rounding is zero.
        negative = [value < -1e-12 * max(steps, 1.0) for value in least]
        normalizers = tuple(
            Normalizer(1.0, -float(value)) if below else IDENTITY for value, below in zip(least, negative, strict=True)
        )
        offsets = np.array([normalizer.offset for normalizer in normalizers])
        self._shift = offsets - raised * steps
        reward_max = float((most + offsets).max())
        if reward_max <= 0:
            raise InputError("no policy gets a reward other than the least one: there is nothing to optimise")
        self.declared = Declarations(
            objectives=self._inner.objectives,
            reward_max=reward_max,
            regularizer_max=0.0,
            oracle_error=self._inner.oracle_error,
            normalizers=normalizers,
        )

    @property
    def powers(self) -> frozenset[Power]:
        return self._inner.powers

    def describe(self) -> Mapping[str, Any]:
        return self._inner.describe()

    def optimize(self, weights: Array) -> Solution:
        solution = self._inner.optimize(weights)
        value = self._shifted(solution.value)
        assert solution.upper_bound is not None
        upper = max(solution.upper_bound + float(weights @ self._shift), value.scalarize(weights))
        return Solution(solution.policy, value, upper_bound=upper, status=solution.status)

    def optimal_value(self, weights: Array) -> float:
        return self.optimize(weights).value.scalarize(weights)

    def evaluate(self, policy: Any) -> Value:
        return self._shifted(self._inner.evaluate(policy))

    def _shifted(self, value: Value) -> Value:
        rewards = value.rewards + self._shift
        # Adding and taking off c·Σγ^t costs a few digits; returns leave their range by no more than that.
        near = np.clip(rewards, 0.0, self.reward_max)
        return Value(np.where(np.abs(near - rewards) <= 1e-9 * self.reward_max, near, rewards))
