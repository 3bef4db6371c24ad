"""Text that does not overlap: extents in print, room inside a polygon, and spreading along a line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from palm_theory.geometry.simplex import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@lru_cache(maxsize=4096)
def extent(text: str, size: float) -> tuple[float, float]:
    """Width and height in points of one line of text in the bundled DejaVu Sans."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    font.set_size(size, 72)
    font.set_text(text, 0.0)
    width, height = font.get_width_height()
    # FreeType counts in 64ths of a pixel, here a point.
    return width / 64, height / 64


def room_in_polygon(corners: Array, width: float, height: float) -> tuple[Array, float]:
    """Where the largest rectangle of shape ``width`` × ``height`` fits into a convex polygon, and its scale.

    ``corners`` (m, 2) in order, same unit as the sizes. Returns its centre (2,) and t ≥ 0: a rectangle t times as
    large fits, so a text does iff t ≥ 1. With outward normals a and a·x ≤ b on every side, a rectangle about c fits
    iff a·c + t(|a_1|·width + |a_2|·height)/2 ≤ b: a linear program in (c, t).
    """
    from scipy.optimize import linprog

    edges = np.roll(corners, -1, axis=0) - corners
    long = np.hypot(*edges.T) > 1e-9
    edges, starts = edges[long], corners[long]
    if len(edges) < 3:
        return corners.mean(axis=0), 0.0
    normals = np.column_stack([edges[:, 1], -edges[:, 0]]) / np.hypot(*edges.T)[:, None]
    if (normals * (corners.mean(axis=0) - starts)).sum() > 0:
        normals = -normals
    reach = (np.abs(normals) @ np.array([width, height])) / 2
    found = linprog(
        [0, 0, -1],
        A_ub=np.column_stack([normals, reach]),
        b_ub=(normals * starts).sum(axis=1),
        bounds=[(None, None), (None, None), (0, None)],
    )
    if found.x is None:
        return corners.mean(axis=0), 0.0
    return found.x[:2], float(found.x[2])


def spread(positions: Array, gap: float, low: float, high: float) -> Array:
    """Positions (n,) at least ``gap`` apart within [low, high], in the same order, as near as may be (least squares).

    Where n·gap does not fit, they are evenly spaced. With z_i = y_i − i·gap the constraint is z non-decreasing, so the
    answer is an isotonic regression (pool adjacent violators).
    """
    n = len(positions)
    if n == 0:
        return positions
    if (n - 1) * gap >= high - low:
        even = np.linspace(low, high, n) if n > 1 else np.array([(low + high) / 2])
        result = np.empty(n)
        result[np.argsort(positions, kind="stable")] = even
        return result
    order = np.argsort(positions, kind="stable")
    shifted = positions[order] - gap * np.arange(n)
    blocks: list[tuple[float, int]] = []
    for value in shifted:
        total, count = float(value), 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            more, size = blocks.pop()
            total, count = total + more, count + size
        blocks.append((total, count))
    level = np.concatenate([np.full(count, total / count) for total, count in blocks])
    result = np.empty(n)
    result[order] = np.clip(level, low, high - gap * (n - 1)) + gap * np.arange(n)
    return result


def label_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]], *, size: float) -> None:
    """Write (x, y, text, colour) to the right of the axes, at the heights y, spread so that no text overlaps.

    A thin line joins a text to its point. Where all do not fit they are evenly spaced.
    """
    shown = [end for end in ends if np.isfinite(end[:2]).all()]
    figure = ax.figure.canvas.figure
    figure.draw_without_rendering()
    unit = 72 / figure.dpi
    box = ax.get_window_extent()
    points = np.array([ax.transData.transform(end[:2]) for end in shown]).reshape(-1, 2)
    heights = (points[:, 1] - box.y0) * unit
    places = spread(heights, 1.4 * size, 0.75 * size, box.height * unit - 0.75 * size)
    for (x, y, text, color), place in zip(shown, places, strict=True):
        ax.annotate(
            text,
            (x, y),
            xytext=(1.0, place / (box.height * unit)),
            textcoords=_shifted(ax, 9.0),
            va="center",
            ha="left",
            fontsize=size,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "linewidth": 0.5,
                "color": color,
                "shrinkA": 1,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )


def _shifted(ax: Axes, points: float) -> Any:
    from matplotlib.transforms import ScaledTranslation

    return ax.transAxes + ScaledTranslation(points / 72, 0, ax.figure.dpi_scale_trans)  # pyright: ignore[reportAttributeAccessIssue]
