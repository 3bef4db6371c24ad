"""Pareto fronts with the portfolio on them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.contract.calls import all_values, solve
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array, simplex_lattice
from palm_theory.plots.labels import extent
from palm_theory.plots.optimum import checked_backend
from palm_theory.plots.style import (
    SMALL,
    TEXT,
    fitted,
    footer,
    label_axes,
    new_axes,
    note,
    points_across,
    points_up,
    require_objectives,
    root_figure,
    settle,
    slot_points,
)
from palm_theory.portfolio import Portfolio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = 62.0
"""Points: the least width of a legible panel of pairs."""

MOST_SOLVES = 200
"""Optima asked of a backend whose policies are not a finite set."""


def pareto_front(
    portfolio: Portfolio,
    backend: PolicyBackend | None = None,
    *,
    objectives: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The policies' reward vectors; behind them, with a backend, what else there is.

    That is every policy of a finite set (power ALL_VALUES), or the optima of at most 200 lattice weights where solving
    is cheap (power OPTIMAL_VALUE). Two objectives: one panel, with the Pareto front of all that is shown as a staircase
    and numbers where they fit. More: one panel a pair, drawn inside ``ax``, as ``ax.child_axes``; a policy that looks
    dominated there may be best through an objective that the panel does not show, and the figure says so. Where not all
    pairs are legible at the axes' width only the first objectives are shown, and it says that too. Bars are ±1 standard
    error.

    Raises InputError for fewer than two objectives, unknown names, and another problem's backend.
    """
    require_objectives(len(portfolio.objectives), 2, "a Pareto front")
    chosen = _chosen(portfolio, objectives)
    behind = None if backend is None else _others(checked_backend(portfolio, backend))
    ax = new_axes(ax, height=3.4 if len(chosen) == 2 else 5.0)
    said = []
    if portfolio.regularizers.any():
        said.append("The regulariser f is not shown; policies are chosen by ⟨w, R⟩ − f.")
    if len(chosen) == 2:
        _panel(ax, portfolio, behind, *chosen, front=len(portfolio.objectives) == 2)
        label_axes(ax, *(f"R: {fitted(portfolio.objectives[i], 0.5 * slot_points(ax), TEXT)}" for i in chosen))
        footer(ax, ax.get_legend_handles_labels()[0], drop=32)
        if len(portfolio.objectives) > 2:
            said.append(
                f"Two of {len(portfolio.objectives)} objectives: a policy that looks dominated may be best in another."
            )
        note(ax, *said)
        _number(ax, portfolio, *chosen)
        return ax
    fits = max(3, 1 + int(0.85 * slot_points(ax) / PANEL))
    if len(chosen) > fits:
        said.append(
            f"The first {fits} of {len(chosen)} objectives; choose others with objectives=... or a wider figure."
        )
    said.append("A policy that looks dominated may be best in an objective not shown.")
    _pairs(ax, portfolio, behind, chosen[:fits])
    note(ax, *said)
    return ax


def _chosen(portfolio: Portfolio, objectives: Sequence[str] | None) -> list[int]:
    names = list(portfolio.objectives)
    wanted = names if objectives is None else list(objectives)
    for name in wanted:
        if name not in names:
            raise InputError(f"unknown objective {name!r}; the objectives are {', '.join(names)}")
    if len(wanted) < 2 or len(set(wanted)) < len(wanted):
        raise InputError(f"a Pareto front needs two or more different objectives, got {', '.join(wanted)}")
    return [names.index(name) for name in wanted]


def _others(backend: PolicyBackend) -> Array | None:
    """Rewards (n, d) of other policies, or None where they are unknown or dear."""
    if Power.ALL_VALUES in backend.powers:
        return np.stack([value.rewards for value in all_values(backend)])
    if Power.OPTIMAL_VALUE not in backend.powers:
        return None
    d = len(backend.objectives)
    n = 1
    while len(simplex_lattice(d, n + 1)) <= MOST_SOLVES and n < 60:
        n += 1
    return np.stack([solve(backend, row).value.rewards for row in simplex_lattice(d, n)])


def staircase(points: Array) -> Array:
    """The non-dominated rows of (n, 2), both maximised, by increasing first coordinate."""
    kept: list[Array] = []
    for point in points[np.lexsort((-points[:, 1], -points[:, 0]))]:
        if not kept or point[1] > kept[-1][1]:
            kept.append(point)
    return np.array(kept[::-1])


