"""What one decision rule collects, for ever: linear solves, and their refinement where rounding would add up."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from backends.bellman.process import DecisionProcess, Totals, split_advantages
from backends.exact_sums import UNIT, two_sum
from palm_theory.geometry.simplex import Array

UNEVEN = 1e3
"""A state worth this many times the start makes linear solves imprecise at the start."""

REFINEMENTS = 3


class StationaryRule:
    """A decision rule π (S', A) of a discounted process."""

    def __init__(self, process: DecisionProcess, rule: Array) -> None:
        self.rule = rule
        self._process = process
        if np.count_nonzero(rule) == len(rule):
            # One action a state: its rows are taken as they are.
            self._own = np.arange(len(rule)), rule.argmax(axis=1)
            self._rows = process.transitions[self._own][:, None]
            matrix = self._rows[:, 0]
        else:
            self._own, self._rows = None, process.transitions
            matrix = np.matmul(rule[:, None, :], process.transitions)[:, 0]
        self._factors, self._pivots, _ = _lapack()[0](process.identity - process.discount * matrix)

    def expected(self, quantities: Array) -> Array:
        """Σ_a π(a|s)·x(s,a) for x (S', A, …): (S', …)."""
        if self._own is not None:
            return quantities[self._own]
        return expected(self.rule, quantities)

    def totals(self, rewards: Array, costs: Array) -> Totals:
        """V (S', k) with V = r_π − c + γP_π·V, for rewards (S', A, k) and costs (S', k)."""
        high = self._solve(self.expected(rewards) - costs)
        return Totals(high, np.zeros_like(high))

    def refined(self, totals: Totals, rewards: Array, costs: Array) -> Totals:
        """The same (S', k), more precise: corrected by what the equation leaves over."""
        process = self._process
        shares, rewards = (self.rule, rewards) if self._own is None else (None, rewards[self._own][:, None])
        # Each time about as many digits are gained as the first solve got right.
        for _ in range(1 if process.units * UNIT * process.steps**2 < 1 else REFINEMENTS):
            left = split_advantages(self._rows, process.discount, rewards, totals)
            residual = (left[:, 0] if shares is None else expected(shares, left)) - costs
            totals = Totals(*two_sum(totals.high, totals.low + self._solve(residual)))
        return totals

    def _solve(self, right: Array) -> Array:
        """x with (I − γP_π)·x = ``right`` (S', k), a matrix that is never singular."""
        return _lapack()[1](self._factors, self._pivots, right)[0]

    def collected(self, rewards: Array, costs: Array) -> Array:
        """E[Σ_t γ^t (r(s_t,a_t) − c(s_t))], (k,)."""
        initial = self._process.initial
        totals = self.totals(rewards, costs)
        found = initial @ totals.high
        if self._process.is_patient or np.any(np.abs(totals.high).max(axis=0) > UNEVEN * np.abs(found)):
            totals = self.refined(totals, rewards, costs)
            found = initial @ totals.high + initial @ totals.low
        return found


@functools.cache
def _lapack() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """LU factors and solves of LAPACK itself: at usual sizes SciPy's checks around them take longer than they do."""
    from scipy.linalg import get_lapack_funcs

    return tuple(get_lapack_funcs(("getrf", "getrs"), dtype=np.float64))


def expected(rule: Array, quantities: Array) -> Array:
    """Σ_a π(a|s)·x(s,a) for x of shape (S', A) or (S', A, k): (S',) or (S', k)."""
    if quantities.ndim == 2:
        return (rule * quantities).sum(axis=1)
    return np.matmul(rule[:, None, :], quantities)[:, 0]


def collected_by_horizon(process: DecisionProcess, rules: Array, rewards: Array, costs: Array) -> Array:
    """E[Σ_{t<T} γ^t (r(s_t,a_t) − c_t(s_t))], (k,), of T decision rules (T, S', A), costs (T, S', k)."""
    totals = np.zeros((len(process.initial), rewards.shape[2]))
    for rule, cost in zip(rules[::-1], costs[::-1], strict=True):
        totals = expected(rule, rewards + process.future(totals)) - cost
    return process.initial @ totals
