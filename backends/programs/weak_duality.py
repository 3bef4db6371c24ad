"""What row multipliers prove of a linear program's optimum, in fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from palm_theory.geometry.rational import float_above, rational_dot


def weak_duality(problem: Mapping[str, Any], weights: Sequence[float], multipliers: Sequence[float]) -> float | None:
    """An upper bound on max ⟨w, C·x + c₀⟩ at w = ``weights``/Σ (d,), rounded up, from multipliers (m,) of the rows.

    ``problem`` as in ``LinearBackend.witnessed_problem``. ⟨w, C·x⟩ = Σ y_i·(A·x)_i + Σ c_j·x_j with the reduced costs
    c = C'w − A'y; each term is at most its value at the end of its range. None where that end is infinite.
    """
    total = sum(map(Fraction, weights))
    w = [Fraction(x) / total for x in weights]
    reduced = [rational_dot(w, [Fraction(c) for c in column]) for column in problem["columns"]]
    bound = rational_dot(w, [Fraction(c) for c in problem["constants"]])
    for row, multiplier in zip(problem["rows"], map(Fraction, multipliers), strict=True):
        if not multiplier:
            continue
        end = row["range"][multiplier > 0]
        if end is None:
            return None
        bound += multiplier * Fraction(end)
        for j, entry in enumerate(row["entries"]):
            if entry:
                reduced[j] -= multiplier * Fraction(entry)
    for cost, ends in zip(reduced, problem["ranges"], strict=True):
        end = ends[cost > 0]
        if cost and end is None:
            return None
        if cost and end:
            bound += cost * Fraction(end)
    return float_above(bound)
