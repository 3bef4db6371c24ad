"""``palm points``: a portfolio's outcome points in original units, and whether they are the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palm_theory.cli.options import Folder, Json
from palm_theory.cli.output import print_json, print_table

if TYPE_CHECKING:
    from palm_theory.geometry.simplex import Array
    from palm_theory.portfolio import Portfolio


def extreme_points_of(portfolio: Portfolio) -> Array:
    """The extreme nondominated points among a portfolio's, in original units, (K, d)."""
    from palm_theory.points import extreme_points, original_points

    points = original_points(portfolio.policy_values, portfolio.normalizers)
    return points[extreme_points(points, portfolio.normalizers)]


def is_complete(portfolio: Portfolio) -> bool:
    """Whether the certificate says that no optimal policy is missing: exact against J*, both gaps 0 to rounding."""
    from palm_theory.certify.certificate import Kind

    certificate = portfolio.certificate
    return certificate.kind is Kind.EXACT and certificate.certifies(1e-9, 0.0)


def points_command(
    portfolio: Folder,
    out: Annotated[Path | None, typer.Option(help="Write them to this .csv or .json file.")] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="A published set: d numbers a line, CSV, JSON, or a MOrepo result; exit code 1 if it differs."
        ),
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Coordinates agree within this multiple of max(1, size). Default: 1e-6.")
    ] = None,
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
    from palm_theory.points import MATCH_TOLERANCE, compare_points, plain_points, read_points, write_points
    from palm_theory.portfolio import Portfolio

    loaded = Portfolio.load(portfolio)
    points = extreme_points_of(loaded)
    if out is not None:
        write_points(out, points, loaded.objectives)
    rows = [dict(zip(loaded.objectives, row, strict=True)) for row in plain_points(points)]
    complete = is_complete(loaded)
    match = None
    if against is not None:
        published = read_points(against, loaded.normalizers)
        within = MATCH_TOLERANCE if tolerance is None else tolerance
        match = compare_points(points, published, loaded.normalizers, within)
    if as_json:
        answer = {"objectives": list(loaded.objectives), "points": rows, "complete": complete}
        if match is not None:
            answer["comparison"] = {
                "equal": match.equal,
                "found": match.found,
                "published": match.published,
                "published_extreme": match.extreme,
                "missing": plain_points(match.missing),
                "unexpected": plain_points(match.unexpected),
            }
        print_json(answer)
    else:
        if match is None:
            print_table(rows, title=f"{len(rows)} extreme nondominated points")
        else:
            typer.echo(
                f"{match.found} found; {match.published} published, {match.extreme} of them extreme; "
                f"{len(match.missing)} missing, {len(match.unexpected)} unexpected"
            )
            for name, wrong in (("missing", match.missing), ("unexpected", match.unexpected)):
                for row in plain_points(wrong):
                    typer.echo(f"{name}: {row}")
        if not complete:
            typer.echo(f"not all extreme points, only the portfolio's ({loaded.certificate}): build with --epsilon 0")
    if match is not None and not match.equal:
        raise typer.Exit(1)
