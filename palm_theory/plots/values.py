"""The value functions of two objectives and what is known of them: L ≤ J* ≤ U."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from palm_theory.contract.backend import PolicyBackend
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.hull import UpperHull
from palm_theory.geometry.simplex import Array
from palm_theory.plots.cells import cells
from palm_theory.plots.face import Face, face
from palm_theory.plots.optimum import certified_optimum, checked_backend, optimal_values
from palm_theory.plots.regions import corners_of, handles, mark_worst, remarks, worst_on
from palm_theory.plots.style import BAND, TEXT, WORST, fitted, footer, label_axes, new_axes, note, slot_points
from palm_theory.portfolio import Portfolio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = 101
"""Weights, besides corners and solved ones, at which J* and U are drawn."""


def value_functions(
    portfolio: Portfolio,
    backend: PolicyBackend | None = None,
    *,
    objectives: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Two objectives: every policy's J_w, their lower envelope L, and above it the optimum.

    With the backend: J* at 101 weights and all corners, and the upper hull U = min{Σλ_k J*_{w_k} : Σλ_k w_k = w} of the
    weights that were solved (Theorem 3's sandwich L ≤ J* ≤ U). Without it: the band between L and
    the upper bound on J* that the certificate, if it is a proof, implies. L is drawn exactly, through its corners.

    With more than two objectives choose two with ``objectives``; the others have weights ``fixed``, 0 by default, and
    the figure says so. Raises InputError for one objective, for more than two without a choice, for another problem's
    backend; CertificateError where the backend proves no bound on J*.
    """
    section = face(portfolio.objectives, objectives, fixed, (2,))
    if backend is not None:
        backend = checked_backend(portfolio, backend)
    ax = new_axes(ax, height=3.2)
    values = section.values(portfolio.vertex_values)
    corners = np.sort(1 - corners_of(cells(values))[:, 0])
    lower = _envelope(values, corners)
    for number, (start, end) in enumerate(values):
        ax.plot([0, 1], [start, end], color="#9A9A9A", linewidth=0.5, label="one policy" if number == 0 else None)
    ax.plot(corners, lower, color="#56B4E9", linewidth=3.2, label="L: the best policy of the portfolio", gid="L")
    ax.plot(corners, lower, "o", color="black", markersize=3, zorder=5, gid="corners")
    certificate = portfolio.certificate
    said = []
    if backend is not None:
        top = _sandwich(ax, portfolio, backend, section, corners)
    else:
        top, sentence = _certified_band(ax, portfolio, corners, lower)
        said.append(sentence)
    worst = worst_on(section, certificate)
    if worst is not None:
        mark_worst(ax, 1 - float(worst[0]), float(_envelope(values, np.array([1 - worst[0]]))[0]))
    room = 0.4 * slot_points(ax)
    first, second = (fitted(name, room * part, TEXT) for name, part in zip(section.labels, (0.6, 1.0), strict=True))
    label_axes(ax, f"weight of {second} (rest: {first})", "value $J_w$")
    ax.set_xlim(0, 1)
    low, high = float(lower.min()), max(top, float(lower.max()))
    margin = 0.06 * (high - low or abs(high) or 1.0)
    ax.set_ylim(low - margin, high + margin)
    drawn = list(ax.get_legend_handles_labels()[0])
    footer(ax, [*drawn, *handles(certificate, with_worst=worst is not None)], drop=32)
    note(ax, *remarks(portfolio, section, worst), *said)
    return ax


def _envelope(values: Array, second: Array) -> Array:
    return lower_envelope(values, np.column_stack([1 - second, second])).best


def _sandwich(ax: Axes, portfolio: Portfolio, backend: PolicyBackend, section: Face, corners: Array) -> float:
    """Draw J* and U; the largest value drawn."""
    solved = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]
    for member in portfolio:
        point = None if member.weights is None else section.inner(member.weights)
        if point is not None:
            solved.append(point)
    inner: Array = np.asarray(np.unique(np.round(np.vstack(solved), 12), axis=0)[::-1], dtype=np.float64)
    bounds = optimal_values(backend, section.weights(inner))
    hull = UpperHull(np.array([bounds[inner[:, 0] == 1].min(), bounds[inner[:, 0] == 0].min()]))
    for weights, bound in zip(inner, bounds, strict=True):
        hull.add(weights, float(bound))
    second = np.unique(np.concatenate([np.linspace(0, 1, GRID), corners, inner[:, 1]]))
    rows = np.column_stack([1 - second, second])
    upper = np.array([hull(row) for row in rows])
    optimum = optimal_values(backend, section.weights(rows))
    ax.plot(second, upper, color=WORST, linewidth=1.0, linestyle=":", label="U: bound from the solved weights", gid="U")
    ax.plot(
        inner[:, 1], bounds, "s", color=WORST, markersize=3.2, markerfacecolor="white", label="solved weights", zorder=4
    )
    ax.plot(second, optimum, color="black", linewidth=1.0, linestyle="--", label="J*: the optimum", gid="J*")
    return float(max(upper.max(), optimum.max()))


def _certified_band(ax: Axes, portfolio: Portfolio, corners: Array, lower: Array) -> tuple[float, str]:
    """Draw where the certificate says that J* lies; the largest value drawn and what to say of it."""
    known = certified_optimum(portfolio)
    if known is None:
        return float(lower.max()), "J* is not shown: that needs the backend, and the certificate does not bound it."
    # J* is convex, so between corners, where L is linear, it stays below the line through its bounds there.
    ceiling = known.above(lower)
    confidence = portfolio.certificate.confidence
    sure = "" if confidence == 1 else f" (confidence {confidence:g})"
    ax.fill_between(
        corners,
        lower,
        ceiling,
        facecolor=BAND,
        edgecolor="#555555",
        linewidth=0.5,
        hatch="////",
        zorder=0.5,
        label=f"J* lies here, certified{sure}",
    )
    return float(ceiling.max()), ""
