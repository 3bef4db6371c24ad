"""Everything the page knows, as plain data: the portfolio, what it is compared with, its best subsets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from palm_theory.certify.certificate import Certificate, Kind
from palm_theory.certify.optimum import Optimum
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.value import Value
from palm_theory.explorer.references import knowledge, reference_of, through_portfolio
from palm_theory.explorer.subsets import SizedSubset, best_subsets
from palm_theory.files import without_infinities
from palm_theory.members import Member
from palm_theory.portfolio import Portfolio
from palm_theory.version import __version__


def page_data(
    portfolio: Portfolio,
    *,
    backend: PolicyBackend | None = None,
    candidates: Sequence[Value] | None = None,
    answers: Mapping[str, Any] | None = None,
    title: str = "Portfolio explorer",
    command: str = "PORTFOLIO",
    budget: float = 20.0,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The page's data, JSON-able (infinities are None). ``candidates`` are evaluated as the portfolio was, with single
    evaluations in its ``evaluation_max``.

    ``references`` lists what the portfolio is compared with, the first being the page's main one. Each holds, by K−1,
    the certificates of the subsets, and ``knows``: what brackets its best value at any weight.
    """
    reference = reference_of(portfolio.policy_values, backend, candidates, portfolio.evaluation_max)
    subsets = best_subsets(portfolio.policy_values, reference, advance=advance, budget=budget)
    references = [_reference_data(reference, portfolio, [subset.certificate for subset in subsets])]
    if not reference.covers_all:
        composed = [through_portfolio(subset.certificate, portfolio.certificate) for subset in subsets]
        known = [certificate for certificate in composed if certificate is not None]
        if len(known) == len(composed):
            references.insert(0, _through_data(portfolio.certificate, known))
    return without_infinities(
        {
            "title": title,
            "command": command,
            "version": __version__,
            "objectives": list(portfolio.objectives),
            "reward_max": portfolio.reward_max,
            "beta": _beta(portfolio),
            "solves": portfolio.solves,
            "estimates": any(value.is_estimate for value in portfolio.policy_values),
            "certificate": _certificate(portfolio.certificate),
            "policies": [_policy(member) for member in portfolio],
            "subsets": [_subset(subset) for subset in subsets],
            "references": references,
            "answers": answers,
        }
    )


def _policy(member: Member) -> dict[str, Any]:
    weights = None if member.weights is None else member.weights.tolist()
    label = "" if member.label == member.name else member.label
    values = member.value.vertex_values.tolist()
    return {"name": member.name, "label": label, "weights": weights, "values": values, **member.value.to_dict()}


def _subset(subset: SizedSubset) -> dict[str, Any]:
    return {"members": list(subset.members), "best": subset.is_best, "least_gap": subset.least_gap}


def _certificate(certificate: Certificate) -> dict[str, Any]:
    return {
        **certificate.to_dict(),
        "text": str(certificate),
        "proof": certificate.kind in (Kind.EXACT, Kind.BOUNDED),
        "optimum": certificate.is_against_optimum,
    }


def _reference_data(reference: Optimum, portfolio: Portfolio, certificates: Sequence[Certificate]) -> dict[str, Any]:
    return {
        "text": reference.over,
        "optimum": reference.covers_all,
        "itself": not reference.covers_all,
        "knows": knowledge(reference, portfolio.policy_values),
        "certificates": [_certificate(certificate) for certificate in certificates],
    }


def _through_data(whole: Certificate, certificates: Sequence[Certificate]) -> dict[str, Any]:
    """Nothing is known of the certificate's reference, J* or a set of policies, but what it says of the portfolio."""
    return {
        "text": whole.reference,
        "optimum": whole.is_against_optimum,
        "itself": False,
        "knows": {"type": "certificate"},
        "certificates": [_certificate(certificate) for certificate in certificates],
    }


def _beta(portfolio: Portfolio) -> float | None:
    """β, where the problem says that f is β times a divergence."""
    parameters = portfolio.problem.get("parameters")
    beta = parameters.get("beta") if isinstance(parameters, dict) else None
    return float(beta) if isinstance(beta, int | float) and beta > 0 else None
