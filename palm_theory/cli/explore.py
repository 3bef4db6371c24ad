"""``palm explore``: a portfolio as one HTML page, to move the weights and see who serves."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palm_theory.cli.options import TableOptions
from palm_theory.cli.signatures import with_options
from palm_theory.errors import InputError

if TYPE_CHECKING:
    from palm_theory.portfolio import Portfolio


@with_options
def explore_command(
    portfolio: Annotated[
        Path | None, typer.Argument(help="A portfolio's folder. Default: a small example, built on the spot.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("explorer.html"),
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open it, where there is a browser.")] = True,
    against: Annotated[
        Path | None,
        typer.Option(
            help="What J* is the best of: a CSV of candidates, or the file that a portfolio of another backend was "
            "built from (the .npz of a bandit, say)."
        ),
    ] = None,
    table: TableOptions,
    runs: Annotated[
        Path | None, typer.Option(help="Language models: the folder with their evaluations. Default: PORTFOLIO/..")
    ] = None,
    example_objectives: Annotated[int, typer.Option("--objectives", "-d", help="Of the example: 2 to 6.")] = 3,
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
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import Progress

    from palm_theory.cli.sources import Rivals, rivals
    from palm_theory.explorer import example, write_page
    from palm_theory.portfolio import Portfolio

    if seconds < 0:
        raise InputError(f"--seconds must be >= 0, got {seconds}")
    beside = Rivals()
    answers: Mapping[str, Any] | None = None
    if portfolio is None:
        if against is not None:
            raise InputError("--against needs a portfolio")
        shown, backend = example(example_objectives)
        beside = Rivals(backend)
        title = f"An example: {len(shown)} policies of a small assistant"
    else:
        shown = Portfolio.load(portfolio)
        title = f"{portfolio.resolve().name}: {len(shown)} policies"
        answers = _answers(shown, portfolio.resolve().parent if runs is None else runs)
        if against is not None:
            beside = rivals(shown, against, table)
    if beside.candidates is not None:
        declared = replace(shown.declarations, evaluation_max=beside.evaluation_max)
        shown = replace(shown, declarations=declared)
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("best subset of every size", total=len(shown))
        page = write_page(
            shown,
            out,
            backend=beside.backend,
            candidates=beside.candidates,
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
    from palm_theory.application import application_of

    application = application_of(portfolio.kind)
    return None if application is None else application.recorded_answers(portfolio, runs)


def _opened(page: Path) -> bool:
    """Whether the page was handed to a browser: one that has a screen, or the one named in $BROWSER."""
    screen = os.name == "nt" or sys.platform == "darwin" or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    if not screen and "BROWSER" not in os.environ:
        return False
    try:
        return webbrowser.open(page.resolve().as_uri())
    except webbrowser.Error:
        return False
