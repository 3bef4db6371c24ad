"""Who is served by which policy: the exact cells of the simplex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from palm_theory.certify.certificate import Certificate, Kind
from palm_theory.geometry.simplex import Array
from palm_theory.plots.cells import Cell, cells, clip, tint_numbers
from palm_theory.plots.face import Face, face
from palm_theory.plots.labels import extent, room_in_polygon, spread
from palm_theory.plots.policies import NUMBERS, key_lines, key_of
from palm_theory.plots.style import (
    PAGE,
    SMALL,
    TEXT,
    TINTS,
    WORST,
    fitted,
    footer,
    label_axes,
    new_axes,
    note,
    points_across,
    points_up,
    slot_points,
)
from palm_theory.plots.triangle import columns, flat, ternary_axes
from palm_theory.portfolio import Portfolio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PADDING = 2.0
"""Points of air around a label in its cell."""

STAR = 5.5
"""Points from the middle of the star to where text may be."""

LEADER = 7.0
"""Points between a strip and the numbers above it."""

TITLE_PAD = 15.0
"""Points between a triangle and the note above it: the top corner's name stands there."""


def policy_regions(
    portfolio: Portfolio,
    *,
    objectives: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The cells {w ∈ Δ : π_k serves w} as exact polygons (d = 3) or intervals (d = 2), with the corner weights, where
    by Theorem 3 users may be served worst, and the certificate's worst weight.

    Parameters
    ----------
    portfolio : K policies; nothing else is needed.
    objectives : which two or three objectives vary; all by default, which more than three objectives do not allow. The
        figure is then an exact section of the simplex and says so.
    fixed : weights of other objectives in that section, ≥ 0, summing to less than 1; those not named are 0.
    ax : ternary axes (``projection="ternary"`` of mpltern) for three objectives, ordinary ones for two.

    A label stands in its cell where it fits; the figure says how many cells are too small. Names that do not fit are
    numbers with a key, up to 12 policies. The worst weight is marked where it lies on the section.

    Raises InputError for one objective, more than three without a choice, and axes of the wrong projection.
    """
    section = face(portfolio.objectives, objectives, fixed, (2, 3))
    drawn = cells(section.values(portfolio.vertex_values))
    if len(section.varying) == 2:
        return _strip(portfolio, section, drawn, ax)
    return _triangle(portfolio, section, drawn, ax)


def corners_of(drawn: Sequence[Cell]) -> Array:
    """The distinct corners of cells, (m, d)."""
    corners = np.vstack([cell.corners for cell in drawn])
    _, first = np.unique(np.round(corners, 9) + 0.0, axis=0, return_index=True)
    return corners[np.sort(first)]


def worst_handle(certificate: Certificate) -> str:
    """What the star says: the kind of the certificate and its gap."""
    if certificate.kind is Kind.SAMPLED:
        where = "worst sampled weight (no bound)"
    else:
        where = f"worst weight, {certificate.kind.value}"
        if not certificate.is_against_optimum:
            where += " within a reference set"
    gaps = []
    if np.isfinite(certificate.epsilon) and (certificate.epsilon > 0 or certificate.delta == 0):
        gaps.append(f"ε = {certificate.epsilon:.3g}")
    if certificate.delta > 0:
        gaps.append(f"δ = {certificate.delta:.3g}")
    if 0 < certificate.confidence < 1:
        gaps.append(f"confidence {certificate.confidence:g}")
    return f"{where}: {', '.join(gaps)}" if gaps else where


def worst_on(section: Face, certificate: Certificate) -> Array | None:
    """The certificate's worst weight in the section's own weights (m,), or None."""
    if certificate.worst_weight is None or is_optimal(certificate):
        return None
    return section.inner(certificate.worst_weight)


def mark_worst(ax: Axes, x: float, y: float) -> None:
    """The star at the worst weight, in data coordinates."""
    from matplotlib.axes import Axes as Plain

    Plain.plot(
        ax,
        [x],
        [y],
        linestyle="none",
        marker="*",
        markersize=10,
        markerfacecolor=WORST,
        markeredgecolor="black",
        markeredgewidth=0.7,
        zorder=6,
        clip_on=False,
        gid="worst",
    )


def handles(certificate: Certificate, *, with_worst: bool, corners: str = "corner weights") -> list[Any]:
    """Legend entries of the corner weights and the star."""
    from matplotlib.lines import Line2D

    entries = [Line2D([], [], linestyle="none", marker="o", markersize=3, color="black", label=corners)]
    if with_worst:
        star = {"marker": "*", "markersize": 9, "markerfacecolor": WORST, "markeredgecolor": "black"}
        entries.append(
            Line2D([], [], linestyle="none", markeredgewidth=0.7, label=worst_handle(certificate), **star)  # pyright: ignore[reportArgumentType]
        )
    return entries


def remarks(portfolio: Portfolio, section: Face, worst: Array | None) -> list[str]:
    """What to say of the section, of estimated values, of what the certificate is over where that is not every policy,
    and of a worst weight (d,) that is not marked."""
    certificate = portfolio.certificate
    said = [section.describe()]
    if any(value.is_estimate for value in portfolio.policy_values):
        said.append("Drawn from estimated values, without their sampling error.")
    if certificate.worst_weight is None:
        said.append("Nothing is certified, so no worst weight is known.")
        return said
    if not certificate.is_against_optimum:
        said.append(f"Certified over {certificate.reference} only: J* may be higher.")
    if is_optimal(certificate):
        best = "optimal" if certificate.is_against_optimum else "nothing in that set is better"
        said.append(f"Certified ({certificate.kind.value}): {best} at every weight, ε = 0.")
    elif worst is None:
        said.append("The worst weight is not on this section.")
    return said


def is_optimal(certificate: Certificate) -> bool:
    """Whether the certificate proves that there is no gap at all to its reference, and so no worst weight."""
    return certificate.is_proof and certificate.epsilon == 0 and certificate.delta == 0


def _unlabelled(count: int, total: int) -> str:
    return f"{count} of {total} cells are too small for a number." if count else ""


def _triangle(portfolio: Portfolio, section: Face, drawn: list[Cell], ax: Axes | None) -> Axes:
    plane = ternary_axes(ax, section.labels)
    for cell, tint in zip(drawn, tint_numbers(drawn, len(TINTS)), strict=True):
        plane.fill(
            *columns(cell.corners), facecolor=TINTS[tint], edgecolor="black", linewidth=0.6, gid=f"cell {cell.policy}"
        )
    plane.scatter(*columns(corners_of(drawn)), s=5, color="black", zorder=5, clip_on=False, gid="corners")
    certificate = portfolio.certificate
    worst = worst_on(section, certificate)
    if worst is not None:
        mark_worst(plane, *flat(worst[None, :])[0])
    keyed = key_of(portfolio)
    footer(plane, handles(certificate, with_worst=worst is not None), _key(portfolio, drawn) if keyed else (), drop=32)
    said = [*remarks(portfolio, section, worst), "" if keyed else NUMBERS]
    # The note takes its place before cells are measured, with as much as it may have to say.
    note(plane, *said, _unlabelled(len(drawn), len(drawn)), pad=TITLE_PAD)
    small = _label_polygons(plane, drawn, worst)
    note(plane, *said, _unlabelled(small, len(drawn)), pad=TITLE_PAD)
    return plane


def _key(portfolio: Portfolio, drawn: list[Cell]) -> list[str]:
    return key_lines([portfolio[cell.policy] for cell in drawn])


def _label_polygons(ax: Axes, drawn: list[Cell], worst: Array | None) -> int:
    """Write every cell's number where it fits, clear of the star; how many did not."""
    scale = points_up(ax)  # the triangle's height is 1 in data coordinates
    star = None if worst is None else flat(worst[None, :])[0] * scale
    small = 0
    for cell in drawn:
        text = str(cell.policy)
        width, height = extent(text, SMALL)
        for polygon in _clear_of(flat(cell.corners) * scale, star):
            centre, room = room_in_polygon(polygon, width + PADDING, height + PADDING)
            if room >= 1:
                ax.annotate(text, tuple(centre / scale), ha="center", va="center_baseline", fontsize=SMALL, zorder=7)
                break
        else:
            small += 1
    return small


def _clear_of(polygon: Array, star: Array | None) -> list[Array]:
    """The polygon where the star is none of its corners, else its parts beside, above and below the star."""
    if star is None or np.hypot(*(polygon - star).T).min() > 2 * STAR:
        return [polygon]
    lifted = np.column_stack([polygon, np.ones(len(polygon))])
    parts = []
    for normal in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)):
        plane = np.array([*normal, -(np.array(normal) @ star) - STAR])
        parts.append(clip(lifted, plane)[:, :2])
    return [part for part in parts if len(part) > 2]


