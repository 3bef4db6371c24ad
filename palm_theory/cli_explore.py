"""``palm explore``: a portfolio as one HTML page, to move the weights and see who serves."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress

from palm_theory.backend import PolicyBackend, Power, backend_class
from palm_theory.cli_build import (
    MinimizeNames,
    NameColumn,
    Normalization,
    ObjectiveNames,
    RegularizerColumn,
    RewardMax,
    Samples,
    StderrColumns,
    array_backend,
)
from palm_theory.cli_portfolio import candidate_table
from palm_theory.errors import InputError
from palm_theory.explorer import example, write_page
from palm_theory.intervals import widest
from palm_theory.portfolio import Portfolio
from palm_theory.value import Value

LLM_MODULE = "backends.llm."


def explore_command(
    portfolio: Annotated[
        Path | None, typer.Argument(help="A portfolio's folder. Default: a small example, built on the spot.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("explorer.html"),
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open it, where there is a browser.")] = True,
    against: Annotated[
        Path | None,
        typer.Option(help="What J* is the best of: a CSV of candidates, or the .npz of --backend bandit or mdp."),
    ] = None,
    backend: Annotated[Literal["table", "bandit", "mdp"], typer.Option(help="What --against holds.")] = "table",
    beta: Annotated[float, typer.Option(help="β of --backend bandit or mdp.")] = 0.0,
    discount: Annotated[float | None, typer.Option(help="γ of --backend mdp.")] = None,
    horizon: Annotated[int | None, typer.Option(help="T of --backend mdp.")] = None,
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
      palm explore portfolio --backend bandit --against rewards.npz --beta 0.05
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
        if against is not None and backend == "table":
            options = (objective, minimize, name, regularizer, stderr, samples, normalization, reward_max)
            table = candidate_table(shown, against, *options)
            assert Power.ALL_VALUES in table.powers
            candidates = table.all_values()
            shown = replace(shown, evaluation_max=widest(shown.evaluation_max, table.evaluation_max))
        elif against is not None:
            source = _problem(backend, against, beta, discount, horizon)
    if portfolio is not None and against is None and backend != "table":
        raise InputError(f"--backend {backend} needs --against FILE.npz, its arrays")
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


def _problem(kind: str, file: Path, beta: float, discount: float | None, horizon: int | None) -> PolicyBackend:
    if kind == "bandit":
        return array_backend("bandit", file, beta=beta)
    if discount is None:
        raise InputError("--backend mdp needs --discount")
    return array_backend("mdp", file, discount=discount, horizon=horizon, beta=beta)


def _answers(portfolio: Portfolio, runs: Path) -> Mapping[str, Any] | None:
    """Recorded answers of language models, where they are found."""
    if not str(portfolio.problem.get("backend", "")).startswith(LLM_MODULE):
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
