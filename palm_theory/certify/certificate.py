"""What has been proven about a portfolio, how, and how surely."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np

from palm_theory.errors import ArtifactError
from palm_theory.geometry.envelope import ROUNDING
from palm_theory.geometry.simplex import Array

OF_THE_BACKEND = "policies of the backend"
"""How a reference ends that leaves no policy out."""


class Kind(StrEnum):
    """How a certificate's numbers came about."""

    EXACT = "exact"
    """The largest gap over the whole simplex (Theorem 3 with J* known at the worst corner): to ``ROUNDING`` of the
    numbers it is made of, and in rational arithmetic where the certificate is ``proven``."""
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
    covers_all : whether J* is the optimum over every policy of the backend, and not over some rivals; None: as
        ``reference`` says.
    proven : whether kind "exact" holds in rational arithmetic for the float64 values that the policies have. Otherwise
        it is exact to ``ROUNDING``: L(w) ≥ (1−ε)·J*_w − δ, but for 10⁻¹² of the numbers that are summed up there.
    lowest : min_w L(w) where that is negative, else 0. J* may then be negative too, and a larger ε claims more there.
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
    covers_all: bool | None = None
    proven: bool = False
    lowest: float = 0.0

    @property
    def is_proof(self) -> bool:
        """Whether the claim is proven (with ``confidence``) for every weight: kind exact or bounded, ε < ∞."""
        return self.kind in (Kind.EXACT, Kind.BOUNDED) and math.isfinite(self.epsilon)

    @property
    def is_against_optimum(self) -> bool:
        """Whether J* in the claim is the optimum over every policy of the backend, and not over some rivals."""
        return _names_all(self.reference) if self.covers_all is None else self.covers_all

    def certifies(self, epsilon: float, delta: float = 0.0, *, within_reference: bool = False) -> bool:
        """Whether this certificate proves that P is an (epsilon, delta)-portfolio.

        The claims it makes are (ε, δ), (0, its additive gap) and, by ``lowest``, (1, −min L). A smaller δ or ε is a
        stronger claim, but for ε where J* < 0: there the inequality, linear in (ε, δ), is known between two claims
        only.

        A certificate over a reference set proves nothing of the backend's optimum, so the answer is False;
        ``within_reference`` asks instead whether P is one beside the policies of ``reference``.
        """
        if self.kind not in (Kind.EXACT, Kind.BOUNDED) or not (within_reference or self.is_against_optimum):
            return False
        return any(
            claimed <= epsilon < math.inf and needed <= delta and self._reaches(claimed, needed, epsilon, delta)
            for claimed, needed in ((self.epsilon, self.delta), (0.0, self.additive_gap))
        )

    def _reaches(self, claimed: float, needed: float, epsilon: float, delta: float) -> bool:
        """Whether the claim (claimed, needed) implies (epsilon, delta), for ε and δ no smaller."""
        if epsilon == claimed or self.lowest >= 0:
            return True
        at_one = -self.lowest
        if epsilon > 1 or at_one <= needed:
            return epsilon <= 1
        share = (Fraction(epsilon) - Fraction(claimed)) / (1 - Fraction(claimed))
        return Fraction(needed) + share * (Fraction(at_one) - Fraction(needed)) <= Fraction(delta)

    @property
    def _how(self) -> str:
        """The kind, with its arithmetic where it is called exact."""
        return f"exact to {ROUNDING:g}" if self.kind is Kind.EXACT and not self.proven else self.kind.value

    def __str__(self) -> str:
        if self.kind is Kind.UNKNOWN:
            return f"unknown: nothing is certified about these {self.size} policies"
        if self.epsilon == math.inf:
            return (
                f"{self._how}: no epsilon <= 1 holds for every w (J* is negative or a policy's value is); "
                f"additive gap delta = {_no_less(self.additive_gap)}, K = {self.size}, over {self.reference}"
            )
        claim = f"J_w >= (1 - {_no_less(self.epsilon)}) J*_w - {_no_less(self.delta)}"
        if self.kind is Kind.SAMPLED:
            return f"sampled (no proof): {claim} at {self.corners} sampled weights; elsewhere nothing is claimed"
        sure = "" if self.confidence == 1 else f" with confidence {self.confidence:g} ({self.interval} intervals)"
        return f"{self._how}: {claim} for every w{sure}, K = {self.size}, over {self.reference}"

    def to_dict(self) -> dict[str, Any]:
        """The certificate as JSON-able data; infinite numbers become None. What says nothing new is left out."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if data["covers_all"] in (None, _names_all(self.reference)):
            del data["covers_all"]
        for name, usual in (("proven", False), ("lowest", 0.0)):
            if data[name] == usual:
                del data[name]
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
            fields = {"covers_all": _names_all(data["reference"]), **data}
            for name in ("epsilon", "delta", "additive_gap", "slack"):
                if fields[name] is None:
                    fields[name] = math.inf
            fields["kind"] = Kind(fields["kind"])
            if fields["worst_weight"] is not None:
                fields["worst_weight"] = np.array(fields["worst_weight"], dtype=np.float64)
            return cls(**fields)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"not a certificate: {error}") from error


def _names_all(reference: str) -> bool:
    """Whether the words for a reference leave no policy out: certificates have not always said so in a field."""
    return reference.startswith("all ") and reference.endswith(OF_THE_BACKEND)


def _no_less(number: float, digits: int = 6) -> str:
    """A number in ``digits`` digits, rounded up: a claim that is printed stays true."""
    if not math.isfinite(number):
        return str(number)
    return f"{float(Context(digits, ROUND_CEILING).create_decimal(number)):.{digits}g}"
