"""``palm compare``: PALM beside other constructions of portfolios."""

from __future__ import annotations

from typing import Annotated

import typer

from palm_theory.cli import problems
from palm_theory.cli.installed import group
from palm_theory.cli.options import Json, Seed
from palm_theory.cli.output import print_json, print_table
from palm_theory.cli.signatures import MakesBackend, on_backend


@on_backend
def _compare(
    backend: MakesBackend,
    policies: Annotated[int, typer.Option("--policies", "-k", help="K, the size all are compared at.")] = 5,
    mu: Annotated[float, typer.Option(help="PALM's μ in (0, 1].")] = 0.5,
    alpha: Annotated[float, typer.Option(help="PALM's α in (0, 1).")] = 0.05,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    from palm_theory.compare import compare

    rows = [row.to_dict() for row in compare(backend(), policies=policies, mu=mu, alpha=alpha, seed=seed)]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, title="exact worst gaps (epsilon at δ = 0, delta at ε = 0); sampled_epsilon is no bound")


compare_app = group(
    _compare,
    help="""PALM against uniform, random and adaptive at the same number of policies, all exactly audited.

\b
  palm compare table scores.csv --minimize latency --name model --policies 5
""",
)
compare_app.command("table")(_compare(problems.exact_table))
for make in (
    problems.bandit,
    problems.mdp,
    problems.knapsack,
    problems.lp,
):
    compare_app.command(make.__name__)(_compare(make))
