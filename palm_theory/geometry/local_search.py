"""Small set covers by row-weighting local search (Gao, Weise & Li 2015, "RWLS")."""

from __future__ import annotations

import numpy as np


class RowWeightingSearch:
    """Looks for covers of fewer and fewer columns of a boolean matrix meets[w, k], shape (n, N), unit costs.

    Rows can be added at any time. Deterministic for a seed and a sequence of calls.
    """

    def __init__(self, matrix: np.ndarray, start: np.ndarray, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._matrix = np.zeros((0, matrix.shape[1]), dtype=np.float64)
        columns = matrix.shape[1]
        self._chosen = np.zeros(columns, dtype=bool)
        self._chosen[start] = True
        self._age = np.zeros(columns, dtype=np.int64)
        self._step = 0
        self._weights = np.zeros(0)
        self._tabu = -1
        self.add_rows(matrix)

    def add_rows(self, rows: np.ndarray) -> None:
        """Demand that these rows, (m, N), be covered too."""
        self._matrix = np.vstack([self._matrix, rows.astype(np.float64)])
        self._weights = np.concatenate([self._weights, np.ones(len(rows))])
        self._counts = self._matrix[:, self._chosen].sum(axis=1)
        self._refresh_scores()

    def _refresh_scores(self) -> None:
        # A chosen column's loss: the weight only it covers. Another column's gain: the weight nobody covers.
        self._loss = (self._weights * (self._counts == 1)) @ self._matrix
        self._gain = (self._weights * (self._counts == 0)) @ self._matrix

    def _flip(self, column: int, into: bool) -> None:
        self._chosen[column] = into
        rows = np.flatnonzero(self._matrix[:, column])
        before = self._counts[rows]
        after = before + (1 if into else -1)
        self._counts[rows] = after
        weights = self._weights[rows]
        loss = weights * ((after == 1).astype(float) - (before == 1))
        gain = weights * ((after == 0).astype(float) - (before == 0))
        changed = (loss != 0) | (gain != 0)
        block = self._matrix[rows[changed]]
        self._loss += loss[changed] @ block
        self._gain += gain[changed] @ block
        self._age[column] = self._step

    def _cheapest_to_drop(self) -> int:
        candidates = np.flatnonzero(self._chosen)
        if len(candidates) > 1:
            candidates = candidates[candidates != self._tabu]
        loss = self._loss[candidates]
        tied = candidates[loss <= loss.min() + 1e-9]
        return int(tied[self._age[tied].argmin()])

    def find(self, size: int, steps: int) -> np.ndarray | None:
        """A cover of at most ``size`` columns, increasing indices (k,), or None if ``steps`` moves find none."""
        while self._chosen.sum() > size:
            self._flip(self._cheapest_to_drop(), False)
        for _ in range(steps):
            self._step += 1
            uncovered = np.flatnonzero(self._counts == 0)
            if uncovered.size == 0:
                return np.flatnonzero(self._chosen)
            if self._chosen.sum() >= size:
                self._flip(self._cheapest_to_drop(), False)
                uncovered = np.flatnonzero(self._counts == 0)
            row = int(self._rng.choice(uncovered))
            options = np.flatnonzero((self._matrix[row] > 0) & ~self._chosen)
            best = self._gain[options]
            tied = options[best >= best.max() - 1e-9]
            column = int(tied[self._age[tied].argmin()])
            self._flip(column, True)
            self._tabu = column
            uncovered = np.flatnonzero(self._counts == 0)
            self._weights[uncovered] += 1
            self._gain += self._matrix[uncovered].sum(axis=0)
        return None
