"""Ternary axes (mpltern) of three weights, with horizontal names at the corners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from palm_theory.errors import InputError
from palm_theory.plots.labels import extent
from palm_theory.plots.style import PAGE, SMALL, TEXT, fitted, new_axes, root_figure, slot_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from palm_theory.geometry.simplex import Array

SHORT = 44.0
"""Points: a name this short stands right under its corner, beside the ticks; a longer one under them."""

TICKS = (0.2, 0.4, 0.6, 0.8)


def ternary_axes(ax: Axes | None, names: Sequence[str], *, height: float = 4.6, width: float = PAGE) -> Any:
    """``ax`` made ready for weights of three objectives: the first at the top, then left, then right.

    Each side's ticks belong to the objective at whose corner they reach 1. Raises InputError where ``ax`` is not
    ternary.
    """
    import mpltern  # noqa: F401  (registers the projection)

    ax = new_axes(ax, height=height, width=width, projection="ternary")
    if ax.name != "ternary":
        raise InputError('three weights need ternary axes: make them with add_subplot(projection="ternary")')
    for axis in (ax.taxis, ax.laxis, ax.raxis):  # pyright: ignore[reportAttributeAccessIssue]
        axis.set_ticks(TICKS)
        # Names stand at the corners. Placing an empty axis label anew takes mpltern most of the time of every layout.
        axis.set_label_coords(0.5, 0.5)
    ax.tick_params(labelsize=SMALL - 0.5, length=2, pad=2)
    for spine in ax.spines.values():
        spine.set_linewidth(0.8)
    # Half of the side that the triangle will have, about: the lower two names meet in the middle.
    side = min(0.82 * slot_points(ax), 0.68 * root_figure(ax).get_figheight() * 72)
    room = side / 2 + 6
    places = (
        ((1, 0, 0), (0, 4), "center", "bottom"),
        ((0, 1, 0), (-14, -16), "left", "top"),
        ((0, 0, 1), (14, -16), "right", "top"),
    )
    for name, (corner, offset, across, up) in zip(names, places, strict=True):
        text = fitted(name, room, TEXT)
        if up == "top" and extent(text, TEXT)[0] <= SHORT:
            offset, across = (0, -6), "center"
        ax.annotate(
            text,
            tuple(flat(np.array([corner], dtype=float))[0]),
            xytext=offset,
            textcoords="offset points",
            ha=across,
            va=up,
            fontsize=TEXT,
            annotation_clip=False,
        )
    return ax


def flat(weights: Array) -> Array:
    """Cartesian data coordinates (n, 2) of weights (n, 3) in mpltern's axes."""
    top, left, right = weights.T
    return np.column_stack([(right - left) / np.sqrt(3), top])


def columns(weights: Array) -> tuple[Array, Array, Array]:
    """Weights (n, 3) as the three arguments of mpltern's methods."""
    return weights[:, 0], weights[:, 1], weights[:, 2]
