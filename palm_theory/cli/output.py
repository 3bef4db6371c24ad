"""How the command line prints: tables for people, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def plain(data: Any) -> Any:
    """Data with infinities as null, so that the JSON is standard."""
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, Mapping):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    return data


def print_json(data: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(plain(data), indent=2, allow_nan=False))


def number(value: Any) -> str:
    """A table cell: integers in full, other numbers to six digits, blanks for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def print_table(rows: Sequence[Mapping[str, Any]], *, title: str | None = None) -> None:
    """Rows with equal keys as a table; columns with numbers are right-aligned."""
    table = Table(title=title, title_justify="left")
    for key in rows[0]:
        right = all(isinstance(row[key], int | float | None) for row in rows)
        table.add_column(key, justify="right" if right else "left")
    for row in rows:
        table.add_row(*(number(value) for value in row.values()))
    Console().print(table)
