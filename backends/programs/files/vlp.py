"""Bensolve's format of vector linear programs (.vlp)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from backends.programs.program import LinearProgram, linear_program
from palm_theory.errors import InputError

FIELDS = {"f": 0, "l": 1, "u": 1, "s": 1, "d": 2}


def parse_vlp(text: str, path: str | Path) -> LinearProgram:
    """``p vlp min|max m n nz d nzobj``, then lines ``a i j v`` (matrix), ``o k j v`` (objectives), ``i r TYPE …``
    (rows), ``j c TYPE …`` (variables), ``e``; ``c`` starts a comment.

    TYPE is f (free), l and a lower bound, u and an upper bound, d and both, s and a fixed value. As in Bensolve, rows
    without a line are free and variables without one are fixed at 0. Only the componentwise order is read: a file with
    an ordering cone is refused. Raises InputError with the line's number on anything else.
    """
    header: tuple[bool, int, int, int, int, int] | None = None
    entries: dict[str, list[tuple[int, int, float]]] = {"a": [], "o": []}
    bounds: dict[str, dict[int, tuple[float, float]]] = {"i": {}, "j": {}}
    ended = False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0] == "c" or ended:
            continue
        kind = words[0]
        try:
            if kind == "p" and header is None:
                header = _header(words)
            elif header is None:
                raise InputError("the first line must be `p vlp min|max m n nz d nzobj`")
            elif kind in entries:
                entries[kind].append(_entry(words, header[3] if kind == "o" else header[1], header[2]))
            elif kind in bounds:
                k, pair = _bound(words, header[1] if kind == "i" else header[2])
                if k in bounds[kind]:
                    raise InputError("a second line for the same row or variable")
                bounds[kind][k] = pair
            elif kind == "e":
                ended = True
            else:
                raise InputError(f"unknown line {kind!r}")
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        except ValueError:
            raise InputError(f"{path}, line {number}: not a number in {line.strip()!r}") from None
    if header is None:
        raise InputError(f"{path} has no line `p vlp …`")
    if not ended:
        raise InputError(f"{path} ends without the line `e`: it is cut short")
    minimize, m, n, d, nonzeros, objective_nonzeros = header
    for kind, count in (("a", nonzeros), ("o", objective_nonzeros)):
        if len(entries[kind]) != count:
            raise InputError(
                f"{path}: the problem line promises {count} {kind!r} lines, there are {len(entries[kind])}"
            )
    row_bounds = [bounds["i"].get(k, (-np.inf, np.inf)) for k in range(m)]
    variable_bounds = np.array([bounds["j"].get(k, (0.0, 0.0)) for k in range(n)])
    rows = np.array(row_bounds).reshape(m, 2)
    return linear_program(
        _matrix(entries["o"], d, n).toarray(),
        _matrix(entries["a"], m, n),
        rows[:, 0],
        rows[:, 1],
        minimize=minimize,
        lower=variable_bounds[:, 0],
        upper=variable_bounds[:, 1],
    )


def _header(words: list[str]) -> tuple[bool, int, int, int, int, int]:
    if len(words) < 8 or words[1] != "vlp" or words[2] not in ("min", "max"):
        raise InputError("the problem line must be `p vlp min|max m n nz d nzobj`")
    if len(words) > 8:
        raise InputError(f"ordering cones ({words[8]!r}) are not read, only the componentwise order")
    m, n, nonzeros, d, objective_nonzeros = (int(word) for word in words[3:8])
    if m < 0 or n < 1 or d < 1:
        raise InputError(f"{m} rows, {n} variables and {d} objectives make no program")
    return words[2] == "min", m, n, d, nonzeros, objective_nonzeros


def _entry(words: list[str], rows: int, columns: int) -> tuple[int, int, float]:
    if len(words) != 4:
        raise InputError(f"a line {words[0]!r} has three fields")
    i, j, value = int(words[1]), int(words[2]), float(words[3])
    if not (1 <= i <= rows and 1 <= j <= columns):
        raise InputError(f"entry ({i}, {j}) lies outside {rows} x {columns}")
    return i - 1, j - 1, value


def _bound(words: list[str], count: int) -> tuple[int, tuple[float, float]]:
    if len(words) < 3 or words[2] not in FIELDS or len(words) != 3 + FIELDS[words[2]]:
        raise InputError("a row or variable is `f`, `l v`, `u v`, `s v` or `d v v`")
    k, kind, values = int(words[1]), words[2], [float(word) for word in words[3:]]
    if not 1 <= k <= count:
        raise InputError(f"number {k} lies outside 1..{count}")
    low = -np.inf if kind in "fu" else values[0]
    high = np.inf if kind in "fl" else values[-1]
    return k - 1, (low, high)


def _matrix(entries: list[tuple[int, int, float]], rows: int, columns: int) -> sparse.csr_matrix:
    i, j, values = zip(*entries, strict=True) if entries else ((), (), ())
    return sparse.csr_matrix((values, (i, j)), shape=(rows, columns))
