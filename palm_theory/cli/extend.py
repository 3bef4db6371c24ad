"""``palm extend``: one policy more in a saved portfolio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from palm_theory.cli import problems
from palm_theory.cli.installed import group
from palm_theory.cli.llm import LanguageModelOptions
from palm_theory.cli.options import Folder, Json
from palm_theory.cli.output import print_portfolio
from palm_theory.cli.signatures import MakesBackend, on_backend
from palm_theory.errors import InputError


@on_backend
def _extend(
    portfolio: Folder,
    backend: MakesBackend,
    weights: Annotated[
        str | None, typer.Option("--weights", "-w", help="Where to train: name=weight,… or numbers in order.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="Train where this log says that it pays most (palm drift).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the result. Default: in place.")] = None,
    as_json: Json = False,
) -> None:
    import numpy as np

    from palm_theory.geometry.simplex import parse_weights
    from palm_theory.portfolio import Portfolio
    from palm_theory.traffic.drift import drift
    from palm_theory.traffic.log import read_traffic

    if (weights is None) == (log is None):
        raise InputError("give either --weights or --log")
    made = backend()
    loaded = Portfolio.load(portfolio, made)
    if weights is not None:
        chosen = np.asarray(loaded.weights(parse_weights(weights)))
    else:
        assert log is not None
        extension = drift(read_traffic(log, loaded.objectives), loaded, made).extension
        if extension is None:
            typer.echo("nothing to gain on these requests; the portfolio stays as it is", err=True)
            return
        chosen = extension.weights
    extended = loaded.extend(made, chosen)
    target = out or portfolio
    extended.save(target, made)
    print_portfolio(extended, as_json=as_json)
    if not as_json:
        added = len(extended) - len(loaded)
        typer.echo(
            f"{added} policy added, saved in {target}" if added else f"already there: no policy added ({target})"
        )


extend_app = group(
    _extend,
    help="""Add one policy to a portfolio: at weights of yours, or where a log says that it pays most.

\b
  palm extend table portfolio scores.csv --minimize latency --name model --log requests.jsonl
  palm extend bandit portfolio rewards.npz --beta 0.1 --weights 0.2,0.5,0.3
  palm extend llm runs/llm/portfolio --log requests.jsonl
""",
)
extend_app.command("table", help="One row more of the table that it was built from.")(_extend(problems.table))
extend_app.command("bandit", help="One policy more of a contextual bandit.")(_extend(problems.bandit))


def _llm(options: LanguageModelOptions) -> Any:
    """Train one adapter more. Give the options that the portfolio was built with: any other problem is refused.

    Killed, it goes on from its last checkpoint: run the same command again.
    """
    return options.backend()


extend_app.command("llm")(_extend(_llm))
