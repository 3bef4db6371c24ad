"""The options that every ``palm build`` and ``palm compare`` command shares, declared once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer
from rich.console import Console

from palm_theory.build import build_portfolio
from palm_theory.cli.output import Json, print_json, print_table
from palm_theory.compare import compare
from palm_theory.contract.backend import PolicyBackend
from palm_theory.errors import InputError
from palm_theory.portfolio import Portfolio
from palm_theory.strategies.adaptive import Adaptive
from palm_theory.strategies.base import Strategy
from palm_theory.strategies.baselines import RandomWeights, UniformGrid
from palm_theory.strategies.palm import Palm

StrategyName = Literal["adaptive", "palm", "uniform", "random"]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]

MakesBackend = Callable[..., PolicyBackend]


TAKEN: dict[StrategyName, dict[str, Any]] = {
    "adaptive": {"epsilon": 0.01, "delta": 0.0, "max_policies": None, "max_solves": None},
    "palm": {"mu": 0.5, "alpha": 0.05},
    "uniform": {"number": 10},
    "random": {"number": 10},
}
"""What each strategy takes, and its default."""


def _chosen_strategy(
    strategy: Annotated[StrategyName, typer.Option(help="How weights are chosen.")] = "adaptive",
    epsilon: Annotated[
        float | None, typer.Option(help="adaptive: the ε to certify; 0 finds every optimal policy. Default: 0.01.")
    ] = None,
    delta: Annotated[float | None, typer.Option(help="adaptive: the δ to certify. Default: 0.")] = None,
    max_policies: Annotated[int | None, typer.Option(help="adaptive: stop at K policies.")] = None,
    max_solves: Annotated[int | None, typer.Option(help="adaptive: stop after so many solves.")] = None,
    mu: Annotated[float | None, typer.Option(help="palm: μ in (0, 1]. Default: 0.5.")] = None,
    alpha: Annotated[float | None, typer.Option(help="palm: α in (0, 1). Default: 0.05.")] = None,
    number: Annotated[
        int | None,
        typer.Option("--number", "-n", help="uniform: n of the lattice; random: how many weights. Default: 10."),
    ] = None,
    seed: Seed = 0,
) -> Strategy:
    asked = {
        "epsilon": epsilon,
        "delta": delta,
        "max_policies": max_policies,
        "max_solves": max_solves,
        "mu": mu,
        "alpha": alpha,
        "number": number,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    for name in sorted(given.keys() - TAKEN[strategy].keys()):
        flags = ", ".join(f"--{taken.replace('_', '-')}" for taken in TAKEN[strategy])
        raise InputError(f"--{name.replace('_', '-')} is not for --strategy {strategy}, which takes {flags}")
    parameters = TAKEN[strategy] | given
    if strategy == "adaptive":
        return Adaptive(**parameters)
    if strategy == "palm":
        return Palm(**parameters)
    if strategy == "uniform":
        return UniformGrid(parameters["number"])
    return RandomWeights(parameters["number"], seed)


def _built(
    backend: PolicyBackend,
    chosen: Strategy,
    seed: int,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the portfolio and its journal. Default: nothing is kept.")
    ] = None,
    as_json: Json = False,
) -> None:
    portfolio = build_portfolio(backend, chosen, path=out, seed=seed)
    if as_json:
        print_json(portfolio_data(portfolio))
        return
    Console().print(portfolio)
    if out is not None:
        typer.echo(f"saved in {out}")


def _compared(
    backend: PolicyBackend,
    policies: Annotated[int, typer.Option("--policies", "-k", help="K, the size all are compared at.")] = 5,
    mu: Annotated[float, typer.Option(help="PALM's μ in (0, 1].")] = 0.5,
    alpha: Annotated[float, typer.Option(help="PALM's α in (0, 1).")] = 0.05,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    rows = [row.to_dict() for row in compare(backend, policies=policies, mu=mu, alpha=alpha, seed=seed)]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, title="exact worst gaps (epsilon at δ = 0, delta at ε = 0); sampled_epsilon is no bound")


def portfolio_data(portfolio: Portfolio) -> dict[str, Any]:
    """A portfolio for ``--json``: objectives, certificate and policies."""
    return {
        "objectives": list(portfolio.objectives),
        "certificate": portfolio.certificate.to_dict(),
        "strategy": portfolio.strategy,
        "solves": portfolio.solves,
        "policies": [
            {
                "name": member.name,
                "label": member.label,
                "weights": None if member.weights is None else member.weights.tolist(),
                **member.value.to_dict(),
            }
            for member in portfolio
        ],
    }


def builds(make: MakesBackend) -> Callable[..., None]:
    """The command that builds a portfolio of the backend that ``make`` returns: its options, then the shared ones."""

    def command(**given: Any) -> None:
        # A bad strategy is refused before the backend is made, which may take long.
        chosen = _chosen_strategy(**_taken(_chosen_strategy, given))
        _built(make(**_taken(make, given)), chosen, **_taken(_built, given))

    return _with_options(command, make, _chosen_strategy, _built)


def compares(make: MakesBackend) -> Callable[..., None]:
    """The command that compares constructions on the backend that ``make`` returns."""

    def command(**given: Any) -> None:
        _compared(make(**_taken(make, given)), **_taken(_compared, given))

    return _with_options(command, make, _compared)


def _taken(function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in inspect.signature(function).parameters if name in given}


def _with_options(command: Callable[..., None], *parts: Callable[..., Any]) -> Callable[..., None]:
    """``command`` with the parameters of all parts, in order, each once, as typer reads them."""
    parameters: dict[str, inspect.Parameter] = {}
    for part in parts:
        hints = get_type_hints(part, include_extras=True)
        for name, parameter in inspect.signature(part).parameters.items():
            # What one step hands to the next is no option.
            if hints[name] not in (PolicyBackend, Strategy) and not (part is _built and name == "seed"):
                kept = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
                parameters.setdefault(name, kept)
    functools.update_wrapper(command, parts[0])
    del command.__wrapped__  # type: ignore[attr-defined]
    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    return command
