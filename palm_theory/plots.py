"""Figures (matplotlib). Each function draws on ``ax`` and returns it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from palm_theory.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's palette with markers and dashes of their own: told apart in greyscale and by colour-blind readers.
STYLES = (
    ("#000000", "o", "-"),
    ("#0072B2", "s", "--"),
    ("#D55E00", "^", "-."),
    ("#009E73", "D", ":"),
    ("#CC79A7", "v", (0, (5, 1))),
    ("#56B4E9", "P", (0, (3, 1, 1, 1))),
)


@dataclass(frozen=True)
class Curve:
    """One strategy's portfolios: ``sizes`` K ≥ 1 and ``epsilons`` ε ≥ 0, of equal length."""

    label: str
    sizes: tuple[int, ...]
    epsilons: tuple[float, ...]


def size_against_epsilon(curves: Sequence[Curve], *, title: str = "", ax: Axes | None = None) -> Axes:
    """Portfolio size K against certified worst ε, one line a strategy, both axes logarithmic.

    Points with ε = 0 cannot stand on a logarithmic axis and are left out. Raises InputError without curves.
    """
    if not curves:
        raise InputError("size_against_epsilon needs at least one curve")
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(5.5, 4.6), layout="constrained")
    for curve, (color, marker, dashes) in zip(curves, itertools.cycle(STYLES), strict=False):
        points = sorted((size, eps) for size, eps in zip(curve.sizes, curve.epsilons, strict=True) if eps > 0)
        if points:
            sizes, epsilons = zip(*points, strict=True)
            ax.plot(
                sizes,
                epsilons,
                label=curve.label,
                color=color,
                marker=marker,
                linestyle=dashes,
                markersize=5,
                linewidth=1.4,
            )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("portfolio size K (policies)")
    ax.set_ylabel("certified worst ε (share of J* lost)")
    ax.grid(visible=True, which="major", alpha=0.3)
    ax.set_title(title, fontsize=10)
    ax.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return ax
