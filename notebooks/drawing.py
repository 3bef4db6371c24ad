"""What the notebooks draw with: the simplex of three objectives as a triangle, and one style for all figures."""

from __future__ import annotations

import numpy as np

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
# Okabe & Ito's palette: told apart by colour-blind readers. Markers and dashes carry the same information.
BLACK, BLUE, ORANGE, GREEN, PINK, SKY = "#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"


def plane(weights):
    """Points (n, 2) of the triangle for weights (n, 3): barycentric coordinates."""
    return np.atleast_2d(weights) @ CORNERS


def triangle(ax, names=("objective 1", "objective 2", "objective 3")):
    """An empty simplex with named vertices on ``ax``."""
    ax.plot(*CORNERS[[0, 1, 2, 0]].T, color=BLACK, linewidth=1)
    for corner, name, where in zip(CORNERS, names, ("top", "top", "bottom"), strict=True):
        shift = (0, 6 if where == "bottom" else -6)
        ax.annotate(name, corner, xytext=shift, textcoords="offset points", ha="center", va=where)
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set_xlim(-0.12, 1.12)
    ax.set_ylim(-0.12, 1.0)
    return ax


def regions(ax, values, resolution=150):
    """Shade the triangle by which of the policies with vertex values (K, 3) is best, in pale colours."""
    from matplotlib.tri import Triangulation

    grid = np.array([(i, j, resolution - i - j) for i in range(resolution + 1) for j in range(resolution + 1 - i)])
    weights = grid / resolution
    mesh = Triangulation(*plane(weights).T)
    centres = weights[mesh.triangles].mean(axis=1)
    best = (centres @ np.asarray(values).T).argmax(axis=1)
    # Neighbours in the list of policies often are neighbours in the triangle; 7 steps apart their colours differ.
    ax.tripcolor(mesh, facecolors=(7 * best) % 12, cmap="Set3", vmin=0, vmax=11, zorder=0)
    return triangle(ax)
