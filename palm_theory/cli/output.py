"""How the command line prints: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from palm_theory.portfolio import Portfolio


def print_json(data: Any) -> None:
    """One JSON document on standard output, infinities as null."""
    from palm_theory.files import without_infinities

    typer.echo(json.dumps(without_infinities(data), indent=2, allow_nan=False))


def number(value: Any) -> str:
    """A table cell: integers in full, other numbers to six digits, blanks for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def print_table(rows: Sequence[Mapping[str, Any]], *, title: str | None = None) -> None:
    """Rows with equal keys as a table; columns with numbers are right-aligned."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for key in rows[0]:
        right = all(isinstance(row[key], int | float | None) for row in rows)
        table.add_column(key, justify="right" if right else "left")
    for row in rows:
        table.add_row(*(number(value) for value in row.values()))
    Console().print(table)


def print_portfolio(portfolio: Portfolio, *, as_json: bool) -> None:
    """A portfolio's policies and certificate: as ``portfolio_data``, or for people."""
    if as_json:
        print_json(portfolio_data(portfolio))
        return
    from rich.console import Console

    Console().print(portfolio)


def portfolio_data(portfolio: Portfolio) -> dict[str, Any]:
    """A portfolio for ``--json``: objectives, certificate and policies."""
    return {
        "objectives": list(portfolio.objectives),
        "certificate": portfolio.certificate.to_dict(),
        "strategy": portfolio.strategy,
        "solves": portfolio.solves,
        "policies": [
            {
                "name": member.name,
                "label": member.label,
                "weights": None if member.weights is None else member.weights.tolist(),
                **member.value.to_dict(),
            }
            for member in portfolio
        ],
    }


def named(weights: Any, objectives: Sequence[str], separator: str = ", ") -> str:
    """Weights (d,) in words: ``quality=0.7, latency=0.3``."""
    return separator.join(f"{name}={weight:.4g}" for name, weight in zip(objectives, weights, strict=True))
