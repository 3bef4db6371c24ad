"""``palm select``: which policy of a saved portfolio serves given weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from palm_theory.cli.options import Folder, Json
from palm_theory.cli.output import print_json, print_table
from palm_theory.errors import InputError


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
    from palm_theory.cli.sources import weights_of
    from palm_theory.geometry.simplex import parse_weights
    from palm_theory.portfolio import Portfolio

    if (weights is None) == (file is None):
        raise InputError("give either --weights or --file")
    loaded = Portfolio.load(portfolio)
    if file is not None:
        chosen: Any = loaded.select(weights_of(file, loaded.objectives))
        members = [loaded[int(k)] for k in chosen]
        if as_json:
            print_json([{"index": member.index, "label": member.label} for member in members])
        else:
            typer.echo("\n".join(member.label for member in members))
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
