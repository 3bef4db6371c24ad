"""Optima and values of bandits and decision processes in rational arithmetic, or to 60 digits where β > 0.

Written from the definitions, with nothing of ours: ``Fraction`` is exact, and ``Decimal`` computes exp and ln with
correct rounding at any precision. Every float is the number it is. References and policies are taken relative to their
sums, as the backends say.
"""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np

DIGITS = 60
CONTEXT = decimal.Context(prec=DIGITS + 40, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)

Row = list[Fraction]


def exact(array: object) -> list:
    """Nested lists of Fractions."""
    if isinstance(array, np.ndarray):
        return [exact(item) for item in array]
    return Fraction(float(array))  # type: ignore[arg-type, return-value]


def to_decimal(number: Fraction) -> Decimal:
    return CONTEXT.divide(Decimal(number.numerator), Decimal(number.denominator))


def dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def normalized(row: Row) -> Row:
    total = sum(row)
    return [x / total for x in row]


def soft_maximum(values: Row, reference: Row, beta: Fraction) -> tuple[Fraction, Row]:
    """β·log Σ p·exp(q/β) and the policy ∝ p·exp(q/β), to 60 digits; at β = 0 the maximum and the first that has it."""
    if beta == 0:
        best = values.index(max(values))
        return values[best], [Fraction(k == best) for k in range(len(values))]
    support = [a for a, p in enumerate(reference) if p > 0]
    top = max(values[a] for a in support)
    if all(values[a] == top for a in support):
        return top, reference
    weights = [Decimal(0)] * len(values)
    for a in support:
        exponent = (values[a] - top) / beta
        # e^-3000 is nothing at 100 digits, even beside the smallest float.
        if exponent > -3000:
            weights[a] = CONTEXT.multiply(to_decimal(reference[a]), CONTEXT.exp(to_decimal(exponent)))
    total = Decimal(0)
    for weight in weights:
        total = CONTEXT.add(total, weight)
    rule = [Fraction(CONTEXT.divide(weight, total)) for weight in weights]
    return top + beta * Fraction(CONTEXT.ln(total)), normalized(rule)


def divergence(policy: Row, reference: Row) -> Fraction:
    """KL(π‖p), both taken relative to their sums, to 60 digits relative to Σ π·|log(π/p)|."""
    total = Fraction(0)
    for x, p in zip(normalized(policy), normalized(reference), strict=True):
        if x > 0:
            total += x * Fraction(CONTEXT.ln(to_decimal(x / p)))
    return total


class ExactBandit:
    """max E_x[⟨π, ⟨w, r⟩⟩ − β·KL(π‖p)]."""

    def __init__(self, rewards: np.ndarray, reference: np.ndarray, contexts: np.ndarray, beta: float) -> None:
        self.rewards, self.reference = exact(rewards), [normalized(row) for row in exact(reference)]
        self.contexts, self.beta = exact(contexts), Fraction(beta)

    def optimum(self, weights: np.ndarray) -> Fraction:
        w, total = exact(weights), Fraction(0)
        for share, rows, reference in zip(self.contexts, self.rewards, self.reference, strict=True):
            values = [dot(w, row) for row in rows]
            if self.beta == 0:
                values = [v for v, p in zip(values, reference, strict=True) if p > 0]
            total += share * soft_maximum(values, reference, self.beta)[0]
        return total

    def value(self, policy: np.ndarray) -> tuple[Row, Fraction]:
        """R (d,) and f."""
        rewards, cost = [Fraction(0)] * len(self.rewards[0][0]), Fraction(0)
        for share, rows, reference, rule in zip(
            self.contexts, self.rewards, self.reference, exact(policy), strict=True
        ):
            rule = normalized(rule)
            for i in range(len(rewards)):
                rewards[i] += share * dot(rule, [row[i] for row in rows])
            if self.beta > 0:
                cost += self.beta * share * divergence(rule, reference)
        return rewards, cost


