"""A finite Markov decision process: which states count, what rewards add up to, and by how much rounding is off."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from backends.exact_sums import UNIT, leftover, split_product, two_product, two_sum
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array

TIGHT = 1e-12
"""Rounding that adds up to no more than this, relatively, is taken as it comes; beyond, sums are made more precise."""

TYPICAL_UNITS = 64
"""What errs by this many u at every step is refined where that adds up. (Proven bounds grow with the number of
successors; errors do not.)"""

SMALLEST = 2.0**-1074


class Totals(NamedTuple):
    """Values of states as a sum of two float64 numbers, ``high`` + ``low``, (S', k)."""

    high: Array
    low: Array


class DecisionProcess:
    """What can be reached from the start: the other states count for nothing.

    Parameters
    ----------
    transitions : P[s, a, s'], shape (S, A, S), taken as given: rows that sum to 1 only to rounding stay so.
    initial : distribution of s_0, shape (S,).
    discount : γ; without a horizon γ·Σ_s' P[s, a, s'] must be below 1 everywhere.
    horizon : T, or None.
    allowed : the actions that policies may take in each state, (S, A); all by default.

    Everything here is of the S' ≤ S states in ``states``; ``identity`` is I. ``units``·u is the relative error of
    r + γPV; ``steps`` is Σ_t γ^t, to rounding; ``is_patient`` says whether rounding adds up to more than ``TIGHT`` over
    so many steps. Raises InputError where the discount is too close to 1.
    """

    def __init__(
        self,
        transitions: Array,
        initial: Array,
        discount: float,
        horizon: int | None = None,
        allowed: np.ndarray | None = None,
    ) -> None:
        leads = np.greater(transitions, 0)
        if allowed is not None:
            leads &= allowed[:, :, None]
        self.states = _reached(np.any(leads, axis=1), np.greater(initial, 0))
        whole = len(self.states) == len(initial)
        self.transitions = transitions if whole else transitions[self.states][:, :, self.states]
        self.initial = initial[self.states]
        self.identity = np.eye(len(self.states))
        self.discount, self.horizon = discount, horizon
        # Errors of a sum of n terms are below n·u; the rest is for what surrounds the sum.
        self.units = int(np.count_nonzero(self.transitions, axis=2).max()) + 8
        self._contraction = discount * float(self.transitions.sum(axis=2).max()) * (1 + self.units * UNIT)
        if horizon is not None:
            self.steps = math.fsum(discount**t for t in range(horizon))
        elif self._contraction < 1:
            self.steps = 1 / (1 - self._contraction)
        else:
            raise InputError(f"discount {discount} is too close to 1 for transitions that sum to 1 only to rounding")
        self.is_patient = TYPICAL_UNITS * UNIT * self.steps > TIGHT

    def future(self, values: Array) -> Array:
        """γ·Σ_s' P(s'|s,a)·V(s'), (S', A, …), for values (S', …)."""
        states, actions, _ = self.transitions.shape
        product = self.transitions.reshape(-1, states) @ values
        return self.discount * product.reshape(states, actions, *values.shape[1:])

    def advantages(self, step: Array, values: Totals, *, precise: bool) -> tuple[Array, Array]:
        """r(s,a) + γ·Σ_s' P(s'|s,a)·V(s') − V(s) of every action, (S', A), for values (S', 1), and a bound on their
        errors (S',)."""
        high, low = values.high[:, 0], values.low[:, 0]
        future = self.future(high)
        reach = future if high.min() >= 0 else self.future(np.abs(high))
        sizes = (np.abs(step) + reach).max(axis=1) + np.abs(high)
        # Where there is nothing at all there is no error; elsewhere numbers may underflow.
        rounding = np.where(sizes > 0, self.units * (UNIT * sizes + SMALLEST), 0.0)
        if not precise:
            return step + future - high[:, None], rounding
        found = split_advantages(self.transitions, self.discount, step[:, :, None], values)[:, :, 0]
        largest = float(np.abs(high).max())
        rest = leftover(self.units, largest) + 4 * UNIT * (largest + float(np.abs(step).max()))
        return found, np.minimum(rounding, self.units * UNIT * (rest + 4 * float(np.abs(low).max())))

    def collected(self, excess: Array) -> float:
        """An upper bound on E[Σ_t γ^t e(s_t)] under any policy, for ``excess`` e ≥ 0, (S',): ρ·e + γ/(1−γ)·max e."""
        later = float(excess.max()) * self._contraction / (1 - self._contraction)
        return (float(self.initial @ excess) + later) * (1 + self.units * UNIT)

    def at_start(self, values: Totals) -> tuple[float, float]:
        """E V(s_0) for values (S', 1), and a bound on its error."""
        high = values.high[:, 0]
        error = (len(high) + 4) * UNIT * float(self.initial @ np.abs(high))
        return float(self.initial @ high) + float(self.initial @ values.low[:, 0]), error


def split_advantages(rows: Array, discount: float, rewards: Array, values: Totals) -> Array:
    """r(s,a) + γ·Σ_s' P(s'|s,a)·V(s') − V(s), (S', m, k), for rows P (S', m, S'), rewards (S', m, k), V (S', k)."""
    states, actions, k = rewards.shape
    flat = rows.reshape(states * actions, -1)
    high, low = split_product(flat, values.high)
    future, rest = two_product(discount, high.reshape(states, actions, k))
    total, first = two_sum(rewards, future)
    total, second = two_sum(total, -values.high[:, None])
    rest += first + second
    rest += discount * (low + flat @ values.low).reshape(states, actions, k) - values.low[:, None]
    return total + rest


def _reached(leads: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The states reached from ``start`` (S,), where s leads to s' if ``leads[s, s']``, in increasing order."""
    reached = fresh = start
    while fresh.any():
        fresh = leads[fresh].any(axis=0) & ~reached
        reached = reached | fresh
    return np.flatnonzero(reached)
