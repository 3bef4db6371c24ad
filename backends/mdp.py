"""Tabular Markov decision process: discounted or finite horizon, plain or KL-regularised, solved exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from backends.arrays import from_arrays
from backends.bandit import checked_distribution, checked_rewards, default_objectives
from backends.bellman.optimum import backward_recursion, linear_program, policy_iteration, value_iteration
from backends.bellman.process import DecisionProcess
from backends.bellman.rule import StationaryRule, collected_by_horizon
from backends.decision_witness import DecisionProblem
from backends.exact_sums import UNIT
from backends.soft_maximum import SoftMaximum, normalized
from palm_theory.bounds import EXACT, OracleError, non_negative
from palm_theory.contract.backend import PolicyBackend, Power, Solution, Status, Witness
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.value import Value
from palm_theory.errors import InputError
from palm_theory.files import array_digest
from palm_theory.geometry.simplex import Array

Method = Literal["policy-iteration", "value-iteration", "linear-program"]
METHODS: tuple[Method, ...] = ("policy-iteration", "value-iteration", "linear-program")

OPTIMAL_TOLERANCE = 1e-9
"""A policy whose value is within this of the upper bound, relatively, is called optimal."""


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
    tolerance : value iteration stops when J* is known to within ``tolerance`` times the most that any policy could get
        at these weights (more, where rounding adds up to more).
    objectives, reward_max : as for ``BanditBackend``; ``reward_max`` bounds one step's reward.

    A policy is an array of action probabilities, (S, A) or (T, S, A); its rows and the reference's are taken relative
    to their sums. States that no policy leads to from the start count for nothing: there a policy is the reference.
    Every solve carries an upper bound on J* that rounding is part of (``backends.bellman.optimum``), relative to what
    is asked for: the rewards at these weights in states that can be reached. Raises InputError on any bad argument.
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
        allowed = self._reference > 0 if self._beta > 0 else None
        self._process = DecisionProcess(self._transitions, self._initial, self._discount, horizon, allowed)
        self._reached_rewards = self._rewards[self._process.states]
        self._with_cost = np.concatenate(
            [self._reached_rewards, np.zeros((*self._reached_rewards.shape[:2], 1))], axis=2
        )
        self._soft = SoftMaximum(self._reference[self._process.states], self._beta, support_only=False)
        steps = 1 / (1 - discount) if horizon is None else math.fsum(discount**t for t in range(horizon))
        self._known_to = max(tolerance, 4 * (self._process.units + self._soft.units) * UNIT * steps)
        # The most any policy on the reference's support can pay.
        worst = float(SoftMaximum(self._reference, self._beta).largest_divergence.max())
        self.declared = Declarations(
            objectives=default_objectives(objectives, d),
            reward_max=step_max * steps,
            regularizer_max=self._beta * steps * worst,
            oracle_error=EXACT if self._is_exact else OracleError(0.0, self._known_to * step_max * steps),
            has_reference=True,
        )

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
        return frozenset({Power.OPTIMAL_VALUE, Power.WITNESSES}) if self._is_exact else frozenset({Power.WITNESSES})

    @property
    def _is_exact(self) -> bool:
        return not self._iterates

    @property
    def _iterates(self) -> bool:
        return self._horizon is None and self._method == "value-iteration"

    def optimal_value(self, weights: Array) -> float:
        return self.optimal_bracket(weights)[0]

    def optimal_bracket(self, weights: Array) -> tuple[float, float]:
        if not self._is_exact:
            raise NotImplementedError(f"{self._method} does not declare {Power.OPTIMAL_VALUE}")
        solution = self.optimize(weights)
        assert solution.upper_bound is not None
        return solution.value.scalarize(weights), solution.upper_bound

    def witnessed_problem(self) -> Mapping[str, Any]:
        return self._stated.stated()

    def witness(self, weights: Array) -> Witness:
        if self._horizon is not None:
            return self._stated.witness(weights)
        rules, _ = policy_iteration(self._process, self._reached_rewards @ weights, self._soft, None)
        return self._stated.witness(weights, rules)

    @property
    def _stated(self) -> DecisionProblem:
        """The states that count, with every action at β = 0, as everywhere in this class."""
        process = self._process
        reference = self._reference[process.states]
        return DecisionProblem(
            self._reached_rewards,
            process.initial,
            self._soft,
            reference > 0 if self._beta > 0 else np.ones(reference.shape, dtype=bool),
            process.transitions,
            self._discount,
            self._horizon,
        )

    def optimize(self, weights: Array) -> Solution:
        step = self._reached_rewards @ weights
        if self._horizon is not None:
            rules, upper = backward_recursion(self._process, step, self._soft)
        elif self._iterates:
            rules, upper = value_iteration(self._process, step, self._soft, self._known_to)
        else:
            start = linear_program(self._process, step) if self._method == "linear-program" else None
            rules, upper = policy_iteration(self._process, step, self._soft, start)
        value = self._value(normalized(rules))
        reached = value.scalarize(weights)
        # ⟨w, r⟩ is rounded itself.
        upper += len(weights) * UNIT * (abs(upper) + value.regularizer)
        status = Status.OPTIMAL if upper - reached <= OPTIMAL_TOLERANCE * abs(upper) else Status.BOUNDED
        return Solution(self._everywhere(rules), value, upper_bound=max(upper, reached), status=status)

    def _everywhere(self, rules: Array) -> Array:
        """Decision rules of the states that count, (…, S', A), with the reference's in all others, (…, S, A)."""
        if rules.shape[-2] == len(self._reference):
            return rules
        policy = np.broadcast_to(self._reference, (*rules.shape[:-2], *self._reference.shape)).copy()
        policy[..., self._process.states, :] = rules
        return policy

    def evaluate(self, policy: Any) -> Value:
        """R(π) and f(π), to rounding. Raises InputError unless π has shape (S, A), or (T, S, A) with a horizon."""
        shape = self._reference.shape if self._horizon is None else (self._horizon, *self._reference.shape)
        pi = checked_distribution(policy, shape, "policy")
        return self._value(normalized(pi[..., self._process.states, :]))

    def _value(self, rules: Array) -> Value:
        """The value of decision rules (S', A), or (T, S', A), of the states that count."""
        costs = np.zeros((*rules.shape[:-1], len(self.objectives) + 1))
        if self._beta > 0:
            costs[..., -1] = self._soft.divergence(rules)
        if self._horizon is not None:
            found = collected_by_horizon(self._process, rules, self._with_cost, costs)
        else:
            found = StationaryRule(self._process, rules).collected(self._with_cost, costs)
        if not np.all(np.isfinite(found)):
            raise InputError("the policy takes actions that the reference never takes: its KL is infinite")
        return Value(found[:-1], self._beta * max(0.0, -float(found[-1])))
