"""``palm drift``: what the traffic says of a portfolio."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palm_theory.cli.options import Folder, Json, TableOptions
from palm_theory.cli.output import named, print_json, print_table
from palm_theory.cli.signatures import with_options
from palm_theory.errors import InputError

if TYPE_CHECKING:
    from palm_theory.traffic.drift import Drift


@with_options
def drift_command(
    log: Annotated[Path, typer.Argument(help="Requests, one JSON object a line, as palm serve writes them.")],
    portfolio: Folder,
    *,
    against: Annotated[
        Path | None,
        typer.Option(
            help="What the portfolio was built from, the CSV of a table say: J* is then known, and every number exact "
            "(without --stderr)."
        ),
    ] = None,
    table: TableOptions,
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
    from palm_theory.cli.sources import built_from
    from palm_theory.portfolio import Portfolio
    from palm_theory.traffic.drift import drift
    from palm_theory.traffic.log import read_traffic

    loaded = Portfolio.load(portfolio)
    backend = None if against is None else built_from(loaded, against, table)
    moment = None if split is None else _parse_time(split)
    report = drift(read_traffic(log, loaded.objectives), loaded, backend, split=moment, seed=seed)
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report)


def _parse_time(text: str) -> float:
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
                "mean regret": None if math.isnan(row.mean_regret) else row.mean_regret,
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
        where = named(extension.weights, report.objectives, ",")
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
