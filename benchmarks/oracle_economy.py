"""Oracle calls, size and exact worst ε of every construction, beside morl-baselines' LinearSupport.

    OMP_NUM_THREADS=1 python -m benchmarks.oracle_economy [--stored] [INSTANCE ...]

With instances only their rows are made again, and the rest is taken from oracle_economy.json. With ``--stored`` the
rival is not run: its stored runs are shown, and what it was never run on has no row. The peer's runs
are those of ``peer.py``, with the same exact oracle. Its target is additive; ``targets.py`` gives the one that implies
our multiplicative target. Prints tables; writes results/oracle_economy.json and .png.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, CountingBackend, Stopwatch, show, store
from benchmarks.fewest_solves import fewest_exact_solves, fewest_solves
from benchmarks.instances import INSTANCES, Instance
from benchmarks.peer import run_peer, stored_run
from benchmarks.targets import epsilon_of, peer_epsilon
from palm_theory import Adaptive, Palm, Portfolio, RandomWeights, Strategy, UniformGrid, Value, audit, build_portfolio
from palm_theory.certify.selection import requirement, smallest_subset
from palm_theory.geometry.corners import Target
from palm_theory.geometry.simplex import lattice_size

MU, ALPHA = 0.5, 0.05
SUBSET_SECONDS = 20.0
GRID_DIMENSIONS = 3
LAZY_DIMENSIONS = 4
"""PALM's whole grid is solved and audited up to the first d, its lazy search and the smallest subsets are made up to
the second: at d = 4 the grid has 2,916 weights, and an envelope of so many policies far too many corners to audit."""

GPI_DIMENSIONS = 3
EXACT_PEER = ("deep-sea-treasure", "resource-gathering", "random-mdp-2", "random-mdp-3", "lp-", "3kp", "fruit-tree")
GPI_PEER = ("3kp20", "fruit-tree-5", "deep-sea-treasure", "lp-2", "random-mdp-2", "resource-gathering")
"""GPI-LS does not end by itself at its default epsilon of 0: run there on these, at the same quality up to d = 3."""


def built(instance: Instance, label: str, strategy: Strategy) -> tuple[dict[str, Any], Portfolio]:
    """One construction; its ε is from an exact audit, whose J* queries are counted apart."""
    backend = CountingBackend(instance.make())
    watch = Stopwatch()
    portfolio = build_portfolio(backend, strategy)
    row = {
        "instance": instance.name,
        "construction": label,
        "solves": backend.solves,
        "J* asked by the audit": backend.asked,
        "policies": portfolio.certificate.size,
        "worst epsilon": portfolio.certificate.epsilon,
        "certificate": portfolio.certificate.kind.value,
        "seconds": round(watch.seconds, 3),
    }
    return row, portfolio


def is_found_whole(instance: Instance) -> bool:
    """Whether every optimal policy is found: where there are finitely many, and not tens of thousands."""
    return instance.finite and instance.name not in ("random-mdp-4", "random-mdp-5", "random-mdp-6")


def subset_row(instance: Instance, epsilon: float) -> dict[str, Any]:
    """Adaptive at ε/2 keeping all it solved, then the smallest subset of it at ε; and the proven minimum.

    The minimum is over all subsets of the exact optimal policies where those are finitely many and were found, of the
    policies of Adaptive(ε/8) where they were not and d ≤ 3, and at d = 4 of the very policies that were solved: a lower
    bound for portfolios made of those, not for all there could be.
    """
    backend = CountingBackend(instance.make())
    watch = Stopwatch()
    portfolio = build_portfolio(backend, Adaptive(epsilon / 2, keep_all=True))
    solves = backend.solves
    pruned, _ = portfolio.smallest_subset(backend, epsilon=epsilon, time_limit=SUBSET_SECONDS)
    seconds = watch.seconds
    candidates = portfolio
    if is_found_whole(instance):
        candidates = build_portfolio(backend.inner, Adaptive(0.0))
    elif instance.objectives <= GRID_DIMENSIONS:
        candidates = build_portfolio(backend.inner, Adaptive(epsilon / 8))
    needed = requirement(Target(epsilon), lambda weights: np.array([backend.optimal_value(row) for row in weights]))
    best = smallest_subset(candidates.vertex_values, needed, time_limit=SUBSET_SECONDS)
    return {
        "instance": instance.name,
        "construction": "Adaptive + smallest subset",
        "solves": solves,
        "policies": len(pruned),
        "worst epsilon": pruned.certificate.epsilon,
        "certificate": pruned.certificate.kind.value,
        "seconds": round(seconds, 3),
        "candidates": len(candidates),
        "proven minimum": best.lower_bound,
        "ratio": round(len(pruned) / best.lower_bound, 3),
    }


Rival = Callable[[str, str, float], dict[str, Any] | None]
"""Instance, algorithm and epsilon to the rival's run, or None where there is none."""


