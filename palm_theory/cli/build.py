"""``palm build``: a certified portfolio of a problem in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palm_theory.cli import problems
from palm_theory.cli.installed import group
from palm_theory.cli.options import Json, Seed, StrategyOptions
from palm_theory.cli.output import print_portfolio
from palm_theory.cli.signatures import MakesBackend, on_backend


@on_backend
def _build(
    backend: MakesBackend,
    strategy: StrategyOptions,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the portfolio and its journal. Default: nothing is kept.")
    ] = None,
    as_json: Json = False,
) -> None:
    from palm_theory.build import build_portfolio

    # A bad strategy is refused before the backend is made, which may take long.
    chosen = strategy.chosen(seed)
    print_portfolio(build_portfolio(backend(), chosen, path=out, seed=seed), as_json=as_json)
    if out is not None and not as_json:
        typer.echo(f"saved in {out}")


build_app = group(
    _build,
    help="""Build a certified portfolio, in a folder that survives a kill: run the same command again to go on.

\b
  palm build table scores.csv --objective quality --minimize latency --epsilon 0.01 --out portfolio
  palm build bandit rewards.npz --beta 0.1 --strategy palm --mu 0.5 --alpha 0.05
  palm build mdp model.npz --discount 0.95
  palm build knapsack KP_p-3_n-40_ins-1.dat --epsilon 0 --out portfolio
  palm build lp problem.vlp --epsilon 0 --out portfolio
""",
)
for make in (
    problems.table,
    problems.bandit,
    problems.mdp,
    problems.knapsack,
    problems.assignment,
    problems.lp,
    problems.integer,
):
    build_app.command(make.__name__)(_build(make))
