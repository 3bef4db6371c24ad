"""``palm bounds``: what the theorems promise, before anything is solved."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from palm_theory.cli.options import Alpha, Json, Mu, Objectives
from palm_theory.cli.output import print_json, print_table
from palm_theory.errors import InputError


def bounds_command(
    objectives: Objectives,
    reward_max: Annotated[float, typer.Option(help="R_max: rewards lie in [0, R_max].")] = 1.0,
    regularizer_max: Annotated[float, typer.Option(help="f_max: the regulariser lies in [0, f_max].")] = 0.0,
    mu: Mu = None,
    alpha: Alpha = None,
    beta: Annotated[
        float | None,
        typer.Option(help="β: also Theorems 2 and 2' (KL-regularised bandits and sequence-level LLMs)."),
    ] = None,
    resolution: Annotated[int | None, typer.Option(help="n of Theorem 2's lattice {k/n}.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="Inverse design: the ε to reach.")] = None,
    delta: Annotated[float | None, typer.Option(help="Inverse design: the δ to reach.")] = None,
    budget: Annotated[int | None, typer.Option(help="Inverse design: the best promise for at most K policies.")] = None,
    reference: Annotated[
        bool,
        typer.Option(help="A policy with f = 0 exists (always so for a KL): sharper Theorems 1' and 1''."),
    ] = False,
    oracle_epsilon: Annotated[float, typer.Option(help="ε₀ of an approximate oracle.")] = 0.0,
    oracle_delta: Annotated[float, typer.Option(help="δ₀ of an approximate oracle.")] = 0.0,
    as_json: Json = False,
) -> None:
    """What each theorem promises, or what to choose for a promise.

    \b
    Forward   palm bounds -d 3 --mu 0.5 --alpha 0.05 --reward-max 1 --regularizer-max 0.2
              palm bounds -d 3 --beta 0.1 --resolution 12
    Target    palm bounds -d 3 --epsilon 0.1 --delta 0.05          (the cheapest cover)
              palm bounds -d 3 --epsilon 0.1                       (δ = 0, where f = 0)
              palm bounds -d 3 --beta 0.1 --delta 0.01             (the coarsest lattice)
    Budget    palm bounds -d 3 --budget 100 [--epsilon 0.1]        (the best promise)

    
    Theorems 1'' and 1''' speak of covers with α = (1+μ)^-K; 1''' of objectives divided by their maxima, where f = 0.
    """
    from palm_theory import bounds, design
    from palm_theory.geometry.hybrid import HybridGrid

    oracle = bounds.OracleError(oracle_epsilon, oracle_delta)
    common: dict[str, Any] = {"reward_max": reward_max, "oracle": oracle}
    first: dict[str, Any] = {**common, "regularizer_max": regularizer_max}
    prime: dict[str, Any] = {**first, "has_reference": reference}
    # Theorem 1''' is for f = 0 and oracles whose error is a share.
    multiplicative = regularizer_max == 0 and oracle_delta == 0
    found: list[bounds.Bound] = []

    def lattice(beta: float, n: int) -> list[bounds.Bound]:
        return [theorem(objectives, n, beta=beta, **common) for theorem in (bounds.theorem2, bounds.theorem2_prime)]

    if budget is not None:
        found.append(design.best_theorem1(objectives, budget, epsilon=epsilon, delta=delta, **first))
        found.append(design.best_theorem1_prime(objectives, budget, epsilon=epsilon, delta=delta, **prime))
        if budget >= 3**objectives - 2**objectives:
            found.append(design.best_theorem1_double_prime(objectives, budget, epsilon=epsilon, delta=delta, **prime))
            if multiplicative:
                found.append(design.best_theorem1_triple_prime(objectives, budget, oracle=oracle))
        if beta is not None:
            found.append(design.best_theorem2(objectives, budget, beta=beta, **common))
            found.append(design.best_theorem2_prime(objectives, budget, beta=beta, **common))
    elif mu is not None and alpha is not None:
        found.append(bounds.theorem1(objectives, mu, alpha, **first))
        found.append(bounds.theorem1_prime(objectives, mu, alpha, **prime))
        if HybridGrid(mu, alpha).top_is_one:
            found.append(bounds.theorem1_double_prime(objectives, mu, alpha, **prime))
            if multiplicative:
                found.append(bounds.theorem1_triple_prime(objectives, mu, alpha, oracle=oracle))
        if beta is not None and resolution is not None:
            found += lattice(beta, resolution)
    elif beta is not None and resolution is not None:
        found += lattice(beta, resolution)
    elif epsilon is not None and delta is None and beta is None and multiplicative:
        found.append(design.cheapest_theorem1_triple_prime(objectives, epsilon=epsilon, oracle=oracle))
    elif delta is not None and (epsilon is not None or beta is not None):
        if epsilon is not None:
            found.append(design.cheapest_theorem1(objectives, epsilon=epsilon, delta=delta, **first))
            found.append(design.cheapest_theorem1_prime(objectives, epsilon=epsilon, delta=delta, **prime))
            found.append(design.cheapest_theorem1_double_prime(objectives, epsilon=epsilon, delta=delta, **prime))
        if beta is not None:
            found.append(design.cheapest_theorem2(objectives, delta=delta, beta=beta, **common))
            found.append(design.cheapest_theorem2_prime(objectives, delta=delta, beta=beta, **common))
    else:
        raise InputError(
            "say what to compute: --mu and --alpha; --beta and --resolution; a target --epsilon and --delta "
            "(or --beta and --delta); or a --budget"
        )
    rows = [bound.to_dict() for bound in found]
    if as_json:
        print_json(rows)
        return
    used = [key for key in rows[0] if key != "objectives" and any(row[key] is not None for row in rows)]
    print_table([{key: row[key] for key in used} for row in rows], title="for every w: best J_w >= (1-ε) J*_w - δ")
