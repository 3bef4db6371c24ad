"""``palm conformance``: whether an installed backend keeps the contract."""

from __future__ import annotations

from typing import Annotated

import typer

from palm_theory.cli.options import Json
from palm_theory.cli.output import print_json


def conformance_command(
    backend: Annotated[str, typer.Argument(help="Entry-point name of an installed backend.")],
    weights: Annotated[int, typer.Option(help="Random weights to try besides the vertices.")] = 8,
    tolerance: Annotated[float, typer.Option(help="Relative to R_max.")] = 1e-9,
    seed: Annotated[int, typer.Option(help="Seed of the random weights.")] = 0,
    as_json: Json = False,
) -> None:
    """Run every law of the backend contract against an installed backend; exit code 1 if one is broken."""
    from palm_theory.testing import check_conformance

    report = check_conformance(backend, weights=weights, tolerance=tolerance, seed=seed)
    if as_json:
        laws = [{"law": r.law, "outcome": r.outcome, "detail": r.detail} for r in report.results]
        print_json({"backend": report.backend, "passed": report.passed, "laws": laws})
    else:
        typer.echo(str(report))
    if not report.passed:
        raise typer.Exit(1)
