"""The problems of ``palm build``, ``compare`` and ``extend``: each function's parameters are a command's options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from palm_theory.cli.options import TableColumns, TableOptions
from palm_theory.cli.sources import installed, table_of

ScoresFile = Annotated[Path, typer.Argument(help="CSV with a header; one policy a row.")]
ArraysFile = Annotated[Path, typer.Argument(help=".npz file with the problem's arrays (named above).")]
InstanceFile = Annotated[Path, typer.Argument(help="A problem file in a published format (named above).")]
Beta = Annotated[float, typer.Option(help="β of the KL regulariser; 0 for none.")]
FormatName = Annotated[
    str | None, typer.Option("--format", help="The file's format, one of those above. Default: found out.")
]
MaxNodes = Annotated[
    int | None, typer.Option(help="Stop a solve of HiGHS after so many nodes; the certificate is then bounded.")
]


def table(scores: ScoresFile, table: TableOptions) -> Any:
    """Choose among policies that are already measured.

    \b
      palm build table scores.csv --objective quality --minimize latency --name model --out portfolio
    """
    return table_of(scores, table)


def exact_table(scores: ScoresFile, table: TableColumns) -> Any:
    """Policies that are already measured."""
    return table_of(scores, table)


def bandit(problem: ArraysFile, beta: Beta = 0.0) -> Any:
    """A contextual bandit. Arrays: rewards (X, A, d); optional reference (X, A), context_probabilities (X,)."""
    return installed("bandit").from_file(problem, beta=beta)


def mdp(
    problem: ArraysFile,
    discount: Annotated[float, typer.Option(help="γ, from t = 0.")],
    horizon: Annotated[int | None, typer.Option(help="T steps; default: discounted for ever.")] = None,
    beta: Beta = 0.0,
) -> Any:
    """A tabular MDP. Arrays: transitions (S, A, S), rewards (S, A, d), initial (S,); optional reference (S, A)."""
    return installed("mdp").from_file(problem, discount=discount, horizon=horizon, beta=beta)


def knapsack(problem: InstanceFile, form: FormatName = None, max_nodes: MaxNodes = None) -> Any:
    """A multi-objective 0/1 knapsack. Formats: kirlik-sayin, voptlib, mobkp, zitzler-thiele, raw (MOrepo).

    \b
      palm build knapsack KP_p-3_n-40_ins-1.dat --epsilon 0 --out kp
      palm points kp --against published.txt
    """
    return installed("knapsack").from_file(problem, form, max_nodes=max_nodes)


def assignment(problem: InstanceFile) -> Any:
    """A multi-objective assignment problem, minimised. The file: d, n and d matrices n x n, or n and the matrices.

    \b
      palm build assignment AP_p-3_n-10_ins-1.dat --epsilon 0 --out ap
    """
    return installed("graph").from_file(problem)


def lp(problem: InstanceFile, form: FormatName = None) -> Any:
    """A multi-objective linear program. Formats: vlp (Bensolve), mps (several N rows; .mop), raw (MOrepo).

    \b
      palm build lp problem.vlp --epsilon 0 --out lp
      palm points lp --out points.csv
    """
    return installed("linear").from_file(problem, form)


def integer(problem: InstanceFile, form: FormatName = None, max_nodes: MaxNodes = None) -> Any:
    """A multi-objective integer program, solved by HiGHS. Formats: mps (.mps, .mop), raw (MOrepo; .raw, .fgt).

    An integer variable of an MPS file without bounds is 0 or 1, as CPLEX reads it.

    \b
      palm build integer problem.mop --epsilon 0 --out ip
    """
    return installed("integer").from_file(problem, form, max_nodes=max_nodes)
