"""All that is known of J*, whoever knows it: one family that audits, routes, reports and figures share.

J*_w is the optimum over some set of policies; ``covers_all`` says whether that is every policy there is, ``over`` names
it. Each member answers ``upper``: upper bounds on J* at any weights. What they are worth is its ``kind``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np

from palm_theory.certify.certificate import OF_THE_BACKEND, Certificate, Kind
from palm_theory.certify.limits import DEFAULT_CONFIDENCE, Limits, among, confidence_limits, stack
from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.contract.calls import optimal_bracket, solve, upper_bound_at
from palm_theory.contract.value import Value
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.sandwich import SolvedWeights, weight_keys
from palm_theory.geometry.simplex import Array

ALL = f"all {OF_THE_BACKEND}"


class Knowledge(StrEnum):
    """What upper bounds on J* are worth."""

    EXACT = "exact"
    """J* itself, or bounds that follow from a certificate whose gap is exact."""
    BOUNDED = "bounded"
    """Proven upper bounds."""
    SAMPLED = "sampled"
    """They follow from a gap seen at sampled weights: not bounds."""
    PREDICTED = "predicted"
    """They rest on policies being optimal where they were trained, or on measured values: not bounds."""
    UNKNOWN = "unknown"
    """Nothing is known."""

    @property
    def is_bound(self) -> bool:
        """Whether J* is nowhere above."""
        return self in (Knowledge.EXACT, Knowledge.BOUNDED)


class Optimum(ABC):
    """What is known of J*. ``words`` say where it comes from, for people."""

    over: str = ALL
    covers_all: bool = True

    @property
    @abstractmethod
    def kind(self) -> Knowledge:
        """What ``upper`` is worth."""

    @property
    @abstractmethod
    def words(self) -> str:
        """Where it comes from."""

    @abstractmethod
    def upper(self, weights: Array) -> Array:
        """Upper bounds on J* at weights (n, d), shape (n,); inf where nothing is known."""


class Asked(Optimum):
    """A backend that is asked. Every answer is kept in ``solved``, so that no weight is asked for twice; ``calls``
    counts the questions. Where the backend does not declare OPTIMAL_VALUE each is a solve.

    Raises BackendError, when asked, where the backend fails or returns nonsense.
    """

    def __init__(self, backend: PolicyBackend, solved: SolvedWeights | None = None) -> None:
        self.backend = backend
        # Without a regulariser J* is monotone in w, and bounds reach further.
        fresh = SolvedWeights(len(backend.objectives), monotone=backend.regularizer_max == 0)
        self.solved = fresh if solved is None else solved
        self.calls = 0

    @property
    def is_cheap(self) -> bool:
        """Whether asking is cheaper than bounding: the backend declares OPTIMAL_VALUE."""
        return Power.OPTIMAL_VALUE in self.backend.powers

    @property
    def kind(self) -> Knowledge:
        """Exact, to rounding, where the backend declares OPTIMAL_VALUE."""
        return Knowledge.EXACT if self.is_cheap else Knowledge.BOUNDED

    @property
    def words(self) -> str:
        """Where it comes from."""
        return "J* asked of the backend"

    def ask(self, weights: Array) -> None:
        """Ask at one weight (d,) and record the answer."""
        self.calls += 1
        if self.is_cheap:
            self.solved.add(weights, *optimal_bracket(self.backend, weights))
            return
        solution = solve(self.backend, weights)
        upper = upper_bound_at(solution, weights, self.backend.oracle_error)
        self.solved.add(weights, solution.value.scalarize(weights), math.inf if upper is None else upper)

    def upper(self, weights: Array) -> Array:
        """The backend's upper bounds on J* at weights (n, d), shape (n,); inf where it proves none."""
        return np.array([self.solved.upper[k] for k in self._asked(weights)])

    def reached(self, weights: Array) -> Array:
        """What some policy reaches at weights (n, d), shape (n,)."""
        return np.array([self.solved.reached[k] for k in self._asked(weights)])

    def _asked(self, weights: Array) -> list[int]:
        """The numbers that weights (n, d) have in ``solved``, once all have been asked for."""
        numbers = []
        for key, row in zip(weight_keys(weights), weights, strict=True):
            if self.solved.find(key) is None:
                self.ask(row)
            number = self.solved.find(key)
            assert number is not None, "what was asked is recorded"
            numbers.append(number)
        return numbers


