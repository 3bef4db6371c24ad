"""``palm audit``, ``select``, ``show`` and ``conformance``: questions to a saved portfolio or an installed backend."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from palm_theory.certify.audit import audit
from palm_theory.certify.certificate import Certificate
from palm_theory.cli.build import Normalization, table_backend
from palm_theory.cli.options import portfolio_data
from palm_theory.cli.output import Json, print_json, print_table
from palm_theory.cli.sources import built_from, is_of_arrays
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.calls import all_values
from palm_theory.errors import InputError
from palm_theory.geometry.intervals import widest
from palm_theory.geometry.simplex import parse_weights
from palm_theory.metrics import usage
from palm_theory.portfolio import Portfolio
from palm_theory.testing import check_conformance

Folder = Annotated[Path, typer.Argument(help="A portfolio's folder.")]


def audit_command(
    portfolio: Folder,
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
            ".npz that a bandit's or MDP's portfolio was built from."
        ),
    ] = None,
    objective: Annotated[list[str] | None, typer.Option("--objective", help="As for palm build table.")] = None,
    minimize: Annotated[list[str] | None, typer.Option("--minimize", help="As for palm build table.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="As for palm build table.")] = None,
    regularizer: Annotated[str | None, typer.Option("--regularizer", help="As for palm build table.")] = None,
    stderr: Annotated[list[str] | None, typer.Option("--stderr", help="As for palm build table.")] = None,
    samples: Annotated[int | None, typer.Option(help="As for palm build table.")] = None,
    reward_max: Annotated[float | None, typer.Option(help="As for palm build table.")] = None,
    normalization: Normalization = "shift",
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
    loaded = Portfolio.load(portfolio)
    certificate = loaded.certificate
    options = (objective, minimize, name, regularizer, stderr, samples, normalization, reward_max)
    if against is not None and is_of_arrays(loaded):
        certificate = loaded.audit(built_from(loaded, against, options), confidence=confidence)
    elif against is not None:
        backend = candidate_table(loaded, against, *options)
        single = widest(loaded.evaluation_max, backend.evaluation_max)
        certificate = audit(loaded, reference=all_values(backend), confidence=confidence, evaluation_max=single)
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


def candidate_table(portfolio: Portfolio, scores: Path, *options: Any) -> PolicyBackend:
    """The table a portfolio is to be compared with; ``options`` as for ``table_backend``.

    Raises InputError where its objectives or their normalisation are others than the portfolio's.
    """
    backend = table_backend(scores, *options)
    if backend.objectives != portfolio.objectives:
        raise InputError(f"{scores} has objectives {backend.objectives}, the portfolio {portfolio.objectives}")
    if tuple(backend.normalizers) != tuple(portfolio.normalizers):
        raise InputError(f"{scores} is normalised otherwise than the portfolio was: its numbers do not compare")
    return backend


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
        worst = ", ".join(f"{o}={w:.4g}" for o, w in zip(objectives, certificate.worst_weight, strict=True))
        typer.echo(f"worst served: {worst}")


def select_command(
    portfolio: Folder,
    weights: Annotated[
        str | None,
        typer.Option("--weights", "-w", help="name=weight,… (objectives left out get 0), or numbers in order."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="CSV of weights, one user a row, columns named as objectives.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Which policy serves these weights.

    \b
      palm select portfolio --weights quality=0.7,latency=0.3
      palm select portfolio --weights 0.7,0.3
      palm select portfolio --file users.csv --json
    """
    if (weights is None) == (file is None):
        raise InputError("give either --weights or --file")
    loaded = Portfolio.load(portfolio)
    if file is not None:
        chosen = loaded.select(weights_file(file, loaded.objectives))
        assert isinstance(chosen, np.ndarray)
        labels = [loaded[int(k)].label for k in chosen]
        if as_json:
            print_json([{"index": int(k), "label": label} for k, label in zip(chosen, labels, strict=True)])
        else:
            typer.echo("\n".join(labels))
        return
    assert weights is not None
    vector = loaded.weights(parse_weights(weights))
    scores = loaded.values(vector)
    best = loaded.select(list(map(float, vector)))
    rows = [
        {"policy": member.name, "label": member.label, "J_w": float(score), "serves": "<-" if member is best else ""}
        for member, score in zip(loaded, scores, strict=True)
    ]
    if as_json:
        print_json(
            {"selected": best.name, "label": best.label, "index": best.index, "value": float(scores[best.index])}
        )
    else:
        print_table(rows, title="J_w = <w, R> - f")


def weights_file(path: Path, objectives: tuple[str, ...]) -> list[list[float]]:
    """Weights of a CSV, one user a row, in the order of ``objectives``. Raises InputError with the line at fault."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in objectives if name not in (reader.fieldnames or [])]
            if missing:
                raise InputError(f"{path} has no column {missing[0]!r}")
            rows = []
            for row in reader:
                try:
                    rows.append([float(row[name]) for name in objectives])
                except (TypeError, ValueError):
                    raise InputError(f"{path}, line {reader.line_num}: not a number in every objective") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if not rows:
        raise InputError(f"{path} holds no weights")
    return rows


def show_command(portfolio: Folder, as_json: Json = False) -> None:
    """The policies of a portfolio, whom they serve, and its certificate."""
    loaded = Portfolio.load(portfolio)
    if as_json:
        print_json(portfolio_data(loaded))
        return
    Console().print(loaded)
    shares = usage(loaded)
    print_table(
        [{"policy": member.name, "label": member.label, "share": float(shares[member.index])} for member in loaded],
        title="share of 1,000 users with weights uniform on the simplex (an estimate)",
    )


def conformance_command(
    backend: Annotated[str, typer.Argument(help="Entry-point name of an installed backend.")],
    weights: Annotated[int, typer.Option(help="Random weights to try besides the vertices.")] = 8,
    tolerance: Annotated[float, typer.Option(help="Relative to R_max.")] = 1e-9,
    seed: Annotated[int, typer.Option(help="Seed of the random weights.")] = 0,
    as_json: Json = False,
) -> None:
    """Run every law of the backend contract against an installed backend; exit code 1 if one is broken."""
    report = check_conformance(backend, weights=weights, tolerance=tolerance, seed=seed)
    if as_json:
        laws = [{"law": r.law, "outcome": r.outcome, "detail": r.detail} for r in report.results]
        print_json({"backend": report.backend, "passed": report.passed, "laws": laws})
    else:
        typer.echo(str(report))
    if not report.passed:
        raise typer.Exit(1)
