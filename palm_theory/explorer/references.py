"""What the page compares a portfolio with: the set of policies J* is the best of, and what is known of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from palm_theory.certify.audit import DEFAULT_CONFIDENCE, OptimalValueOracle, audit, confidence_limits, stack
from palm_theory.certify.certificate import OF_THE_BACKEND, Certificate, Kind
from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.contract.calls import all_values, solve
from palm_theory.contract.value import Value
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.sandwich import SolvedWeights
from palm_theory.geometry.simplex import Array, lattice_size, simplex_lattice

LATTICE_POINTS = 500
"""At most so many lattice weights at which a backend with a cheap J* is asked for it, for the page's upper bound."""


MAX_EMBEDDED = 1000
"""At most so many weights with an upper bound on J* are written into the page."""


class Reference(ABC):
    """A set of policies to compare with: ``text`` names it, ``is_optimum`` says whether it is all there are."""

    def __init__(self, text: str, *, is_optimum: bool) -> None:
        self.text = text
        self.is_optimum = is_optimum

    @abstractmethod
    def optimum(self, weights: Array) -> Array:
        """What stands for J* when subsets are looked for, (n,) for weights (n, d). Audits do not rely on it."""

    @abstractmethod
    def audit(self, values: Sequence[Value]) -> Certificate:
        """The certificate of some policies against this reference."""

    @abstractmethod
    def knowledge(self) -> dict[str, Any]:
        """What the page needs to bracket the reference's best value at any weight."""


class FiniteReference(Reference):
    """Finitely many policies, all known: J* is the upper envelope of their values, known everywhere.

    ``evaluation_max``, the range of single evaluations or None, serves intervals where values carry standard errors.
    """

    def __init__(
        self,
        values: Sequence[Value],
        portfolio: Sequence[Value],
        text: str,
        *,
        is_optimum: bool,
        evaluation_max: float | None,
        confidence: float = DEFAULT_CONFIDENCE,
    ) -> None:
        super().__init__(text, is_optimum=is_optimum)
        self._values = list(values)
        self._portfolio = list(portfolio)
        self._stacked = stack([*values, *portfolio])
        self._evaluation_max = evaluation_max
        self._confidence = confidence

    def optimum(self, weights: Array) -> Array:
        """J* at weights (n, d), shape (n,)."""
        return lower_envelope(self._stacked, weights).best

    def audit(self, values: Sequence[Value]) -> Certificate:
        """The certificate of a portfolio against this reference."""
        return audit(values, reference=self._values, evaluation_max=self._evaluation_max, confidence=self._confidence)

    def knowledge(self) -> dict[str, Any]:
        """What the page is told of J*."""
        data: dict[str, Any] = {"type": "finite", "values": np.unique(self._stacked, axis=0).tolist()}
        if any(value.is_estimate for value in [*self._values, *self._portfolio]):
            limits = confidence_limits(self._portfolio, self._values, self._confidence, self._evaluation_max)
            finite = bool(np.all(np.isfinite(limits.upper)))
            data["limits"] = {
                "lower": limits.lower.tolist() if finite else None,
                "upper": limits.upper.tolist() if finite else None,
                "confidence": self._confidence,
                "interval": limits.method,
            }
        return data


