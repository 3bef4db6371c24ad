"""``palm explore``: a portfolio as one HTML page, to move the weights and see who serves."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from palm_theory.cli.build import (
    MinimizeNames,
    NameColumn,
    Normalization,
    ObjectiveNames,
    RegularizerColumn,
    RewardMax,
    Samples,
    StderrColumns,
)
from palm_theory.cli.llm import is_of_llm
from palm_theory.cli.portfolio import candidate_table
from palm_theory.cli.sources import built_from, is_of_arrays
from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.contract.calls import all_values
from palm_theory.contract.registry import backend_class
from palm_theory.contract.value import Value
from palm_theory.errors import InputError
from palm_theory.explorer import example, write_page
from palm_theory.geometry.intervals import widest
from palm_theory.portfolio import Portfolio


def explore_command(
    portfolio: Annotated[
        Path | None, typer.Argument(help="A portfolio's folder. Default: a small example, built on the spot.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("explorer.html"),
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open it, where there is a browser.")] = True,
    against: Annotated[
        Path | None,
        typer.Option(
            help="What J* is the best of: a CSV of candidates, or the .npz of the bandit or MDP it was built from."
        ),
    ] = None,
    objective: ObjectiveNames = None,
    minimize: MinimizeNames = None,
    name: NameColumn = None,
    regularizer: RegularizerColumn = None,
    stderr: StderrColumns = None,
    samples: Samples = None,
    reward_max: RewardMax = None,
    normalization: Normalization = "shift",
    runs: Annotated[
        Path | None, typer.Option(help="Language models: the folder with their evaluations. Default: PORTFOLIO/..")
    ] = None,
    objectives: Annotated[int, typer.Option("--objectives", "-d", help="Of the example: 2 to 6.")] = 3,
    seconds: Annotated[float, typer.Option(help="Time for proving subsets the best of their size.")] = 20.0,
) -> None:
    """Move the weights and see which policy serves, how good it is, and what one more policy buys.

    Writes one HTML file that needs no server and loads nothing. Without --against the page knows of J* what the
    portfolio's certificate says, and says so.

    \b
      palm explore
      palm explore portfolio --against scores.csv --minimize latency --name model
      palm explore portfolio --against rewards.npz
      palm explore runs/llm/portfolio --out page.html --no-open
    """
    if seconds < 0:
        raise InputError(f"--seconds must be >= 0, got {seconds}")
    source: PolicyBackend | None = None
    candidates: Sequence[Value] | None = None
    answers: Mapping[str, Any] | None = None
    if portfolio is None:
        if against is not None:
            raise InputError("--against needs a portfolio")
        shown, source = example(objectives)
        title = f"An example: {len(shown)} policies of a small assistant"
    else:
        shown = Portfolio.load(portfolio)
        title = f"{portfolio.resolve().name}: {len(shown)} policies"
        answers = _answers(shown, portfolio.resolve().parent if runs is None else runs)
        options = (objective, minimize, name, regularizer, stderr, samples, normalization, reward_max)
        if against is not None and is_of_arrays(shown):
            source = built_from(shown, against, options)
        elif against is not None:
            table = candidate_table(shown, against, *options)
            assert Power.ALL_VALUES in table.powers
            candidates = all_values(table)
            shown = replace(shown, evaluation_max=widest(shown.evaluation_max, table.evaluation_max))
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("best subset of every size", total=len(shown))
        page = write_page(
            shown,
            out,
            backend=source,
            candidates=candidates,
            answers=answers,
            title=title,
            command="PORTFOLIO" if portfolio is None else str(portfolio),
            budget=seconds,
            advance=lambda: bar.advance(task),
        )
    typer.echo(f"wrote {page}")
    if open_page and not _opened(page):
        typer.echo("no browser here: open the file in one")


def _answers(portfolio: Portfolio, runs: Path) -> Mapping[str, Any] | None:
    """Recorded answers of language models, where they are found."""
    if not is_of_llm(portfolio):
        return None
    make: Any = backend_class("llm")
    return make.recorded_answers(portfolio, runs)


def _opened(page: Path) -> bool:
    """Whether the page was handed to a browser: one that has a screen, or the one named in $BROWSER."""
    screen = os.name == "nt" or sys.platform == "darwin" or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    if not screen and "BROWSER" not in os.environ:
        return False
    try:
        return webbrowser.open(page.resolve().as_uri())
    except webbrowser.Error:
        return False
