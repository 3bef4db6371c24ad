"""More than three objectives on paper: sampled users in star coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.simplex import sample_dirichlet
from palm_theory.plots.policies import title_of
from palm_theory.plots.regions import handles, is_optimal, mark_worst
from palm_theory.plots.style import SMALL, STYLES, TEXT, fitted, footer, new_axes, note, require_objectives, slot_points
from palm_theory.portfolio import Portfolio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from palm_theory.geometry.simplex import Array

SHOWN = 5
"""Policies with a marker of their own: those that serve most users."""

MOST_CORNERS = 60
"""More corner weights than this are not drawn."""


def projected_users(portfolio: Portfolio, *, samples: int = 800, seed: int = 0, ax: Axes | None = None) -> Axes:
    """Users with weights uniform on the simplex, d ≥ 3, at w ↦ Σ_i w_i·v_i with v the corners of a regular d-gon.

    The map is linear and, for d > 3, not one-to-one: users at one place may have different weights and be served by
    different policies, and cells that meet nowhere may overlap here. The figure shows which policies serve users in
    which direction, not where cells end (for that: ``policy_regions`` with three ``objectives``). It says so.

    The five policies that serve most users of the sample have markers of their own, the others share a dot. Corner
    weights are shown where there are at most 60. Raises InputError for d < 3.
    """
    d = len(portfolio.objectives)
    require_objectives(d, 3, "a projection")
    ax = new_axes(ax, height=4.6, width=4.6)
    angles = np.pi / 2 + 2 * np.pi * np.arange(d) / d
    anchors = np.column_stack([np.cos(angles), np.sin(angles)])
    outline = np.vstack([anchors, anchors[:1]])
    ax.plot(*outline.T, color="black", linewidth=0.8)
    _name_corners(ax, portfolio, anchors)
    weights = sample_dirichlet(d, samples, seed=seed)
    served = lower_envelope(portfolio.vertex_values, weights).policy
    counts = np.bincount(served, minlength=len(portfolio))
    order = [int(k) for k in np.argsort(-counts, kind="stable") if counts[k]]
    places = weights @ anchors
    rest = ~np.isin(served, order[:SHOWN])
    entries = []
    for (color, marker, _), k in zip(STYLES[1:], order[:SHOWN], strict=False):
        mine = places[served == k]
        label = fitted(title_of(portfolio[k]), 0.7 * slot_points(ax), SMALL)
        entries += ax.plot(
            *mine.T,
            linestyle="none",
            marker=marker,
            markersize=3.4,
            color=color,
            markeredgecolor="black",
            markeredgewidth=0.3,
            label=f"{label}: {counts[k] / samples:.0%}",
            gid=f"policy {k}",
        )
    others = len(order) - SHOWN
    if others > 0:
        entries += ax.plot(
            *places[rest].T,
            linestyle="none",
            marker=".",
            markersize=2.2,
            color="#8A8A8A",
            zorder=1,
            label=f"{others} other policies: {rest.mean():.0%}",
        )
    certificate = portfolio.certificate
    worst = None if is_optimal(certificate) else certificate.worst_weight
    corners = portfolio.corner_weights()
    marks = handles(certificate, with_worst=worst is not None)
    if len(corners) <= MOST_CORNERS:
        ax.plot(
            *(corners @ anchors).T, "x", color="black", markersize=3, markeredgewidth=0.6, clip_on=False, gid="corners"
        )
        marks[0].set_marker("x")
    else:
        marks = marks[1:]
    if worst is not None:
        mark_worst(ax, *(worst @ anchors))
    ax.set_aspect("equal")
    ax.set_xlim(-1.05, 1.05)
    ax.set_ylim(-1.05, 1.05)
    ax.set_axis_off()
    footer(ax, [*entries, *marks], drop=14)
    flat = "" if d == 3 else f"Projection of {d} weights to 2: users at one place may differ, and regions overlap here."
    note(ax, flat, f"{samples:,} sampled users.", pad=16)
    return ax


def _name_corners(ax: Axes, portfolio: Portfolio, anchors: Array) -> None:
    room = 0.26 * slot_points(ax)
    for name, (x, y) in zip(portfolio.objectives, anchors, strict=True):
        across = "center" if abs(x) < 0.3 else ("left" if x > 0 else "right")
        up = "bottom" if y > 0.3 else ("top" if y < -0.3 else "center")
        ax.annotate(
            fitted(name, room, TEXT),
            (x, y),
            xytext=(4 * x, 4 * y),
            textcoords="offset points",
            ha=across,
            va=up,
            fontsize=TEXT,
            annotation_clip=False,
        )