class BackendReference(Reference):
    """A backend that is asked for J*. What it answers is kept, and bounds J* between the weights asked for."""

    def __init__(self, backend: PolicyBackend, portfolio: Sequence[Value]) -> None:
        super().__init__(Certificate.reference, is_optimum=True)
        self._backend = backend
        self._portfolio = stack(portfolio)
        self._solved = SolvedWeights(len(backend.objectives), monotone=backend.regularizer_max == 0)
        self._found: list[Array] = []
        for vertex in np.eye(len(backend.objectives)):
            OptimalValueOracle(backend).record(self._solved, vertex)
        if Power.OPTIMAL_VALUE in backend.powers:
            self._solve_lattice()

    def _solve_lattice(self) -> None:
        d = len(self._backend.objectives)
        n = 1
        while d > 1 and lattice_size(d, n + 1) <= LATTICE_POINTS:
            n += 1
        oracle = OptimalValueOracle(self._backend)
        for row in simplex_lattice(d, n):
            solution = solve(self._backend, row)
            self._found.append(solution.value.vertex_values)
            oracle.record(self._solved, row)

    def optimum(self, weights: Array) -> Array:
        """J* at weights (n, d), shape (n,)."""
        if Power.OPTIMAL_VALUE not in self._backend.powers:
            return lower_envelope(self._portfolio, weights).best
        oracle = OptimalValueOracle(self._backend)
        return np.array([oracle(row)[1] for row in weights])

    def audit(self, values: Sequence[Value]) -> Certificate:
        """The certificate of a portfolio against this reference."""
        return audit(values, self._backend, solved=self._solved)

    def knowledge(self) -> dict[str, Any]:
        """What the page is told of J*."""
        weights, upper = np.stack(self._solved.weights), np.array(self._solved.upper)
        known = np.flatnonzero(np.isfinite(upper))
        if len(self._solved.unbounded_vertices()):
            known = known[:0]
        elif len(known) > MAX_EMBEDDED:
            # The lattice and the simplex's vertices come first; of the corners asked for in audits an even choice.
            rest = np.linspace(LATTICE_POINTS, len(known) - 1, MAX_EMBEDDED - LATTICE_POINTS).astype(int)
            known = known[np.concatenate([np.arange(LATTICE_POINTS), rest])]
        found = np.unique(np.stack([*self._portfolio, *self._found]), axis=0)
        return {
            "type": "solved",
            "weights": weights[known].tolist(),
            "upper": upper[known].tolist(),
            "found": found.tolist(),
        }


def reference_of(
    portfolio: Sequence[Value],
    backend: PolicyBackend | None,
    candidates: Sequence[Value] | None,
    evaluation_max: float | None,
) -> Reference:
    """Candidates where they are given, else the backend (all its policies where it lists them), else the portfolio.

    ``evaluation_max`` is the range of single evaluations of the portfolio and the candidates, None where unknown.
    """
    if candidates is not None:
        text = f"the best of {len(candidates)} candidate policies"
        return FiniteReference(candidates, portfolio, text, is_optimum=True, evaluation_max=evaluation_max)
    if backend is None:
        text = f"this portfolio's own {len(portfolio)} policies"
        return FiniteReference(portfolio, portfolio, text, is_optimum=False, evaluation_max=evaluation_max)
    if Power.ALL_VALUES in backend.powers:
        every = all_values(backend)
        text = f"all {len(every)} {OF_THE_BACKEND}"
        return FiniteReference(every, portfolio, text, is_optimum=True, evaluation_max=backend.evaluation_max)
    return BackendReference(backend, portfolio)


def through_portfolio(own: Certificate, whole: Certificate) -> Certificate | None:
    """The claim of a subset against what the whole portfolio was certified against; None where nothing follows.

    ``own`` says L_S ≥ (1−ε')L_P − 0 and L_S ≥ L_P − δ', ``whole`` says L_P ≥ (1−ε)J* − δ and L_P ≥ J* − δ''. So
    L_S ≥ (1−ε')(1−ε)J* − (1−ε')δ and L_S ≥ J* − δ' − δ''. Only for certain claims: confidence 1 on both sides.
    """
    if whole.kind not in (Kind.EXACT, Kind.BOUNDED) or whole.confidence < 1 or own.confidence < 1:
        return None
    if own.epsilon == own.additive_gap == 0:
        return replace(whole, size=own.size)
    kept = 1 - own.epsilon if math.isfinite(own.epsilon) else math.nan
    epsilon = 1 - kept * (1 - whole.epsilon)
    return replace(
        whole,
        epsilon=epsilon if math.isfinite(epsilon) else math.inf,
        delta=kept * whole.delta if math.isfinite(epsilon) else 0.0,
        worst_weight=own.worst_weight,
        kind=Kind.BOUNDED,
        additive_gap=own.additive_gap + whole.additive_gap,
        slack=math.inf,
        size=own.size,
        size_bound=None,
        corners=own.corners,
        oracle_calls=0,
    )