def _strip(portfolio: Portfolio, section: Face, drawn: list[Cell], ax: Axes | None) -> Axes:
    first, second = section.labels
    ax = new_axes(ax, height=1.9, width=PAGE)
    for cell, tint in zip(drawn, tint_numbers(drawn, len(TINTS)), strict=True):
        ax.fill_between(
            _interval(cell), 0, 1, facecolor=TINTS[tint], edgecolor="black", linewidth=0.6, gid=f"cell {cell.policy}"
        )
    corners = 1 - corners_of(drawn)[:, 0]
    ax.plot(corners, np.zeros_like(corners), "o", color="black", markersize=3, clip_on=False, zorder=5, gid="corners")
    certificate = portfolio.certificate
    worst = worst_on(section, certificate)
    if worst is not None:
        mark_worst(ax, 1 - float(worst[0]), 0.0)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_yticks([])
    room = 0.4 * slot_points(ax)
    label_axes(ax, f"weight of {fitted(second, room, TEXT)} (rest: {fitted(first, 0.6 * room, TEXT)})")
    keyed = key_of(portfolio)
    footer(ax, handles(certificate, with_worst=worst is not None), _key(portfolio, drawn) if keyed else (), drop=32)
    said = [*remarks(portfolio, section, worst), "" if keyed else NUMBERS]
    note(ax, *said, _unlabelled(len(drawn), len(drawn)), pad=LEADER + SMALL + 4)
    small = _label_intervals(ax, drawn)
    note(ax, *said, _unlabelled(small, len(drawn)), pad=LEADER + SMALL + 4)
    return ax


def _interval(cell: Cell) -> tuple[float, float]:
    """The cell as an interval of the second weight."""
    second = 1 - cell.corners[:, 0]
    return float(second.min()), float(second.max())


def _label_intervals(ax: Axes, drawn: list[Cell]) -> int:
    """Numbers above the strip, spread where cells are narrow and joined to them; how many found no place."""
    across = points_across(ax)
    gap = max(extent(str(cell.policy), SMALL)[0] for cell in drawn) + 2.5
    largest = sorted(drawn, key=lambda cell: -cell.share)[: max(1, int(across / gap))]
    shown = sorted(largest, key=lambda cell: _interval(cell)[0])
    middles = np.array([sum(_interval(cell)) / 2 for cell in shown])
    places = spread(middles * across, gap, gap / 2, across - gap / 2) / across
    for cell, middle, place in zip(shown, middles, places, strict=True):
        ax.annotate(
            str(cell.policy),
            (middle, 1.0),
            xytext=((place - middle) * across, LEADER),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=SMALL,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "shrinkA": 0.5, "shrinkB": 0},
        )
    return len(drawn) - len(shown)
