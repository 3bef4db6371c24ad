"""Optima of a decision process, each with a proven upper bound: policy and value iteration, backward recursion, LP.

The bound: for any V and any policy, J(π) = E V(s_0) + E_π Σ_t γ^t (Σ_a π(a|s_t)·A(s_t,a) − β·KL) with the advantages
A = r + γPV − V (performance difference lemma), so J* ≤ E V(s_0) + the most that any policy can collect of TV − V.
Rounding is part of the TV − V that is collected.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from backends.bellman.process import TIGHT, DecisionProcess, Totals
from backends.bellman.rule import StationaryRule, expected
from backends.exact_sums import UNIT
from backends.soft_maximum import SoftMaximum, greedy
from palm_theory.errors import BackendError
from palm_theory.geometry.simplex import Array

IMPROVEMENTS = 1000
"""Policy iteration takes a dozen steps; whatever it has after so many is judged by its bound."""

UPDATES = 1_000_000


class Optimum(NamedTuple):
    """Decision rules (S', A), or (T, S', A), and an upper bound on J*."""

    rules: Array
    upper: float


def policy_iteration(process: DecisionProcess, step: Array, soft: SoftMaximum, start: Array | None = None) -> Optimum:
    """An optimal decision rule (S', A) for the scalarised rewards ``step`` (S', A), from the best rule for one step, or
    from a deterministic one.

    An action changes only where it gains more than rounding, so ties cannot make it cycle. Where rounding adds up to
    more than ``TIGHT``, iteration goes on with more precise sums.
    """
    policy, gain, _ = soft.gained(step)
    # β·KL of a soft maximiser is what it gets less the soft maximum.
    cost = expected(policy, step) - gain
    rule = StationaryRule(process, policy if start is None else start)
    precise, last, upper = False, None, math.inf
    for number in range(IMPROVEMENTS):
        values = rule.totals(step[:, :, None], cost[:, None])
        if precise:
            values = rule.refined(values, step[:, :, None], cost[:, None])
        advantages, rounding = process.advantages(step, values, precise=precise)
        better, gain, scale = soft.gained(advantages)
        rounding = rounding + UNIT * (soft.units * scale + 2 * np.abs(gain))
        keep = gain - (rule.expected(advantages) if soft.beta == 0 else 0.0) <= 2 * rounding
        if keep.all() or number == IMPROVEMENTS - 1 or not _rises(values, last, rounding * process.steps):
            upper, width = _upper(process, values, gain, rounding)
            if precise or width <= TIGHT * abs(upper):
                break
            precise, last = True, None
            continue
        last = values
        if soft.beta == 0:
            better = np.where(keep[:, None], rule.rule, better)
        else:
            cost = expected(better, advantages) - gain
        rule = StationaryRule(process, better)
    return Optimum(rule.rule, upper)


def _rises(values: Totals, last: Totals | None, rounding: Array) -> bool:
    """Whether some state is worth more than before by more than rounding."""
    if last is None:
        return True
    return bool(np.any((values.high - last.high) + (values.low - last.low) > rounding[:, None]))


def _upper(process: DecisionProcess, values: Totals, gain: Array, rounding: Array) -> tuple[float, float]:
    """An upper bound on J* from V and TV − V ± rounding, and how far it lies above E V(s_0)."""
    start, error = process.at_start(values)
    width = process.collected(np.maximum(gain, 0.0) + rounding)
    return start + (width + error), width


def value_iteration(process: DecisionProcess, step: Array, soft: SoftMaximum, tolerance: float) -> Optimum:
    """Bellman updates with the scalarised rewards ``step`` (S', A) until J* is known to ``tolerance`` times
    max r·Σγ^t, which no policy exceeds.

    Raises BackendError where it takes more than a million.
    """
    limit = tolerance * float(step.max())
    values = np.zeros(len(step))
    for _ in range(UPDATES):
        rule, updated, scale = soft.attained(step + process.future(values))
        change = updated - values
        if change.max() - change.min() <= limit:
            rounding = _rounding(process, soft) * (scale + values)
            return Optimum(rule, _upper(process, _column(values), change, rounding)[0])
        values = updated
    raise BackendError(f"value iteration did not reach tolerance {tolerance} in {UPDATES} steps")


def backward_recursion(process: DecisionProcess, step: Array, soft: SoftMaximum) -> Optimum:
    """A finite horizon and scalarised rewards ``step`` (S', A): one decision rule a step, the last first. Errors are
    carried along."""
    assert process.horizon is not None
    values = errors = np.zeros(len(step))
    rules = []
    for _ in range(process.horizon):
        both = process.future(np.column_stack([values, errors]))
        rule, values, scale = soft.attained(step + both[:, :, 0])
        errors = both[:, :, 1].max(axis=1) + _rounding(process, soft) * scale
        rules.append(rule)
    start, error = process.at_start(_column(values))
    return Optimum(np.stack(rules[::-1]), start + (float(process.initial @ errors) + error))


def _column(values: Array) -> Totals:
    return Totals(values[:, None], np.zeros((len(values), 1)))


def _rounding(process: DecisionProcess, soft: SoftMaximum) -> float:
    """What T(V) errs relative to its scale, for V ≥ 0."""
    return 2 * (process.units + soft.units) * UNIT


def linear_program(process: DecisionProcess, step: Array) -> Array:
    """A decision rule (S', A) for the scalarised rewards ``step`` (S', A): of min ρᵀV s.t. V(s) ≥ r(s,a) + γP(·|s,a)V
    the greedy one, with ρ = uniform + initial so that every state counts.

    The solver's tolerances are absolute, so rewards are scaled to order 1, and its greedy policy is where policy
    iteration starts: it ends at once unless actions come closer than the tolerance. Raises BackendError where the
    solver fails.
    """
    from scipy.optimize import linprog

    states, actions = step.shape
    unit = float(np.abs(step).max()) or 1.0
    matrix = process.discount * process.transitions.reshape(-1, states) - np.repeat(np.eye(states), actions, axis=0)
    result = linprog(
        process.initial + 1 / states, A_ub=matrix, b_ub=-step.ravel() / unit, bounds=(None, None), method="highs"
    )
    if result.status != 0:
        raise BackendError(f"the linear program failed: {result.message}")
    return greedy(step + process.discount * (process.transitions @ (result.x * unit)))
