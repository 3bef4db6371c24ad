"""How the size of a certified portfolio grows as δ falls: measured against the orders that theory promises.

    OMP_NUM_THREADS=1 python -m benchmarks.growth

KL bandits (smooth J*), d = 2, 3, 4: policies of Adaptive(0, δ), the size of Theorem 2's lattice for the same δ, and of
the hybrid cover whose Theorem 1′ promises it with ε spent too (μ = δ/F).

The range of δ is set by a rule, before anything is measured: δ = 10^-2, then smaller by a factor of 10^(1/4) each time,
until a construction has taken more than BUDGET solves. The fit is over the last decade of that, five values of δ: the
smallest that the budget reaches, since the order is a statement about δ → 0. Slopes are least squares of log size on
log δ, with the standard error of the fit. Every instance is fitted alone, three a dimension: the table shows all of
them and their mean. Prints tables; writes results/growth.json and .png.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from scipy.stats import linregress

from backends.bandit import BanditBackend
from benchmarks.common import RESULTS, CountingBackend, Stopwatch, show, store
from palm_theory import Adaptive, build_portfolio
from palm_theory.covers import hybrid_size
from palm_theory.design import theorem2_resolution
from palm_theory.geometry.simplex import lattice_size

BETA = 0.5
BUDGET = 1500
FIRST, PER_DECADE = 2.0, 4
SEEDS = (0, 1, 2)
DIMENSIONS = (2, 3, 4)


def kl_bandit(d: int, seed: int) -> BanditBackend:
    """5 contexts, 20 actions, rewards uniform on [0, 1]."""
    return BanditBackend(np.random.default_rng(seed).uniform(size=(5, 20, d)), beta=BETA)


def measure(d: int, seed: int, delta: float) -> dict[str, Any]:
    """One portfolio and the sizes that the theorems give for the same δ."""
    backend = CountingBackend(kl_bandit(d, seed))
    watch = Stopwatch()
    portfolio = build_portfolio(backend, Adaptive(epsilon=0.0, delta=delta))
    lattice = theorem2_resolution(d, delta=delta, beta=BETA, reward_max=1.0)
    mu = delta / 2
    return {
        "d": d,
        "seed": seed,
        "delta": delta,
        "policies": len(portfolio),
        "solves": backend.solves,
        "certified delta": portfolio.certificate.additive_gap,
        "theorem 2 lattice": lattice_size(d, lattice),
        "hybrid cover": float(hybrid_size(d, mu, delta / (4 * d))),
        "seconds": round(watch.seconds, 2),
    }


def until_budget(d: int, seed: int) -> list[dict[str, Any]]:
    """Smaller and smaller δ until BUDGET solves are passed; at most to 10^-6."""
    rows: list[dict[str, Any]] = []
    for step in range(4 * PER_DECADE + 1):
        rows.append(measure(d, seed, 10 ** -(FIRST + step / PER_DECADE)))
        if rows[-1]["solves"] > BUDGET:
            break
    return rows


def slope(rows: list[dict[str, Any]], key: str) -> tuple[float, float]:
    """d log(key) / d log(1/δ) and its standard error."""
    x = [math.log(1 / row["delta"]) for row in rows]
    fit: Any = linregress(x, [math.log(row[key]) for row in rows])
    return float(fit.slope), float(fit.stderr)


def main() -> None:
    rows, fits = [], []
    for d in DIMENSIONS:
        promised, mine = (d - 1) / 2, []
        for seed in SEEDS:
            print(f"d = {d}, seed {seed} ...", file=sys.stderr, flush=True)
            found = until_budget(d, seed)
            rows.extend(found)
            tail = found[-(PER_DECADE + 1) :]
            certified, error = slope(tail, "policies")
            mine.append(
                {
                    "d": d,
                    "seed": seed,
                    "from delta": tail[0]["delta"],
                    "to delta": tail[-1]["delta"],
                    "slope of certified size": round(certified, 3),
                    "standard error": round(error, 3),
                    "(d-1)/2": promised,
                    "off by": f"{abs(certified / promised - 1):.0%}",
                    "slope of solves": round(slope(tail, "solves")[0], 3),
                    "slope of theorem 2 lattice": round(slope(tail, "theorem 2 lattice")[0], 3),
                    "slope of hybrid cover": round(slope(tail, "hybrid cover")[0], 3),
                }
            )
        mean = float(np.mean([fit["slope of certified size"] for fit in mine]))
        means = {
            "slope of certified size": round(mean, 3),
            "(d-1)/2": promised,
            "off by": f"{abs(mean / promised - 1):.0%}",
        }
        fits += [*mine, dict.fromkeys(mine[0]) | {"d": d, "seed": "mean"} | means]
        store("growth", {"budget": BUDGET, "sizes": rows, "slopes": fits})
    show("certified size against delta", rows)
    show("fitted slopes, last decade within the budget", fits)

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawing, axes = plt.subplots(figsize=(7, 5))
    for d in DIMENSIONS:
        mine = [row for row in rows if row["d"] == d and row["seed"] == SEEDS[0]]
        deltas = [row["delta"] for row in mine]
        (line,) = axes.plot(deltas, [row["policies"] for row in mine], "o-", label=f"Adaptive, d = {d}")
        axes.plot(deltas, [row["theorem 2 lattice"] for row in mine], "--", color=line.get_color(), alpha=0.6)
        axes.plot(deltas, [row["hybrid cover"] for row in mine], ":", color=line.get_color(), alpha=0.6)
    axes.set(xscale="log", yscale="log", xlabel="delta", ylabel="size (dashed: Theorem 2, dotted: hybrid cover)")
    axes.invert_xaxis()
    axes.legend()
    drawing.tight_layout()
    drawing.savefig(RESULTS / "growth.png", dpi=120)


if __name__ == "__main__":
    main()
