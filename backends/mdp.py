"""Tabular Markov decision process: discounted or finite horizon, plain or KL-regularised, solved exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from backends.arrays import from_arrays
from backends.bandit import (
    checked_distribution,
    checked_rewards,
    default_objectives,
    greedy,
    kl_divergence,
    log_probabilities,
    tilt,
)
from palm_theory.bounds import EXACT, OracleError, non_negative
from palm_theory.contract.backend import PolicyBackend, Power, Solution, Status
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.value import Value
from palm_theory.errors import BackendError, InputError
from palm_theory.files import array_digest
from palm_theory.geometry.simplex import Array

Method = Literal["policy-iteration", "value-iteration", "linear-program"]
METHODS: tuple[Method, ...] = ("policy-iteration", "value-iteration", "linear-program")
MAX_ITERATIONS = 1_000_000

EXACT_DISCOUNT = 0.9999
"""γ up to which linear solves settle J* to rounding. Beyond it a gain lost in rounding, taken at every step, adds up to
more than 1e-9·R_max, and the solver's own upper bound is all that is claimed."""

PLAIN_GAIN, SOFT_GAIN = 1e-13, 1e-9
"""Gains of one step, relative to R_max, at which policy iteration may stop: its loss is at most Σγ^t times that."""


class MDPBackend(PolicyBackend, kind="backends.mdp.MDPBackend"):
    """maximise E_π[Σ_t γ^t (⟨w, r(s_t,a_t)⟩ − β·KL(π(·|s_t)‖π_ref(·|s_t)))], t from 0, s_0 ∼ initial, over all π.

    Either discounted (γ < 1, no horizon; stationary policies) or finite horizon (t = 0..T−1, γ ≤ 1; one decision rule
    a step). R and f are the expected sums, evaluated exactly by linear solves (or backward recursion); they are not
    multiplied by 1−γ, so R_max = r_max·Σ_t γ^t.

    Parameters
    ----------
    transitions : P[s, a, s'], shape (S, A, S), rows summing to 1.
    rewards : r[s, a], shape (S, A, d), finite, ≥ 0.
    initial : distribution of s_0, shape (S,).
    discount : γ in [0, 1); with a horizon also 1. Always explicit.
    horizon : T ≥ 1, or None for the discounted problem.
    beta : β ≥ 0. With β > 0 the soft optimality equation V(s) = β·log Σ_a π_ref(a|s)·exp(Q(s,a)/β) is solved.
    reference : π_ref, shape (S, A); uniform by default.
    method : for the discounted problem: "policy-iteration" (for β > 0 its soft form; the default), "value-iteration"
        (either β), "linear-program" (β = 0 only). A finite horizon is solved by backward recursion.
    tolerance : value iteration stops when J* is known to within ``tolerance``·R_max.
    objectives, reward_max : as for ``BanditBackend``; ``reward_max`` bounds one step's reward.

    A policy is an array of action probabilities, (S, A) or (T, S, A). Every solve carries an upper bound on J*: with
    any V and its Bellman update TV, V* ≤ TV + γ/(1−γ)·max(TV − V) (MacQueen 1966; T is monotone and T(V+c) = TV+γc
    for the soft update too). Raises InputError on any bad argument.
    """

    def __init__(
        self,
        transitions: ArrayLike,
        rewards: ArrayLike,
        initial: ArrayLike,
        *,
        discount: float,
        horizon: int | None = None,
        beta: float = 0.0,
        reference: ArrayLike | None = None,
        method: Method = "policy-iteration",
        tolerance: float = 1e-12,
        objectives: Sequence[str] | None = None,
        reward_max: float | None = None,
    ) -> None:
        self._rewards, step_max = checked_rewards(rewards, "S, A, d", reward_max)
        states, actions, d = self._rewards.shape
        self._transitions = checked_distribution(transitions, (states, actions, states), "transitions")
        self._initial = checked_distribution(initial, (states,), "initial")
        if reference is None:
            reference = np.full((states, actions), 1 / actions)
        self._reference = checked_distribution(reference, (states, actions), "reference")
        self._log_reference = log_probabilities(self._reference)
        self._beta = non_negative(beta, "beta")
        if horizon is not None and (isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1):
            raise InputError(f"horizon must be None or an integer >= 1, got {horizon!r}")
        limit = "[0, 1]" if horizon is not None else "[0, 1) without a horizon"
        if not (0 <= discount < 1 or (discount == 1 and horizon is not None)):
            raise InputError(f"discount must lie in {limit}, got {discount}")
        if method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        if method == "linear-program" and (beta > 0 or horizon is not None):
            raise InputError("the linear program solves the discounted problem with beta = 0 only")
        if not 0 < tolerance < 1:
            raise InputError(f"tolerance must lie in (0, 1), got {tolerance}")
        self._discount, self._horizon = float(discount), horizon
        self._method: Method = method
        self._tolerance = tolerance
        if horizon is None:
            self._steps = 1 / (1 - discount)
        else:
            self._steps = math.fsum(discount**t for t in range(horizon))
        # β·Σ_t γ^t·max_{s,a} log 1/π_ref(a|s) over the reference's support is the most any policy can pay.
        worst = float(np.where(self._reference > 0, -self._log_reference, 0.0).max())
        self.declared = Declarations(
            objectives=default_objectives(objectives, d),
            reward_max=step_max * self._steps,
            regularizer_max=self._beta * self._steps * worst,
            oracle_error=self._solver_error(step_max * self._steps),
            has_reference=True,
        )

    def _solver_error(self, reward_max: float) -> OracleError:
        """(0, 0) where the solver is exact to rounding; (0, tolerance·R_max) for value iteration; for policy iteration
        with a discount above 0.9999 the loss of stopping at gains within rounding."""
        if self._is_exact:
            return EXACT
        gain = SOFT_GAIN if self._beta > 0 else PLAIN_GAIN
        relative = self._tolerance if self._iterates else gain * self._steps
        return OracleError(0.0, relative * reward_max)

    @classmethod
    def from_file(cls, path: Path, *, discount: float, horizon: int | None = None, beta: float = 0.0) -> MDPBackend:
        """The MDP of an .npz file of arrays: ``transitions``, ``rewards``, ``initial`` and, if any, ``reference``."""
        return from_arrays(cls, "an MDP", path, discount=discount, horizon=horizon, beta=beta)

    def describe(self) -> Mapping[str, Any]:
        return {
            "transitions": array_digest(self._transitions),
            "rewards": array_digest(self._rewards),
            "initial": array_digest(self._initial),
            "reference": array_digest(self._reference),
            "discount": self._discount,
            "horizon": self._horizon,
            "beta": self._beta,
            "method": self._method,
            "tolerance": self._tolerance,
        }

    @property
    def powers(self) -> frozenset[Power]:
        """OPTIMAL_VALUE where the solver is exact to rounding, which value iteration is not."""
        return frozenset({Power.OPTIMAL_VALUE}) if self._is_exact else frozenset()

    @property
    def _is_exact(self) -> bool:
        return self._horizon is not None or (not self._iterates and self._discount <= EXACT_DISCOUNT)

    @property
    def _iterates(self) -> bool:
        return self._horizon is None and self._method == "value-iteration"

    def optimal_value(self, weights: Array) -> float:
        if not self._is_exact:
            return super().optimal_value(weights)
        return self.optimize(weights).value.scalarize(weights)

    def optimize(self, weights: Array) -> Solution:
        step_rewards = self._rewards @ weights
        if self._horizon is not None:
            policy, upper = self._backward(step_rewards)
        elif self._method == "linear-program":
            policy, upper = self._linear_program(step_rewards)
        elif self._method == "value-iteration":
            policy, upper = self._value_iteration(step_rewards)
        else:
            start, _ = self._improve(self._q(step_rewards, np.zeros(len(self._reference))))
            policy, upper = self._policy_iteration(step_rewards, start)
        value = self.evaluate(policy)
        reached = value.scalarize(weights)
        status = Status.OPTIMAL if upper - reached <= 1e-9 * self.reward_max else Status.BOUNDED
        return Solution(policy, value, upper_bound=max(upper, reached), status=status)

    def evaluate(self, policy: Any) -> Value:
        """R(π) and f(π) exactly. Raises InputError unless π has shape (S, A), or (T, S, A) with a horizon."""
        states, actions = self._reference.shape
        if self._horizon is not None:
            pi = checked_distribution(policy, (self._horizon, states, actions), "policy")
            totals = np.zeros((states, len(self.objectives) + 1))
            for rule in pi[::-1]:
                step, matrix = self._under(rule)
                totals = step + self._discount * matrix @ totals
        else:
            pi = checked_distribution(policy, (states, actions), "policy")
            step, matrix = self._under(pi)
            totals = np.linalg.solve(np.eye(states) - self._discount * matrix, step)
        expected = self._initial @ totals
        if not np.all(np.isfinite(expected)):
            raise InputError("the policy takes actions that the reference never takes: its KL is infinite")
        return Value(expected[:-1], self._beta * max(float(expected[-1]), 0.0))

    def _under(self, rule: Array) -> tuple[Array, Array]:
        """One step under a decision rule: rewards with the KL as last column (S, d+1), and the transition matrix."""
        rewards = np.einsum("sa,sad->sd", rule, self._rewards)
        divergence = kl_divergence(rule, self._log_reference) if self._beta > 0 else np.zeros(len(rule))
        return np.column_stack([rewards, divergence]), np.einsum("sa,sat->st", rule, self._transitions)

    def _q(self, step_rewards: Array, values: Array) -> Array:
        """Q(s,a) = ⟨w, r(s,a)⟩ + γ·Σ_s' P(s'|s,a)·V(s'); −inf outside the reference's support when β > 0."""
        q = step_rewards + self._discount * (self._transitions @ values)
        return np.where(self._reference > 0, q, -np.inf) if self._beta > 0 else q

    def _improve(self, q: Array) -> tuple[Array, Array]:
        """The optimal decision rule for Q and its (soft) value V(s)."""
        if self._beta == 0:
            return greedy(q), q.max(axis=1)
        rule, log_sums = tilt(self._log_reference + q / self._beta)
        return rule, self._beta * log_sums

    def _upper(self, values: Array, updated: Array) -> float:
        """MacQueen's upper bound on J* from V and TV."""
        excess = float((updated - values).max())
        return float(self._initial @ updated) + self._discount / (1 - self._discount) * excess

    def _backward(self, step_rewards: Array) -> tuple[Array, float]:
        assert self._horizon is not None
        values = np.zeros(len(self._reference))
        rules = []
        for _ in range(self._horizon):
            rule, values = self._improve(self._q(step_rewards, values))
            rules.append(rule)
        return np.stack(rules[::-1]), float(self._initial @ values)

    def _value_iteration(self, step_rewards: Array) -> tuple[Array, float]:
        values = np.zeros(len(self._reference))
        for _ in range(MAX_ITERATIONS):
            rule, updated = self._improve(self._q(step_rewards, values))
            change = updated - values
            values = updated
            # V* lies between updated + γ/(1−γ)·min and ·max of the change.
            if (change.max() - change.min()) * self._steps <= self._tolerance * self.reward_max:
                return rule, float(self._initial @ values) + self._discount * self._steps * float(change.max())
        raise BackendError(f"value iteration did not reach tolerance {self._tolerance} in {MAX_ITERATIONS} steps")

    def _policy_iteration(self, step_rewards: Array, rule: Array) -> tuple[Array, float]:
        """From a decision rule to start with to an optimal one."""
        last_gain = math.inf
        for _ in range(MAX_ITERATIONS):
            values = self._scalar_values(rule, step_rewards)
            better, updated = self._improve(self._q(step_rewards, values))
            gain = float((updated - values).max())
            if self._beta == 0:
                # An action changes only where it gains more than rounding, so ties cannot make it cycle.
                keep = np.isclose(updated, values, rtol=0, atol=PLAIN_GAIN * self.reward_max)
                better = np.where(keep[:, None], rule, better)
                stop = bool(keep.all())
            else:
                # Soft policy iteration converges quadratically, until the gain is rounding noise and stops falling.
                stop = gain <= 1e-15 * self.reward_max or last_gain <= gain <= SOFT_GAIN * self.reward_max
            last_gain = gain
            if stop:
                return rule, self._upper(values, updated)
            rule = better
        raise BackendError(f"policy iteration did not end in {MAX_ITERATIONS} steps")

    def _scalar_values(self, rule: Array, step_rewards: Array) -> Array:
        """V_π(s) of the scalarised, regularised problem, by one linear solve."""
        step, matrix = self._under(rule)
        gain = (rule * step_rewards).sum(axis=1) - self._beta * step[:, -1]
        return np.linalg.solve(np.eye(len(rule)) - self._discount * matrix, gain)

    def _linear_program(self, step_rewards: Array) -> tuple[Array, float]:
        """min ρᵀV s.t. V(s) ≥ r(s,a) + γP(·|s,a)V, ρ = uniform + initial so that every state counts.

        The solver's tolerances are absolute, so rewards are scaled to order 1, and its greedy policy is where policy
        iteration starts: it ends at once unless actions come closer than the tolerance.
        """
        from scipy.optimize import linprog

        states, actions = self._reference.shape
        unit = float(step_rewards.max()) or 1.0
        coefficients = self._discount * self._transitions.reshape(-1, states) - np.repeat(
            np.eye(states), actions, axis=0
        )
        result = linprog(
            self._initial + 1 / states,
            A_ub=coefficients,
            b_ub=-step_rewards.ravel() / unit,
            bounds=(None, None),
            method="highs",
        )
        if result.status != 0:
            raise BackendError(f"the linear program failed: {result.message}")
        return self._policy_iteration(step_rewards, greedy(self._q(step_rewards, result.x * unit)))
