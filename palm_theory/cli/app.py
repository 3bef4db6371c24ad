"""The ``palm`` command: everything a shell needs of the package. Exit codes are in ``palm --help``."""

from __future__ import annotations

import sys

import typer

from palm_theory.cli.audit import audit_command
from palm_theory.cli.bounds import bounds_command
from palm_theory.cli.build import build_app
from palm_theory.cli.certificate import certificate_command
from palm_theory.cli.compare import compare_app
from palm_theory.cli.conformance import conformance_command
from palm_theory.cli.cover import cover_command
from palm_theory.cli.drift import drift_command
from palm_theory.cli.elicit import elicit_command
from palm_theory.cli.explore import explore_command
from palm_theory.cli.extend import extend_app
from palm_theory.cli.llm import build_llm, chat_command, export_command
from palm_theory.cli.plot import plot_command
from palm_theory.cli.points import points_command
from palm_theory.cli.profile import profile_app
from palm_theory.cli.select import select_command
from palm_theory.cli.serve import serve_command
from palm_theory.cli.show import show_command
from palm_theory.errors import PalmError
from palm_theory.version import __version__

HELP = """Policy portfolios: a few policies, a near-optimal one for every preference weighting, with a certificate.

\b
Examples
  palm bounds --objectives 3 --mu 0.5 --alpha 0.05 --reward-max 1 --regularizer-max 0
  palm build table scores.csv --objective quality --minimize latency --epsilon 0.01 --out portfolio
  palm select portfolio --weights quality=0.7,latency=0.3
  palm audit portfolio --epsilon 0.02
  palm certificate portfolio --against scores.csv --out proof.json
  palm explore portfolio
  palm plot regions portfolio --out regions.pdf
  palm build knapsack instance.dat --epsilon 0 --out kp
  palm points kp --against published.txt
  palm build llm --preset tiny --out runs/llm/portfolio
\b
Exit codes
  0  done; for audit, the target is certified
  1  the target is not certified, or a law of the contract is broken
  2  bad input: nothing was computed
  3  the work failed (a solve, the disk); what was finished is kept
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("bounds")(bounds_command)
app.command("cover")(cover_command)
build_app.command("llm")(build_llm)
app.add_typer(build_app, name="build")
app.command("audit")(audit_command)
app.command("certificate")(certificate_command)
app.command("select")(select_command)
app.add_typer(compare_app, name="compare")
app.command("show")(show_command)
app.command("explore")(explore_command)
app.command("plot")(plot_command)
app.command("points")(points_command)
app.command("conformance")(conformance_command)
app.command("chat")(chat_command)
app.command("export")(export_command)
app.command("elicit")(elicit_command)
app.add_typer(profile_app, name="profile")
app.command("drift")(drift_command)
app.add_typer(extend_app, name="extend")
app.command("serve")(serve_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"palm-theory {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_print_version, is_eager=True),
) -> None:
    del version


def main() -> None:
    """Run the command line; errors raised on purpose become one line on standard error and an exit code."""
    try:
        app()
    except PalmError as error:
        from rich.console import Console

        Console(stderr=True, highlight=False).print(f"error: {error}", soft_wrap=True, markup=False)
        sys.exit(2 if isinstance(error, ValueError) else 3)
