"""The picture of docs/architecture.md, drawn from the imports in the code: ``python -m tools.architecture OUT.svg``.

Three blocks, the core on the ground and the backends above it, a floor a line. An arrow is an import that no longer
walk of imports within its block implies; which rooms of the core a block above it imports is said in words.
"""

from __future__ import annotations

import sys
import textwrap
from functools import cache
from html import escape
from pathlib import Path

from tools.rooms import LADDERS, places, room_arrows

WIDE, HIGH, STEP, ROW = 88, 22, 98, 50
"""Width and height of a room's box, from one box to the next, from one floor to the next."""
MARGIN, TITLE = 14, 26
COLOURS = {"palm_theory": "#3f51b5", "backends": "#00796b", "backends.llm": "#ad5700"}


def floors_in_order(package: str) -> list[list[str]]:
    """The floors of a ladder from the ground up, rooms beside those below them that they import."""
    ordered: list[list[str]] = []
    across: dict[str, float] = {}
    for rooms in LADDERS[package]:
        names = [".".join(filter(None, [package, name])) for name in rooms]
        below = {name: [across[b] for a, b in drawn(package) if a == name and b in across] for name in names}
        names.sort(key=lambda name: (sum(below[name]) / len(below[name]) if below[name] else 0.0, name))
        across |= {name: place - (len(names) - 1) / 2 for place, name in enumerate(names)}
        ordered.append(names)
    return ordered


@cache
def drawn(package: str) -> frozenset[tuple[str, str]]:
    """The arrows within a ladder that lead down and that no longer walk implies."""
    ladder = list(LADDERS).index(package)
    below: dict[str, set[str]] = {name: set() for name, (its, _) in places().items() if its == ladder}
    for a, b in room_arrows():
        if a in below and b in below and places()[a] > places()[b]:
            below[a].add(b)

    def reach(name: str) -> set[str]:
        return {name}.union(*(reach(other) for other in below[name]))

    return frozenset((a, b) for a in below for b in below[a] if not any(b in reach(c) for c in below[a] - {b}))


def block(package: str, left: float, bottom: float) -> tuple[list[str], float, float]:
    """One ladder, its lowest floor at ``bottom``: SVG elements, its width and its height."""
    floors = floors_in_order(package)
    width = STEP * max(len(rooms) for rooms in floors) - (STEP - WIDE) + 2 * MARGIN
    height = ROW * (len(floors) - 1) + HIGH + 2 * MARGIN + TITLE
    colour = COLOURS[package]
    middle: dict[str, tuple[float, float]] = {}
    boxes = []
    for floor, rooms in enumerate(floors):
        y = bottom - MARGIN - HIGH - floor * ROW
        for place, name in enumerate(rooms):
            x = left + width / 2 + STEP * (place - (len(rooms) - 1) / 2)
            middle[name] = (x, y)
            shown = name.removeprefix(f"{package}.") if name != package else "__init__"
            boxes.append(
                f'<rect x="{x - WIDE / 2:g}" y="{y:g}" width="{WIDE}" height="{HIGH}" rx="4" '
                f'fill="white" stroke="{colour}"/>'
                f'<text x="{x:g}" y="{y + 15:g}" text-anchor="middle">{escape(shown)}</text>'
            )
    lines = []
    for above, below in sorted(drawn(package)):
        (x, y), (to_x, to_y) = middle[above], middle[below]
        y += HIGH
        bend = (to_y - y) / 2
        lines.append(
            f'<path d="M{x:g} {y:g}C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y - 3:g}" '
            f'stroke="{colour}" marker-end="url(#tip)"/>'
        )
    frame = (
        f'<rect x="{left:g}" y="{bottom - height:g}" width="{width:g}" height="{height:g}" rx="8" '
        f'fill="{colour}" fill-opacity="0.06"/>'
        f'<text x="{left + MARGIN:g}" y="{bottom - height + 20:g}" style="fill: {colour}; font-weight: bold">'
        f"{package}</text>"
    )
    return [frame, *lines, *boxes], width, height


def caption(package: str, left: float, top: float) -> list[str]:
    """Which rooms of earlier ladders a ladder imports, as lines of text."""
    ladder = list(LADDERS).index(package)
    names = sorted({b for a, b in room_arrows() if places()[a][0] == ladder > places()[b][0]})
    lines = textwrap.wrap("imports " + ", ".join(name.removeprefix("palm_theory.") for name in names), 62)
    return [
        f'<text x="{left:g}" y="{top + 15 * number:g}" style="fill: {COLOURS[package]}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    ]


def picture() -> str:
    """The house as SVG: the core on the ground, backends above it; within each, arrows that no longer walk implies."""
    gap, legend = 30, 64
    _, core_width, core_height = block("palm_theory", 0, 0)
    _, left_width, left_height = block("backends", 0, 0)
    _, right_width, right_height = block("backends.llm", 0, 0)
    seam = MARGIN + max(left_height, right_height)
    width = left_width + gap + right_width + 2 * MARGIN
    height = seam + legend + core_height + MARGIN
    right = width - MARGIN - right_width
    elements = [
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="white"/>',
        *block("backends", MARGIN, seam)[0],
        *caption("backends", MARGIN, seam + 18),
        *block("backends.llm", right, seam)[0],
        *caption("backends.llm", right, seam + 18),
        *block("palm_theory", (width - core_width) / 2, height - MARGIN)[0],
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        'font-family="sans-serif" font-size="11.5">\n'
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="5" markerHeight="5" orient="auto">'
        '<path d="M0 0L6 3L0 6z"/></marker></defs>\n'
        "<style>text { fill: #222 } path { fill: none; stroke-opacity: 0.6 } #tip path { fill: #777 }</style>\n"
        + "\n".join(elements)
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(), "utf-8")
