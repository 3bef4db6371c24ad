"""``palm cover``: the weights of a cover."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from palm_theory.cli.options import Alpha, Json, Mu, Objectives
from palm_theory.cli.output import print_json
from palm_theory.errors import CoverTooLargeError, InputError

if TYPE_CHECKING:
    from palm_theory.geometry.simplex import Array


def cover_command(
    kind: Annotated[Literal["hybrid", "aligned", "lattice", "kl", "random"], typer.Argument(help="Which cover.")],
    objectives: Objectives,
    mu: Mu = None,
    alpha: Alpha = None,
    steps: Annotated[int | None, typer.Option(help="K of the hybrid cover with α = (1+μ)^-K (aligned).")] = None,
    epsilon: Annotated[float | None, typer.Option(help="ε to reach, with --delta (aligned).")] = None,
    resolution: Annotated[int | None, typer.Option("--resolution", "-n", help="n of the lattice {k/n}.")] = None,
    delta: Annotated[float | None, typer.Option(help="δ to reach (aligned, kl).")] = None,
    beta: Annotated[float | None, typer.Option(help="β (kl).")] = None,
    reward_max: Annotated[float, typer.Option(help="R_max (aligned, kl).")] = 1.0,
    regularizer_max: Annotated[float, typer.Option(help="f_max (aligned).")] = 0.0,
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
      palm cover aligned -d 3 --mu 0.5 --steps 7            Theorem 1''s: the hybrid cover with α = (1+μ)^-K
      palm cover aligned -d 3 --epsilon 0.1 --delta 0.1     … the smallest for a target
      palm cover kl -d 3 --delta 0.01 --beta 0.1            Theorem 2's lattice for a target
      palm cover lattice -d 3 -n 10                         the simplex lattice {k/n}
      palm cover random -d 3 --count 20 --seed 1            uniform on the simplex
    """
    from palm_theory.geometry.simplex import MAX_POINTS

    if kind == "aligned":
        if alpha is not None:
            raise InputError("the aligned cover takes --steps K instead of --alpha: α = (1+μ)^-K")
        mu, alpha = _aligned(objectives, mu, steps, epsilon, delta, reward_max, regularizer_max)
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


def _aligned(
    objectives: int,
    mu: float | None,
    steps: int | None,
    epsilon: float | None,
    delta: float | None,
    reward_max: float,
    regularizer_max: float,
) -> tuple[float | None, float | None]:
    """μ and α of the cover asked for by K, or by a target of Theorem 1″."""
    from palm_theory import covers, design

    if mu is not None and steps is not None:
        return mu, covers.aligned_alpha(mu, steps)
    if epsilon is None or delta is None:
        raise InputError("the aligned cover needs --mu and --steps, or a target --epsilon and --delta")
    found = design.cheapest_theorem1_double_prime(
        objectives, epsilon=epsilon, delta=delta, reward_max=reward_max, regularizer_max=regularizer_max
    )
    return found.mu, found.alpha


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
    from palm_theory import covers, design
    from palm_theory.geometry.simplex import lattice_size

    if kind in ("hybrid", "aligned"):
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
        resolution = design.theorem2_prime_resolution(objectives, delta=delta, beta=beta, reward_max=reward_max)
    if resolution is None:
        raise InputError("the lattice needs --resolution")
    n = resolution
    return lattice_size(objectives, n), (covers.uniform_grid(objectives, n) for _ in range(1))


def _write_csv(file: Any, header: list[str], blocks: Iterator[Array]) -> None:
    writer = csv.writer(file)
    writer.writerow(header)
    for block in blocks:
        writer.writerows(block.tolist())
