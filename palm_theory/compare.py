"""PALM against uniform, random and adaptive portfolios of the same size, all audited the same way.

The paper compares at equal K; so does this.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from palm_theory.build import build_portfolio
from palm_theory.certify.audit import audit
from palm_theory.certify.certificate import Kind
from palm_theory.certify.optimum import Asked
from palm_theory.certify.selection import best_subset
from palm_theory.contract.backend import PolicyBackend
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array, lattice_size, sample_dirichlet
from palm_theory.metrics import expected_utility, sampled_gaps, usage_perplexity
from palm_theory.portfolio import Portfolio
from palm_theory.strategies.adaptive import Adaptive
from palm_theory.strategies.base import Strategy
from palm_theory.strategies.baselines import RandomWeights, UniformGrid
from palm_theory.strategies.palm import Palm

SAMPLES = 1000


@dataclass(frozen=True)
class StrategyRow:
    """One strategy's portfolio: how it was made and how good it is.

    ``solves`` policies were optimised to make it, ``size`` kept; ``epsilon`` and ``delta`` are its exact worst
    multiplicative (δ = 0) and additive (ε = 0) gaps over the simplex; ``sampled_epsilon`` what 1,000 random weights
    would have shown (not a bound); ``perplexity`` how many policies are in effective use; ``expected_utility`` an
    estimate of E_w L(w).
    """

    strategy: str
    solves: int
    size: int
    epsilon: float
    delta: float
    kind: Kind
    sampled_epsilon: float
    perplexity: float
    expected_utility: float

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data."""
        return {**asdict(self), "kind": self.kind.value}


def compare(
    backend: PolicyBackend,
    *,
    policies: int,
    mu: float = 0.5,
    alpha: float = 0.05,
    seed: int = 0,
) -> list[StrategyRow]:
    """Portfolios of at most ``policies`` policies by four strategies, exactly audited, best practice for each.

    PALM: all of the hybrid cover for (mu, alpha), reduced to the best subset of that size; uniform: the finest lattice
    that fits; random: that many random weights; adaptive: corner by corner up to that size. Needs a backend whose J*
    is known at any weight. Raises InputError where ``policies`` < 1.
    """
    if policies < 1:
        raise InputError(f"policies must be >= 1, got {policies}")
    d = len(backend.objectives)
    weights = sample_dirichlet(d, SAMPLES, seed=seed)
    asked = Asked(backend)
    optimum = asked.upper(weights)

    def row(name: str, portfolio: Portfolio) -> StrategyRow:
        return _row(name, portfolio, weights, optimum)

    def built(strategy: Strategy) -> Portfolio:
        return build_portfolio(backend, strategy, progress=False, seed=seed)

    palm = built(Palm(mu, alpha, lazy=False, prune=False))
    rows = [row("PALM grid", palm)]
    if len(palm) > policies:
        rows.append(row("PALM reduced", _reduced(backend, palm, policies)))
    resolution = _finest_lattice(d, policies)
    if resolution is not None:
        rows.append(row("uniform", built(UniformGrid(resolution))))
    rows.append(row("random", built(RandomWeights(policies, seed))))
    rows.append(row("adaptive", built(Adaptive(0.0, max_policies=policies))))
    return rows


def _row(name: str, portfolio: Portfolio, weights: Array, optimum: Array) -> StrategyRow:
    certificate = portfolio.certificate
    return StrategyRow(
        strategy=name,
        solves=portfolio.solves,
        size=len(portfolio),
        epsilon=certificate.epsilon,
        delta=certificate.additive_gap,
        kind=certificate.kind,
        sampled_epsilon=sampled_gaps(portfolio, weights, optimum)[0],
        perplexity=usage_perplexity(portfolio),
        expected_utility=expected_utility(portfolio),
    )


def _reduced(backend: PolicyBackend, portfolio: Portfolio, size: int) -> Portfolio:
    members = best_subset(portfolio.vertex_values, Asked(backend).upper, size)
    subset = portfolio.subset([int(k) for k in members])
    return subset.with_certificate(audit(subset, backend))


def _finest_lattice(objectives: int, policies: int) -> int | None:
    """The largest n with C(n+d−1, d−1) ≤ policies; None where not even n = 1 fits; n = 1 where d = 1."""
    if objectives == 1:
        return 1
    n = 0
    while lattice_size(objectives, n + 1) <= policies:
        n += 1
    return n or None