class Solved(Optimum):
    """What solves have shown, and nothing else: the upper hull U of the sandwich L ≤ J* ≤ U (docs/theory/theorem-3.md),
    known everywhere once the simplex's vertices are solved."""

    def __init__(self, solved: SolvedWeights) -> None:
        self.solved = solved

    @property
    def kind(self) -> Knowledge:
        """Bounded, or unknown where some vertex of the simplex has no bound."""
        return Knowledge.UNKNOWN if len(self.solved.unbounded_vertices()) else Knowledge.BOUNDED

    @property
    def words(self) -> str:
        """Where it comes from."""
        return f"the upper hull of {len(self.solved)} solved weights"

    def upper(self, weights: Array) -> Array:
        """U at weights (n, d), shape (n,)."""
        keys = weight_keys(weights)
        return np.array([self.solved.refresh_upper(key, row) for key, row in zip(keys, weights, strict=True)])


class Finite(Optimum):
    """Finitely many rivals, all their values known: J* is their upper envelope.

    With standard errors anywhere, theirs or the portfolio's, its lower confidence limits face their upper ones, which
    hold all at once with probability ``confidence``; ``evaluation_max`` is the range of a single evaluation, or None.
    """

    def __init__(
        self,
        rivals: Sequence[Value],
        over: str,
        *,
        covers_all: bool,
        evaluation_max: float | None = None,
        confidence: float = DEFAULT_CONFIDENCE,
    ) -> None:
        self.rivals = list(rivals)
        self.over = over
        self.covers_all = covers_all
        self.evaluation_max = evaluation_max
        self.confidence = confidence
        self._stacked = stack(self.rivals)

    @classmethod
    def all_of(cls, backend: PolicyBackend, every: Sequence[Value], confidence: float = DEFAULT_CONFIDENCE) -> Finite:
        """Every policy of a backend that declares ALL_VALUES."""
        over = f"all {len(every)} {OF_THE_BACKEND}"
        return cls(every, over, covers_all=True, evaluation_max=backend.evaluation_max, confidence=confidence)

    @property
    def kind(self) -> Knowledge:
        """Exact, or predicted from values with standard errors: ``upper`` is at the values themselves."""
        return Knowledge.PREDICTED if any(value.is_estimate for value in self.rivals) else Knowledge.EXACT

    @property
    def words(self) -> str:
        """Where it comes from."""
        return f"the best of {self.over}"

    def upper(self, weights: Array) -> Array:
        """max_j ⟨w, G_j⟩ at weights (n, d), shape (n,)."""
        return lower_envelope(self._stacked, weights).best

    def limits(self, values: Sequence[Value]) -> Limits:
        """The vertex values that an audit of policies with these ``values`` compares."""
        own = among(values, self.rivals) if self.covers_all else values
        return confidence_limits(own, self.rivals, self.confidence, self.evaluation_max)


class Paired(Optimum):
    """Policies measured unit by unit with the portfolio's own (power PAIRED_VALUES): ``found``, every policy solved, or
    None, and the backend's own rivals. Differences are known well, J* itself is not."""

    def __init__(self, backend: PolicyBackend, found: Sequence[Any] | None = None) -> None:
        self.backend = backend
        self.found = found
        self.covers_all = False
        self.over = "its own members" if found is None else f"the {len(found)} policies solved"

    @property
    def kind(self) -> Knowledge:
        """Unknown: of J* alone there is no bound."""
        return Knowledge.UNKNOWN

    @property
    def words(self) -> str:
        """Where it comes from."""
        return "paired differences on the same units"

    def upper(self, weights: Array) -> Array:
        """inf."""
        return np.full(len(weights), math.inf)


