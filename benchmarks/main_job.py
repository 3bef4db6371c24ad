"""The main job (``make run``): how few policies serve every weighting, with a proof, on real instances.

    python benchmarks/main_job.py [--out FOLDER]

Builds and certifies portfolios on fronts out of MO-Gymnasium, a KL-regularised bandit and an MDP, prints what each
strategy needs, and saves a figure of portfolio size against the largest loss.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from backends.bandit import BanditBackend
from backends.mdp import MDPBackend
from backends.table import TableBackend
from palm_theory import (
    Adaptive,
    Palm,
    PolicyBackend,
    RandomWeights,
    Strategy,
    UniformGrid,
    bounds,
    build_portfolio,
    design,
)
from palm_theory.compare import compare
from palm_theory.plots import Curve, size_against_epsilon

FRONTS = Path(__file__).parent / "fronts"
CERTIFIED_EPSILON = 0.01
DELTAS = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)


def front(name: str) -> TableBackend:
    """A front of MO-Gymnasium as a table of policies."""
    return TableBackend(FRONTS / f"{name}.csv")


def kl_bandit() -> BanditBackend:
    """5 contexts, 20 actions, 3 objectives, rewards uniform on [0, 1], β = 0.05."""
    return BanditBackend(np.random.default_rng(0).random((5, 20, 3)), beta=0.05)


def random_mdp() -> MDPBackend:
    """A Garnet MDP: 30 states, 4 actions with 5 successors each, 3 objectives, γ = 0.95, KL-regularised, β = 0.1."""
    rng = np.random.default_rng(0)
    states, actions, successors, objectives = 30, 4, 5, 3
    transitions = np.zeros((states, actions, states))
    for s in range(states):
        for a in range(actions):
            reached = rng.choice(states, successors, replace=False)
            transitions[s, a, reached] = rng.dirichlet(np.ones(successors))
    rewards = rng.random((states, actions, objectives))
    return MDPBackend(transitions, rewards, np.full(states, 1 / states), discount=0.95, beta=0.1)


INSTANCES: dict[str, tuple[Callable[[], PolicyBackend], float, float]] = {
    "deep-sea-treasure": (lambda: front("deep-sea-treasure"), 0.5, 0.05),
    "deep-sea-treasure-concave": (lambda: front("deep-sea-treasure-concave"), 0.5, 0.05),
    "fruit-tree, depth 5": (lambda: front("fruit-tree-5"), 1.0, 0.25),
    "fruit-tree, depth 6": (lambda: front("fruit-tree-6"), 1.0, 0.25),
    "KL bandit, β = 0.05": (kl_bandit, 0.5, 0.05),
    "KL MDP, γ = 0.95, β = 0.1": (random_mdp, 0.5, 0.05),
}
"""Name → backend, and the (μ, α) of its hybrid cover: a coarser one for six objectives."""


def everything(console: Console) -> None:
    """Every policy that some weighting needs: target ε = 0, exact."""
    table = Table(title="All policies that some weighting needs, found and proven (ε = 0)", title_justify="left")
    for column in ("instance", "objectives", "policies", "corner weights", "solves", "certificate", "seconds"):
        table.add_column(column, justify="left" if column in ("instance", "certificate") else "right")
    for name in ("deep-sea-treasure", "deep-sea-treasure-concave", "fruit-tree-5", "fruit-tree-6", "fruit-tree-7"):
        backend = front(name)
        start = time.perf_counter()
        portfolio = build_portfolio(backend, Adaptive(0.0), progress=False)
        seconds = time.perf_counter() - start
        certificate = portfolio.certificate
        table.add_row(
            name,
            str(len(backend.objectives)),
            str(len(portfolio)),
            str(certificate.corners),
            str(portfolio.solves),
            f"{certificate.kind.value}, ε = {certificate.epsilon:g}",
            f"{seconds:.2f}",
        )
    console.print(table)


def comparison(console: Console) -> None:
    """ε = 1% by the adaptive construction, then every strategy at that many policies."""
    table = Table(
        title=f"ε = {CERTIFIED_EPSILON:.0%} adaptively, then all strategies at that size", title_justify="left"
    )
    columns = (
        "instance",
        "strategy",
        "solves",
        "policies",
        "worst ε",
        "worst δ",
        "proof",
        "samples say ε",
        "perplexity",
    )
    for column in columns:
        left = column in ("instance", "strategy", "proof")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for name, (make, mu, alpha) in INSTANCES.items():
        backend = make()
        size = len(build_portfolio(backend, Adaptive(CERTIFIED_EPSILON)))
        for row in compare(backend, policies=size, mu=mu, alpha=alpha):
            table.add_row(
                name,
                row.strategy,
                str(row.solves),
                str(row.size),
                f"{row.epsilon:.5f}",
                f"{row.delta:.5f}",
                row.kind.value,
                f"{row.sampled_epsilon:.5f}",
                f"{row.perplexity:.1f}",
            )
            name = ""
        table.add_section()
    console.print(table)


def figure(path: Path) -> None:
    """Portfolio size against the largest loss J* − L, on the KL bandit: every strategy, and what Theorems 1, 1″ and 2′
    promise, which is ε·R_max + δ (J* ≤ R_max), the best (μ, α) or n for every size."""
    import matplotlib

    matplotlib.use("Agg")
    backend = kl_bandit()
    unit = backend.reward_max
    grids = [(2.0**-k, 0.05 / 2**k) for k in range(3)]
    resolutions = (1, 2, 3, 4, 6, 8, 12, 16)
    counts = (3, 6, 12, 25, 50, 100, 200)
    budgets = (12, 30, 100, 300, 1000, 3000)
    ranges = {"reward_max": unit, "regularizer_max": backend.regularizer_max}

    def promised(bound: bounds.Bound) -> tuple[int, float]:
        return bound.size, (bound.epsilon * unit + bound.delta) / unit

    def certified(strategy: Strategy) -> tuple[int, float]:
        portfolio = build_portfolio(backend, strategy)
        return len(portfolio), portfolio.certificate.additive_gap / unit

    points = {
        "Theorem 1 promises": [promised(design.best_theorem1(3, k, **ranges)) for k in budgets],
        "Theorem 1″ promises": [
            promised(design.best_theorem1_double_prime(3, k, has_reference=True, **ranges)) for k in budgets[1:]
        ],
        "Theorem 2′ promises": [
            promised(design.best_theorem2_prime(3, k, beta=0.05, reward_max=unit)) for k in budgets
        ],
        "PALM's grid": [certified(Palm(mu, alpha, lazy=False, prune=False)) for mu, alpha in grids],
        "random weights": [certified(RandomWeights(n)) for n in counts],
        "uniform grid": [certified(UniformGrid(n)) for n in resolutions],
        "adaptive": [certified(Adaptive(0.0, delta)) for delta in DELTAS],
    }
    curves = [
        Curve(label, tuple(size for size, _ in pairs), tuple(loss for _, loss in pairs))
        for label, pairs in points.items()
    ]
    ax = size_against_epsilon(
        curves,
        title="What one more policy buys: a KL-regularised bandit with 3 objectives. Promises, and exact certificates.",
        loss="largest loss over all weights, share of $R_{max}$",
    )
    ax.figure.savefig(path, dpi=200)  # pyright: ignore[reportAttributeAccessIssue]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/main"), help="folder for the figure and a portfolio")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    console = Console(width=130)
    start = time.perf_counter()
    everything(console)
    comparison(console)
    figure(out / "size_against_epsilon.png")
    portfolio = build_portfolio(front("fruit-tree-5"), Adaptive(0.05), path=out / "fruit-tree-5")
    console.print(f"figure: {out / 'size_against_epsilon.png'}")
    console.print(f"portfolio: {out / 'fruit-tree-5'}: {portfolio.certificate}")
    console.print("look at it: .venv/bin/palm show", str(out / "fruit-tree-5"))
    console.print(f"{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
