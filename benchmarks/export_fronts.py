"""Write the fronts that ``make run`` uses as CSV, straight from MO-Gymnasium (MIT licence); needs the ``gym`` extra.

    python benchmarks/export_fronts.py

Returns are undiscounted (γ = 1). Deep-sea-treasure: treasure and −(steps), one row a treasure that is Pareto-optimal.
Fruit-tree: six nutrients, one row a leaf.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import mo_gymnasium
from mo_gymnasium.envs.fruit_tree.fruit_tree import FRUITS

FOLDER = Path(__file__).parent / "fronts"
NUTRIENTS = ("protein", "carbs", "fats", "vitamins", "minerals", "water")


def fronts() -> dict[str, tuple[Sequence[str], list[list[float]]]]:
    """File stem → (objectives, rows), as MO-Gymnasium has them."""
    found: dict[str, tuple[Sequence[str], list[list[float]]]] = {}
    for name in ("deep-sea-treasure", "deep-sea-treasure-concave"):
        front = mo_gymnasium.make(f"{name}-v0").unwrapped.pareto_front(gamma=1.0)  # type: ignore[attr-defined]
        found[name] = (("treasure", "time"), [[float(x) for x in point] for point in front])
    for depth in ("5", "6", "7"):
        found[f"fruit-tree-{depth}"] = (NUTRIENTS, [[float(x) for x in leaf] for leaf in FRUITS[depth]])
    return found


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence[float]]) -> None:
    """One CSV file; numbers in full."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for stem, (objectives, points) in fronts().items():
        write(FOLDER / f"{stem}.csv", objectives, points)
        print(f"{stem}: {len(points)} points")
