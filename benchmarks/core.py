"""The figures of the core: exact sets of fruit-tree, sizes on KL bandits, smallest subsets, a million selections.

    OMP_NUM_THREADS=1 python benchmarks/core.py            about 8 minutes, most of it in the smallest subsets
    OMP_NUM_THREADS=1 python benchmarks/core.py --quick    without them

Prints tables; writes benchmarks/results/core.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from backends.bandit import BanditBackend
from backends.table import TableBackend
from palm_theory import Adaptive, Certificate, Kind, Portfolio, Value, build_portfolio
from palm_theory.certify.selection import requirement, smallest_subset
from palm_theory.contract.calls import solve
from palm_theory.geometry.corners import Target
from palm_theory.geometry.simplex import Array, sample_dirichlet, simplex_lattice

T = TypeVar("T")
HERE = Path(__file__).parent
SEEDS = (0, 1, 2, 3)
BANDITS = ((2, 0.0), (2, 0.05), (2, 0.5), (3, 0.0), (3, 0.05), (3, 0.5))
EPSILON = 0.01
LATTICE = {2: 200, 3: 40}
"""Resolution of the dense lattice of candidates, by d."""


def bandit(objectives: int, beta: float, seed: int) -> BanditBackend:
    """5 contexts, 20 actions, rewards uniform on [0, 1]."""
    return BanditBackend(np.random.default_rng(seed).random((5, 20, objectives)), beta=beta)


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """One table on standard output."""
    table = Table(title=title, title_justify="left")
    for key in rows[0]:
        table.add_column(key, justify="right")
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=130).print(table)


def timed(work: Callable[[], T], runs: int) -> tuple[list[float], T]:
    """Seconds of each of ``runs`` >= 1 runs, and the last result."""
    start = time.perf_counter()
    result = work()
    seconds = [time.perf_counter() - start]
    for _ in range(runs - 1):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return seconds, result


def fruit_tree() -> list[dict[str, Any]]:
    """ε = 0 on fruit-tree: policies, corner weights, certificate, median seconds of three runs."""
    rows = []
    for depth in (5, 6, 7):
        backend = TableBackend(HERE / "fronts" / f"fruit-tree-{depth}.csv")
        seconds, portfolio = timed(lambda backend=backend: build_portfolio(backend, Adaptive(0.0), progress=False), 3)
        certificate = portfolio.certificate
        rows.append(
            {
                "depth": depth,
                "policies": len(portfolio),
                "corners": certificate.corners,
                "kind": certificate.kind.value,
                "epsilon": certificate.epsilon,
                "median seconds": float(np.median(seconds)),
            }
        )
    return rows


def adaptive_sizes() -> list[dict[str, Any]]:
    """Adaptive(1%) on KL bandits: sizes over four seeds, all certified exactly."""
    rows = []
    for objectives, beta in (*BANDITS, (4, 0.05)):
        sizes, solves, seconds, worst = [], [], [], 0.0
        for seed in SEEDS:
            start = time.perf_counter()
            portfolio = build_portfolio(bandit(objectives, beta, seed), Adaptive(EPSILON), progress=False)
            seconds.append(time.perf_counter() - start)
            assert portfolio.certificate.kind is Kind.EXACT
            sizes.append(len(portfolio))
            solves.append(portfolio.solves)
            worst = max(worst, portfolio.certificate.epsilon)
        rows.append(
            {
                "d": objectives,
                "beta": beta,
                "policies": " ".join(map(str, sizes)),
                "mean policies": float(np.mean(sizes)),
                "solves": " ".join(map(str, solves)),
                "worst exact epsilon": worst,
                "median seconds": float(np.median(seconds)),
            }
        )
    return rows


def smallest_subsets(time_limit: float) -> list[dict[str, Any]]:
    """The smallest subset of a dense lattice's policies for 1%, certified over the whole simplex."""
    rows = []
    for objectives, beta in BANDITS:
        backend = bandit(objectives, beta, 0)
        lattice = simplex_lattice(objectives, LATTICE[objectives])
        candidates = np.unique(np.stack([solve(backend, w).value.vertex_values for w in lattice]), axis=0)

        def optimum(weights: Array, backend: BanditBackend = backend) -> Array:
            return np.array([backend.optimal_value(w) for w in weights])

        needed = requirement(Target(EPSILON), optimum)
        greedy = smallest_subset(candidates, needed, method="greedy")
        start = time.perf_counter()
        exact = smallest_subset(candidates, needed, time_limit=time_limit)
        rows.append(
            {
                "d": objectives,
                "beta": beta,
                "candidates": len(candidates),
                "greedy": greedy.size,
                "exact": exact.size,
                "proven lower bound": exact.lower_bound,
                "seconds": time.perf_counter() - start,
            }
        )
    return rows


def million_selections() -> list[dict[str, Any]]:
    """select() of 1,000,000 weights among 64 policies at d = 4: best of five runs, and the memory it adds."""
    rng = np.random.default_rng(0)
    values = [Value(rng.random(4), float(rng.random()) / 10) for _ in range(64)]
    unknown = Certificate(1.0, 0.0, None, Kind.UNKNOWN)
    portfolio = Portfolio.of(
        TableBackend(np.stack([v.rewards for v in values])), [(k, v, None) for k, v in enumerate(values)], unknown
    )
    weights = sample_dirichlet(4, 1_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, chosen = timed(lambda: portfolio.select(weights), 5)
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert isinstance(chosen, np.ndarray)
    return [{"weights": len(chosen), "policies": 64, "best seconds": min(seconds), "added peak MB": added}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out the smallest subsets")
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds for each exact selection")
    arguments = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}

    def record(name: str, title: str, rows: list[dict[str, Any]]) -> None:
        found[name] = rows
        show(title, rows)

    record("select", "select(): a million weights", million_selections())
    record("fruit_tree", "fruit-tree, ε = 0, exact oracle", fruit_tree())
    record("adaptive", "Adaptive(ε = 1%) on KL bandits, seeds 0 to 3", adaptive_sizes())
    if not arguments.quick:
        title = "Smallest subset of a dense lattice of candidates, ε = 1%, seed 0"
        record("smallest_subset", title, smallest_subsets(arguments.time_limit))
    target = HERE / "results" / "core.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
