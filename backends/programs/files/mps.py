"""MPS files with several N rows, each an objective (PolySCIP's .mop, CPLEX's and Gurobi's multi-objective MPS)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from backends.programs.program import LinearProgram, linear_program
from palm_theory.errors import InputError

SECTIONS = ("NAME", "OBJSENSE", "OBJSENSEMAX", "OBJSENSEMIN", "ROWS", "COLUMNS", "RHS", "RANGES", "BOUNDS", "ENDATA")
INTEGER_BOUNDS = ("BV", "LI", "UI")


class _Reader:
    """The state of one file: rows and columns by name, in their order."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.columns: dict[str, int] = {}
        self.integer: list[bool] = []
        self.entries: list[tuple[str, int, float]] = []
        self.sides: dict[str, float] = {}
        self.ranges: dict[str, float] = {}
        self.lower: dict[int, float] = {}
        self.upper: dict[int, float] = {}
        self.maximize = False
        self.section = ""
        self.in_integers = False

    def line(self, words: list[str]) -> None:
        section = self.section
        if section == "OBJSENSE":
            self._sense(words[0])
        elif section == "ROWS":
            if len(words) < 2 or words[0].upper() not in "NLGE" or words[1] in self.kinds:
                raise InputError("a row is `N|L|G|E name`, each name once")
            self.kinds[words[1]] = words[0].upper()
        elif section == "COLUMNS":
            self._column(words)
        elif section in ("RHS", "RANGES"):
            # The name of the set may be left out.
            for row, value in _pairs(words[1:] if len(words) % 2 else words):
                self._known(row)
                (self.sides if section == "RHS" else self.ranges)[row] = value
        elif section == "BOUNDS":
            self._bound(words)
        else:
            raise InputError(f"unexpected line in section {section or 'none'!r}")

    def _sense(self, word: str) -> None:
        if word.upper() not in ("MAX", "MAXIMIZE", "MIN", "MINIMIZE"):
            raise InputError(f"OBJSENSE must be MAX or MIN, got {word!r}")
        self.maximize = word.upper().startswith("MAX")

    def _column(self, words: list[str]) -> None:
        if len(words) >= 3 and words[1].strip("'\"").upper() == "MARKER":
            self.in_integers = words[2].strip("'\"").upper() == "INTORG"
            return
        if len(words) % 2 == 0:
            raise InputError("a column line is `name row value [row value]`")
        if words[0] not in self.columns:
            self.columns[words[0]] = len(self.columns)
            self.integer.append(self.in_integers)
        for row, value in _pairs(words[1:]):
            self._known(row)
            self.entries.append((row, self.columns[words[0]], value))

    def _bound(self, words: list[str]) -> None:
        kind, rest = words[0].upper(), words[1:]
        bare = kind in ("FR", "MI", "PL", "BV")
        # The name of the set may be left out here too.
        name = rest[-1] if bare and rest[-1] in self.columns else rest[-2] if len(rest) > 1 else ""
        if name not in self.columns:
            raise InputError(f"no column {name!r}")
        j = self.columns[name]
        value = 0.0 if bare else float(rest[-1])
        if kind in INTEGER_BOUNDS:
            self.integer[j] = True
        if kind in ("LO", "LI", "FX"):
            self.lower[j] = value
        if kind in ("UP", "UI", "FX"):
            self.upper[j] = value
            if kind != "FX" and value < 0 and j not in self.lower:
                self.lower[j] = -np.inf
        if kind in ("FR", "MI"):
            self.lower[j] = -np.inf
        if kind in ("FR", "PL"):
            self.upper[j] = np.inf
        if kind == "BV":
            self.lower[j], self.upper[j] = 0.0, 1.0
        if kind not in ("LO", "UP", "FX", "FR", "MI", "PL", *INTEGER_BOUNDS):
            raise InputError(f"bound type {kind!r} is not read")

    def _known(self, row: str) -> None:
        if row not in self.kinds:
            raise InputError(f"no row {row!r}")

    def program(self) -> LinearProgram:
        objectives = [name for name, kind in self.kinds.items() if kind == "N"]
        rows = [name for name, kind in self.kinds.items() if kind != "N"]
        n = len(self.columns)
        number = {name: k for k, name in enumerate([*objectives, *rows])}
        d = len(objectives)
        if not objectives or n == 0:
            raise InputError("the file has no N row, or no column")
        table: Any = sparse.coo_matrix(
            (
                [value for _, _, value in self.entries],
                ([number[row] for row, _, _ in self.entries], [j for _, j, _ in self.entries]),
            ),
            shape=(len(number), n),
        ).tocsr()
        pairs = np.array([self._row_bounds(name) for name in rows]).reshape(len(rows), 2)
        integer = np.array(self.integer)
        lower = np.array([self.lower.get(j, 0.0) for j in range(n)])
        # An integer variable without bounds is binary in some readers and unbounded in others; the MPS of CPLEX says 1.
        upper = np.array([self.upper.get(j, 1.0 if integer[j] and j not in self.lower else np.inf) for j in range(n)])
        return linear_program(
            table[:d].toarray(),
            table[d:],
            pairs[:, 0],
            pairs[:, 1],
            minimize=not self.maximize,
            lower=lower,
            upper=upper,
            integer=integer,
            objectives=objectives,
            # By the convention of MPS a right-hand side of an objective is minus its constant.
            constants=np.array([-self.sides.get(name, 0.0) for name in objectives]),
        )

    def _row_bounds(self, name: str) -> tuple[float, float]:
        side, kind, width = self.sides.get(name, 0.0), self.kinds[name], self.ranges.get(name)
        low, high = (-np.inf if kind == "L" else side), (np.inf if kind == "G" else side)
        if width is not None:
            if kind == "E":
                low, high = (side, side + width) if width >= 0 else (side + width, side)
            elif kind == "L":
                low = side - abs(width)
            else:
                high = side + abs(width)
        return low, high


def parse_mps(text: str, path: str | Path) -> LinearProgram:
    """Free or fixed MPS without spaces in names; every N row is an objective, in order; all are minimised unless
    OBJSENSE says MAX. Numbers after the name of an N row (priorities, weights, tolerances) are ignored.

    Raises InputError with the line's number on anything else, and where the file ends before ENDATA.
    """
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("*"):
            continue
        words = line.split()
        try:
            if not line[0].isspace() and words[0].upper() in SECTIONS:
                reader.section = words[0].upper()
                if reader.section == "ENDATA":
                    break
                if reader.section == "OBJSENSE" and len(words) > 1:
                    reader.line(words[1:])
                if reader.section in ("OBJSENSEMAX", "OBJSENSEMIN"):
                    reader.maximize = reader.section.endswith("MAX")
            else:
                reader.line(words)
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        except (ValueError, IndexError):
            raise InputError(f"{path}, line {number}: cannot read {line.strip()!r}") from None
    if reader.section != "ENDATA":
        raise InputError(f"{path} ends without ENDATA: it is cut short")
    try:
        return reader.program()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _pairs(words: list[str]) -> list[tuple[str, float]]:
    return [(words[k], float(words[k + 1])) for k in range(0, len(words), 2)]
