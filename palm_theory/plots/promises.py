"""What the theorems promise for a number of policies, and what a portfolio's certificate says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from palm_theory import bounds, design
from palm_theory.bounds import Bound
from palm_theory.contract.backend import PolicyBackend
from palm_theory.covers import aligned_alpha
from palm_theory.errors import InputError
from palm_theory.plots.labels import label_ends
from palm_theory.plots.optimum import certified_optimum, checked_backend
from palm_theory.plots.style import SMALL, STYLES, WORST, footer, label_axes, new_axes, note
from palm_theory.portfolio import Portfolio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BUDGETS = 9
"""Sizes at which the best promise is computed."""

THEOREMS = {"1": STYLES[0], "1'": STYLES[1], "1''": STYLES[2], "2": STYLES[3], "2'": STYLES[4]}

SHOWN = {"1": "Theorem 1", "1'": "Theorem 1′", "1''": "Theorem 1″", "2": "Theorem 2", "2'": "Theorem 2′"}


def promised_loss(
    portfolio: Portfolio,
    backend: PolicyBackend | None = None,
    *,
    beta: float | None = None,
    has_reference: bool | None = None,
    largest: int = 100_000,
    ax: Axes | None = None,
) -> Axes:
    """Size against the largest loss J* − L anywhere on the simplex: as promised by each theorem, and the truth.

    An (ε, δ)-portfolio loses at most εJ* + δ ≤ ε·R_max + δ, so every theorem and the certificate bound the same
    number, shown as a share of R_max. Each curve is the best promise for its number of policies
    (``design.best_theorem1`` and its kin choose μ, α or n), from the smallest cover to ``largest``; the star is the
    portfolio's certificate. A promise above the line at 1 says little: no reward exceeds R_max.

    Parameters
    ----------
    portfolio : gives d, R_max, f_max and the certificate.
    backend : tells whether a policy with f = 0 exists; not needed where ``has_reference`` says it.
    beta : β > 0 of a KL regulariser: adds Theorems 2 and 2′. Right for bandits and for language models as one
        sequence-level choice, not for MDPs; so it is never guessed.
    has_reference : whether a policy with f = 0 exists. Default: the backend's word, else f_max = 0.

    Theorem 1 needs f_max, Theorems 1′ and 1″ that or a reference; the figure says which is left out. Raises InputError
    for another problem's backend, β ≤ 0, and where no theorem applies.
    """
    if backend is not None:
        backend = checked_backend(portfolio, backend)
    if has_reference is None:
        has_reference = (portfolio.declarations if backend is None else backend).has_reference
    d, unit, f_max = len(portfolio.objectives), portfolio.reward_max, portfolio.regularizer_max
    ways: dict[str, Callable[[int], Bound]] = {}
    if f_max is not None:
        ways["1"] = lambda k: design.best_theorem1(d, k, reward_max=unit, regularizer_max=f_max)
    if f_max is not None or has_reference:
        ways["1'"] = lambda k: design.best_theorem1_prime(
            d, k, reward_max=unit, regularizer_max=f_max, has_reference=has_reference
        )
        ways["1''"] = lambda k: design.best_theorem1_double_prime(
            d, k, reward_max=unit, regularizer_max=f_max, has_reference=has_reference
        )
    if beta is not None:
        ways["2"] = lambda k: design.best_theorem2(d, k, beta=beta, reward_max=unit)
        ways["2'"] = lambda k: design.best_theorem2_prime(d, k, beta=beta, reward_max=unit)
    if not ways:
        raise InputError("f_max is unknown and no policy with f = 0 is known of: pass has_reference=True, or beta=...")
    ax = new_axes(ax, height=3.4)
    ends = []
    for name, promise in ways.items():
        color, marker, dashes = THEOREMS[name]
        least = {"2": d, "2'": d, "1''": 3**d - 2**d}.get(name, d * 2 ** (d - 1))
        # At d = 1 one policy serves all, whatever is allowed.
        budgets = np.unique(np.geomspace(least, max(largest, least), BUDGETS if d > 1 else 1).astype(int))
        found = [promise(int(k)) for k in budgets]
        losses = [(bound.epsilon * unit + bound.delta) / unit for bound in found]
        sizes = [bound.size for bound in found]
        ax.plot(
            sizes,
            losses,
            color=color,
            marker=marker,
            linestyle=dashes,
            markersize=3.5,
            linewidth=1.2,
            gid=f"Theorem {name}",
        )
        ends.append((float(sizes[-1]), losses[-1], SHOWN[name], color))
    ax.axhline(1.0, color="#777777", linewidth=0.8)
    ax.annotate(
        "$R_{max}$",
        (1, 1),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 2),
        textcoords="offset points",
        ha="right",
        fontsize=SMALL,
    )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(top=max(ax.get_ylim()[1], 4.0))
    star = _truth(ax, portfolio, unit)
    label_axes(ax, "portfolio size K (policies)", "largest loss J* − L, share of $R_{max}$")
    footer(ax, star, drop=32)
    ax.grid(visible=True, which="major", alpha=0.3)
    left_out = [] if f_max is not None else ["Theorem 1 (f_max is unknown)"]
    left_out += [] if beta is not None else ["Theorems 2 and 2′ (they need β)"]
    label_ends(ax, ends, size=SMALL)
    note(
        ax, f"d = {d}; best choice of μ, α and n for every K.", f"Left out: {', '.join(left_out)}." if left_out else ""
    )
    return ax


def _truth(ax: Axes, portfolio: Portfolio, unit: float) -> list[Any]:
    """The star of the certificate, or nothing where it proves no loss."""
    certificate = portfolio.certificate
    if certified_optimum(portfolio) is None:
        return []
    loss = min(certificate.additive_gap, certificate.epsilon * unit + certificate.delta) / unit
    # No place for 0 on a logarithmic axis: the foot, and the text says so.
    drawn = loss or ax.get_ylim()[0]
    sure = "" if certificate.confidence == 1 else f", confidence {certificate.confidence:g}"
    return ax.plot(
        [len(portfolio)],
        [drawn],
        marker="*",
        markersize=10,
        markerfacecolor=WORST,
        markeredgecolor="black",
        markeredgewidth=0.7,
        linestyle="none",
        zorder=5,
        clip_on=False,
        label=f"this portfolio, {certificate.kind.value}{sure}: K = {len(portfolio)}, loss {loss:.2g}",
        gid="truth",
    )


def cover_sizes(
    objectives: Sequence[int] = (2, 3, 4, 6),
    *,
    against: str = "epsilon",
    mu: float = 0.5,
    alpha: float = 0.05,
    reward_max: float = 1.0,
    regularizer_max: float = 0.0,
    beta: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The price of a promise: how many policies a cover has for the ε or the δ that it is to guarantee.

    ``against`` "epsilon" runs μ over [0.01, 1] at the given ``alpha``; "delta" runs α over [0.001, 0.5] at the given
    ``mu``. Dash-dotted: Theorem 1″, with α the next smaller power of 1+μ; solid: Theorem 1′; dashed: Theorem 1, the
    same covers as 1′ with the paper's constants; dotted, for "delta" with ``beta``: Theorem 2′'s lattice, whose ε is 0.
    One group of lines a number of objectives. Sizes are exact. With
    f_max = ``regularizer_max``, δ includes its share μ·f_max, whatever α is.

    Raises InputError on parameters out of range.
    """
    if against not in ("epsilon", "delta"):
        raise InputError(f"against must be 'epsilon' or 'delta', got {against!r}")
    ax = new_axes(ax, height=3.4)
    common: dict[str, Any] = {"reward_max": reward_max, "regularizer_max": regularizer_max}
    if against == "epsilon":
        grids = [(float(m), alpha) for m in np.geomspace(0.01, 1, 25)]
    else:
        grids = [(mu, float(a)) for a in np.geomspace(0.001, 0.5, 25)]
    ends = []
    for d, (color, marker, _) in zip(objectives, STYLES, strict=False):
        aligned = [(m, aligned_alpha(m, math.ceil(-math.log(a) / math.log1p(m)))) for m, a in grids]
        for theorem, dashes, chosen in (
            (bounds.theorem1_double_prime, "-.", aligned),
            (bounds.theorem1_prime, "-", grids),
            (bounds.theorem1, "--", grids),
        ):
            found = [theorem(d, m, a, **common) for m, a in chosen]
            promised, sizes = [getattr(bound, against) for bound in found], [float(bound.size) for bound in found]
            ax.plot(
                promised,
                sizes,
                color=color,
                linestyle=dashes,
                linewidth=1.2,
                marker=marker,
                markersize=3,
                markevery=6,
                gid=f"{theorem.__name__} d={d}",
            )
            if theorem is bounds.theorem1:
                ends.append((promised[-1], sizes[-1], f"d = {d}", color))
        if against == "delta" and beta is not None:
            lattices = [bounds.theorem2_prime(d, n, beta=beta, reward_max=reward_max) for n in (1, 2, 4, 8, 16, 32, 64)]
            ax.plot(
                [b.delta for b in lattices],
                [b.size for b in lattices],
                color=color,
                linestyle=":",
                linewidth=1.2,
                marker=marker,
                markersize=3,
                markerfacecolor="white",
            )
    ax.set_xscale("log")
    ax.set_yscale("log")
    if against == "epsilon":
        low, high = ax.get_xlim()
        ax.axvspan(1.0, 10 * high, facecolor="#EEEEEE", zorder=0)
        ax.set_xlim(low, high)
        ax.annotate(
            "ε ≥ 1 says nothing",
            (1, 1),
            xycoords="axes fraction",
            xytext=(-3, -3),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=SMALL,
        )
    label_axes(ax, f"promised {'ε' if against == 'epsilon' else 'δ'}", "size of the cover (policies)")
    ax.grid(visible=True, which="major", alpha=0.3)
    held = f"α = {alpha:g}" if against == "epsilon" else f"μ = {mu:g}"
    third = f"; dotted: 2′ (β = {beta:g})" if against == "delta" and beta is not None else ""
    label_ends(ax, ends, size=SMALL)
    note(ax, f"{held}, f_max = {regularizer_max:g}. Dash-dotted: Theorem 1″; solid: 1′; dashed: 1{third}.")
    return ax
