"""All that a construction has seen, and what it says of J*."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from palm_theory.contract.backend import Solution
from palm_theory.contract.calls import upper_bound_at
from palm_theory.contract.declarations import Declarations
from palm_theory.errors import CertificateError
from palm_theory.geometry.envelope import distinct_policies
from palm_theory.geometry.sandwich import SolvedWeights
from palm_theory.geometry.simplex import Array


class History:
    """All that a construction has seen: solutions' vertex values in the order asked for, and what they say of J*."""

    def __init__(self, declared: Declarations) -> None:
        self.declared = declared
        self.solved = SolvedWeights(declared.d, monotone=declared.regularizer_max == 0)
        self.weights: list[Array] = []
        self._rows = np.empty((16, declared.d))

    def __len__(self) -> int:
        return len(self.weights)

    def absorb(self, weights: Array, solutions: Sequence[Solution]) -> range:
        """Record the solutions at weights (n, d); returns their indices."""
        start = len(self)
        for row, solution in zip(weights, solutions, strict=True):
            upper = upper_bound_at(solution, row, self.declared.oracle_error)
            self.solved.add(row, solution.value.scalarize(row), math.inf if upper is None else upper)
            if len(self) == len(self._rows):
                self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
            self._rows[len(self)] = solution.value.vertex_values
            self.weights.append(row)
        return range(start, len(self))

    @property
    def values(self) -> Array:
        """Vertex values of all solutions, (n, d)."""
        return self._rows[: len(self)]

    def values_of(self, members: Sequence[int]) -> Array:
        """Vertex values of some solutions, (K, d)."""
        return self._rows[list(members)]

    def distinct(self) -> tuple[int, ...]:
        """The first solution of every distinct value."""
        return tuple(int(k) for k in distinct_policies(self.values))

    def require_bounds(self, name: str) -> None:
        """Raise CertificateError where some solve has no upper bound on J*."""
        if not all(math.isfinite(upper) for upper in self.solved.upper):
            raise CertificateError(
                f"{name} needs an upper bound on J* from every solve, but this backend declares no oracle_error and "
                "returns no upper_bound; use Planned, UniformGrid or RandomWeights"
            )
