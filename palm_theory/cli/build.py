"""``palm build`` and ``palm compare``: portfolios from a table of scores, a bandit, an MDP, or a problem file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from palm_theory.cli.options import builds, compares
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.registry import backend_class
from palm_theory.errors import InputError

build_app = typer.Typer(
    help="""Build a certified portfolio, in a folder that survives a kill: run the same command again to go on.

\b
  palm build table scores.csv --objective quality --minimize latency --epsilon 0.01 --out portfolio
  palm build bandit rewards.npz --beta 0.1 --strategy palm --mu 0.5 --alpha 0.05
  palm build mdp model.npz --discount 0.95
  palm build knapsack KP_p-3_n-40_ins-1.dat --epsilon 0 --out portfolio
  palm build lp problem.vlp --epsilon 0 --out portfolio
""",
    no_args_is_help=True,
)
compare_app = typer.Typer(
    help="""PALM against uniform, random and adaptive at the same number of policies, all exactly audited.

\b
  palm compare table scores.csv --minimize latency --name model --policies 5
""",
    no_args_is_help=True,
)

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
    typer.Option(help="How columns become rewards >= 0: shift by a column's worst, minmax to [0, 1], or none."),
]
ProblemFile = Annotated[Path, typer.Argument(help=".npz file with the problem's arrays (named above).")]
Beta = Annotated[float, typer.Option(help="β of the KL regulariser; 0 for none.")]
InstanceFile = Annotated[Path, typer.Argument(help="A problem file in a published format (named above).")]
FormatName = Annotated[
    str | None, typer.Option("--format", help="The file's format, one of those above. Default: found out.")
]
MaxNodes = Annotated[
    int | None, typer.Option(help="Stop a solve of HiGHS after so many nodes; the certificate is then bounded.")
]


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
    except OSError as error:
        raise InputError(f"cannot read {problem}: {error.strerror or error}") from error
    except (ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{problem} is no .npz file of numeric arrays (numpy.savez makes one); a CSV is for palm build table"
        ) from error
    if "objectives" in arrays:
        arrays["objectives"] = [str(name) for name in arrays["objectives"]]  # type: ignore[assignment]
    make: Any = backend_class(kind)
    try:
        return make(**arrays, **options)
    except TypeError as error:
        raise InputError(f"{problem} does not hold the arrays of a {kind}: {error}") from error


def _table(
    scores: ScoresFile,
    objective: ObjectiveNames = None,
    minimize: MinimizeNames = None,
    name: NameColumn = None,
    regularizer: RegularizerColumn = None,
    stderr: StderrColumns = None,
    samples: Samples = None,
    reward_max: RewardMax = None,
    normalization: Normalization = "shift",
) -> PolicyBackend:
    """Choose among policies that are already measured.

    \b
      palm build table scores.csv --objective quality --minimize latency --name model --out portfolio
    """
    return table_backend(scores, objective, minimize, name, regularizer, stderr, samples, normalization, reward_max)


def _compared_table(
    scores: ScoresFile,
    objective: ObjectiveNames = None,
    minimize: MinimizeNames = None,
    name: NameColumn = None,
    regularizer: RegularizerColumn = None,
    normalization: Normalization = "shift",
) -> PolicyBackend:
    """Policies that are already measured."""
    return table_backend(scores, objective, minimize, name, regularizer, None, None, normalization)


def _bandit(problem: ProblemFile, beta: Beta = 0.0) -> PolicyBackend:
    """A contextual bandit. Arrays: rewards (X, A, d); optional reference (X, A), context_probabilities (X,)."""
    return array_backend("bandit", problem, beta=beta)


def _mdp(
    problem: ProblemFile,
    discount: Annotated[float, typer.Option(help="γ, from t = 0.")],
    horizon: Annotated[int | None, typer.Option(help="T steps; default: discounted for ever.")] = None,
    beta: Beta = 0.0,
) -> PolicyBackend:
    """A tabular MDP. Arrays: transitions (S, A, S), rewards (S, A, d), initial (S,); optional reference (S, A)."""
    return array_backend("mdp", problem, discount=discount, horizon=horizon, beta=beta)


def _knapsack(problem: InstanceFile, form: FormatName = None, max_nodes: MaxNodes = None) -> PolicyBackend:
    """A multi-objective 0/1 knapsack. Formats: kirlik-sayin, voptlib, mobkp, zitzler-thiele, raw (MOrepo).

    \b
      palm build knapsack KP_p-3_n-40_ins-1.dat --epsilon 0 --out kp
      palm points kp --against published.txt
    """
    make: Any = backend_class("knapsack")
    return make.from_file(problem, form, max_nodes=max_nodes)


def _assignment(problem: InstanceFile) -> PolicyBackend:
    """A multi-objective assignment problem, minimised. The file: d, n and d matrices n x n, or n and the matrices.

    \b
      palm build assignment AP_p-3_n-10_ins-1.dat --epsilon 0 --out ap
    """
    make: Any = backend_class("graph")
    return make.from_file(problem)


def _lp(problem: InstanceFile, form: FormatName = None) -> PolicyBackend:
    """A multi-objective linear program. Formats: vlp (Bensolve), mps (several N rows; .mop), raw (MOrepo).

    \b
      palm build lp problem.vlp --epsilon 0 --out lp
      palm points lp --out points.csv
    """
    make: Any = backend_class("linear")
    return make.from_file(problem, form)


def _integer(problem: InstanceFile, form: FormatName = None, max_nodes: MaxNodes = None) -> PolicyBackend:
    """A multi-objective integer program, solved by HiGHS. Formats: mps (.mps, .mop), raw (MOrepo; .raw, .fgt).

    An integer variable of an MPS file without bounds is 0 or 1, as CPLEX reads it.

    \b
      palm build integer problem.mop --epsilon 0 --out ip
    """
    make: Any = backend_class("integer")
    return make.from_file(problem, form, max_nodes=max_nodes)


for command, make in (
    ("table", _table),
    ("bandit", _bandit),
    ("mdp", _mdp),
    ("knapsack", _knapsack),
    ("assignment", _assignment),
    ("lp", _lp),
    ("integer", _integer),
):
    build_app.command(command)(builds(make))
for command, make in (
    ("table", _compared_table),
    ("bandit", _bandit),
    ("mdp", _mdp),
    ("knapsack", _knapsack),
    ("lp", _lp),
):
    compare_app.command(command)(compares(make))
