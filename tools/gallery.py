"""The figures of docs/how-to/plots.md.

    python tools/gallery.py [--out docs/images/plots] [--only NAME …]

Each is drawn at the 6.9 inches of a page's text, with 120 dots an inch and 256 colours, so that files stay small.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from backends.bandit import BanditBackend  # noqa: E402
from backends.table import TableBackend  # noqa: E402
from palm_theory import Adaptive, Portfolio, build_portfolio, plots  # noqa: E402

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FRONTS = ROOT / "benchmarks" / "fronts"
NAMES = ("quality", "safety", "brevity")


@cache
def bandit(objectives: int) -> BanditBackend:
    """5 contexts, 20 actions, rewards uniform on [0, 1], β = 0.05."""
    rewards = np.random.default_rng(0).random((5, 20, objectives))
    return BanditBackend(rewards, beta=0.05, objectives=NAMES[:objectives])


@cache
def few(objectives: int) -> Portfolio:
    """The bandit's portfolio for ε = 2%."""
    return build_portfolio(bandit(objectives), Adaptive(0.02), progress=False)


@cache
def fruit() -> tuple[TableBackend, Portfolio]:
    """Fruit-tree of depth 5, six objectives, at most 12 policies."""
    backend = TableBackend(FRONTS / "fruit-tree-5.csv")
    return backend, build_portfolio(backend, Adaptive(0.0, max_policies=12), progress=False)


@cache
def treasure() -> tuple[TableBackend, Portfolio]:
    """Deep-sea-treasure, two objectives, ε = 1%."""
    backend = TableBackend(FRONTS / "deep-sea-treasure.csv")
    return backend, build_portfolio(backend, Adaptive(0.01), progress=False)


FIGURES: dict[str, tuple[float, str | None, Callable[[Axes], Axes]]] = {
    "regions": (4.6, "ternary", lambda ax: plots.policy_regions(few(3), ax=ax)),
    "regions-two": (1.8, None, lambda ax: plots.policy_regions(few(2), ax=ax)),
    "regions-section": (
        4.8,
        "ternary",
        lambda ax: plots.policy_regions(
            fruit()[1], objectives=["protein", "carbs", "fats"], fixed={"water": 0.2}, ax=ax
        ),
    ),
    "values": (3.4, None, lambda ax: plots.value_functions(few(2), bandit(2), ax=ax)),
    "regret": (4.6, "ternary", lambda ax: plots.regret_map(few(3), bandit(3), ax=ax)),
    "regret-many": (2.8, None, lambda ax: plots.regret_map(fruit()[1], fruit()[0], ax=ax)),
    "growth": (2.8, None, lambda ax: plots.growth_curve(few(3), bandit(3), ax=ax)),
    "users": (2.8, None, lambda ax: plots.users_served(few(3), ax=ax)),
    "front": (3.4, None, lambda ax: plots.pareto_front(treasure()[1], treasure()[0], ax=ax)),
    "front-many": (5.0, None, lambda ax: plots.pareto_front(fruit()[1], fruit()[0], ax=ax)),
    "profiles": (3.0, None, lambda ax: plots.policy_profiles(fruit()[1], ax=ax)),
    "projection": (4.8, None, lambda ax: plots.projected_users(fruit()[1], ax=ax)),
    "bounds": (3.2, None, lambda ax: plots.promised_loss(few(3), bandit(3), beta=0.05, ax=ax)),
    "cover": (3.2, None, lambda ax: plots.cover_sizes(ax=ax)),
}
"""Name → height in inches, projection, how it is drawn."""


def draw(name: str, out: Path) -> Path:
    """Draw one figure into a folder."""
    import matplotlib.pyplot as plt
    import mpltern  # noqa: F401  (registers the projection)
    from PIL import Image

    height, projection, paint = FIGURES[name]
    figure = plt.figure(figsize=(plots.PAGE, height), layout="constrained")
    paint(figure.add_subplot(projection=projection))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    plt.close(figure)
    target = out / f"{name}.png"
    Image.open(drawn).convert("RGB").quantize(256).save(target, optimize=True)
    return target


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "plots")
    parser.add_argument("--only", nargs="*", choices=list(FIGURES), default=list(FIGURES))
    options = parser.parse_args(arguments)
    matplotlib.use("Agg")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        print(draw(name, options.out))


if __name__ == "__main__":
    main()
