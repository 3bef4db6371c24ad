"""What sampled metrics miss: worst gaps seen at 50 and 1,000 sampled weights, beside the exact worst gap.

    OMP_NUM_THREADS=1 python -m benchmarks.misleading_metrics

Portfolios of a few policies on instances with an exact oracle; 20 samples of weights each. Prints a table; writes
results/misleading_metrics.json and .png.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from backends.table import TableBackend
from benchmarks.common import RESULTS, show, store
from benchmarks.instances import INSTANCES
from palm_theory import Adaptive, RandomWeights, audit, build_portfolio

CASES = (
    ("deep-sea-treasure", 3),
    ("deep-sea-treasure", 6),
    ("resource-gathering", 3),
    ("resource-gathering", 5),
    ("kl-bandit-3", 20),
    ("kl-bandit-4", 60),
    ("random-mdp-3", 20),
    ("3kp20", 20),
    ("3kp40", 40),
    ("fruit-tree-5", 50),
    ("fruit-tree-5", 200),
)
SEEDS = range(20)


def measure(name: str, weights: int) -> dict[str, Any]:
    """A portfolio from ``weights`` random solves, audited by samples and exactly."""
    backend = INSTANCES[name].make()
    portfolio = build_portfolio(backend, RandomWeights(weights, seed=1))
    if INSTANCES[name].finite:
        # J* is the best of finitely many policies, found and certified first, so that asking for it costs a lookup.
        backend = TableBackend(build_portfolio(backend, Adaptive(0.0)).rewards)
    exact = audit(portfolio, backend).epsilon
    row: dict[str, Any] = {"instance": name, "solves": weights, "policies": len(portfolio), "exact worst gap": exact}
    for samples in (50, 1000):
        seen = [audit(portfolio, backend, kind="sampled", samples=samples, seed=seed).epsilon for seed in SEEDS]
        row[f"{samples}: median"] = float(np.median(seen))
        row[f"{samples}: least"] = float(min(seen))
        row[f"{samples}: share found"] = float(np.median(seen) / exact) if exact > 0 else 1.0
    return row


def main() -> None:
    rows = []
    for name, weights in CASES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows.append(measure(name, weights))
    show("worst multiplicative gaps: exact, and as sampled weights see them (20 samples each)", rows)
    store("misleading_metrics", {"gaps": rows})

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawing, axes = plt.subplots(figsize=(8, 5))
    places = np.arange(len(rows))
    for offset, key in ((-0.27, "50: median"), (0.0, "1000: median"), (0.27, "exact worst gap")):
        axes.bar(places + offset, [row[key] for row in rows], 0.27, label=key)
    axes.set_xticks(places, [f"{row['instance']}\n{row['solves']} solves" for row in rows], rotation=60, fontsize=7)
    axes.set(ylabel="worst multiplicative gap", yscale="log")
    axes.legend()
    drawing.tight_layout()
    drawing.savefig(RESULTS / "misleading_metrics.png", dpi=120)


if __name__ == "__main__":
    main()
