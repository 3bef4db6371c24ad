"""``palm bounds`` and ``palm cover``: the theorems and their covers, before anything is solved."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from palm_theory import bounds, covers, design
from palm_theory.bounds import Bound, OracleError
from palm_theory.cli.output import Json, print_json, print_table
from palm_theory.errors import CoverTooLargeError, InputError
from palm_theory.geometry.simplex import MAX_POINTS, Array, lattice_size

Objectives = Annotated[int, typer.Option("--objectives", "-d", help="d, the number of reward functions.")]
Mu = Annotated[float | None, typer.Option(help="μ in (0, 1], ratio of neighbouring grid values less one.")]
Alpha = Annotated[float | None, typer.Option(help="α in (0, 1), the smallest grid value above 0.")]


def bounds_command(
    objectives: Objectives,
    reward_max: Annotated[float, typer.Option(help="R_max: rewards lie in [0, R_max].")] = 1.0,
    regularizer_max: Annotated[float, typer.Option(help="f_max: the regulariser lies in [0, f_max].")] = 0.0,
    mu: Mu = None,
    alpha: Alpha = None,
    beta: Annotated[
        float | None, typer.Option(help="β: also apply Theorem 2 (KL-regularised bandits and sequence-level LLMs).")
    ] = None,
    resolution: Annotated[int | None, typer.Option(help="n of Theorem 2's lattice {k/n}.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="Inverse design: the ε to reach.")] = None,
    delta: Annotated[float | None, typer.Option(help="Inverse design: the δ to reach.")] = None,
    budget: Annotated[int | None, typer.Option(help="Inverse design: the best promise for at most K policies.")] = None,
    reference: Annotated[
        bool, typer.Option(help="A policy with f = 0 exists (always so for a KL regulariser): sharper Theorem 1'.")
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
              palm bounds -d 3 --beta 0.1 --delta 0.01             (the coarsest lattice)
    Budget    palm bounds -d 3 --budget 100 [--epsilon 0.1]        (the best promise)
    """
    oracle = OracleError(oracle_epsilon, oracle_delta)
    common: dict[str, Any] = {"reward_max": reward_max, "oracle": oracle}
    first: dict[str, Any] = {**common, "regularizer_max": regularizer_max}
    prime: dict[str, Any] = {**first, "has_reference": reference}
    found: list[Bound] = []
    if budget is not None:
        found.append(design.best_theorem1(objectives, budget, epsilon=epsilon, delta=delta, **first))
        found.append(design.best_theorem1_prime(objectives, budget, epsilon=epsilon, delta=delta, **prime))
        if beta is not None:
            found.append(design.best_theorem2(objectives, budget, beta=beta, **common))
    elif mu is not None and alpha is not None:
        found.append(bounds.theorem1(objectives, mu, alpha, **first))
        found.append(bounds.theorem1_prime(objectives, mu, alpha, **prime))
        if beta is not None and resolution is not None:
            found.append(bounds.theorem2(objectives, resolution, beta=beta, **common))
    elif beta is not None and resolution is not None:
        found.append(bounds.theorem2(objectives, resolution, beta=beta, **common))
    elif delta is not None and (epsilon is not None or beta is not None):
        if epsilon is not None:
            found.append(design.cheapest_theorem1(objectives, epsilon=epsilon, delta=delta, **first))
            found.append(design.cheapest_theorem1_prime(objectives, epsilon=epsilon, delta=delta, **prime))
        if beta is not None:
            found.append(design.cheapest_theorem2(objectives, delta=delta, beta=beta, **common))
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


def cover_command(
    kind: Annotated[Literal["hybrid", "lattice", "kl", "random"], typer.Argument(help="Which cover.")],
    objectives: Objectives,
    mu: Mu = None,
    alpha: Alpha = None,
    resolution: Annotated[int | None, typer.Option("--resolution", "-n", help="n of the lattice {k/n}.")] = None,
    delta: Annotated[float | None, typer.Option(help="δ to reach (kl).")] = None,
    beta: Annotated[float | None, typer.Option(help="β (kl).")] = None,
    reward_max: Annotated[float, typer.Option(help="R_max (kl).")] = 1.0,
    count: Annotated[int | None, typer.Option(help="How many weights (random).")] = None,
    seed: Annotated[int, typer.Option(help="Seed (random).")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write CSV here, streamed; any size. Default: standard output.")
    ] = None,
    size_only: Annotated[bool, typer.Option("--size", help="Print only the exact number of points.")] = False,
    as_json: Json = False,
) -> None:
    """The weights of a cover, one a line.

    \b
      palm cover hybrid -d 3 --mu 0.5 --alpha 0.05          Theorem 1's cover
      palm cover hybrid -d 8 --mu 0.1 --alpha 0.01 --size   its exact size, whatever it is
      palm cover kl -d 3 --delta 0.01 --beta 0.1            Theorem 2's lattice for a target
      palm cover lattice -d 3 -n 10                         the simplex lattice {k/n}
      palm cover random -d 3 --count 20 --seed 1            uniform on the simplex
    """
    size, blocks = _cover(kind, objectives, mu, alpha, resolution, delta, beta, reward_max, count, seed)
    if size_only:
        print_json({"points": size}) if as_json else typer.echo(str(size))
        return
    if out is None and size > MAX_POINTS:
        raise CoverTooLargeError(size, MAX_POINTS, f"the {kind} cover")
    if as_json:
        print_json([row for block in blocks for row in block.tolist()])
        return
    header = [f"w{i + 1}" for i in range(objectives)]
    if out is None:
        _write_csv(sys.stdout, header, blocks)
        return
    try:
        with out.open("w", newline="") as file:
            _write_csv(file, header, blocks)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    typer.echo(f"{size} weights written to {out}")


def _cover(
    kind: str,
    objectives: int,
    mu: float | None,
    alpha: float | None,
    resolution: int | None,
    delta: float | None,
    beta: float | None,
    reward_max: float,
    count: int | None,
    seed: int,
) -> tuple[int, Iterator[Array]]:
    """The exact size and the points, in blocks that are made only when asked for."""
    if kind == "hybrid":
        if mu is None or alpha is None:
            raise InputError("the hybrid cover needs --mu and --alpha")
        return covers.hybrid_size(objectives, mu, alpha), covers.hybrid_cover_blocks(objectives, mu, alpha)
    if kind == "random":
        if count is None:
            raise InputError("random weights need --count")
        return count, iter([covers.random_weights(objectives, count, seed=seed)])
    if kind == "kl":
        if delta is None or beta is None:
            raise InputError("the KL lattice needs --delta and --beta")
        resolution = design.theorem2_resolution(objectives, delta=delta, beta=beta, reward_max=reward_max)
    if resolution is None:
        raise InputError("the lattice needs --resolution")
    n = resolution
    return lattice_size(objectives, n), (covers.uniform_grid(objectives, n) for _ in range(1))


def _write_csv(file: Any, header: list[str], blocks: Iterator[Array]) -> None:
    writer = csv.writer(file)
    writer.writerow(header)
    for block in blocks:
        writer.writerows(block.tolist())
