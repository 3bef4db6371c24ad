"""``palm drift`` and ``palm extend``: what the traffic says of a portfolio, and one policy more where it pays."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from palm_theory.cli.build import Beta, Normalization, ProblemFile, array_backend, table_backend
from palm_theory.cli.llm import llm_backend, llm_workers
from palm_theory.cli.options import portfolio_data
from palm_theory.cli.output import Json, print_json, print_table
from palm_theory.contract.backend import PolicyBackend
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import parse_weights
from palm_theory.portfolio import Portfolio, WeightsLike
from palm_theory.traffic.drift import Drift, drift
from palm_theory.traffic.log import read_traffic

extend_app = typer.Typer(
    help="""Add one policy to a portfolio: at weights of yours, or where a log says that it pays most.

\b
  palm extend table portfolio scores.csv --minimize latency --name model --log requests.jsonl
  palm extend bandit portfolio rewards.npz --beta 0.1 --weights 0.2,0.5,0.3
  palm extend llm runs/llm/portfolio --log requests.jsonl
""",
    no_args_is_help=True,
)

Saved = Annotated[Path, typer.Argument(help="A portfolio's folder.")]
AsBuilt = "As for palm build."
WeightsOption = Annotated[
    str | None, typer.Option("--weights", "-w", help="Where to train: name=weight,… or numbers in order.")
]
LogOption = Annotated[Path | None, typer.Option(help="Train where this log says that it pays most (palm drift).")]
OutOption = Annotated[Path | None, typer.Option(help="Folder for the result. Default: in place.")]
Objective = Annotated[list[str] | None, typer.Option("--objective", help=AsBuilt)]
Minimize = Annotated[list[str] | None, typer.Option("--minimize", help=AsBuilt)]
Name = Annotated[str | None, typer.Option("--name", help=AsBuilt)]
Regularizer = Annotated[str | None, typer.Option("--regularizer", help=AsBuilt)]
Stderr = Annotated[list[str] | None, typer.Option("--stderr", help=AsBuilt)]
Samples = Annotated[int | None, typer.Option(help=AsBuilt)]
RewardMax = Annotated[float | None, typer.Option(help=AsBuilt)]


def drift_command(
    log: Annotated[Path, typer.Argument(help="Requests, one JSON object a line, as palm serve writes them.")],
    portfolio: Saved,
    against: Annotated[
        Path | None,
        typer.Option(
            help="CSV the portfolio was built from: J* is then known, and every number exact (without --stderr)."
        ),
    ] = None,
    objective: Objective = None,
    minimize: Minimize = None,
    name: Name = None,
    regularizer: Regularizer = None,
    stderr: Stderr = None,
    samples: Samples = None,
    reward_max: RewardMax = None,
    normalization: Normalization = "shift",
    split: Annotated[
        str | None,
        typer.Option(help="Start of the second period: ISO time or seconds since 1970. Default: the median."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the permutations.")] = 0,
    as_json: Json = False,
) -> None:
    """Share of traffic and regret a policy, where one more policy pays most, and whether weights have changed.

    \b
      palm drift requests.jsonl portfolio
      palm drift requests.jsonl portfolio --against scores.csv --minimize latency --name model --split 2026-03-01
    """
    loaded = Portfolio.load(portfolio)
    backend = None
    if against is not None:
        backend = table_backend(
            against, objective, minimize, name, regularizer, stderr, samples, normalization, reward_max
        )
    moment = None if split is None else parse_time(split)
    report = drift(read_traffic(log, loaded.objectives), loaded, backend, split=moment, seed=seed)
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report)


def parse_time(text: str) -> float:
    """Seconds since 1970 from a number or an ISO time, UTC where no zone is named. Raises InputError."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"a time is ISO (2026-03-01T12:00) or seconds since 1970, got {text!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _print(report: Drift) -> None:
    typer.echo(f"{report.requests} requests, {report.users} named users")
    word = {"exact": "exact", "bound": "upper bounds", "estimate": "estimates, no bounds"}[report.optimum_kind]
    typer.echo(f"regret against J*: {word} ({report.optimum_basis})")
    if report.sampled is not None:
        typer.echo(f"on the requests of {report.sampled} weights drawn from the log")
    print_table(
        [
            {
                "policy": row.policy,
                "label": row.label,
                "requests": row.requests,
                "share": row.share,
                "mean regret": None if np.isnan(row.mean_regret) else row.mean_regret,
            }
            for row in report.policies
        ]
    )
    print_table([{"regret": key, "value": value} for key, value in report.regret.to_dict().items()])
    typer.echo(f"mean if every request had gone to the best policy for its weights: {report.rerouted:.6g}")
    extension = report.extension
    if extension is None:
        typer.echo("one more policy: nothing to gain on these requests")
    else:
        where = ",".join(f"{o}={w:.4g}" for o, w in zip(report.objectives, extension.weights, strict=True))
        limit = "at most" if extension.kind != "estimate" else "at most, by the same estimate,"
        typer.echo(
            f"one more policy pays most at {where}\n"
            f"  forecast: lowers the mean regret by {extension.forecast:.4g}, serving {100 * extension.share:.3g}% "
            f"of the requests (an estimate)\n"
            f"  any policy, or any number of them: {limit} {extension.limit:.4g}"
        )
    change = report.change
    if change is None:
        typer.echo("change of weights: one of the two periods has none")
        return
    when = datetime.fromtimestamp(change.split, UTC).isoformat(timespec="seconds")
    typer.echo(
        f"change of weights at {when}: energy distance {change.distance:.4g}, p = {change.p_value:.3g} "
        f"({change.permutations} permutations of {change.before} users before, {change.after} after)"
    )
    print_table(
        [
            {"objective": o, "mean before": b, "mean after": a}
            for o, b, a in zip(report.objectives, change.mean_before, change.mean_after, strict=True)
        ]
    )


def _extend(
    backend: PolicyBackend, folder: Path, weights: str | None, log: Path | None, out: Path | None, as_json: bool
) -> None:
    if (weights is None) == (log is None):
        raise InputError("give either --weights or --log")
    loaded = Portfolio.load(folder, backend)
    chosen: WeightsLike
    if weights is not None:
        chosen = loaded.weights(parse_weights(weights))
    else:
        assert log is not None
        extension = drift(read_traffic(log, loaded.objectives), loaded, backend).extension
        if extension is None:
            typer.echo("nothing to gain on these requests; the portfolio stays as it is", err=True)
            return
        chosen = extension.weights
    extended = loaded.extend(backend, np.asarray(chosen))
    target = out or folder
    extended.save(target, backend)
    if as_json:
        print_json(portfolio_data(extended))
        return
    Console().print(extended)
    added = len(extended) - len(loaded)
    typer.echo(f"{added} policy added, saved in {target}" if added else f"already there: no policy added ({target})")


@extend_app.command("table")
def extend_table(
    portfolio: Saved,
    scores: Annotated[Path, typer.Argument(help="The CSV the portfolio was built from.")],
    weights: WeightsOption = None,
    log: LogOption = None,
    objective: Objective = None,
    minimize: Minimize = None,
    name: Name = None,
    regularizer: Regularizer = None,
    stderr: Stderr = None,
    samples: Samples = None,
    reward_max: RewardMax = None,
    normalization: Normalization = "shift",
    out: OutOption = None,
    as_json: Json = False,
) -> None:
    """One row more of a table of measured policies."""
    backend = table_backend(scores, objective, minimize, name, regularizer, stderr, samples, normalization, reward_max)
    _extend(backend, portfolio, weights, log, out, as_json)


@extend_app.command("bandit")
def extend_bandit(
    portfolio: Saved,
    problem: ProblemFile,
    beta: Beta = 0.0,
    weights: WeightsOption = None,
    log: LogOption = None,
    out: OutOption = None,
    as_json: Json = False,
) -> None:
    """One policy more of a contextual bandit."""
    _extend(array_backend("bandit", problem, beta=beta), portfolio, weights, log, out, as_json)


@extend_app.command("llm")
def extend_llm(
    portfolio: Saved,
    weights: WeightsOption = None,
    log: LogOption = None,
    model: Annotated[str | None, typer.Option(help=AsBuilt)] = None,
    reward: Annotated[list[str] | None, typer.Option("--reward", help=AsBuilt)] = None,
    prompts: Annotated[Path | None, typer.Option(help=AsBuilt)] = None,
    held_out: Annotated[Path | None, typer.Option(help=AsBuilt)] = None,
    beta: Annotated[float, typer.Option(help=AsBuilt)] = 0.05,
    preset: Annotated[str, typer.Option(help=AsBuilt)] = "default",
    workers: Annotated[int, typer.Option(help=AsBuilt)] = 0,
    gpu: Annotated[list[str] | None, typer.Option("--gpu", help=AsBuilt)] = None,
    runs: Annotated[Path, typer.Option(help=AsBuilt)] = Path("runs/llm"),
    seed: Annotated[int, typer.Option(help=AsBuilt)] = 0,
    out: OutOption = None,
    as_json: Json = False,
) -> None:
    """Train one adapter more. Give the options that the portfolio was built with: any other problem is refused.

    Killed, it goes on from its last checkpoint: run the same command again.
    """
    where = llm_workers(workers, gpu)
    backend: Any = llm_backend(model, reward, prompts, held_out, beta, preset, seed, runs, where)
    _extend(backend, portfolio, weights, log, out, as_json)
