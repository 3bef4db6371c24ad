"""How many users each policy serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.simplex import Array, validate_weights
from palm_theory.metrics import USAGE_SAMPLES, usage
from palm_theory.plots.cells import cells
from palm_theory.plots.policies import title_of
from palm_theory.plots.style import SMALL, TEXT, fitted, new_axes, note, points_up, settle, slot_points
from palm_theory.portfolio import Portfolio

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def shares(
    portfolio: Portfolio, users: ArrayLike | None = None, *, samples: int = USAGE_SAMPLES, seed: int = 0
) -> tuple[Array, str]:
    """The share of users each policy serves, (K,), summing to 1, and whose share it is, in words.

    ``users`` (n, d): weights of your users. Otherwise weights are uniform on the simplex: exact lengths or areas of the
    cells for two and three objectives, else the estimate ``metrics.usage`` from ``samples`` weights.
    """
    d = len(portfolio.objectives)
    if users is not None:
        rows = np.atleast_2d(validate_weights(users, d))
        served = lower_envelope(portfolio.vertex_values, rows).policy
        return np.bincount(served, minlength=len(portfolio)) / len(rows), f"{len(rows):,} given users."
    if d in (2, 3):
        exact = np.zeros(len(portfolio))
        for cell in cells(portfolio.vertex_values):
            exact[cell.policy] = cell.share
        return exact, "Weights uniform on the simplex; exact."
    return (
        usage(portfolio, samples=samples, seed=seed),
        f"Weights uniform on the simplex; an estimate from {samples:,} users, bars ±2 standard errors.",
    )


def users_served(
    portfolio: Portfolio,
    users: ArrayLike | None = None,
    *,
    samples: int = USAGE_SAMPLES,
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """The share of users each policy serves, largest first; ``users`` (n, d), ``samples``, ``seed`` as in ``shares``.

    Where not all bars are legible at the height of ``ax`` the smallest are added up in one hatched bar. The note gives
    the usage perplexity exp(−Σ p·log p): how many policies are in effective use. Raises InputError on weights that are
    not on the simplex.
    """
    part, source = shares(portfolio, users, samples=samples, seed=seed)
    count = len(portfolio)
    ax = new_axes(ax, height=min(4.2, 0.9 + 0.16 * min(count, 20)))
    used = part[part > 0]
    perplexity = float(np.exp(-(used * np.log(used)).sum()))
    said = (source, f"As even as {perplexity:.3g} equal shares (perplexity), K = {count}.")
    note(ax, *said)
    ax.set_xlabel("share of users served (%)", fontsize=TEXT)
    settle(ax)
    fits = max(2, int(points_up(ax) / (1.3 * SMALL)))
    order = np.argsort(-part, kind="stable")
    shown = order if count <= fits else order[: fits - 1]
    lengths = [float(part[k]) for k in shown]
    room = 0.36 * slot_points(ax)
    names = [fitted(title_of(portfolio[int(k)]), room, SMALL) for k in shown]
    if len(shown) < count:
        lengths.append(float(part[order[len(shown) :]].sum()))
        names.append(f"{count - len(shown)} others")
    rows = np.arange(len(lengths))
    bars = ax.barh(rows, 100 * np.array(lengths), height=0.72, facecolor="#BBD9EE", edgecolor="black", linewidth=0.6)
    if len(shown) < count:
        bars[-1].set_facecolor("white")
        bars[-1].set_hatch("/////")
    errors = np.zeros(len(lengths))
    if users is None and len(portfolio.objectives) > 3:
        chances = np.array(lengths)
        errors = 200 * np.sqrt(chances * (1 - chances) / samples)
        ax.errorbar(100 * chances, rows, xerr=errors, fmt="none", ecolor="black", elinewidth=0.7, capsize=1.5)
    for row, length, error in zip(rows, lengths, errors, strict=True):
        ax.annotate(
            f"{100 * length:.3g}" if length else "0",
            (100 * length + error, row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=SMALL,
        )
    ax.set_yticks(rows, names, fontsize=SMALL)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(lengths) - 0.4, -0.6)
    ax.set_xlim(0, 112 * max(np.array(lengths) + errors / 100))
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    note(ax, *said)
    return ax
