"""``palm points``: a portfolio's outcome points in original units, and whether they are the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palm_theory.certify.certificate import Kind
from palm_theory.cli.output import Json, print_json, print_table
from palm_theory.geometry.simplex import Array
from palm_theory.points import (
    MATCH_TOLERANCE,
    compare_points,
    extreme_points,
    original_points,
    plain_points,
    read_points,
    write_points,
)
from palm_theory.portfolio import Portfolio


def extreme_points_of(portfolio: Portfolio) -> Array:
    """The extreme nondominated points among a portfolio's, in original units, (K, d)."""
    points = original_points(portfolio.policy_values, portfolio.normalizers)
    return points[extreme_points(points, portfolio.normalizers)]


def is_complete(portfolio: Portfolio) -> bool:
    """Whether the certificate says that no optimal policy is missing: exact against J*, both gaps 0 to rounding."""
    certificate = portfolio.certificate
    return certificate.kind is Kind.EXACT and certificate.certifies(1e-9, 0.0)


def points_command(
    portfolio: Annotated[Path, typer.Argument(help="A portfolio's folder.")],
    out: Annotated[Path | None, typer.Option(help="Write them to this .csv or .json file.")] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="A published set: d numbers a line, CSV, JSON, or a MOrepo result; exit code 1 if it differs."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Coordinates agree within this multiple of max(1, size).")
    ] = MATCH_TOLERANCE,
    as_json: Json = False,
) -> None:
    """The extreme supported nondominated points, in the units and orientation of the problem's file.

    All of them, if the portfolio was built with --epsilon 0. A published set may hold other nondominated points too:
    its extreme ones must all have been found, and every point found must be in it.

    \b
      palm build knapsack KP_p-3_n-40_ins-1.dat --epsilon 0 --out kp
      palm points kp --out points.csv
      palm points kp --against published.txt
    """
    loaded = Portfolio.load(portfolio)
    points = extreme_points_of(loaded)
    if out is not None:
        write_points(out, points, loaded.objectives)
    rows = [dict(zip(loaded.objectives, row, strict=True)) for row in plain_points(points)]
    complete = is_complete(loaded)
    comparison = None
    if against is not None:
        published = read_points(against, loaded.normalizers)
        comparison = compare_points(points, published, loaded.normalizers, tolerance)
    if as_json:
        answer = {"objectives": list(loaded.objectives), "points": rows, "complete": complete}
        if comparison is not None:
            answer["comparison"] = {
                "equal": comparison.equal,
                "found": comparison.found,
                "published": comparison.published,
                "published_extreme": comparison.extreme,
                "missing": plain_points(comparison.missing),
                "unexpected": plain_points(comparison.unexpected),
            }
        print_json(answer)
    else:
        if comparison is None:
            print_table(rows, title=f"{len(rows)} extreme nondominated points")
        else:
            typer.echo(
                f"{comparison.found} found; {comparison.published} published, {comparison.extreme} of them extreme; "
                f"{len(comparison.missing)} missing, {len(comparison.unexpected)} unexpected"
            )
            for name, wrong in (("missing", comparison.missing), ("unexpected", comparison.unexpected)):
                for row in plain_points(wrong):
                    typer.echo(f"{name}: {row}")
        if not complete:
            typer.echo(f"not all extreme points, only the portfolio's ({loaded.certificate}): build with --epsilon 0")
    if comparison is not None and not comparison.equal:
        raise typer.Exit(1)
