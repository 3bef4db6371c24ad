"""MOrepo's raw format (.raw, .fgt): sizes, objective types, and dense matrices."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from backends.programs.files.text import count_of, numbers_of
from backends.programs.program import LinearProgram, linear_program
from palm_theory.errors import InputError

SENSES = {"maxsum": False, "minsum": True}


def is_raw(text: str) -> bool:
    """Whether a text names objective types as MOrepo does."""
    return re.search(r"\b(maxsum|minsum)\b", text.lower()) is not None


def parse_raw(text: str, path: str | Path) -> LinearProgram:
    """n m d; d types, maxsum or minsum; C, d × n; A, m × n; m rows of a sign and a right-hand side; lower and upper
    bounds. Signs are 0 for ≥, 1 for ≤, 2 for =. The variables are integer, as in all of MOrepo's raw files.

    In the newer dialect two counts of nonzeros follow n m d, and there are no bounds: the variables are binary.
    Raises InputError on other types, signs or sizes.
    """
    words = re.findall(r"[A-Za-z]+", text)
    unknown = [word for word in words if word.lower() not in SENSES and word.lower() not in ("e", "inf", "infinity")]
    if unknown:
        raise InputError(f"{path}: objective type {unknown[0]!r} is not read, only maxsum and minsum")
    types = re.findall(r"\b(maxsum|minsum)\b", text.lower())
    head, *rest = re.split(r"\b(?:maxsum|minsum)\b", text.lower())
    counts, data = numbers_of(head, path), np.array(numbers_of(" ".join(rest), path))
    if len(counts) not in (3, 5):
        raise InputError(f"{path} must begin with the numbers of variables, constraints and objectives, then types")
    n, d = count_of(counts[0], "variables", path), count_of(counts[2], "objectives", path)
    m = 0 if counts[1] == 0 else count_of(counts[1], "constraints", path)
    binary = len(counts) == 5
    sizes = [d * n, m * n, 2 * m, *([] if binary else [n, n])]
    if len(data) != sum(sizes) or len(types) != d:
        raise InputError(
            f"{path}: {n} variables, {m} constraints and {d} objectives need {sum(sizes)} numbers after {d} types, "
            f"the file holds {len(data)} after {len(types)}"
        )
    costs, matrix, sides, *bounds = np.split(data, np.cumsum(sizes)[:-1])
    lower, upper = (np.zeros(n), np.ones(n)) if binary else bounds
    signs, limits = sides.reshape(m, 2).T if m else (np.zeros(0), np.zeros(0))
    if not np.all(np.isin(signs, (0, 1, 2))):
        raise InputError(f"{path}: the sign of a constraint must be 0 (>=), 1 (<=) or 2 (=)")
    return linear_program(
        costs.reshape(d, n),
        matrix.reshape(m, n),
        np.where(signs == 1, -np.inf, limits),
        np.where(signs == 0, np.inf, limits),
        minimize=[SENSES[kind] for kind in types],
        lower=lower,
        upper=upper,
        integer=True,
    )
