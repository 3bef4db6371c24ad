"""What one more policy buys: size against certified gap."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from palm_theory.contract.backend import PolicyBackend
from palm_theory.errors import InputError
from palm_theory.geometry.corners import MultiplicativeGap, without_rounding
from palm_theory.geometry.envelope import corner_weights, lower_envelope, rounding_at, scalarize
from palm_theory.geometry.simplex import Array, sample_dirichlet
from palm_theory.plots.labels import label_ends
from palm_theory.plots.optimum import certified_optimum, checked_backend, optimal_values
from palm_theory.plots.style import SMALL, STYLES, fitted, label_axes, new_axes, note, slot_points
from palm_theory.portfolio import Portfolio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ORDERING_SAMPLES = 500
"""Weights, besides the corner weights, on which the order of policies is chosen; gaps are then exact."""


@dataclass(frozen=True)
class Curve:
    """One strategy's portfolios: ``sizes`` K ≥ 1 and ``epsilons``, their losses ≥ 0, of equal length."""

    label: str
    sizes: tuple[int, ...]
    epsilons: tuple[float, ...]


def size_against_epsilon(
    curves: Sequence[Curve],
    *,
    title: str = "",
    loss: str = "certified worst ε (share of J* lost)",
    ax: Axes | None = None,
) -> Axes:
    """Portfolio size K against certified worst ε, or another ``loss``, one line a strategy, both axes logarithmic.

    Names stand at the right ends of the lines. Points that are not finite and > 0 cannot stand on a logarithmic axis
    and are left out. Raises InputError without curves.
    """
    if not curves:
        raise InputError("size_against_epsilon needs at least one curve")
    ax = new_axes(ax, height=3.6)
    ends = []
    for curve, (color, marker, dashes) in zip(curves, itertools.cycle(STYLES), strict=False):
        pairs = zip(curve.sizes, curve.epsilons, strict=True)
        points = sorted((size, eps) for size, eps in pairs if np.isfinite(eps) and eps > 0)
        if points:
            sizes, epsilons = zip(*points, strict=True)
            ax.plot(
                sizes,
                epsilons,
                label=curve.label,
                color=color,
                marker=marker,
                linestyle=dashes,
                markersize=4,
                linewidth=1.3,
            )
            ends.append(
                (float(sizes[-1]), float(epsilons[-1]), fitted(curve.label, 0.34 * slot_points(ax), SMALL), color)
            )
    ax.set_xscale("log")
    ax.set_yscale("log")
    label_axes(ax, "portfolio size K (policies)", loss)
    ax.grid(visible=True, which="major", alpha=0.3)
    label_ends(ax, ends, size=SMALL)
    note(ax, title)
    return ax


def growth(portfolio: Portfolio, backend: PolicyBackend | None = None) -> tuple[list[int], Array]:
    """A greedy order of the policies, and the worst gap of its first k of them, k = 1..K: (order, ε (K,)).

    Each step adds the policy that leaves the smallest worst gap on the corner weights and 500 samples; an order by best
    subsets could be better. The gaps are no samples: by Theorem 3 each is the largest over the corner weights of those
    k policies. With the backend it is against J*, or its upper bound. Without it, against the whole portfolio, ε′, and
    then 1 − (1−ε′)(1−ε) at the certificate's δ, where (ε, δ) is what the certificate claims: if L_k ≥ (1−ε′)L and
    L ≥ (1−ε)J* − δ then L_k ≥ (1−ε′)(1−ε)J* − δ. Gaps are inf where no ε ≤ 1 holds.

    Raises InputError for another problem's backend.
    """
    values = portfolio.vertex_values

    def optimum(weights: Array) -> Array:
        if backend is None:
            return lower_envelope(values, weights).best
        return optimal_values(backend, weights)

    if backend is not None:
        backend = checked_backend(portfolio, backend)
    order = _greedy_order(values)
    gaps = np.array([_worst_gap(values[order[: k + 1]], optimum) for k in range(len(order))])
    certificate = portfolio.certificate
    if backend is None and _claims_epsilon(portfolio):
        gaps = np.where(np.isfinite(gaps), 1 - (1 - gaps) * (1 - certificate.epsilon), gaps)
    return order, gaps


def _claims_epsilon(portfolio: Portfolio) -> bool:
    certificate = portfolio.certificate
    return certified_optimum(portfolio) is not None and certificate.is_proof and certificate.confidence == 1


def _worst_gap(values: Array, target: Callable[[Array], Array]) -> float:
    corners = corner_weights(values)
    lower = lower_envelope(values, corners).best
    upper = without_rounding(target(corners), lower, rounding_at(values, corners))
    return float(MultiplicativeGap().measure(upper, lower).max())


def _greedy_order(values: Array) -> list[int]:
    rows = np.vstack([corner_weights(values), sample_dirichlet(values.shape[1], ORDERING_SAMPLES, seed=0)])
    table = scalarize(values, rows)
    best = table.max(axis=1)
    scale = np.where(best > 0, best, 1.0)
    loss = (best[:, None] - table) / scale[:, None]
    order: list[int] = []
    reached = np.full(len(rows), np.inf)
    while len(order) < len(values):
        after = np.minimum(reached[:, None], loss)
        rank = np.lexsort((after.mean(axis=0), after.max(axis=0)))
        k = next(int(k) for k in rank if int(k) not in order)
        order.append(k)
        reached = np.minimum(reached, loss[:, k])
    return order


def growth_curve(portfolio: Portfolio, backend: PolicyBackend | None = None, *, ax: Axes | None = None) -> Axes:
    """What one more policy buys: the worst gap ε of the first k policies, k = 1..K, in the order of ``growth``.

    Hollow markers at the foot are gaps of exactly 0, which a logarithmic axis cannot show; sizes without any ε ≤ 1 are
    left out. Raises as ``growth``.
    """
    _, gaps = growth(portfolio, backend)
    ax = new_axes(ax, height=3.0)
    sizes = np.arange(1, len(gaps) + 1)
    positive = np.isfinite(gaps) & (gaps > 0)
    ax.plot(sizes[positive], gaps[positive], color="black", marker="o", markersize=3.2, linewidth=1.0, gid="growth")
    zero = gaps == 0
    foot = 0.5 * float(gaps[positive].min()) if positive.any() else 0.0
    if positive.any():
        ax.set_yscale("log")
    else:
        ax.set_ylim(-0.005, 0.1)
    if zero.any():
        ax.plot(sizes[zero], np.full(zero.sum(), foot), "o", color="black", markerfacecolor="white", markersize=3.6)
        ax.annotate(
            "ε = 0",
            (float(sizes[zero][0]), foot),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=SMALL,
        )
    certificate = portfolio.certificate
    claim = _claims_epsilon(portfolio)
    if backend is not None:
        said = "Worst over all weights, against J*."
    elif claim:
        also = f" at δ = {certificate.delta:.3g}" if certificate.delta else ""
        said = f"Certified for every weight{also}, from the portfolio's own certificate."
    else:
        said = "Against the portfolio's own best policy: nothing is certified against J*."
    missing = int((~np.isfinite(gaps)).sum())
    note(ax, said, f"{missing} sizes have no ε ≤ 1." if missing else "", "Policies in a greedy order.")
    label_axes(ax, "policies kept, k", "worst gap ε")
    locator: Any = ax.xaxis.get_major_locator()
    locator.set_params(integer=True)
    ax.set_xlim(0.5, len(gaps) + 0.5)
    ax.grid(visible=True, which="major", alpha=0.3)
    return ax
