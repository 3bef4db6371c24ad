"""What all figures share: sizes in print, line styles, new axes, wrapped and shortened text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from palm_theory.errors import InputError
from palm_theory.plots.labels import extent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN = 3.3
"""Width in inches of one column of a two-column page."""
PAGE = 6.9
"""Width in inches of the text of a page."""

TEXT = 8.0
"""Points: axis labels."""
SMALL = 7.0
"""Points: ticks, notes, labels inside a figure."""

# Okabe & Ito's palette with markers and dashes of their own: told apart in greyscale and by colour-blind readers.
STYLES: tuple[tuple[str, str, Any], ...] = (
    ("#000000", "o", "-"),
    ("#0072B2", "s", "--"),
    ("#D55E00", "^", "-."),
    ("#009E73", "D", ":"),
    ("#CC79A7", "v", (0, (5, 1))),
    ("#56B4E9", "P", (0, (3, 1, 1, 1))),
    ("#6B4C9A", "X", (0, (1, 1))),
)

TINTS = ("#F4F4F4", "#BBD9EE", "#F7DDA4", "#A9D5C3", "#D9B4CC", "#B8B8B8")
"""Fills light enough for black text, of different lightness."""

WORST = "#D55E00"
"""The colour of the worst weight; its marker is a star."""

BAND = "#DCE6EE"
"""The fill of what is certified."""


def new_axes(ax: Axes | None, *, height: float = 2.6, width: float = PAGE, projection: str | None = None) -> Axes:
    """``ax``, or the axes of a new pyplot figure ``width`` × ``height`` inches; its ticks in ``SMALL``."""
    if ax is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(width, height), layout="constrained")
        ax = figure.add_subplot(projection=projection)
    ax.tick_params(which="both", labelsize=SMALL)
    return ax


def root_figure(ax: Axes) -> Figure:
    """The figure at the top, also where the axes are in a subfigure."""
    return ax.figure.canvas.figure  # pyright: ignore[reportReturnType]


def settle(ax: Axes) -> None:
    """Let the layout be computed, so that sizes on the page are known."""
    root_figure(ax).draw_without_rendering()


def points_across(ax: Axes) -> float:
    """Width of the axes on the page, in points."""
    return ax.get_window_extent().width * 72 / root_figure(ax).dpi


def points_up(ax: Axes) -> float:
    """Height of the axes on the page, in points."""
    return ax.get_window_extent().height * 72 / root_figure(ax).dpi


def shorten(name: str, characters: int) -> str:
    """``name``, its middle replaced by an ellipsis where it is longer than ``characters``: both ends tell names apart.

    Dollar signs are escaped: a name is not mathematics.
    """
    if len(name) > characters:
        head = math.ceil((characters - 1) / 2)
        tail = characters - 1 - head
        name = name[:head] + "…" + name[len(name) - tail :]
    return name.replace("$", r"\$")


def fitted(name: str, points: float, size: float) -> str:
    """``name`` shortened until it is at most ``points`` wide."""
    characters = len(name)
    while characters > 4 and extent(shorten(name, characters), size)[0] > points:
        characters -= 1
    return shorten(name, characters)


def wrapped(text: str, points: float, size: float = SMALL) -> str:
    """``text`` in lines of about ``points`` at most."""
    characters = max(12, int(points / (0.56 * size)))
    return "\n".join(line for part in text.split("\n") for line in textwrap.wrap(part, characters) or [""])


def slot_points(ax: Axes) -> float:
    """Width in points of the place on the page that the axes were given, with its margins."""
    figure = root_figure(ax).get_figwidth() * 72
    spec = ax.get_subplotspec()
    if spec is None:
        return figure * ax.get_position(original=True).width
    return figure * len(spec.colspan) / spec.get_gridspec().ncols


def note(ax: Axes, *sentences: str, pad: float = 5.0) -> None:
    """What a reader must know to read the figure right, above the axes; nothing where all ``sentences`` are empty.

    Computes the layout: lines are as long as the axes' place in it allows. So it comes after all that needs room.
    """
    text = " ".join(filter(None, sentences))
    ax.set_title(wrapped(text, 0.9 * slot_points(ax)).strip(), fontsize=SMALL, pad=pad)
    settle(ax)
    unit = 72 / root_figure(ax).dpi
    box = ax.get_window_extent()
    centre = (box.x0 + box.x1) / 2 * unit
    spec = ax.get_subplotspec()
    wide = slot_points(ax)
    left = 0.0 if spec is None else spec.colspan.start * wide / len(spec.colspan)
    half = min(centre - left, left + wide - centre) - 3 if spec is not None else box.width * unit / 2
    ax.set_title(wrapped(text, max(2 * half, 60.0)).strip(), fontsize=SMALL, pad=pad)


def footer(ax: Axes, handles: Sequence[Any], key: Sequence[str] = (), *, drop: float = 28.0) -> None:
    """A legend ``drop`` points under the axes and under it a key of lines without symbols, as wide as they may be."""
    from matplotlib.lines import Line2D

    wide = 0.94 * slot_points(ax)
    if handles:
        longest = max(extent(str(handle.get_label()), SMALL)[0] for handle in handles) + 4.2 * SMALL
        columns = max(1, min(len(handles), int(wide / longest)))
        symbols = _legend(ax, handles, drop, ncols=columns, handlelength=2.4)
        drop += 1.36 * SMALL * -(-len(handles) // columns) + 4
        if key:
            ax.add_artist(symbols)
    if key:
        longest = max(extent(line, SMALL)[0] for line in key) + 2 * SMALL
        columns = max(1, min(4, len(key), int(wide / min(longest, 150))))
        room = wide / columns - 2 * SMALL
        entries = [Line2D([], [], linestyle="none", label=fitted(line, room, SMALL)) for line in key]
        _legend(ax, entries, drop, ncols=columns, handlelength=0, handletextpad=0)


def _legend(ax: Axes, handles: Sequence[Any], drop: float, **options: Any) -> Any:
    from matplotlib.transforms import ScaledTranslation

    under = ax.transAxes + ScaledTranslation(0, -drop / 72, root_figure(ax).dpi_scale_trans)
    return ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=under,
        borderaxespad=0.0,
        borderpad=0.0,
        labelspacing=0.35,
        columnspacing=1.4,
        frameon=False,
        fontsize=SMALL,
        **options,
    )


def label_axes(ax: Axes, x: str, y: str = "") -> None:
    """Axis labels in ``TEXT``."""
    ax.set_xlabel(x, fontsize=TEXT)
    ax.set_ylabel(y, fontsize=TEXT)


def require_objectives(count: int, least: int, what: str) -> None:
    """Raise InputError where a figure needs more objectives than there are."""
    if count < least:
        raise InputError(f"{what} needs at least {least} objectives, this portfolio has {count}")
