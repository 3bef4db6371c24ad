"""Multi-objective assignment problems in the formats they are published in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backends.programs.files.text import count_of, is_count, numbers_of, read_text
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array


def read_assignment(path: str | Path) -> Array:
    """Costs of a d-objective assignment problem, shape (d, n, n): costs[k, i, j] of giving task j to agent i.

    The file holds d, n and d matrices n × n, with or without brackets (Kirlik & Sayin, AP_p-3_*.dat), or n alone on the
    first line and the matrices on those below (Tuyttens et al.); how many there are is then not said, so a file cut
    between two cannot be told. Costs are minimised. Raises InputError on any other count of numbers.
    """
    text = read_text(path)
    data = numbers_of(text, path)
    needed = ""
    if len(data) >= 2 and is_count(data[0]) and is_count(data[1]):
        d, n = int(data[0]), int(data[1])
        if len(data) == 2 + d * n**2:
            return np.array(data[2:]).reshape(d, n, n)
        needed = f" ({2 + d * n**2} numbers for d = {d} and n = {n})"
    if _begins_with_n_alone(text, path):
        n = count_of(data[0], "agents", path)
        if (len(data) - 1) % n**2 == 0:
            return np.array(data[1:]).reshape(-1, n, n)
    raise InputError(
        f"{path}: its {len(data)} numbers are neither d, n and d matrices n x n{needed}, nor n alone on the first line "
        "and matrices n x n below"
    )


def _begins_with_n_alone(text: str, path: str | Path) -> bool:
    """Whether the first line with numbers has one and the next has more: were counts to decide, a file of d = n that
    lacks its last number would be n matrices, each shifted by one."""
    counts = [count for count in (len(numbers_of(line, path)) for line in text.splitlines()) if count][:2]
    return len(counts) == 2 and counts[0] == 1 < counts[1]
