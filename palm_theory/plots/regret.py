"""Where users lose how much: the regret against J* over the simplex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from palm_theory.contract.backend import PolicyBackend
from palm_theory.geometry.corners import AdditiveGap, MultiplicativeGap, without_rounding
from palm_theory.geometry.envelope import lower_envelope, rounding_at
from palm_theory.geometry.simplex import Array, sample_dirichlet, simplex_lattice
from palm_theory.plots.cells import Cell, cells
from palm_theory.plots.face import Face, face
from palm_theory.plots.optimum import certified_optimum, optimal_values, required_backend
from palm_theory.plots.regions import TITLE_PAD, corners_of, handles, mark_worst, remarks, worst_on
from palm_theory.plots.style import (
    SMALL,
    TEXT,
    fitted,
    footer,
    label_axes,
    new_axes,
    note,
    require_objectives,
    root_figure,
    slot_points,
)
from palm_theory.plots.triangle import columns, flat, ternary_axes
from palm_theory.portfolio import Portfolio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = 7
"""Bands of the map."""


def regret_map(
    portfolio: Portfolio,
    backend: PolicyBackend | None,
    *,
    objectives: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    resolution: int = 30,
    samples: int = 1000,
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """The regret 1 − L(w)/J*_w (J* − L where J* ≤ 0 somewhere) of the users with weights w.

    Two objectives: a curve. Three: a map on the triangle. J* is asked for on the lattice {k/n}, n = ``resolution``
    (10·n points for two objectives), at every corner weight, where the peaks are, and along the sides of the cells;
    between these points the map is interpolated. More: the distribution over ``samples`` users with weights uniform on
    the simplex, next to the certified largest regret; or choose two or three with ``objectives`` (others ``fixed``, 0
    by default). Darker is worse; bands are outlined.

    Raises InputError without the backend, for another problem's, and for one objective; CertificateError where the
    backend proves no bound on J*.
    """
    require_objectives(len(portfolio.objectives), 2, "a regret map")
    backend = required_backend(portfolio, backend, "a regret map")
    if len(portfolio.objectives) > 3 and objectives is None and fixed is None:
        return _distribution(portfolio, backend, samples, seed, ax)
    section = face(portfolio.objectives, objectives, fixed, (2, 3))
    drawn = cells(section.values(portfolio.vertex_values))
    if len(section.varying) == 2:
        return _curve(portfolio, backend, section, drawn, resolution, ax)
    return _map(portfolio, backend, section, drawn, resolution, ax)


def regrets(portfolio: Portfolio, backend: PolicyBackend, weights: Array) -> tuple[Array, str]:
    """The regret at weights (n, d) and the name of its measure; J* from the backend, gaps within rounding are 0."""
    values = portfolio.vertex_values
    lower = lower_envelope(values, weights).best
    upper = without_rounding(optimal_values(backend, weights), lower, rounding_at(values, weights))
    relative = MultiplicativeGap().measure(upper, lower)
    if np.all(np.isfinite(relative)):
        return relative, "regret 1 − L/J*"
    return AdditiveGap().measure(upper, lower), "regret J* − L"


def _curve(
    portfolio: Portfolio,
    backend: PolicyBackend,
    section: Face,
    drawn: list[Cell],
    resolution: int,
    ax: Axes | None,
) -> Axes:
    ax = new_axes(ax, height=2.8)
    corners = np.unique(1 - corners_of(drawn)[:, 0])
    second = np.unique(np.concatenate([np.linspace(0, 1, 10 * resolution + 1), corners]))
    gaps, measure = regrets(portfolio, backend, section.weights(np.column_stack([1 - second, second])))
    at_corners = gaps[np.searchsorted(second, corners)]
    ax.fill_between(second, 0, gaps, facecolor="#D9D9D9", edgecolor="none")
    ax.plot(second, gaps, color="black", linewidth=1.0, gid="regret")
    ax.plot(corners, at_corners, "o", color="black", markersize=3, zorder=5, clip_on=False, gid="corners")
    certificate = portfolio.certificate
    worst = worst_on(section, certificate)
    if worst is not None:
        where = 1 - float(worst[0])
        mark_worst(ax, where, float(np.interp(where, second, gaps)))
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.15 * float(gaps.max()) or 1.0)
    room = 0.4 * slot_points(ax)
    first, last = (fitted(name, room * part, TEXT) for name, part in zip(section.labels, (0.6, 1.0), strict=True))
    label_axes(ax, f"weight of {last} (rest: {first})", measure)
    footer(ax, handles(certificate, with_worst=worst is not None), drop=32)
    note(ax, *remarks(portfolio, section, worst))
    return ax


def _map(
    portfolio: Portfolio,
    backend: PolicyBackend,
    section: Face,
    drawn: list[Cell],
    resolution: int,
    ax: Axes | None,
) -> Axes:
    plane = ternary_axes(ax, section.labels)
    sides = [
        cell.corners + part * (np.roll(cell.corners, -1, axis=0) - cell.corners)
        for cell in drawn
        for part in (0.0, 0.25, 0.5, 0.75)
    ]
    inner = np.vstack([simplex_lattice(3, resolution), *sides])
    _, first = np.unique(np.round(inner, 9) + 0.0, axis=0, return_index=True)
    inner = np.clip(inner[first], 0, None)
    gaps, measure = regrets(portfolio, backend, section.weights(inner))
    largest = float(gaps.max())
    if largest > 0:
        levels = np.linspace(0, largest, LEVELS + 1)
        painted = plane.tricontourf(
            *columns(inner), gaps, levels=levels, cmap="Greys", vmin=-0.05 * largest, vmax=1.25 * largest
        )
        plane.tricontour(*columns(inner), gaps, levels=levels[1:-1], colors="#444444", linewidths=0.3)
        bar = root_figure(plane).colorbar(painted, ax=plane, shrink=0.6, pad=0.06, aspect=14, ticks=levels[::2])
        bar.set_label(measure, fontsize=SMALL)
        bar.ax.tick_params(labelsize=SMALL - 0.5, length=2)
        bar.ax.set_yticklabels([f"{level:.2g}" for level in levels[::2]])
    for cell in drawn:
        plane.fill(*columns(cell.corners), facecolor="none", edgecolor="#0072B2", linewidth=0.5)
    plane.scatter(*columns(corners_of(drawn)), s=3, color="#0072B2", zorder=5, clip_on=False, gid="corners")
    certificate = portfolio.certificate
    worst = worst_on(section, certificate)
    if worst is not None:
        mark_worst(plane, *flat(worst[None, :])[0])
    entries = handles(certificate, with_worst=worst is not None, corners="corner weights and cells")
    entries[0].set_color("#0072B2")
    footer(plane, entries, drop=32)
    nothing = "" if largest > 0 else "There is no regret to show."
    note(plane, *remarks(portfolio, section, worst), nothing, pad=TITLE_PAD)
    return plane


def _distribution(portfolio: Portfolio, backend: PolicyBackend, samples: int, seed: int, ax: Axes | None) -> Axes:
    ax = new_axes(ax, height=2.8)
    weights = sample_dirichlet(len(portfolio.objectives), samples, seed=seed)
    gaps, measure = regrets(portfolio, backend, weights)
    ordered = np.sort(gaps)
    ax.step(
        np.concatenate([[0.0], ordered]), np.arange(samples + 1) / samples, where="post", color="black", gid="regret"
    )
    certificate = portfolio.certificate
    bound = (
        certificate.epsilon if measure.startswith("regret 1") and certificate.delta == 0 else certificate.additive_gap
    )
    # What is drawn is the regret against J*: a certificate over a reference set bounds another one.
    bounds = certified_optimum(portfolio) is not None and bool(np.isfinite(bound))
    if bounds:
        ax.axvline(
            bound,
            color="#D55E00",
            linestyle="--",
            linewidth=1.2,
            label=f"certified for every weight ({certificate.kind.value}): {bound:.3g}",
        )
    ax.plot([], [], color="black", label=f"{samples:,} sampled users")
    ax.set_ylim(0, 1.02)
    ax.set_xlim(0, 1.05 * max(float(ordered[-1]), bound if bounds else 0.0) or 1.0)
    label_axes(ax, measure, "share of users with at most this")
    footer(ax, ax.get_legend_handles_labels()[0], drop=32)
    note(
        ax,
        f"Weights uniform on the simplex of {len(portfolio.objectives)} objectives. The sample is no bound.",
        ""
        if certificate.is_against_optimum or not certificate.is_proof
        else f"Nor is the certificate, which is over {certificate.reference} only.",
        "" if ordered[-1] > 0 else "No sampled user loses anything.",
    )
    return ax
