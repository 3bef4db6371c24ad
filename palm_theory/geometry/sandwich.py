"""What solved weights prove of J* everywhere: the upper side of the sandwich L ≤ J* ≤ U."""

from __future__ import annotations

import math

import numpy as np

from palm_theory.geometry.hull import UpperHull
from palm_theory.geometry.simplex import Array

KEY_BITS = 40
"""Corner weights whose coordinates agree to this many bits are the same corner, found again by Qhull."""


def weight_keys(weights: Array) -> list[bytes]:
    """A hashable key for each row of (n, d): its coordinates to ``KEY_BITS`` significant bits."""
    mantissa, exponent = np.frexp(weights)
    rounded = np.ldexp(np.rint(np.ldexp(mantissa, KEY_BITS)), exponent - KEY_BITS)
    return [row.tobytes() for row in rounded + 0.0]


class SolvedWeights:
    """Weights at which J* has been bracketed: reached ≤ J* ≤ upper. Grows; bounds only tighten.

    ``hull`` False: nothing is known between them. ``monotone``: f = 0 for every policy, so that U⁺ bounds J* there.
    """

    def __init__(self, objectives: int, *, hull: bool = True, monotone: bool = False) -> None:
        self._objectives = objectives
        self._use_hull = hull
        self._monotone = monotone
        self._hull: UpperHull | None = None
        # The hull is made when it is first asked for, and many uses never ask.
        self._not_in_hull: list[tuple[Array, float]] = []
        self._index: dict[bytes, int] = {}
        self.weights: list[Array] = []
        self.reached: list[float] = []
        self.upper: list[float] = []
        self._cached: dict[bytes, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self.weights)

    def add(self, weights: Array, reached: float, upper: float) -> None:
        """Record one solve at w (d,): some policy has J_w = ``reached``, and J*_w ≤ ``upper`` (inf if not known)."""
        key = weight_keys(weights[None, :])[0]
        known = self._index.get(key)
        if known is not None:
            self.reached[known] = max(self.reached[known], reached)
            self.upper[known] = min(self.upper[known], upper)
        else:
            self._index[key] = len(self.weights)
            self.weights.append(weights)
            self.reached.append(reached)
            self.upper.append(upper)
        self._not_in_hull.append((weights, upper))

    def _current_hull(self) -> UpperHull | None:
        """The hull with all that is solved; None while a vertex of the simplex has no bound."""
        if self._hull is None:
            if not self._use_hull or len(self.unbounded_vertices()):
                return None
            vertices = [self._index[key] for key in weight_keys(np.eye(self._objectives))]
            self._hull = UpperHull(np.array([self.upper[k] for k in vertices]), monotone=self._monotone)
        for weights, upper in self._not_in_hull:
            if math.isfinite(upper):
                self._hull.add(weights, upper)
        self._not_in_hull.clear()
        return self._hull

    def unsolved_vertices(self) -> Array:
        """The vertices of the simplex not solved yet, (m, d)."""
        vertices = np.eye(self._objectives)
        return vertices[[self.find(key) is None for key in weight_keys(vertices)]]

    def unbounded_vertices(self) -> Array:
        """The vertices of the simplex at which no finite upper bound on J* is known, (m, d)."""
        vertices = np.eye(self._objectives)
        known = [self.find(key) for key in weight_keys(vertices)]
        return vertices[[k is None or self.upper[k] == math.inf for k in known]]

    def find(self, key: bytes) -> int | None:
        """The number of the solved weight with this key, or None."""
        return self._index.get(key)

    def cached_upper(self, key: bytes) -> float:
        """The least upper bound on J* computed so far at the weight with this key; inf if none."""
        return self._cached.get(key, (0, math.inf))[1]

    def refresh_upper(self, key: bytes, weights: Array) -> float:
        """The upper hull U(w) at one weight (d,) of all that is solved; inf before the simplex's vertices are."""
        version, bound = self._cached.get(key, (-1, math.inf))
        if version == len(self):
            return bound
        hull = self._current_hull()
        if hull is None:
            return math.inf
        bound = min(hull(weights), bound)
        self._cached[key] = (len(self), bound)
        return bound
