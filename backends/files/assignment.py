"""Multi-objective assignment problems in the formats they are published in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backends.files.text import count_of, numbers_of, read_text
from palm_theory.errors import InputError
from palm_theory.simplex import Array


def read_assignment(path: str | Path) -> Array:
    """Costs of a d-objective assignment problem, shape (d, n, n): costs[k, i, j] of giving task j to agent i.

    The file holds d, n and d matrices n × n, with or without brackets (Kirlik & Sayin, AP_p-3_*.dat), or n alone and
    the matrices (Tuyttens et al.). Costs are minimised. Raises InputError on any other count of numbers.
    """
    data = np.array(numbers_of(read_text(path), path))
    if len(data) >= 3 and len(data) == 2 + data[0] * data[1] ** 2:
        d, n = count_of(data[0], "objectives", path), count_of(data[1], "agents", path)
        return data[2:].reshape(d, n, n)
    if len(data) >= 2:
        n = count_of(data[0], "agents", path)
        if (len(data) - 1) % n**2 == 0:
            return data[1:].reshape(-1, n, n)
    raise InputError(f"{path}: its {len(data)} numbers are neither d, n and d matrices n x n, nor n and matrices n x n")
