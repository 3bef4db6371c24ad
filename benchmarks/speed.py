"""Time to certify against the same peer, and how the core's parts grow with d, K and n.

    OMP_NUM_THREADS=1 python -m benchmarks.speed

Time to certify: all optimal policies of instances with finitely many, from the same exact oracle as the peer's loop
(``peer.py``, 120 s at most). Parts: ``select``, hybrid covers and audits, with exponents fitted by least squares on
logarithms, and how near to the machine's memory bandwidth ``select`` gets. Prints tables; writes results/speed.json
and .png.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from backends.table import TableBackend
from benchmarks.common import RESULTS, Stopwatch, show, store
from benchmarks.instances import INSTANCES
from benchmarks.peer import run_peer
from palm_theory import Adaptive, audit, build_portfolio
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.value import Value
from palm_theory.covers import hybrid_cover
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.simplex import sample_dirichlet

RUNS = 5
CERTIFIED = ("fruit-tree-5", "fruit-tree-6", "3kp20", "3kp40", "lp-3", "random-mdp-2", "resource-gathering")


def table_of(name: str, backend: PolicyBackend) -> PolicyBackend:
    """The fruit tree's leaves as a table (one lookup a solve); other instances as they are."""
    if not name.startswith("fruit-tree"):
        return backend
    return TableBackend(np.unique(backend.model.rewards.reshape(-1, 6), axis=0))  # type: ignore[attr-defined]


def fastest(work: Callable[[], Any], runs: int = RUNS) -> float:
    """Seconds of the fastest of ``runs`` runs."""
    times = []
    for _ in range(runs):
        watch = Stopwatch()
        work()
        times.append(watch.seconds)
    return min(times)


def certify_row(name: str) -> dict[str, Any]:
    """Ours against the peer's on one instance."""
    made = INSTANCES[name].make()
    portfolio = build_portfolio(made, Adaptive(0.0))
    seconds = fastest(lambda: build_portfolio(made, Adaptive(0.0)), 3)
    quick = table_of(name, made)
    lookup = seconds if quick is made else fastest(lambda: build_portfolio(quick, Adaptive(0.0)), 3)
    peer = run_peer(name, "ols", 0.0)
    return {
        "instance": name,
        "policies": len(portfolio),
        "corners": portfolio.certificate.corners,
        "seconds": round(seconds, 4),
        "as a table": round(lookup, 4),
        "peer: kept": len(peer["kept"]),
        "peer: seconds": round(peer["seconds"], 2),
        "peer ended": peer["ended"],
        "times faster": round(peer["seconds"] / seconds, 1),
        "as a table, times": round(peer["seconds"] / lookup, 1),
    }


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """The slope of log seconds on log size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def select_rows() -> list[dict[str, Any]]:
    """``lower_envelope``, the kernel of ``select``: n weights against K policies in d dimensions."""
    rng = np.random.default_rng(0)
    rows = []
    sweeps = {
        "n": [(n, 50, 4) for n in (10_000, 40_000, 160_000, 640_000)],
        "K": [(50_000, k, 4) for k in (10, 40, 160, 640)],
        "d": [(50_000, 50, d) for d in (2, 4, 8, 16)],
    }
    for varied, cases in sweeps.items():
        seconds = []
        for n, k, d in cases:
            weights, values = sample_dirichlet(d, n, seed=0), rng.uniform(size=(k, d))
            seconds.append(fastest(lambda values=values, weights=weights: lower_envelope(values, weights)))
        n, k, d = cases[-1]
        rows.append(
            {
                "part": "select",
                "varied": varied,
                "largest": f"n={n}, K={k}, d={d}",
                "seconds at largest": seconds[-1],
                "exponent": round(exponent([case["nKd".index(varied)] for case in cases], seconds), 2),
                "Gflop/s": round(2 * n * k * d / seconds[-1] / 1e9, 2),
            }
        )
    return rows


def cover_rows() -> list[dict[str, Any]]:
    """Hybrid covers of growing size at d = 4."""
    sizes, seconds = [], []
    for mu in (0.5, 0.25, 0.12):
        sizes.append(len(hybrid_cover(4, mu, 0.05)))
        seconds.append(fastest(lambda mu=mu: hybrid_cover(4, mu, 0.05), 3))
    return [
        {
            "part": "hybrid cover",
            "varied": "points",
            "largest": f"{sizes[-1]} points, d=4",
            "seconds at largest": seconds[-1],
            "exponent": round(exponent(sizes, seconds), 2),
            "Gflop/s": None,
        }
    ]


def audit_rows() -> list[dict[str, Any]]:
    """Audits against a finite reference: K points of a sphere, so that all are extreme."""
    rows = []
    for d in (2, 3, 4, 5):
        sizes = [20, 40, 80, 160]
        seconds = []
        for k in sizes:
            points = np.abs(np.random.default_rng(0).normal(size=(2 * k, d)))
            values = [Value(row) for row in points / np.linalg.norm(points, axis=1, keepdims=True)]
            seconds.append(fastest(lambda v=values, k=k: audit(v[:k], reference=v), 3))
        rows.append(
            {
                "part": f"audit, d={d}",
                "varied": "K",
                "largest": f"K={sizes[-1]}",
                "seconds at largest": seconds[-1],
                "exponent": round(exponent(sizes, seconds), 2),
                "Gflop/s": None,
            }
        )
    return rows


def machine_limit() -> dict[str, float]:
    """Gflop/s of a matrix product and GB/s of a copy, on one thread."""
    n = 1000
    a = np.random.default_rng(0).uniform(size=(n, n))
    big = np.zeros(20_000_000)
    return {
        "matmul Gflop/s": round(2 * n**3 / fastest(lambda: a @ a) / 1e9, 1),
        "copy GB/s": round(2 * big.nbytes / fastest(lambda: big.copy()) / 1e9, 1),
    }


def main() -> None:
    certify = [certify_row(name) for name in CERTIFIED]
    parts = [*select_rows(), *cover_rows(), *audit_rows()]
    limits = machine_limit()
    show("time to certify every optimal policy", certify)
    show("growth of the parts (fastest runs)", parts)
    show("the machine", [limits])
    store("speed", {"certify": certify, "parts": parts, "limits": limits})

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawing, axes = plt.subplots(figsize=(8, 4))
    places = np.arange(len(certify))
    axes.bar(places - 0.2, [row["seconds"] for row in certify], 0.4, label="palm_theory")
    axes.bar(places + 0.2, [row["peer: seconds"] for row in certify], 0.4, label="LinearSupport (120 s: time-out)")
    axes.set_xticks(places, [row["instance"] for row in certify], rotation=20)
    axes.set(yscale="log", ylabel="seconds")
    axes.set_ylim(bottom=10 ** math.floor(math.log10(min(row["seconds"] for row in certify))))
    axes.legend()
    drawing.tight_layout()
    drawing.savefig(RESULTS / "speed.png", dpi=120)


if __name__ == "__main__":
    main()