class Certified(Optimum):
    """What a certificate of policies with these ``values`` (K, d) implies: J* ≤ (L + δ)/(1 − ε) for ε < 1, and J* ≤ L +
    its additive gap, whichever is less.

    A certificate of estimated values (``measured``) is about the best policy at w, whichever that is, and not about the
    one whose estimate is the largest: then these are predictions.
    """

    def __init__(self, values: Array, certificate: Certificate, *, measured: bool = False) -> None:
        self._values = values
        self._certificate = certificate
        self._measured = measured
        self.over = certificate.reference
        self.covers_all = certificate.is_against_optimum

    @property
    def kind(self) -> Knowledge:
        """The certificate's, where it says something of J*."""
        certificate = self._certificate
        silent = certificate.kind is Kind.UNKNOWN or min(certificate.additive_gap, certificate.epsilon) == math.inf
        if silent or not self.covers_all:
            return Knowledge.UNKNOWN
        return Knowledge.PREDICTED if self._measured else Knowledge(certificate.kind.value)

    @property
    def words(self) -> str:
        """The certificate, in short."""
        certificate = self._certificate
        sure = "" if certificate.confidence == 1 else f", at confidence {certificate.confidence:g}"
        numbers = f"epsilon {certificate.epsilon:.4g}, delta {certificate.delta:.4g}"
        return f"the certificate: {numbers}, additive gap {certificate.additive_gap:.4g}{sure}"

    def upper(self, weights: Array) -> Array:
        """The bound at weights (n, d), shape (n,); inf where the certificate is over some rivals only."""
        return self.above(lower_envelope(self._values, weights).best)

    def above(self, lower: Array) -> Array:
        """The bound where L is ``lower`` (n,), shape (n,)."""
        certificate = self._certificate
        if self.kind is Knowledge.UNKNOWN:
            return np.full_like(lower, math.inf)
        bound = lower + certificate.additive_gap
        if certificate.epsilon < 1:
            bound = np.minimum(bound, (lower + certificate.delta) / (1 - certificate.epsilon))
        return np.maximum(bound, lower)


class Predicted(Optimum):
    """J* as if every policy were optimal for the ``weights`` (m, d), m ≥ 1, that it was trained for: J* is the best of
    ``values`` (K, d) there, and R_max at vertices of the simplex nobody was trained for. Between them J* is below the
    upper hull, being convex."""

    def __init__(self, values: Array, weights: Array, reward_max: float) -> None:
        self._values = values
        self._points = weights
        self._reward_max = reward_max

    @property
    def kind(self) -> Knowledge:
        """Predicted."""
        return Knowledge.PREDICTED

    @property
    def words(self) -> str:
        """Where it comes from."""
        return "the upper hull of the policies' measured values, as if each were optimal"

    def upper(self, weights: Array) -> Array:
        """U(w) at weights (n, d), shape (n,), and never less than the best policy there."""
        hull = (weights @ self.pieces.T).max(axis=1)
        return np.maximum(hull, lower_envelope(self._values, weights).best)

    @cached_property
    def pieces(self) -> Array:
        """H (m, d) with U(w) = max_j ⟨w, H_j⟩: the lower convex hull of the points (w_i, J*_{w_i}), by Qhull."""
        from scipy.spatial import ConvexHull

        d = self._points.shape[1]
        trained = np.unique(self._points, axis=0)
        best = lower_envelope(self._values, trained).best
        ends = np.full(d, self._reward_max)
        at_vertices = trained.max(axis=1) == 1.0
        ends[trained[at_vertices].argmax(axis=1)] = best[at_vertices]
        if d == 1:
            return best.max(keepdims=True)[None, :]
        if at_vertices.all():
            return ends[None, :]
        points = np.vstack([np.eye(d), trained[~at_vertices]])
        heights = np.concatenate([ends, best[~at_vertices]])
        # An apex far above the simplex makes every facet below it, and no other, one of U's linear pieces.
        spread = float(np.ptp(heights)) or 1.0
        unit = (heights - heights.min()) / spread
        apex = np.full((1, d), 1 / d)
        apex[0, -1] = 10.0
        planes = ConvexHull(np.vstack([np.column_stack([points[:, :-1], unit]), apex])).equations
        planes = planes[planes[:, d - 1] < -1e-9]
        slopes = -planes[:, : d - 1] / planes[:, d - 1 : d]
        constants = -planes[:, d] / planes[:, d - 1]
        pieces = np.column_stack([slopes + constants[:, None], constants])
        return pieces * spread + heights.min()


class Unknown(Optimum):
    """Nothing is known."""

    @property
    def kind(self) -> Knowledge:
        """Unknown."""
        return Knowledge.UNKNOWN

    @property
    def words(self) -> str:
        """Nothing."""
        return "nothing is known of J*"

    def upper(self, weights: Array) -> Array:
        """inf."""
        return np.full(len(weights), math.inf)