class ExactProcess:
    """max E_π[Σ_t γ^t (⟨w, r⟩ − β·KL(π‖p))], discounted or with a horizon."""

    def __init__(
        self,
        transitions: np.ndarray,
        rewards: np.ndarray,
        initial: np.ndarray,
        reference: np.ndarray,
        discount: float,
        beta: float,
        horizon: int | None = None,
    ) -> None:
        self.transitions, self.rewards, self.initial = exact(transitions), exact(rewards), exact(initial)
        self.reference = [normalized(row) for row in exact(reference)]
        self.discount, self.beta, self.horizon = Fraction(discount), Fraction(beta), horizon
        self.reached = self._reached()

    def _reached(self) -> list[int]:
        found = [s for s, p in enumerate(self.initial) if p > 0]
        for s in found:
            for share, row in zip(self.reference[s], self.transitions[s], strict=True):
                if share > 0 or self.beta == 0:
                    found.extend(t for t, p in enumerate(row) if p > 0 and t not in found)
        return found

    def bracket(self, weights: np.ndarray) -> tuple[Fraction, Fraction]:
        """Two numbers between which J* lies, equal where β = 0."""
        w = exact(weights)
        step = [[dot(w, r) for r in rows] for rows in self.rewards]
        if self.horizon is not None:
            values = [Fraction(0)] * len(step)
            for _ in range(self.horizon):
                values = [_rounded(v) for v in self._updated(step, values)[0]]
            start = dot(self.initial, values)
            slack = abs(start) * Fraction(1, 10 ** (DIGITS - 10))
            return start - slack, start + slack
        rule = [soft_maximum(step[s], self.reference[s], self.beta)[1] for s in range(len(step))]
        for _ in range(200):
            costs = [self._cost(rule[s], s) for s in range(len(step))]
            values = self._solved(rule, [dot(rule[s], step[s]) - costs[s] for s in range(len(step))])
            updated, better = self._updated(step, values)
            gains = [updated[s] - values[s] for s in self.reached]
            start = dot(self.initial, values)
            width = max(map(abs, gains)) / (1 - self.discount * max(sum(row) for s in self.transitions for row in s))
            if width <= max(abs(start), max(map(max, step)) * Fraction(1, 10**30)) * Fraction(1, 10**25):
                return start - width, start + width
            if self.beta == 0:
                # An action that gains nothing is kept, so that ties do not cycle.
                rule = [better[s] if updated[s] > values[s] else rule[s] for s in range(len(step))]
            else:
                rule = [[_rounded(x) for x in row] for row in better]
        raise AssertionError("policy iteration did not end")

    def _q(self, step: Sequence[Row], values: Row, s: int) -> Row:
        return [r + self.discount * dot(row, values) for r, row in zip(step[s], self.transitions[s], strict=True)]

    def _updated(self, step: Sequence[Row], values: Row) -> tuple[Row, list[Row]]:
        pairs = [soft_maximum(self._q(step, values, s), self.reference[s], self.beta) for s in range(len(step))]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def _cost(self, rule: Row, s: int) -> Fraction:
        return self.beta * divergence(rule, self.reference[s]) if self.beta > 0 else Fraction(0)

    def _solved(self, rule: Sequence[Row], gains: Row) -> Row:
        """V with V = g + γP_π·V in the states that can be reached, 0 in the others: Gauss–Jordan elimination."""
        states = self.reached
        table = []
        for s in states:
            rule_s = normalized(rule[s])
            row = [
                Fraction(s == t) - self.discount * dot(rule_s, [after[t] for after in self.transitions[s]])
                for t in states
            ]
            table.append([*row, gains[s]])
        for k in range(len(states)):
            pivot = table[k]
            table[k] = pivot = [x / pivot[k] for x in pivot]
            for j, row in enumerate(table):
                if j != k and row[k]:
                    factor = row[k]
                    table[j] = [x - factor * y for x, y in zip(row, pivot, strict=True)]
        values = [Fraction(0)] * len(gains)
        for s, row in zip(states, table, strict=True):
            values[s] = row[-1] if self.beta == 0 else _rounded(row[-1])
        return values

    def value(self, policy: np.ndarray) -> tuple[Row, Fraction]:
        """R (d,) and f of a policy."""
        count, d = len(self.rewards), len(self.rewards[0][0])
        rules = [exact(policy)] if self.horizon is None else exact(policy)[::-1]
        totals = [[Fraction(0)] * count for _ in range(d + 1)]
        for rule in rules:
            rule = [normalized(row) for row in rule]
            gains = [[dot(rule[s], [r[i] for r in self.rewards[s]]) for s in range(count)] for i in range(d)]
            gains.append([self._cost(rule[s], s) if s in self.reached else Fraction(0) for s in range(count)])
            if self.horizon is None:
                totals = [self._solved(rule, column) for column in gains]
            else:
                totals = [
                    [column[s] + self.discount * self._ahead(rule[s], s, old) for s in range(count)]
                    for column, old in zip(gains, totals, strict=True)
                ]
        return [dot(self.initial, totals[i]) for i in range(d)], dot(self.initial, totals[d])

    def _ahead(self, rule: Row, s: int, values: Row) -> Fraction:
        return sum((p * dot(row, values) for p, row in zip(rule, self.transitions[s], strict=True)), Fraction(0))


def _rounded(number: Fraction) -> Fraction:
    """To the digits of ``CONTEXT``: what comes out of exp and ln is no more precise, and exact sums of it grow."""
    return Fraction(to_decimal(number))
