"""A tabular model of an environment, solved exactly by ``MDPBackend``, with rewards of any sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from backends.exact_sums import UNIT
from backends.gym.enumeration import TabularModel
from backends.mdp import OPTIMAL_TOLERANCE, MDPBackend
from palm_theory.contract.backend import PolicyBackend, Power, Solution, Status, Witness
from palm_theory.contract.calls import RANGE_TOLERANCE
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.contract.value import Value
from palm_theory.errors import InputError
from palm_theory.geometry.rational import float_above, rational_dot
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
        ends = [(opposite, high - model.rewards), (self._inner, model.rewards + raised)]
        worst, best = ([_known_return(mdp, model, rewards, i, discount) for i in range(d)] for mdp, rewards in ends)
        least = [high[i] * steps - worst[i] for i in range(d)]
        most = [best[i] - raised[i] * steps for i in range(d)]
        # A least return of zero up to rounding is zero.
        unit = np.minimum(np.maximum(np.abs(low), np.abs(high)), 1.0)
        negative = [value < -1e-12 * max(steps, 1.0) * unit[i] for i, value in enumerate(least)]
        normalizers = tuple(
            Normalizer(1.0, -float(value)) if below else IDENTITY for value, below in zip(least, negative, strict=True)
        )
        offsets = np.array([normalizer.offset for normalizer in normalizers])
        self._shift = np.array([_shift(x, c, discount, horizon) for x, c in zip(offsets, raised, strict=True)])
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
        reached, sizes = value.scalarize(weights), solution.value.rewards + np.abs(self._shift)
        upper = solution.upper_bound + float(weights @ self._shift)
        upper = max(upper + (len(weights) + 4) * UNIT * float(weights @ sizes), reached)
        status = Status.OPTIMAL if upper - reached <= OPTIMAL_TOLERANCE * upper else Status.BOUNDED
        return Solution(solution.policy, value, upper_bound=upper, status=status)

    def optimal_value(self, weights: Array) -> float:
        return self.optimal_bracket(weights)[0]

    def optimal_bracket(self, weights: Array) -> tuple[float, float]:
        solution = self.optimize(weights)
        assert solution.upper_bound is not None
        return solution.value.scalarize(weights), solution.upper_bound

    def witnessed_problem(self) -> Mapping[str, Any]:
        return {**self._inner.witnessed_problem(), "constants": self._shift.tolist()}

    def witness(self, weights: Array) -> Witness:
        found = self._inner.witness(weights)
        exact = [Fraction(w) for w in weights.tolist()]
        shift = rational_dot(exact, [Fraction(s) for s in self._shift.tolist()]) / sum(exact)
        return Witness(float_above(Fraction(found.upper) + shift), found.data)

    def evaluate(self, policy: Any) -> Value:
        return self._shifted(self._inner.evaluate(policy))

    def _shifted(self, value: Value) -> Value:
        rewards = value.rewards + self._shift
        # Rounding may lead out of the range.
        near = np.clip(rewards, 0.0, self.reward_max)
        return Value(np.where(np.abs(near - rewards) <= RANGE_TOLERANCE * self.reward_max, near, rewards))


def _shift(offset: float, raised: float, discount: float, horizon: int | None) -> float:
    """offset − c·Σγ^t, rounded once: what is added to returns of raised rewards."""
    gamma = Fraction(discount)
    if horizon is None:
        steps = 1 / (1 - gamma)
    else:
        steps = Fraction(horizon) if gamma == 1 else (1 - gamma**horizon) / (1 - gamma)
    return float(Fraction(float(offset)) - Fraction(float(raised)) * steps)


def _known_return(mdp: MDPBackend, model: TabularModel, rewards: Array, i: int, discount: float) -> float:
    """The optimal return of objective i for the ``rewards`` (S, A, d) of ``mdp``, by the plain formula, unrefined.

    Shifts are made of it, and stored problems are known by them to the last bit: it is never to be computed otherwise.
    """
    policy = mdp.optimize(np.eye(rewards.shape[2])[i]).policy
    states = len(rewards)
    totals = np.zeros((states, rewards.shape[2] + 1))
    for rule in policy[None] if policy.ndim == 2 else policy[::-1]:
        step = np.column_stack([np.einsum("sa,sad->sd", rule, rewards), np.zeros(states)])
        matrix = np.einsum("sa,sat->st", rule, model.transitions)
        if policy.ndim == 2:
            totals = np.linalg.solve(np.eye(states) - discount * matrix, step)
        else:
            totals = step + discount * matrix @ totals
    return Value((model.initial @ totals)[:-1]).scalarize(np.eye(rewards.shape[2])[i])
