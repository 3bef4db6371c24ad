"""Audits of finite sets in rational arithmetic, by definitions alone: what the code under test is held against.

Every float64 is a rational number, so with ``Fraction`` nothing is rounded. Corner weights are found by trying every
choice of d constraints that could fix one, and the rest is Theorem 3. Slow, and right for any numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

Row = tuple[Fraction, ...]


def exact_rows(rewards: np.ndarray, regularizers: np.ndarray) -> list[Row]:
    """Vertex values R − f·1 of policies, rewards (K, d) and f (K,), without the rounding of the subtraction."""
    return [
        tuple(Fraction(float(r)) - Fraction(float(f)) for r in row)
        for row, f in zip(rewards, regularizers, strict=True)
    ]


def value_at(row: Row, weights: Row) -> Fraction:
    """⟨w, G⟩."""
    return sum((w * g for w, g in zip(weights, row, strict=True) if w), Fraction(0))


def best_at(rows: Sequence[Row], weights: Row) -> Fraction:
    """max_k ⟨w, G_k⟩."""
    return max(value_at(row, weights) for row in rows)


def magnitude_at(rows: Sequence[Row], weights: Row) -> Fraction:
    """Σ_i w_i·|G_i| of a policy that is best at w: the size of the numbers that the value there is made of."""
    best = max(rows, key=lambda row: value_at(row, weights))
    return value_at(tuple(abs(g) for g in best), weights)


def simplex_weights(weights: np.ndarray) -> Row:
    """Float weights as a point of the simplex exactly: made rational, then divided by their sum."""
    exact = [Fraction(float(w)) for w in weights]
    total = sum(exact)
    return tuple(w / total for w in exact)


def corners(rows: Sequence[Row]) -> list[Row]:
    """Every vertex of every cell of max_k ⟨w, G_k⟩, exactly; the vertices of the simplex are among them."""
    distinct = _maximal(rows)
    d = len(rows[0])
    found: set[Row] = set()
    for count in range(1, min(d, len(distinct)) + 1):
        for tied in itertools.combinations(distinct, count):
            for support in itertools.combinations(range(d), count):
                weights = _meeting_point(tied, support, d)
                if weights is None or weights in found:
                    continue
                best = value_at(tied[0], weights)
                if all(value_at(row, weights) <= best for row in distinct):
                    found.add(weights)
    return sorted(found)


def _maximal(rows: Sequence[Row]) -> list[Row]:
    """Distinct rows that no other one exceeds in every coordinate: the envelope's cells need no more."""
    distinct = sorted(set(rows))
    return [
        row
        for row in distinct
        if not any(other != row and all(a >= b for a, b in zip(other, row, strict=True)) for other in distinct)
    ]


def _meeting_point(tied: Sequence[Row], support: Sequence[int], d: int) -> Row | None:
    """The only point of the simplex on ``support`` where all of ``tied`` are worth the same, if there is exactly one
    and it is not negative. As many policies as coordinates, so the system is square."""
    first = tied[0]
    system = [[*(row[i] - first[i] for i in support), Fraction(0)] for row in tied[1:]]
    system.append([Fraction(1)] * len(support) + [Fraction(1)])
    solution = _solved(system)
    if solution is None or any(x < 0 for x in solution):
        return None
    weights = [Fraction(0)] * d
    for i, x in zip(support, solution, strict=True):
        weights[i] = x
    return tuple(weights)


def _solved(system: list[list[Fraction]]) -> list[Fraction] | None:
    """The solution of a square system, rows [coefficients, right side], by elimination; None where it is singular."""
    n = len(system)
    for column in range(n):
        pivot = next((r for r in range(column, n) if system[r][column]), None)
        if pivot is None:
            return None
        system[column], system[pivot] = system[pivot], system[column]
        head = system[column][column]
        system[column] = [x / head for x in system[column]]
        for r in range(n):
            factor = system[r][column]
            if r != column and factor:
                system[r] = [x - factor * y for x, y in zip(system[r], system[column], strict=True)]
    return [row[-1] for row in system]


class Truth(NamedTuple):
    """At every corner weight of a portfolio: the weight, L, J*, and Σ_i w_i·|G_i| of the best there of either side."""

    weights: Row
    lower: Fraction
    optimum: Fraction
    magnitude: Fraction


def truth(portfolio: Sequence[Row], rivals: Sequence[Row]) -> list[Truth]:
    """What Theorem 3 looks at. J* is the best of rivals and portfolio."""
    everyone = [*rivals, *portfolio]
    return [
        Truth(
            c, best_at(portfolio, c), best_at(everyone, c), max(magnitude_at(portfolio, c), magnitude_at(everyone, c))
        )
        for c in corners(portfolio)
    ]


def least_epsilon(known: Sequence[Truth], delta: Fraction) -> Fraction | None:
    """The least ε ∈ [0, 1] with L ≥ (1−ε)J* − δ at every corner, or None where there is none."""
    low, high = Fraction(0), Fraction(1)
    for _, lower, optimum, _ in known:
        if optimum > 0:
            low = max(low, 1 - (lower + delta) / optimum)
        elif optimum < 0:
            high = min(high, 1 - (lower + delta) / optimum)
        elif lower + delta < 0:
            return None
    return low if low <= high else None


def least_delta(known: Sequence[Truth], epsilon: Fraction) -> Fraction:
    """The least δ ≥ 0 with L ≥ (1−ε)J* − δ at every corner."""
    return max(Fraction(0), *((1 - epsilon) * optimum - lower for _, lower, optimum, _ in known))


def broken_by(known: Sequence[Truth], epsilon: Fraction, delta: Fraction) -> Fraction:
    """The largest (1−ε)J* − δ − L over the corners, in units of the magnitude there: ≤ 0 where the claim is true."""
    return max(((1 - epsilon) * optimum - delta - lower) / (magnitude or 1) for _, lower, optimum, magnitude in known)


def smallest_size(values: Sequence[Row], epsilon: Fraction, delta: Fraction) -> int:
    """The fewest of N candidates that are an (ε, δ)-portfolio beside all of them, by trying."""
    return next(size for size in range(1, len(values) + 1) if any(_meeting(values, size, epsilon, delta)))


def _meeting(values: Sequence[Row], size: int, epsilon: Fraction, delta: Fraction) -> Iterator[bool]:
    for members in itertools.combinations(values, size):
        yield broken_by(truth(members, values), epsilon, delta) <= 0
