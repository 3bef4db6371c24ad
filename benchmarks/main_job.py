"""The main job (``make run``): how few policies serve every weighting, with a proof, on real instances.

    python benchmarks/main_job.py [--out FOLDER]

Builds and certifies portfolios on fronts out of MO-Gymnasium, a KL-regularised bandit and an MDP, prints what each
strategy needs, and saves a figure of portfolio size against certified ε.
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
from palm_theory import Adaptive, Palm, PolicyBackend, Portfolio, RandomWeights, UniformGrid, bounds, build_portfolio
from palm_theory.compare import compare
from palm_theory.plots import Curve, size_against_epsilon

FRONTS = Path(__file__).parent / "fronts"
CERTIFIED_EPSILON = 0.01
EPSILONS = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)


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
    """Portfolio size against certified ε on the KL bandit, for every strategy and for Theorem 1's and 1′'s promises."""
    import matplotlib

    matplotlib.use("Agg")
    backend = kl_bandit()
    grids = [(2.0**-k, 0.05 / 2**k) for k in range(4)]
    resolutions = (1, 2, 3, 4, 6, 8, 12, 16)
    counts = (3, 6, 12, 25, 50, 100, 200)

    def promises(theorem: Callable[[float, float], bounds.Bound]) -> list[tuple[int, float]]:
        found = [theorem(mu, alpha) for mu, alpha in grids]
        # The promise is a pair; J* ≤ R_max, so ε + δ/R_max bounds the share lost where J* is near R_max.
        return [(bound.size, bound.epsilon + bound.delta / backend.reward_max) for bound in found]

    def paper(mu: float, alpha: float) -> bounds.Bound:
        return bounds.theorem1(3, mu, alpha, reward_max=backend.reward_max, regularizer_max=backend.regularizer_max)

    def sharper(mu: float, alpha: float) -> bounds.Bound:
        return bounds.theorem1_prime(
            3,
            mu,
            alpha,
            reward_max=backend.reward_max,
            regularizer_max=backend.regularizer_max,
            has_reference=True,
        )

    def certified(portfolio: Portfolio) -> tuple[int, float]:
        return len(portfolio), portfolio.certificate.epsilon

    points = {
        "Theorem 1 promises (ε + δ/$R_{max}$)": promises(paper),
        "Theorem 1′ promises (ε + δ/$R_{max}$)": promises(sharper),
        "PALM grid": [certified(build_portfolio(backend, Palm(m, a, lazy=False, prune=False))) for m, a in grids[:2]],
        "random weights": [certified(build_portfolio(backend, RandomWeights(n))) for n in counts],
        "uniform grid": [certified(build_portfolio(backend, UniformGrid(n))) for n in resolutions],
        "adaptive": [certified(build_portfolio(backend, Adaptive(epsilon))) for epsilon in EPSILONS],
    }
    curves = [
        Curve(label, tuple(size for size, _ in pairs), tuple(epsilon for _, epsilon in pairs))
        for label, pairs in points.items()
    ]
    ax = size_against_epsilon(curves, title="KL bandit, 3 objectives: what one more policy buys")
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
