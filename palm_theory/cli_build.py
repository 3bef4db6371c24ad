"""``palm build`` and ``palm compare``: portfolios from a table of scores, a bandit or an MDP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from rich.console import Console

from palm_theory.backend import PolicyBackend, backend_class
from palm_theory.build import build_portfolio
from palm_theory.cli_output import Json, print_json, print_table
from palm_theory.compare import compare
from palm_theory.errors import InputError
from palm_theory.portfolio import Portfolio
from palm_theory.strategies import Adaptive, Palm, RandomWeights, Strategy, UniformGrid

build_app = typer.Typer(
    help="""Build a certified portfolio, in a folder that survives a kill: run the same command again to go on.

\b
  palm build table scores.csv --objective quality --minimize latency --epsilon 0.01 --out portfolio
  palm build bandit rewards.npz --beta 0.1 --strategy palm --mu 0.5 --alpha 0.05
  palm build mdp model.npz --discount 0.95
""",
    no_args_is_help=True,
)
compare_app = typer.Typer(
    help="""PALM against uniform, random and adaptive at the same number of policies, all exactly audited.

\b
  palm compare table scores.csv --minimize latency --policies 5
""",
    no_args_is_help=True,
)

StrategyName = Literal["adaptive", "palm", "uniform", "random"]

ScoresFile = Annotated[Path, typer.Argument(help="CSV with a header; one policy a row.")]
ObjectiveNames = Annotated[
    list[str] | None, typer.Option("--objective", help="A column to maximise; repeat. Default: all columns not named.")
]
MinimizeNames = Annotated[list[str] | None, typer.Option("--minimize", help="A column to minimise; repeat.")]
NameColumn = Annotated[str | None, typer.Option("--name", help="The column with the policies' names.")]
RegularizerColumn = Annotated[str | None, typer.Option("--regularizer", help="The column with f >= 0.")]
StderrColumns = Annotated[
    list[str] | None, typer.Option("--stderr", help="objective=column with its standard error; repeat.")
]
Samples = Annotated[int | None, typer.Option(help="Evaluations behind each standard error.")]
RewardMax = Annotated[
    float | None,
    typer.Option(help="Largest value of a single evaluation, after normalisation: makes --samples intervals rigorous."),
]
Normalization = Annotated[
    Literal["shift", "minmax", "none"],
    typer.Option(help="How columns become rewards >= 0; see the docs of TableBackend."),
]
ProblemFile = Annotated[Path, typer.Argument(help=".npz file with the problem's arrays (see below).")]
Beta = Annotated[float, typer.Option(help="β of the KL regulariser; 0 for none.")]
StrategyOption = Annotated[StrategyName, typer.Option(help="How weights are chosen.")]
Epsilon = Annotated[float, typer.Option(help="adaptive: the ε to certify.")]
Delta = Annotated[float, typer.Option(help="adaptive: the δ to certify.")]
MaxPolicies = Annotated[int | None, typer.Option(help="adaptive: stop at K policies.")]
MaxSolves = Annotated[int | None, typer.Option(help="adaptive: stop after so many solves.")]
Mu = Annotated[float, typer.Option(help="palm: μ in (0, 1].")]
Alpha = Annotated[float, typer.Option(help="palm: α in (0, 1).")]
Number = Annotated[int, typer.Option("--number", "-n", help="uniform: n of the lattice; random: how many weights.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the portfolio and its journal. Default: nothing is kept.")]
Policies = Annotated[int, typer.Option("--policies", "-k", help="K, the size all are compared at.")]


def table_backend(
    scores: Path,
    objective: list[str] | None,
    minimize: list[str] | None,
    name: str | None,
    regularizer: str | None,
    stderr: list[str] | None,
    samples: int | None,
    normalization: str,
    reward_max: float | None = None,
) -> PolicyBackend:
    """The ``table`` backend of the command line's options."""
    errors = {}
    for entry in stderr or []:
        key, separator, column = entry.partition("=")
        if not separator:
            raise InputError(f"--stderr takes objective=column, got {entry!r}")
        errors[key] = column
    make: Any = backend_class("table")
    return make(
        scores,
        objectives=objective,
        minimize=minimize or (),
        name=name,
        regularizer=regularizer,
        stderr=errors,
        samples=samples,
        normalization=normalization,
        reward_max=reward_max,
    )


