"""Options that several commands share, each declared once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from palm_theory.errors import InputError

if TYPE_CHECKING:
    from palm_theory.strategies.base import Strategy

Folder = Annotated[Path, typer.Argument(help="A portfolio's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Objectives = Annotated[int, typer.Option("--objectives", "-d", help="d, the number of reward functions.")]
Mu = Annotated[float | None, typer.Option(help="μ in (0, 1], ratio of neighbouring grid values less one.")]
Alpha = Annotated[float | None, typer.Option(help="α in (0, 1), the smallest grid value above 0.")]

Names = list[str] | None


@dataclass(frozen=True, kw_only=True)
class TableColumns:
    """Which columns of a CSV are rewards and how: parameters of ``backends.table.TableBackend`` under their names."""

    objectives: Annotated[
        Names, typer.Option("--objective", help="A column to maximise; repeat. Default: all columns not named.")
    ] = None
    minimize: Annotated[Names, typer.Option("--minimize", help="A column to minimise; repeat.")] = None
    name: Annotated[str | None, typer.Option("--name", help="The column with the policies' names.")] = None
    regularizer: Annotated[str | None, typer.Option("--regularizer", help="The column with f >= 0.")] = None
    normalization: Annotated[
        Literal["shift", "minmax", "none"],
        typer.Option(help="How columns become rewards >= 0: shift by a column's worst, minmax to [0, 1], or none."),
    ] = "shift"

    def parameters(self) -> dict[str, Any]:
        """The parameters of the backend."""
        return {**asdict(self), "minimize": self.minimize or ()}


@dataclass(frozen=True, kw_only=True)
class TableOptions(TableColumns):
    """All options of a table of measured scores, whose entries may be estimates."""

    stderr: Annotated[Names, typer.Option("--stderr", help="objective=column with its standard error; repeat.")] = None
    samples: Annotated[int | None, typer.Option(help="Evaluations behind each standard error.")] = None
    reward_max: Annotated[
        float | None,
        typer.Option(
            help="Largest value of a single evaluation, after normalisation: makes --samples intervals rigorous."
        ),
    ] = None

    def parameters(self) -> dict[str, Any]:
        """The parameters of the backend. Raises InputError on a --stderr of another form."""
        return {**super().parameters(), "stderr": pairs(self.stderr, "--stderr takes objective=column")}


def pairs(entries: Names, form: str) -> dict[str, str]:
    """``key=value`` entries of a repeated option. Raises InputError, with the form that is right, on any other."""
    found = {}
    for entry in entries or []:
        key, separator, value = entry.partition("=")
        if not separator:
            raise InputError(f"{form}, got {entry!r}")
        found[key] = value
    return found


StrategyName = Literal["adaptive", "palm", "uniform", "random"]

TAKEN: dict[StrategyName, dict[str, Any]] = {
    "adaptive": {"epsilon": 0.01, "delta": 0.0, "max_policies": None, "max_solves": None},
    "palm": {"mu": 0.5, "alpha": 0.05, "target_epsilon": None, "target_delta": None},
    "uniform": {"number": 10},
    "random": {"number": 10},
}
"""What each strategy takes, and its default."""


@dataclass(frozen=True, kw_only=True)
class StrategyOptions:
    """How the weights to solve are chosen."""

    strategy: Annotated[StrategyName, typer.Option(help="How weights are chosen.")] = "adaptive"
    epsilon: Annotated[
        float | None, typer.Option(help="adaptive: the ε to certify; 0 finds every optimal policy. Default: 0.01.")
    ] = None
    delta: Annotated[float | None, typer.Option(help="adaptive: the δ to certify. Default: 0.")] = None
    max_policies: Annotated[int | None, typer.Option(help="adaptive: stop at K policies.")] = None
    max_solves: Annotated[int | None, typer.Option(help="adaptive: stop after so many solves.")] = None
    mu: Annotated[float | None, typer.Option(help="palm: μ in (0, 1]. Default: 0.5.")] = None
    alpha: Annotated[float | None, typer.Option(help="palm: α in (0, 1), best a power (1+μ)^-K. Default: 0.05.")] = None
    target_epsilon: Annotated[
        float | None, typer.Option(help="palm: the ε to search and prune to, with δ = 0. Default: what is promised.")
    ] = None
    target_delta: Annotated[
        float | None, typer.Option(help="palm: the δ to search and prune to, with ε = 0 or --target-epsilon.")
    ] = None
    number: Annotated[
        int | None,
        typer.Option("--number", "-n", help="uniform: n of the lattice; random: how many weights. Default: 10."),
    ] = None

    def chosen(self, seed: int) -> Strategy:
        """The strategy. Raises InputError on options of another one."""
        from palm_theory.strategies.adaptive import Adaptive
        from palm_theory.strategies.baselines import RandomWeights, UniformGrid
        from palm_theory.strategies.palm import Palm

        asked = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "strategy"}
        given = {name: value for name, value in asked.items() if value is not None}
        taken = TAKEN[self.strategy]
        for name in sorted(given.keys() - taken.keys()):
            flags = ", ".join(map(_flag, taken))
            raise InputError(f"{_flag(name)} is not for --strategy {self.strategy}, which takes {flags}")
        parameters = taken | given
        if self.strategy == "adaptive":
            return Adaptive(**parameters)
        if self.strategy == "palm":
            mu, alpha = parameters["mu"], parameters["alpha"]
            return Palm(mu, alpha, epsilon=parameters["target_epsilon"], delta=parameters["target_delta"])
        if self.strategy == "uniform":
            return UniformGrid(parameters["number"])
        return RandomWeights(parameters["number"], seed)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
