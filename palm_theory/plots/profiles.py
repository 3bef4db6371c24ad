"""What each policy is good at: parallel coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palm_theory.plots.labels import extent, label_ends
from palm_theory.plots.policies import title_of
from palm_theory.plots.style import SMALL, STYLES, fitted, new_axes, note, slot_points
from palm_theory.plots.users import shares
from palm_theory.portfolio import Portfolio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 6
"""Policies drawn in a style of their own and named."""


def policy_profiles(portfolio: Portfolio, *, ax: Axes | None = None) -> Axes:
    """Parallel coordinates: one line a policy, one vertical axis an objective, one more for f where it is not all 0.

    Every axis runs from the portfolio's least to its largest value, which are written at its ends; up is better, so f
    runs downward. A constant axis has its value in the middle. The six policies that serve most users (weights uniform)
    have a style each and are named at the right; the others are thin grey lines. Lines cross where one policy gives up
    one objective for another; axes next to each other show it best.
    """
    d = len(portfolio.objectives)
    table, names = portfolio.rewards, list(portfolio.objectives)
    if portfolio.regularizers.any():
        table, names = np.column_stack([table, -portfolio.regularizers]), [*names, "f ↓"]
    ax = new_axes(ax, height=3.2)
    low, spread = table.min(axis=0), np.ptp(table, axis=0)
    heights = np.where(spread > 0, (table - low) / np.where(spread > 0, spread, 1.0), 0.5)
    part, _ = shares(portfolio)
    order = [int(k) for k in np.argsort(-part, kind="stable")]
    places = np.arange(len(names))
    for k in order[SHOWN:]:
        ax.plot(places, heights[k], color="#CCCCCC", linewidth=0.6, zorder=1, gid=f"policy {k}")
    ends = []
    room = 0.26 * slot_points(ax)
    for (color, marker, dashes), k in zip(STYLES, order[:SHOWN], strict=False):
        ax.plot(
            places,
            heights[k],
            color=color,
            marker=marker,
            linestyle=dashes,
            linewidth=1.3,
            markersize=4,
            markeredgecolor="black",
            markeredgewidth=0.4,
            clip_on=False,
            zorder=3,
            gid=f"policy {k}",
        )
        ends.append((float(places[-1]), float(heights[k, -1]), fitted(title_of(portfolio[k]), room, SMALL), color))
    slot = 0.66 * slot_points(ax) / len(names)
    crowded = max(extent(name, SMALL)[0] for name in names) > slot
    ticks = [fitted(name, 74 if crowded else slot, SMALL) for name in names]
    turn = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    ax.set_xticks(places, ticks, fontsize=SMALL, **turn)
    ax.tick_params(axis="x", length=0, pad=12)
    ax.set_yticks([])
    ax.set_xlim(0, max(len(names) - 1, 0.5))
    ax.set_ylim(-0.03, 1.03)
    for side in ax.spines.values():
        side.set_visible(False)
    for place, column in zip(places, table.T, strict=True):
        ax.axvline(float(place), color="black", linewidth=0.7, zorder=0)
        sign = -1.0 if place == d else 1.0
        ends_of_axis = (column.min(), column.max()) if np.ptp(column) > 0 else (None, None)
        for value, y, up, away in ((ends_of_axis[0], 0.0, "top", -4), (ends_of_axis[1], 1.0, "bottom", 4)):
            if value is not None:
                ax.annotate(
                    f"{sign * value + 0.0:.3g}",
                    (place, y),
                    xytext=(0, away),
                    textcoords="offset points",
                    ha="center",
                    va=up,
                    fontsize=SMALL - 0.5,
                    annotation_clip=False,
                )
        if ends_of_axis[0] is None:
            ax.annotate(
                f"{sign * column[0]:.3g}",
                (place, 0.5),
                xytext=(-4, 4),
                textcoords="offset points",
                ha="right",
                fontsize=SMALL - 0.5,
            )
    rest = f"Named: the {SHOWN} of {len(portfolio)} that serve most users." if len(portfolio) > SHOWN else ""
    label_ends(ax, ends, size=SMALL)
    note(ax, "Up is better; axes span the portfolio's range.", rest, pad=14)
    return ax
