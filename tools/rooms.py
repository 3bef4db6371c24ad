"""The rooms of the packages, their order, and the laws of imports, held against the imports that are in the code.

``python -m tools.rooms`` prints what breaks a law. A room is a package or a module directly in ``palm_theory``,
``backends`` or ``backends.llm``, and the names a package gives out are a room above what it gives out. An import is an
arrow wherever it stands, in a function or under ``TYPE_CHECKING`` too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]

LADDERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "palm_theory": (
        ("errors", "version", "progress"),
        ("files", "geometry", "executors"),
        ("bounds", "utilities"),
        ("contract", "design", "mixture"),
        ("certify", "covers", "members", "points", "store", "testing"),
        ("strategies", "portfolio"),
        ("build", "metrics", "traffic", "users"),
        ("compare", "explorer", "extend", "plots", "serving"),
        ("application",),
        ("",),
        ("cli",),
    ),
    "backends": (
        ("", "arrays", "exact_sums", "table"),
        ("soft_maximum",),
        ("bellman", "decision_witness"),
        ("bandit",),
        ("mdp", "programs"),
        ("convex", "gym", "programs.files"),
        ("graph", "integer", "linear"),
        ("knapsack",),
    ),
    "backends.llm": (
        ("identity", "settings", "texts"),
        ("model", "prompts"),
        ("rewards",),
        ("problem",),
        ("policies",),
        ("measure", "serving"),
        ("train",),
        ("work",),
        ("runs",),
        ("backend",),
        ("app",),
        ("",),
    ),
}
"""Rooms from the ground up; ``""`` is what the package itself gives out. An arrow leads to a lower floor of its ladder
or to a ladder named earlier, never to its own floor, upwards, or to a later ladder."""

CLOSED: dict[str, tuple[str, ...]] = {"palm_theory.cli": (), "palm_theory.serving": ("backends.llm.serving",)}
"""Rooms of the core that stand above every backend → the rooms of backends that may import them all the same."""

HEAVY = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
"""Libraries that the core never imports."""


@cache
def modules() -> dict[str, Path]:
    """Dotted name → file of every module."""
    files = sorted(path for top in ("palm_theory", "backends") for path in (ROOT / top).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


@cache
def tree(name: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(modules()[name].read_text("utf-8"))


def imported(name: str) -> Iterator[str]:
    """The dotted name of everything a module imports, ours and others'."""
    path = modules()[name]
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules() else base


@cache
def arrows() -> frozenset[tuple[str, str]]:
    """(module, module it imports), both ours."""
    return frozenset((name, other) for name in modules() for other in imported(name) if other in modules())


@cache
def places() -> dict[str, tuple[int, int]]:
    """Room → its ladder and its floor, counted from 0."""
    return {
        ".".join(filter(None, [package, room])): (ladder, floor)
        for ladder, (package, floors) in enumerate(LADDERS.items())
        for floor, rooms in enumerate(floors)
        for room in rooms
    }


def room(module: str) -> str:
    """The room a module lies in; LookupError where none is declared."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        found = ".".join(parts[:length])
        if found == module and found in places():
            return found
        if found in LADDERS:  # its rooms are declared one by one
            break
        if found in places():
            return found
    raise LookupError(f"{module} lies in no room: give it one, and its floor, in LADDERS of tools/rooms.py")


@cache
def room_arrows() -> frozenset[tuple[str, str]]:
    """(room, another room that it imports)."""
    return frozenset((room(a), room(b)) for a, b in arrows() if room(a) != room(b))


def breaches(arrows: Iterable[tuple[str, str]]) -> list[str]:
    """The arrows between modules that break the order of the rooms or the law of ``CLOSED``, one sentence each."""
    found = []
    for importer, other in sorted(arrows):
        above, below = room(importer), room(other)
        (ladder, floor), (its_ladder, its_floor) = places()[above], places()[below]
        if above == below:
            continue
        if its_ladder > ladder or (its_ladder == ladder and its_floor >= floor):
            found.append(f"{importer} imports {other}, but {above} does not stand above {below}")
        elif ladder > 0 and below in CLOSED and above not in CLOSED[below]:
            found.append(f"{importer} imports {other}, but {below} stands above every backend")
    return found


def heavy_imports() -> list[str]:
    """The modules of the core that import a heavy library, one sentence each."""
    return [
        f"{name} imports {other}"
        for name in modules()
        if name.startswith("palm_theory")
        for other in imported(name)
        if other.split(".")[0] in HEAVY
    ]


def circles(arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Walks of imports that end where they start; none if and only if there is no circle."""
    below: dict[str, list[str]] = {}
    for importer, other in sorted(arrows):
        if importer != other:
            below.setdefault(importer, []).append(other)
    finished: set[str] = set()
    found: list[list[str]] = []

    def visit(name: str, walk: list[str]) -> None:
        if name in walk:
            found.append([*walk[walk.index(name) :], name])
        elif name not in finished:
            for other in below.get(name, []):
                visit(other, [*walk, name])
            finished.add(name)

    for name in below:
        visit(name, [])
    return found


if __name__ == "__main__":
    print(f"{len(places())} rooms, {len(room_arrows())} arrows between them, {len(arrows())} between modules")
    print(*breaches(arrows()), *heavy_imports(), *(" → ".join(circle) for circle in circles(arrows())), sep="\n")