def peer_rows(
    rival: Rival, instance: Instance, label: str, algorithm: str, epsilon: float, ours: int, fewest: int | None
) -> list[dict[str, Any]]:
    """A run of the rival; the ε of what it kept comes from our exact audit. ``fewest`` is what any proof needs."""
    run = rival(instance.name, algorithm, epsilon)
    if run is None:
        return []
    worst = None
    if run["kept"]:
        worst = audit([Value(np.maximum(v, 0.0)) for v in run["kept"]], instance.make()).epsilon
    row = {
        "instance": instance.name,
        "construction": label,
        "solves": run["calls"],
        "policies": len(run["kept"]),
        "worst epsilon": worst,
        "certificate": "ended by itself" if run["ended"] else run["failure"] or "time-out",
        "seconds": round(run["seconds"], 3),
        "ours": ours,
        "fewest possible": fewest,
    }
    return [row]


def one(instance: Instance, rival: Rival) -> dict[str, list[dict[str, Any]]]:
    """Every row of one instance."""
    epsilon, d = epsilon_of(instance.name), instance.objectives
    rows, subsets, peers = [], [], []
    adaptive, _ = built(instance, f"Adaptive {epsilon:.0%}", Adaptive(epsilon))
    saving, _ = built(instance, f"Adaptive {epsilon:.0%}, keep_all", Adaptive(epsilon, keep_all=True))
    rows += [adaptive, saving]
    exact, found = None, None
    if is_found_whole(instance):
        exact, found = built(instance, "Adaptive exact", Adaptive(0.0))
        rows.append(exact)
    if d <= GRID_DIMENSIONS:
        rows.append(built(instance, "PALM grid", Palm(MU, ALPHA, lazy=False, prune=False))[0])
    if d <= LAZY_DIMENSIONS:
        rows.append(built(instance, "PALM lazy", Palm(MU, ALPHA, prune=False))[0])
        rows.append(built(instance, "PALM lazy + pruned", Palm(MU, ALPHA))[0])
        subsets.append(subset_row(instance, epsilon))
    budget = adaptive["solves"]
    n = max(k for k in range(1, 200) if k == 1 or lattice_size(d, k) <= budget)
    rows.append(built(instance, f"uniform grid, n = {n}", UniformGrid(n))[0])
    rows.append(built(instance, "random weights", RandomWeights(budget, seed=0))[0])
    values = None if found is None else found.vertex_values
    near = fewest_solves(instance.name, epsilon, values)
    target, ours = peer_epsilon(instance.name), saving["solves"]
    peers += peer_rows(rival, instance, "OLS, same quality", "ols", target, ours, near)
    if d <= GPI_DIMENSIONS:
        peers += peer_rows(rival, instance, "GPI-LS, same quality", "gpi-ls", target, ours, near)
    if exact is not None and found is not None and instance.name.startswith(EXACT_PEER):
        fewest = fewest_exact_solves(instance.make(), found.vertex_values)
        peers += peer_rows(rival, instance, "OLS, exact", "ols", 0.0, exact["solves"], fewest)
        if instance.name in GPI_PEER:
            peers += peer_rows(rival, instance, "GPI-LS, exact", "gpi-ls", 0.0, exact["solves"], fewest)
    return {"constructions": rows, "subsets": subsets, "peers": peers}


def figure(found: dict[str, list[dict[str, Any]]]) -> None:
    """Solves and worst ε of every construction."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawing, axes = plt.subplots(figsize=(8, 5))
    groups = {"Adaptive": [], "PALM": [], "uniform": [], "random": []}
    for row in found["constructions"]:
        groups[row["construction"].split()[0]].append(row)
    for name, rows in [*groups.items(), ("LinearSupport", found["peers"])]:
        points = [
            (r["solves"], max(r["worst epsilon"], 1e-6)) for r in rows if r["worst epsilon"] is not None and r["solves"]
        ]
        if points:
            axes.scatter(*zip(*points, strict=True), label=name, s=18, alpha=0.7)
    axes.set(xscale="log", yscale="log", xlabel="solves", ylabel="exact worst epsilon (1e-6: none)")
    axes.legend()
    drawing.tight_layout()
    drawing.savefig(RESULTS / "oracle_economy.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="Solves, policies and exact worst epsilon beside the rival's.")
    parser.add_argument("instances", nargs="*", metavar="INSTANCE", help=f"of {', '.join(INSTANCES)}; by default all")
    parser.add_argument("--stored", action="store_true", help="show the rival's stored runs, start none")
    arguments = parser.parse_args()
    names = arguments.instances or list(INSTANCES)
    rival = stored_run if arguments.stored else run_peer
    path = RESULTS / "oracle_economy.json"
    found: dict[str, list[dict[str, Any]]] = {"constructions": [], "subsets": [], "peers": []}
    if arguments.instances and path.exists():
        stored = json.loads(path.read_text())
        found = {kind: [r for r in stored[kind] if r["instance"] not in names] for kind in found}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        for kind, rows in one(INSTANCES[name], rival).items():
            found[kind].extend(rows)
            found[kind].sort(key=lambda row: list(INSTANCES).index(row["instance"]))
        store("oracle_economy", found)
    for kind, rows in found.items():
        if rows:
            show(kind, rows)
    figure(found)


if __name__ == "__main__":
    main()
