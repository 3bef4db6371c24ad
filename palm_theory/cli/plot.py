"""``palm plot``: figures of a saved portfolio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from palm_theory.cli.options import Folder, TableOptions
from palm_theory.cli.signatures import with_options
from palm_theory.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kind = Literal["regions", "values", "regret", "growth", "users", "front", "profiles", "projection", "bounds", "cover"]

FILE_TYPES = (".png", ".pdf", ".svg")

SECTIONS = ("regions", "values", "regret")
"""Kinds that take --vary and --fix."""


@with_options
def plot_command(
    kind: Annotated[Kind, typer.Argument(help="Which figure; see above.")],
    portfolio: Folder,
    *,
    out: Annotated[Path | None, typer.Option(help="File to write: .png, .pdf or .svg. Default: KIND.png here.")] = None,
    width: Annotated[float, typer.Option(help="Inches: 3.3 for a column, 6.9 for a page.")] = 6.9,
    height: Annotated[float | None, typer.Option(help="Inches. Default: what the figure needs.")] = None,
    dpi: Annotated[int, typer.Option(help="Dots an inch of a .png.")] = 200,
    vary: Annotated[
        list[str] | None,
        typer.Option("--vary", help="regions, values, regret, front: an objective to show; repeat. Default: all."),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option("--fix", help="regions, values, regret: objective=weight of one that does not vary; repeat."),
    ] = None,
    users: Annotated[
        Path | None, typer.Option(help="users: CSV of weights, one user a row, columns named as objectives.")
    ] = None,
    theorem_beta: Annotated[
        float | None, typer.Option("--beta", help="bounds, cover: β of a KL regulariser, for Theorems 2 and 2'.")
    ] = None,
    reference: Annotated[bool, typer.Option(help="bounds: a policy with f = 0 exists.")] = False,
    seed: Annotated[int, typer.Option(help="regret, users, projection: seed of sampled users.")] = 0,
    against: Annotated[
        Path | None,
        typer.Option(
            help="What the portfolio was built from, for J*: the CSV of a table, the .npz of a bandit or MDP, …"
        ),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="For J*: entry-point name of an installed backend that needs no arguments.")
    ] = None,
    table: TableOptions,
) -> None:
    """Draw a figure of a portfolio into a file. No window opens.

    \b
    Which one
      regions     who is served by which policy (2 or 3 objectives; a section of more with --vary)
      values      J_w of two objectives: L, and J* and U with --against, else the certified band
      regret      where users lose how much; needs --against (or --backend)
      growth      what one more policy buys
      users       how many users each policy serves (--users: yours)
      front       reward vectors, pair by pair; with --against the other policies too
      profiles    what each policy is good at: parallel coordinates
      projection  more than three objectives at a glance: sampled users
      bounds      largest loss against size: what Theorems 1 to 1'', 2 and 2' promise, and this portfolio
      cover       how large a cover each ε needs, for this and other numbers of objectives
    \b
    Examples
      palm plot regions portfolio --out regions.pdf --width 3.3
      palm plot regions portfolio --vary quality --vary safety --vary cost --fix brevity=0.2
      palm plot regret portfolio --against scores.csv --minimize latency --name model
      palm plot regret portfolio --against rewards.npz
      palm plot bounds portfolio --beta 0.1 --reference
    """
    from palm_theory import plots
    from palm_theory.cli.sources import built_from, weights_of
    from palm_theory.contract.registry import resolve_backend
    from palm_theory.portfolio import Portfolio

    target = out or Path(f"{kind}.png")
    _check_file(target)
    _check_size(width, height, dpi)
    fixed = _fixed(fix)
    if (fixed or vary) and kind not in (*SECTIONS, "front"):
        raise InputError(f"--vary and --fix are for {', '.join(SECTIONS)} and front, not for {kind}")
    if fixed and kind == "front":
        raise InputError("--fix is for weights, which a Pareto front does not have")
    if users is not None and kind != "users":
        raise InputError(f"--users is for the kind users, not for {kind}")
    loaded = Portfolio.load(portfolio)
    found = None
    if against is not None:
        found = built_from(loaded, against, table)
    elif backend is not None:
        found = resolve_backend(backend)
    section: dict[str, Any] = {"objectives": vary, "fixed": fixed or None}
    given = None if users is None else weights_of(users, loaded.objectives)
    d = len(loaded.objectives)
    draw: dict[str, Callable[[Axes], Axes]] = {
        "regions": lambda ax: plots.policy_regions(loaded, **section, ax=ax),
        "values": lambda ax: plots.value_functions(loaded, found, **section, ax=ax),
        "regret": lambda ax: plots.regret_map(loaded, found, **section, seed=seed, ax=ax),
        "growth": lambda ax: plots.growth_curve(loaded, found, ax=ax),
        "users": lambda ax: plots.users_served(loaded, given, seed=seed, ax=ax),
        "front": lambda ax: plots.pareto_front(loaded, found, objectives=vary, ax=ax),
        "profiles": lambda ax: plots.policy_profiles(loaded, ax=ax),
        "projection": lambda ax: plots.projected_users(loaded, seed=seed, ax=ax),
        "bounds": lambda ax: plots.promised_loss(
            loaded, found, beta=theorem_beta, has_reference=reference or None, ax=ax
        ),
        "cover": lambda ax: plots.cover_sizes(
            sorted({2, 3, 4, d}),
            reward_max=loaded.reward_max,
            regularizer_max=loaded.regularizer_max or 0.0,
            ax=ax,
        ),
    }
    varying = len(vary) if vary else d - len(fixed)
    ternary = kind in ("regions", "regret") and varying == 3
    if kind == "regret" and found is None:
        raise InputError("a regret map shows the optimum J*: give --against what the portfolio was built from")
    _write(draw[kind], target, (width, height or _height(kind, width, varying, len(loaded))), dpi, ternary)
    typer.echo(f"saved in {target}")


def _check_file(target: Path) -> None:
    if target.suffix.lower() not in FILE_TYPES:
        raise InputError(f"--out must end in {', '.join(FILE_TYPES)}, got {str(target)!r}")
    if target.is_dir() or not target.parent.is_dir():
        raise InputError(f"cannot write {target}: " + ("it is a folder" if target.is_dir() else "no such folder"))


def _check_size(width: float, height: float | None, dpi: int) -> None:
    if not 2 <= width <= 40 or (height is not None and not 1 <= height <= 40):
        raise InputError(f"--width must lie in 2..40 and --height in 1..40 inches, got {width} and {height}")
    if not 30 <= dpi <= 1200:
        raise InputError(f"--dpi must lie in 30..1200, got {dpi}")


def _fixed(entries: list[str] | None) -> dict[str, float]:
    fixed: dict[str, float] = {}
    for entry in entries or []:
        name, separator, weight = entry.partition("=")
        try:
            if not separator or name in fixed:
                raise ValueError
            fixed[name] = float(weight)
        except ValueError:
            raise InputError(f"--fix takes objective=weight, each objective once, got {entry!r}") from None
    return fixed


def _height(kind: str, width: float, varying: int, policies: int) -> float:
    """Inches that a figure of this width needs."""
    from palm_theory.plots import LONGEST_KEY

    key = 0.15 * (policies if width < 5 else -(-policies // 3)) if policies <= LONGEST_KEY else 0.0
    if kind == "regions":
        return (min(0.9 * width, 4.4) + 0.7 if varying == 3 else 1.7) + key
    if kind == "regret" and varying == 3:
        return min(0.8 * width, 4.4) + 0.6
    if kind == "projection":
        return min(width, 4.4) + 1.0
    if kind == "front" and varying > 2:
        return min(width, 5.4)
    if kind == "users":
        return min(4.2, 1.0 + 0.17 * min(policies, 20))
    return 3.4


def _write(draw: Callable[[Axes], Axes], target: Path, size: tuple[float, float], dpi: int, ternary: bool) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    if ternary:
        import mpltern  # noqa: F401  (registers the projection)
    draw(figure.add_subplot(projection="ternary" if ternary else None))
    try:
        figure.savefig(target, dpi=dpi)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from error
