"""A whole run for people: plan, train, evaluate, certify, and say what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from backends.llm.app.chat import answers_table
from backends.llm.app.progress import RunProgress
from backends.llm.app.sensitivity import Rescaled, sensitivity_of
from backends.llm.backend import LLMBackend
from backends.llm.measure.evaluation import Measured, paired_difference
from backends.llm.measure.planning import ForecastQuality, forecast_quality
from backends.llm.policies import Reference
from backends.llm.work.worker import solving_threads
from palm_theory.build import build_portfolio
from palm_theory.contract.value import Value
from palm_theory.metrics import usage
from palm_theory.portfolio import Portfolio
from palm_theory.strategies.base import Strategy
from palm_theory.strategies.planned import Forecast, Planned

FORECAST_SIZES = 12


@dataclass(frozen=True, eq=False)
class Run:
    """What a run leaves: the portfolio, the forecast it went by, measurements per prompt, the base model's too."""

    portfolio: Portfolio
    forecast: Forecast
    quality: ForecastQuality
    measured: tuple[Measured, ...]
    base: Measured


def build_with_report(backend: LLMBackend, strategy: Strategy, path: Path, console: Console) -> Portfolio:
    """``build_portfolio`` where the backend has its workers; where the strategy plans, with one progress bar over all
    of it and a report on ``console``: forecast, policies, who beats whom, certificate, one prompt answered by all."""
    if isinstance(strategy, Planned):
        result = run(backend, strategy, path, console)
        print_run(result, backend, strategy, console)
        return result.portfolio
    with solving_threads(backend.runs.workers) as executor:
        return build_portfolio(backend, strategy, path=path, executor=executor)


def run(backend: LLMBackend, strategy: Planned, path: Path, console: Console) -> Run:
    """Plan, train and evaluate in parallel where there are workers, save the portfolio in ``path``.

    Interrupted, run it again: samples, checkpoints, adapters and evaluations are taken up where they are.
    """
    runs = backend.runs
    progress = RunProgress(runs, strategy.limit(len(backend.objectives)), console)
    with progress, solving_threads(runs.workers) as executor:
        surrogate = backend.surrogate()
        plan = strategy.forecast(surrogate, max(FORECAST_SIZES, strategy.limit(len(backend.objectives))))
        weights = strategy.choose(plan, len(backend.objectives))
        progress.policies = len(weights)
        progress.jobs = [runs.training(row) for row in weights]
        portfolio = build_portfolio(backend, strategy, path=path, executor=executor, progress=False)
        measured = tuple(runs.measured(member.policy) for member in portfolio)
        base = runs.measured(Reference(backend.problem.chat))
    quality = forecast_quality(surrogate, backend.problem.planning.samples)
    return Run(portfolio, plan, quality, measured, base)


def print_run(result: Run, backend: LLMBackend, strategy: Planned, console: Console) -> None:
    """The forecast, the table of policies, who beats whom, the certificate, and one prompt answered by all."""
    console.print(_forecast_table(result.forecast, len(result.portfolio)))
    console.print(str(result.quality), highlight=False)
    console.print(_sensitivity_table(sensitivity_of(backend, strategy)))
    console.print(_policies_table(result))
    console.print(_duels_table(result))
    console.print(f"certificate: {result.portfolio.certificate}", highlight=False)
    answers = {f"{m.name} {m.label}": r.replies[0] for m, r in zip(result.portfolio, result.measured, strict=True)}
    console.print(answers_table(str(backend.problem.held_out[0]), {"base model": result.base.replies[0], **answers}))


def _forecast_table(plan: Forecast, chosen: int) -> Table:
    title = "forecast on the base model's own answers: worst gap left by K policies (a forecast, not a certificate)"
    table = Table(title=title, title_justify="left")
    for name in ("K", "next weights", "epsilon", "delta"):
        table.add_column(name, justify="right")
    for k, (w, epsilon, delta) in enumerate(zip(plan.weights, plan.epsilon, plan.delta, strict=True), 1):
        mark = " <- trained" if k == chosen else ""
        table.add_row(str(k), " ".join(f"{x:.2f}" for x in w), f"{epsilon:.1%}", f"{delta:.3f}{mark}")
    return table


def _sensitivity_table(rows: Sequence[Rescaled]) -> Table:
    table = Table(title="if one reward were rescaled (forecast)", title_justify="left")
    for name in ("reward", "times", "weights move by (l1)", "ε replanned", "ε of this plan kept"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = (f"{row.moved:.2f}", f"{row.epsilon:.1%}", f"{row.epsilon_kept:.1%}")
        table.add_row(row.objective, f"{row.factor:g}", *numbers)
    return table


def _policies_table(result: Run) -> Table:
    portfolio = result.portfolio
    count = len(result.base.rewards)
    title = f"{len(portfolio)} policies, means ± standard errors over {count} held-out prompts"
    table = Table(title=title, title_justify="left")
    for name in ("", "trained for", *portfolio.objectives, "KL (nats)", "KL by k3", "share of users"):
        is_text = name in ("", "trained for")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=name in portfolio.objectives)
    shares = usage(portfolio)
    for member, measured, share in zip(portfolio, result.measured, shares, strict=True):
        table.add_row(member.name, member.label, *_cells(measured), f"{share:.0%}")
    table.add_row("", "base model", *_cells(result.base), "")
    return table


def _cells(measured: Measured) -> list[str]:
    value: Value = measured.value()
    errors = value.rewards_stderr if value.rewards_stderr is not None else np.zeros_like(value.rewards)
    rewards = [f"{r:.3f} ± {e:.3f}" for r, e in zip(value.rewards, errors, strict=True)]
    kl = f"{value.regularizer / measured.beta:.2f} ± {(value.regularizer_stderr or 0.0) / measured.beta:.2f}"
    check = "" if measured.divergence_check is None else f"{measured.divergence_check.mean():.2f}"
    return [*rewards, kl, check]


def duels(result: Run) -> list[list[tuple[float, float]]]:
    """[k][j]: J_w(π_k) − J_w(π_j) and its paired standard error at the weights w that π_k was trained for; the last
    column is against the base model."""
    others: Sequence[Measured] = [*result.measured, result.base]
    rows = []
    for member, mine in zip(result.portfolio, result.measured, strict=True):
        assert member.weights is not None
        rows.append([paired_difference(mine, other, member.weights) for other in others])
    return rows


def _duels_table(result: Run) -> Table:
    title = "lead of each policy on its own weights, J_w(row) − J_w(column), ± paired standard error; * beyond two"
    table = Table(title=title, title_justify="left")
    names = [member.name for member in result.portfolio]
    for name in ("", *names, "base model"):
        table.add_column(name, justify="right")
    for k, (name, row) in enumerate(zip(names, duels(result), strict=True)):
        cells = [
            "" if j == k else f"{lead:+.3f} ± {error:.3f}{'*' if lead > 2 * error else ''}"
            for j, (lead, error) in enumerate(row)
        ]
        table.add_row(name, *cells)
    return table
