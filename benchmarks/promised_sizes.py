"""How many policies each theorem asks for ε = δ = 0.1, and how many an instance takes: the table of README.md.

    OMP_NUM_THREADS=1 python -m benchmarks.promised_sizes

R_max = 1 and f = 0. The theorems' sizes are the smallest over all (μ, α); they hold for every problem. Beside them the
policies that ``Adaptive`` certifies for the same loss on bandits: rewards uniform on [0, 1], 5 contexts, 20 actions.
Prints the table; writes results/promised_sizes.json.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from backends.bandit import BanditBackend
from benchmarks.common import show, store
from palm_theory import Adaptive, build_portfolio, design

EPSILON = DELTA = 0.1
DIMENSIONS = (2, 3, 4)
SEEDS = range(5)
THEOREMS = {
    "Theorem 1, the paper's": design.cheapest_theorem1,
    "Theorem 1′": design.cheapest_theorem1_prime,
    "Theorem 1″": design.cheapest_theorem1_double_prime,
}


def promised(d: int) -> dict[str, int]:
    """The smallest cover of each theorem for the target."""
    return {
        name: cheapest(d, epsilon=EPSILON, delta=DELTA, reward_max=1.0, regularizer_max=0.0).size
        for name, cheapest in THEOREMS.items()
    }


def certified(d: int) -> float:
    """Policies of ``Adaptive`` for the same target: the median over the seeds."""
    sizes = []
    for seed in SEEDS:
        bandit = BanditBackend(np.random.default_rng(seed).random((5, 20, d)), beta=0.0)
        sizes.append(len(build_portfolio(bandit, Adaptive(EPSILON, DELTA), progress=False)))
    return statistics.median(sizes)


def rows() -> list[dict[str, Any]]:
    """One row a way, its sizes by number of objectives."""
    by_dimension = {f"d = {d}": promised(d) for d in DIMENSIONS}
    table = [{"": name, **{d: sizes[name] for d, sizes in by_dimension.items()}} for name in THEOREMS]
    return [*table, {"": "adaptive, on a bandit", **{f"d = {d}": certified(d) for d in DIMENSIONS}}]


def main() -> None:
    table = rows()
    show(f"policies for epsilon = delta = {EPSILON}", table)
    store("promised_sizes", {"rows": table})


if __name__ == "__main__":
    main()