def _panel(ax: Axes, portfolio: Portfolio, behind: Array | None, i: int, j: int, *, front: bool) -> None:
    rewards = portfolio.rewards[:, [i, j]]
    points = rewards
    if behind is not None:
        points = np.vstack([rewards, behind[:, [i, j]]])
        ax.plot(
            *behind[:, [i, j]].T,
            "o",
            color="#9A9A9A",
            markersize=2.6,
            markeredgewidth=0,
            label="other policies",
            gid="others",
        )
    if front:
        steps = staircase(points)
        ax.step(
            *steps.T,
            where="pre",
            color="#777777",
            linewidth=0.8,
            linestyle="--",
            label="Pareto front of these",
            gid="front",
        )
    errors = [member.value.rewards_stderr for member in portfolio]
    bars = [[0.0 if e is None else float(e[axis]) for e in errors] for axis in (i, j)]
    if any(map(any, bars)):
        ax.errorbar(*rewards.T, xerr=bars[0], yerr=bars[1], fmt="none", ecolor="black", elinewidth=0.6, zorder=3)
    ax.plot(
        *rewards.T,
        linestyle="none",
        marker="s",
        color="#0072B2",
        markeredgecolor="black",
        markeredgewidth=0.5,
        markersize=4.2,
        zorder=4,
        label="the portfolio",
        gid="portfolio",
    )
    ax.margins(0.09)


def _number(ax: Axes, portfolio: Portfolio, i: int, j: int) -> None:
    """Numbers beside the policies, left out where they would meet a policy or another number."""
    settle(ax)
    unit = 72 / root_figure(ax).dpi
    places = ax.transData.transform(portfolio.rewards[:, [i, j]]) * unit
    taken = [(x - 2.5, y - 2.5, x + 2.5, y + 2.5) for x, y in places]
    box = ax.get_window_extent()
    right, top = box.x1 * unit, box.y1 * unit
    for member, (x, y) in zip(portfolio, places, strict=True):
        width, height = extent(str(member.index), SMALL)
        for dx, dy in ((4, 3), (4, -3 - height), (-4 - width, 3), (-4 - width, -3 - height)):
            mine = (x + dx, y + dy, x + dx + width, y + dy + height)
            free = all(mine[2] < a or mine[0] > c or mine[3] < b or mine[1] > d for a, b, c, d in taken)
            if free and mine[2] < right and mine[3] < top:
                taken.append(mine)
                ax.annotate(
                    str(member.index),
                    (float(member.value.rewards[i]), float(member.value.rewards[j])),
                    xytext=(dx, dy),
                    textcoords="offset points",
                    fontsize=SMALL,
                    va="baseline",
                )
                break


def _pairs(ax: Axes, portfolio: Portfolio, behind: Array | None, chosen: list[int]) -> None:
    ax.set_axis_off()
    n = len(chosen) - 1
    settle(ax)
    across, up = points_across(ax), points_up(ax)
    left, bottom, gap = 34 / across, 30 / up, 6.0
    width, height = (1 - left) / n, (1 - bottom) / n
    for column, row in itertools.product(range(n), range(n)):
        if column > row:
            continue
        place = (left + column * width, bottom + (n - 1 - row) * height, width - gap / across, height - gap / up)
        panel = ax.inset_axes(place)
        i, j = chosen[column], chosen[row + 1]
        _panel(panel, portfolio, behind, i, j, front=False)
        panel.tick_params(labelsize=SMALL - 0.5, length=2, pad=1.5)
        panel.locator_params(nbins=4, prune="both")
        if row == n - 1:
            panel.set_xlabel(fitted(portfolio.objectives[i], width * across - 6, SMALL), fontsize=SMALL)
        else:
            panel.set_xticklabels([])
        if column == 0:
            panel.set_ylabel(fitted(portfolio.objectives[j], height * up - 12, SMALL), fontsize=SMALL)
        else:
            panel.set_yticklabels([])
    first = cast("Axes", ax.child_axes[0])
    ax.legend(
        *first.get_legend_handles_labels(),
        loc="upper right",
        fontsize=SMALL,
        frameon=False,
        borderaxespad=0.2,
    )
