"""How the size of a certified portfolio grows as δ falls: measured against the orders that theory promises.

    OMP_NUM_THREADS=1 python -m benchmarks.growth

KL bandits (smooth J*), d = 2, 3, 4: policies of Adaptive(0, δ), the size of Theorem 2's lattice for the same δ, and of
the hybrid cover whose Theorem 1′ promises it with ε spent too (μ = δ/F). Slopes are least squares of log size on
log δ. Prints a table; writes results/growth.json and .png.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, CountingBackend, Stopwatch, show, store
from benchmarks.instances import bandit
from palm_theory import Adaptive, build_portfolio
from palm_theory.covers import hybrid_size
from palm_theory.design import theorem2_resolution
from palm_theory.simplex import lattice_size

BETA = 0.5
DELTAS = {
    2: [10**-k for k in (2.5, 3, 3.5, 4, 4.5, 5)],
    3: [10**-k for k in (2.5, 2.75, 3, 3.25, 3.5, 3.75)],
    4: [10**-k for k in (2.4, 2.55, 2.7, 2.85, 3)],
}


def measure(d: int, delta: float) -> dict[str, Any]:
    """One portfolio and the sizes that the theorems give for the same δ."""
    backend = CountingBackend(bandit(d, BETA))
    watch = Stopwatch()
    portfolio = build_portfolio(backend, Adaptive(epsilon=0.0, delta=delta))
    lattice = theorem2_resolution(d, delta=delta, beta=BETA, reward_max=1.0)
    mu = delta / 2
    return {
        "d": d,
        "delta": delta,
        "policies": len(portfolio),
        "solves": backend.solves,
        "certified delta": portfolio.certificate.additive_gap,
        "theorem 2 lattice": lattice_size(d, lattice),
        "hybrid cover": float(hybrid_size(d, mu, delta / (4 * d))),
        "seconds": round(watch.seconds, 2),
    }


def slope(rows: list[dict[str, Any]], key: str) -> float:
    """d log(key) / d log(1/δ)."""
    x = [math.log(1 / row["delta"]) for row in rows]
    return float(np.polyfit(x, [math.log(row[key]) for row in rows], 1)[0])


def main() -> None:
    rows = [measure(d, delta) for d, deltas in DELTAS.items() for delta in deltas]
    fits = []
    for d in DELTAS:
        mine = [row for row in rows if row["d"] == d]
        found, promised = slope(mine, "policies"), (d - 1) / 2
        fits.append(
            {
                "d": d,
                "slope of certified size": round(found, 3),
                "(d-1)/2": promised,
                "off by": f"{abs(found / promised - 1):.0%}",
                "slope of solves": round(slope(mine, "solves"), 3),
                "slope of theorem 2 lattice": round(slope(mine, "theorem 2 lattice"), 3),
                "slope of hybrid cover": round(slope(mine, "hybrid cover"), 3),
                "d-1": d - 1,
            }
        )
    show("certified size against delta", rows)
    show("fitted slopes", fits)
    store("growth", {"sizes": rows, "slopes": fits})

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawing, axes = plt.subplots(figsize=(7, 5))
    for d in DELTAS:
        mine = [row for row in rows if row["d"] == d]
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