def array_backend(kind: str, problem: Path, **options: Any) -> PolicyBackend:
    """A backend whose arrays are in an .npz file, by the names of its arguments."""
    try:
        with np.load(problem, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {problem}: {error}") from error
    if "objectives" in arrays:
        arrays["objectives"] = [str(name) for name in arrays["objectives"]]  # type: ignore[assignment]
    make: Any = backend_class(kind)
    try:
        return make(**arrays, **options)
    except TypeError as error:
        raise InputError(f"{problem} does not hold the arrays of a {kind}: {error}") from error


def _strategy(
    strategy: StrategyName,
    epsilon: float,
    delta: float,
    max_policies: int | None,
    max_solves: int | None,
    mu: float,
    alpha: float,
    number: int,
    seed: int,
) -> Strategy:
    if strategy == "adaptive":
        return Adaptive(epsilon, delta, max_policies, max_solves)
    if strategy == "palm":
        return Palm(mu, alpha)
    if strategy == "uniform":
        return UniformGrid(number)
    return RandomWeights(number, seed)


def _build(backend: PolicyBackend, strategy: Strategy, out: Path | None, seed: int, as_json: bool) -> None:
    portfolio = build_portfolio(backend, strategy, path=out, seed=seed)
    if as_json:
        print_json(portfolio_data(portfolio))
        return
    Console().print(portfolio)
    if out is not None:
        typer.echo(f"saved in {out}")


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


@build_app.command("table")
def build_table(
    scores: ScoresFile,
    objective: ObjectiveNames = None,
    minimize: MinimizeNames = None,
    name: NameColumn = None,
    regularizer: RegularizerColumn = None,
    stderr: StderrColumns = None,
    samples: Samples = None,
    reward_max: RewardMax = None,
    normalization: Normalization = "shift",
    strategy: StrategyOption = "adaptive",
    epsilon: Epsilon = 0.01,
    delta: Delta = 0.0,
    max_policies: MaxPolicies = None,
    max_solves: MaxSolves = None,
    mu: Mu = 0.5,
    alpha: Alpha = 0.05,
    number: Number = 10,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Choose among policies that are already measured.

    \b
      palm build table scores.csv --objective quality --minimize latency --name model --out portfolio
    """
    chosen = _strategy(strategy, epsilon, delta, max_policies, max_solves, mu, alpha, number, seed)
    backend = table_backend(scores, objective, minimize, name, regularizer, stderr, samples, normalization, reward_max)
    _build(backend, chosen, out, seed, as_json)


@build_app.command("bandit")
def build_bandit(
    problem: ProblemFile,
    beta: Beta = 0.0,
    strategy: StrategyOption = "adaptive",
    epsilon: Epsilon = 0.01,
    delta: Delta = 0.0,
    max_policies: MaxPolicies = None,
    max_solves: MaxSolves = None,
    mu: Mu = 0.5,
    alpha: Alpha = 0.05,
    number: Number = 10,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """A contextual bandit. Arrays: rewards (X, A, d); optional reference (X, A), context_probabilities (X,)."""
    chosen = _strategy(strategy, epsilon, delta, max_policies, max_solves, mu, alpha, number, seed)
    _build(array_backend("bandit", problem, beta=beta), chosen, out, seed, as_json)


@build_app.command("mdp")
def build_mdp(
    problem: ProblemFile,
    discount: Annotated[float, typer.Option(help="γ, from t = 0.")],
    horizon: Annotated[int | None, typer.Option(help="T steps; default: discounted for ever.")] = None,
    beta: Beta = 0.0,
    strategy: StrategyOption = "adaptive",
    epsilon: Epsilon = 0.01,
    delta: Delta = 0.0,
    max_policies: MaxPolicies = None,
    max_solves: MaxSolves = None,
    mu: Mu = 0.5,
    alpha: Alpha = 0.05,
    number: Number = 10,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """A tabular MDP. Arrays: transitions (S, A, S), rewards (S, A, d), initial (S,); optional reference (S, A)."""
    chosen = _strategy(strategy, epsilon, delta, max_policies, max_solves, mu, alpha, number, seed)
    backend = array_backend("mdp", problem, discount=discount, horizon=horizon, beta=beta)
    _build(backend, chosen, out, seed, as_json)


def _compare(backend: PolicyBackend, policies: int, mu: float, alpha: float, seed: int, as_json: bool) -> None:
    rows = [row.to_dict() for row in compare(backend, policies=policies, mu=mu, alpha=alpha, seed=seed)]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, title="exact worst gaps (epsilon at δ = 0, delta at ε = 0); sampled_epsilon is no bound")


@compare_app.command("table")
def compare_table(
    scores: ScoresFile,
    objective: ObjectiveNames = None,
    minimize: MinimizeNames = None,
    name: NameColumn = None,
    regularizer: RegularizerColumn = None,
    normalization: Normalization = "shift",
    policies: Policies = 5,
    mu: Mu = 0.5,
    alpha: Alpha = 0.05,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Policies that are already measured."""
    backend = table_backend(scores, objective, minimize, name, regularizer, None, None, normalization)
    _compare(backend, policies, mu, alpha, seed, as_json)


@compare_app.command("bandit")
def compare_bandit(
    problem: ProblemFile,
    beta: Beta = 0.0,
    policies: Policies = 5,
    mu: Mu = 0.5,
    alpha: Alpha = 0.05,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """A contextual bandit; arrays as for ``palm build bandit``."""
    _compare(array_backend("bandit", problem, beta=beta), policies, mu, alpha, seed, as_json)


@compare_app.command("mdp")
def compare_mdp(
    problem: ProblemFile,
    discount: Annotated[float, typer.Option(help="γ, from t = 0.")],
    horizon: Annotated[int | None, typer.Option(help="T steps; default: discounted for ever.")] = None,
    beta: Beta = 0.0,
    policies: Policies = 5,
    mu: Mu = 0.5,
    alpha: Alpha = 0.05,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """A tabular MDP; arrays as for ``palm build mdp``."""
    backend = array_backend("mdp", problem, discount=discount, horizon=horizon, beta=beta)
    _compare(backend, policies, mu, alpha, seed, as_json)
