"""Multi-objective 0/1 knapsack: dynamic programming where weights are integers, else an integer program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from backends.integer import IntegerBackend
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array, as_float_array

TABLE_LIMIT = 50_000_000
"""The most cells (items × capacity) of a dynamic program; larger knapsacks go to HiGHS."""


class KnapsackBackend(IntegerBackend, kind="backends.knapsack.KnapsackBackend"):
    """maximise Σ_j x_j·⟨w, v_j⟩ over x ∈ {0, 1}^n with Σ_j a_kj·x_j ≤ c_k for every resource k.

    Parameters
    ----------
    values : v ≥ 0, shape (d, n).
    weights : a ≥ 0, shape (n,), or (m, n) for m resources.
    capacities : c ≥ 0, a number, or (m,).
    objectives : d names; r1, r2, … by default.
    max_nodes : as for ``IntegerBackend``; the dynamic program needs none and ignores it.

    One resource with integer weights is solved exactly by Bellman's recursion, n·c steps in NumPy (best(j, c) =
    max(best(j−1, c), best(j−1, c−a_j) + v_j); ties leave the item out); others by HiGHS. A policy is x as integers.
    Raises InputError on bad shapes and negative numbers.
    """

    def __init__(
        self,
        values: ArrayLike,
        weights: ArrayLike,
        capacities: ArrayLike,
        *,
        objectives: Sequence[str] | None = None,
        max_nodes: int | None = None,
    ) -> None:
        rows = np.atleast_2d(as_float_array(weights, "weights"))
        limits = np.atleast_1d(as_float_array(capacities, "capacities"))
        for name, array in (("values", as_float_array(values, "values")), ("weights", rows), ("capacities", limits)):
            if array.size == 0 or not np.all(np.isfinite(array)) or array.min() < 0:
                raise InputError(f"{name} must be finite and >= 0, not empty")
        whole = len(rows) == 1 and bool(np.all(rows == np.rint(rows)))
        self._sizes: np.ndarray | None = None
        if whole and rows.size * (limits[0] + 1) <= TABLE_LIMIT:
            sizes = rows[0].astype(np.int64)
            self._sizes, self._capacity = sizes, min(int(limits[0]), int(sizes.sum()))
        super().__init__(values, at_most=(rows, limits), objectives=objectives, max_nodes=max_nodes)

    @classmethod
    def from_file(cls, path: str | Path, form: str | None = None, *, max_nodes: int | None = None) -> KnapsackBackend:
        """The knapsack of a file; see ``backends.programs.files.read_knapsack`` for the formats."""
        from backends.programs.files import read_knapsack

        data = read_knapsack(path, form)
        return cls(data.values, data.weights, data.capacities, max_nodes=max_nodes)

    @property
    def uses_dynamic_programming(self) -> bool:
        """Whether solves are exact dynamic programs rather than calls of HiGHS."""
        return self._sizes is not None

    def _solve(self, row: Array) -> tuple[np.ndarray, float]:
        if self._sizes is None:
            return super()._solve(row)
        best = np.zeros(self._capacity + 1)
        taken = np.zeros((len(row), self._capacity + 1), dtype=bool)
        for item, (size, gain) in enumerate(zip(self._sizes.tolist(), row.tolist(), strict=True)):
            if gain <= 0 or size > self._capacity:
                continue
            with_item = best[: self._capacity + 1 - size] + gain
            better = with_item > best[size:]
            taken[item, size:] = better
            best[size:] = np.where(better, with_item, best[size:])
        point = np.zeros(len(row), dtype=np.int64)
        left = self._capacity
        for item in range(len(row) - 1, -1, -1):
            if taken[item, left]:
                point[item] = 1
                left -= int(self._sizes[item])
        return point, float(row @ point)
