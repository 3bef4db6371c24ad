"""What has been proven about a portfolio, how, and how surely."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from palm_theory.errors import ArtifactError
from palm_theory.geometry.simplex import Array

OF_THE_BACKEND = "policies of the backend"
"""How a reference ends that leaves no policy out."""


class Kind(StrEnum):
    """How a certificate's numbers came about."""

    EXACT = "exact"
    """The largest gap over the whole simplex, to float64 rounding (Theorem 3 with J* known at the worst corner)."""
    BOUNDED = "bounded"
    """An upper bound on the largest gap over the whole simplex (Theorem 3 with upper bounds on J*)."""
    SAMPLED = "sampled"
    """The largest gap seen at sampled weights. Not a bound: the true gap may be larger."""
    UNKNOWN = "unknown"
    """Nothing is known of J*; nothing is claimed."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """The claim max_{π∈P} J_w(π) ≥ (1−ε)·J*_w − δ for every w ∈ Δ, with its evidence.

    Attributes
    ----------
    epsilon, delta : the claim, both together. ``epsilon`` is inf where no ε ≤ 1 makes it true or nothing is known.
    worst_weight : the weight (d,) where the claim is tightest; None where nothing is known.
    kind : exact, bounded, sampled or unknown; only the first two are proofs.
    confidence : probability with which the claim holds; 1 unless values were estimated from samples. A sampled
        certificate has confidence 0: it is no claim about weights that were not sampled.
    additive_gap : a δ for which the claim holds with ε = 0; the least one, unless oracle calls were limited.
    slack : the largest gap is between ``epsilon`` − slack and ``epsilon`` (or likewise for delta when ε was given).
    size : K, policies in the portfolio.
    size_bound : what the strategy's theorem promised for K, or None.
    corners : corner weights (or sampled weights) examined.
    oracle_calls : how many times J* was asked for, construction and audit together.
    reference : what J* is the optimum over.
    interval : how confidence intervals were made: "empirical-bernstein", "normal" (an approximation) or None.
    """

    epsilon: float
    delta: float
    worst_weight: Array | None
    kind: Kind
    confidence: float = 1.0
    additive_gap: float = math.inf
    slack: float = 0.0
    size: int = 0
    size_bound: float | None = None
    corners: int = 0
    oracle_calls: int = 0
    reference: str = f"all {OF_THE_BACKEND}"
    interval: str | None = None

    @property
    def is_proof(self) -> bool:
        """Whether the claim is proven (with ``confidence``) for every weight: kind exact or bounded, ε < ∞."""
        return self.kind in (Kind.EXACT, Kind.BOUNDED) and math.isfinite(self.epsilon)

    @property
    def is_against_optimum(self) -> bool:
        """Whether J* in the claim is the optimum over every policy of the backend, and not over a reference set."""
        return self.reference.startswith("all ") and self.reference.endswith(OF_THE_BACKEND)

    def certifies(self, epsilon: float, delta: float = 0.0, *, within_reference: bool = False) -> bool:
        """Whether this certificate proves that P is an (epsilon, delta)-portfolio (J* ≥ 0 assumed for ε > 0).

        A certificate over a reference set proves nothing of the backend's optimum, so the answer is False;
        ``within_reference`` asks instead whether P is one beside the policies of ``reference``.
        """
        if self.kind not in (Kind.EXACT, Kind.BOUNDED) or not (within_reference or self.is_against_optimum):
            return False
        return (self.epsilon <= epsilon and self.delta <= delta) or (epsilon >= 0 and self.additive_gap <= delta)

    def __str__(self) -> str:
        if self.kind is Kind.UNKNOWN:
            return f"unknown: nothing is certified about these {self.size} policies"
        if self.epsilon == math.inf:
            return (
                f"{self.kind.value}: no epsilon <= 1 holds for every w (J* is negative or a policy's value is); "
                f"additive gap delta = {self.additive_gap:.6g}, K = {self.size}, over {self.reference}"
            )
        claim = f"J_w >= (1 - {self.epsilon:.6g}) J*_w - {self.delta:.6g}"
        if self.kind is Kind.SAMPLED:
            return f"sampled (no proof): {claim} at {self.corners} sampled weights; elsewhere nothing is claimed"
        sure = "" if self.confidence == 1 else f" with confidence {self.confidence:g} ({self.interval} intervals)"
        return f"{self.kind.value}: {claim} for every w{sure}, K = {self.size}, over {self.reference}"

    def to_dict(self) -> dict[str, Any]:
        """The certificate as JSON-able data; infinite numbers become None."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("epsilon", "delta", "additive_gap", "slack", "size_bound"):
            if data[name] is not None and not math.isfinite(data[name]):
                data[name] = None
        data["kind"] = self.kind.value
        data["worst_weight"] = None if self.worst_weight is None else self.worst_weight.tolist()
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Certificate:
        """The inverse of ``to_dict``. Raises ArtifactError on unknown fields or kinds."""
        try:
            fields = dict(data)
            for name in ("epsilon", "delta", "additive_gap", "slack"):
                if fields[name] is None:
                    fields[name] = math.inf
            fields["kind"] = Kind(fields["kind"])
            if fields["worst_weight"] is not None:
                fields["worst_weight"] = np.array(fields["worst_weight"], dtype=np.float64)
            return cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"not a certificate: {error}") from error
