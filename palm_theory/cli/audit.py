"""``palm audit``: what is proven about a saved portfolio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palm_theory.cli.options import Folder, Json, TableOptions
from palm_theory.cli.output import named, print_json, print_table
from palm_theory.cli.signatures import with_options

if TYPE_CHECKING:
    from palm_theory.certify.certificate import Certificate


@with_options
def audit_command(
    portfolio: Folder,
    *,
    epsilon: Annotated[
        float | None, typer.Option(help="The ε that must be certified, or exit code 1. 0 where only --delta is given.")
    ] = None,
    delta: Annotated[
        float | None, typer.Option(help="The δ that goes with it. 0 where only --epsilon is given.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Audit afresh: against all policies of this CSV (J* is the best of them), or against the J* of the "
            "file that a portfolio of another backend was built from (the .npz of a bandit, say)."
        ),
    ] = None,
    table: TableOptions,
    confidence: Annotated[float, typer.Option(help="For tables with standard errors.")] = 0.95,
    within_reference: Annotated[
        bool,
        typer.Option(
            "--within-reference", help="Take a certificate over a reference set (trained policies) for enough."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """What is proven about a portfolio; with --epsilon or --delta, whether it proves that.

    Every file is checked against its digest first. Without --against the stored certificate is shown. Exit code 0 means
    certified against every policy there is; with --against or --within-reference, beside those the certificate names.

    \b
      palm audit portfolio --epsilon 0.02
      palm audit portfolio --against scores.csv --minimize latency --name model
    """
    from palm_theory.cli.sources import rivals
    from palm_theory.portfolio import Portfolio

    loaded = Portfolio.load(portfolio)
    certificate = loaded.certificate
    if against is not None:
        beside = rivals(loaded, against, table)
        certificate = loaded.audit(
            beside.backend,
            reference=beside.candidates,
            confidence=confidence,
            evaluation_max=beside.evaluation_max,
        )
    asked = epsilon is not None or delta is not None
    target = (epsilon or 0.0, delta or 0.0)
    # Whoever names a file chose the reference set.
    within = within_reference or against is not None
    certified = not asked or certificate.certifies(*target, within_reference=within)
    if as_json:
        answer = (
            {"target": dict(zip(("epsilon", "delta"), target, strict=True)), "certified": certified} if asked else {}
        )
        print_json({"certificate": certificate.to_dict(), **answer})
    else:
        _print_certificate(certificate, loaded.objectives)
        if asked:
            verdict = _verdict(certificate, *target, certified)
            typer.echo(f"(epsilon, delta) = ({target[0]:g}, {target[1]:g}) {verdict}")
    if not certified:
        raise typer.Exit(1)


def _verdict(certificate: Certificate, epsilon: float, delta: float, certified: bool) -> str:
    """What the exit code says, in words, and over which policies."""
    if certificate.is_against_optimum:
        return "is certified" if certified else "is NOT certified"
    over = f"over {certificate.reference} only, not against every policy"
    if certified:
        return f"is certified {over}"
    if certificate.certifies(epsilon, delta, within_reference=True):
        return f"is NOT certified: it holds {over} (--within-reference takes that for enough)"
    return f"is NOT certified, not even over {certificate.reference}"


def _print_certificate(certificate: Certificate, objectives: tuple[str, ...]) -> None:
    typer.echo(str(certificate))
    rows = [
        {"": "additive gap (delta at epsilon = 0)", "value": certificate.additive_gap},
        {"": "slack", "value": certificate.slack},
        {"": "confidence", "value": certificate.confidence},
        {"": "policies", "value": certificate.size},
        {"": "corner weights", "value": certificate.corners},
        {"": "oracle calls", "value": certificate.oracle_calls},
    ]
    if certificate.size_bound is not None:
        rows.append({"": "size promised by the theorem", "value": certificate.size_bound})
    print_table(rows)
    if certificate.worst_weight is not None:
        typer.echo(f"worst served: {named(certificate.worst_weight, objectives)}")
