"""Why J* of a bandit or an MDP is not above a number: values of its states that no update exceeds, for anyone to check.

V ≥ 0 with TV ≤ V + ρ in every state gives J* ≤ ⟨start, V⟩ + ρ/(1−γ): T is monotone and adds γ·c where V adds c. T is
the (soft) Bellman update at w, with V of the successors weighted by their probabilities, divided by their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from backends.exact_sums import UNIT
from backends.soft_maximum import SoftMaximum, normalized
from palm_theory.contract.backend import Witness
from palm_theory.geometry.rational import float_above, rational_dot
from palm_theory.geometry.simplex import Array

MARGIN = 4
"""Values lie this many times their own rounding above what they are computed to be."""


@dataclass(frozen=True, eq=False)
class DecisionProblem:
    """A bandit (no ``transitions``) or an MDP, as a proof states it.

    ``rewards`` (S, A, d), ``start`` (S,), ``soft`` the soft maximum at each state over its ``allowed`` actions (S, A),
    ``transitions`` (S, A, S), ``discount`` γ, ``horizon`` T or None. With a horizon the proof has T copies of the
    states, one a step.
    """

    rewards: Array
    start: Array
    soft: SoftMaximum
    allowed: np.ndarray
    transitions: Array | None = None
    discount: float = 0.0
    horizon: int | None = None

    def stated(self) -> dict[str, Any]:
        """The problem as ``PolicyBackend.witnessed_problem`` gives it."""
        copies = self.horizon or 1
        rest = [0.0] * (len(self.start) * (copies - 1))
        return {
            "type": "decision",
            "beta": float(self.soft.beta),
            "discount": float(self.discount),
            "start": [*self.start.tolist(), *rest],
            "states": [self._actions(s, t) for t in range(copies) for s in range(len(self.start))],
        }

    def _actions(self, state: int, step: int) -> list[dict[str, Any]]:
        return [
            {
                "share": float(self.soft.reference[state, action]),
                "rewards": self.rewards[state, action].tolist(),
                "to": self._successors(state, int(action), step),
            }
            for action in np.flatnonzero(self.allowed[state])
        ]

    def _successors(self, state: int, action: int, step: int) -> list[list[Any]]:
        if self.transitions is None or (self.horizon is not None and step == self.horizon - 1):
            return []
        shift = 0 if self.horizon is None else (step + 1) * len(self.start)
        row = self.transitions[state, action]
        return [[int(s) + shift, float(row[s])] for s in np.flatnonzero(row)]

    def witness(self, weights: Array, optimal: Array | None = None) -> Witness:
        """The witness at ``weights`` (d,). Without a horizon ``optimal`` is an optimal decision rule (S, A)."""
        step = self.rewards @ weights
        if self.transitions is None:
            return self._of_values([self._update(step, None)[0]], 0.0)
        if self.horizon is not None:
            values: list[Array] = []
            for _ in range(self.horizon):
                values.insert(0, self._update(step, values[0] if values else None)[0])
            return self._of_values(values, 0.0)
        assert optimal is not None
        rule = normalized(optimal)
        cost = self.soft.beta * self.soft.divergence(rule) if self.soft.beta > 0 else 0.0
        under = np.einsum("sa,sat->st", rule, self._fractions())
        gains = (rule * step).sum(axis=1) - cost
        found = np.maximum(np.linalg.solve(np.eye(len(under)) - self.discount * under, gains), 0.0)
        above, _ = self._update(step, found)
        return self._of_values([found], float(np.maximum(above - found, 0.0).max()))

    def _fractions(self) -> Array:
        assert self.transitions is not None
        sums = self.transitions.sum(axis=2, keepdims=True)
        return self.transitions / np.where(sums > 0, sums, 1.0)

    def _update(self, step: Array, values: Array | None) -> tuple[Array, Array]:
        """TV rounded up, (S,), and by how much."""
        later = 0.0 if values is None else self.discount * (self._fractions() @ values)
        updates = np.where(self.allowed, step + later, 0.0)
        _, best, scale = self.soft.attained(updates)
        terms = self.rewards.shape[2] + (0 if self.transitions is None else len(self.start)) + self.soft.units + 8
        rounding = MARGIN * terms * UNIT * np.maximum(scale, updates.max(axis=1))
        return np.maximum(best, 0.0) + rounding, rounding

    def _of_values(self, stages: Sequence[Array], residual: float) -> Witness:
        values = np.concatenate(stages).tolist()
        start = [Fraction(float(p)) for p in self.start]
        first = rational_dot(start, [Fraction(v) for v in values[: len(start)]]) / sum(start)
        rest = Fraction(residual) / (1 - Fraction(float(self.discount))) if residual else Fraction(0)
        return Witness(float_above(first + rest), (values, residual))
