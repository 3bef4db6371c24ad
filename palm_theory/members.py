"""The policies of a portfolio, and tables of them for people."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from palm_theory.contract.value import Value
from palm_theory.geometry.simplex import Array

if TYPE_CHECKING:
    from pandas import DataFrame

TEXT_COLUMNS = ("", "policy", "solved for")


@dataclass(frozen=True, eq=False)
class Member:
    """One policy of a portfolio.

    ``index`` is its number k in the portfolio, ``label`` its name for people, ``policy`` the backend's object (or,
    loaded without a backend, the folder it lies in), ``value`` its R and f, ``weights`` those it was solved for.
    """

    index: int
    label: str
    policy: Any
    value: Value
    weights: Array | None = None

    @property
    def name(self) -> str:
        """p00, p01, …: its name in the artifact."""
        return f"p{self.index:02d}"

    def __index__(self) -> int:
        return self.index


def dataframe(objectives: Sequence[str], members: Sequence[Member]) -> DataFrame:
    """One row a policy: label, weights it was solved for (w_…), rewards (with …_stderr), regulariser."""
    import pandas as pd

    rows = []
    for member in members:
        row: dict[str, Any] = {"name": member.name, "label": member.label}
        if member.weights is not None:
            row |= {f"w_{o}": float(w) for o, w in zip(objectives, member.weights, strict=True)}
        row |= {o: float(r) for o, r in zip(objectives, member.value.rewards, strict=True)}
        if member.value.rewards_stderr is not None:
            errors = member.value.rewards_stderr
            row |= {f"{o}_stderr": float(e) for o, e in zip(objectives, errors, strict=True)}
        row["regularizer"] = member.value.regularizer
        rows.append(row)
    return pd.DataFrame(rows)


def rich_table(objectives: Sequence[str], members: Sequence[Member], title: str, caption: str) -> Any:
    """One row a policy, for a terminal (``rich``)."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, caption=escape(caption), title_justify="left")
    for column in _header(objectives):
        table.add_column(escape(column), justify="left" if column in TEXT_COLUMNS else "right")
    for member in members:
        table.add_row(*map(escape, _cells(member)))
    return table


def html_table(objectives: Sequence[str], members: Sequence[Member], caption: str) -> str:
    """One row a policy, as HTML."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in _header(objectives))
    rows = ("".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(member)) for member in members)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    text = html.escape(caption)
    return f"<table><caption>{text}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _header(objectives: Sequence[str]) -> list[str]:
    return ["", "policy", *(f"R {name}" for name in objectives), "f", "solved for"]


def _cells(member: Member) -> list[str]:
    solved = "" if member.weights is None else " ".join(f"{w:.3f}" for w in member.weights)
    rewards = [f"{r:.4g}" for r in member.value.rewards]
    return [member.name, member.label, *rewards, f"{member.value.regularizer:.4g}", solved]
