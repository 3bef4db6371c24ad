"""Multi-objective 0/1 knapsacks in the formats they are published in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backends.programs.files.raw import is_raw, parse_raw
from backends.programs.files.text import count_of, is_count, numbers_of, read_text
from backends.programs.program import LinearProgram
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array

KNAPSACK_FORMATS = ("kirlik-sayin", "voptlib", "mobkp", "zitzler-thiele", "raw")


@dataclass(frozen=True, eq=False)
class KnapsackData:
    """maximise V·x over x ∈ {0, 1}^n with A·x ≤ c: ``values`` V (d, n), ``weights`` A (m, n), ``capacities`` c (m,)."""

    values: Array
    weights: Array
    capacities: Array
    form: str


def read_knapsack(path: str | Path, form: str | None = None) -> KnapsackData:
    """A knapsack from a file.

    ``form`` is one of ``KNAPSACK_FORMATS``, or None to tell it from the content:

    - "kirlik-sayin": d, n, W, d rows of n values and n weights, with or without brackets (moolibrary, KP_p-3_*.dat)
    - "voptlib": n, d, m, then d·n values, m·n weights and m capacities; # starts a comment (vOptLib, UKP)
    - "mobkp": n d, W, then n rows of one weight and d values; what follows (the published front) is ignored
    - "zitzler-thiele": the ETH test problems, "knapsack 1: capacity: … item 1: weight: … profit: …"; the d knapsacks
      are d objectives and d resources
    - "raw": n m d, objective types, matrices and bounds (MOrepo's .fgt and .raw); every objective "maxsum"

    Raises InputError where the file fits none of them, or not the one asked for.
    """
    text = read_text(path)
    if form is not None and form not in KNAPSACK_FORMATS:
        raise InputError(f"form must be one of {', '.join(KNAPSACK_FORMATS)}, got {form!r}")
    if form == "zitzler-thiele" or (form is None and "capacity:" in text.lower()):
        return _zitzler_thiele(text, path)
    if form == "raw" or (form is None and is_raw(text)):
        return _of_program(parse_raw(text, path), path)
    return _of_numbers(numbers_of(text, path), path, form, bracketed="[" in text)


def _of_numbers(numbers: list[float], path: str | Path, form: str | None, *, bracketed: bool) -> KnapsackData:
    if len(numbers) < 5:
        raise InputError(f"{path} holds {len(numbers)} numbers, too few for a knapsack")
    data = np.array(numbers)
    first, second = numbers[0], numbers[1]
    if form is None:
        fits = [
            name
            for name, fit in (
                ("kirlik-sayin", len(data) == 3 + first * second + second),
                ("voptlib", len(data) == 3 + first * second + numbers[2] * (first + 1)),
                ("mobkp", len(data) in _mobkp_lengths(data)),
            )
            if fit
        ]
        if bracketed and "kirlik-sayin" in fits:
            fits = ["kirlik-sayin"]
        if len(fits) != 1:
            found = f"fits {' and '.join(fits)}: choose one" if fits else f"fits none of {', '.join(KNAPSACK_FORMATS)}"
            raise InputError(f"{path}: its {len(data)} numbers, beginning {data[:3].tolist()}, {found}")
        form = fits[0]
    if form == "kirlik-sayin":
        d, n = count_of(first, "objectives", path), count_of(second, "items", path)
        _expect(data, 3 + d * n + n, path, form)
        return KnapsackData(data[3 : 3 + d * n].reshape(d, n), data[None, 3 + d * n :], data[2:3], form)
    if form == "voptlib":
        n, d = count_of(first, "items", path), count_of(second, "objectives", path)
        m = count_of(numbers[2], "constraints", path)
        _expect(data, 3 + d * n + m * n + m, path, form)
        values, weights = data[3 : 3 + d * n], data[3 + d * n : 3 + (d + m) * n]
        return KnapsackData(values.reshape(d, n), weights.reshape(m, n), data[3 + (d + m) * n :], form)
    n, d = count_of(first, "items", path), count_of(second, "objectives", path)
    if len(data) < 3 + n * (d + 1):
        _expect(data, 3 + n * (d + 1), path, form)
    table = data[3 : 3 + n * (d + 1)].reshape(n, d + 1)
    return KnapsackData(table[:, 1:].T.copy(), table[None, :, 0].copy(), data[2:3], form)


def _mobkp_lengths(data: Array) -> tuple[float, ...]:
    """How long a mobkp file with these leading numbers is: without a front, or with the one whose size it names."""
    end = 3 + data[0] * (data[1] + 1)
    if not end < len(data):
        return (end,)
    return (end, end + 1 + data[int(end)] * data[1]) if is_count(end) else ()


def _expect(data: Array, count: int, path: str | Path, form: str) -> None:
    if len(data) != count:
        raise InputError(f"{path}: {form} needs {count} numbers for these sizes, the file holds {len(data)}")


def _zitzler_thiele(text: str, path: str | Path) -> KnapsackData:
    values, weights, capacities = [], [], []
    for part in re.split(r"(?im)^\s*knapsack\s+\d+\s*:", text)[1:]:
        found = {
            name: [_number(found, path) for found in re.findall(rf"{name}\s*:\s*([+-]?[\d.eE+-]+)", part)]
            for name in ("capacity", "weight", "profit")
        }
        if len(found["capacity"]) != 1 or not found["weight"] or len(found["weight"]) != len(found["profit"]):
            raise InputError(
                f"{path}: knapsack {len(capacities) + 1} needs one capacity, and a weight and a profit an item"
            )
        capacities.append(found["capacity"][0])
        weights.append(found["weight"])
        values.append(found["profit"])
    if not values or len({len(row) for row in values}) > 1:
        raise InputError(f"{path}: every knapsack needs the same number of items, got {[len(row) for row in values]}")
    promised = re.search(r"\(\s*(\d+)\s+knapsacks?\s*,\s*(\d+)\s+items?\s*\)", text)
    sizes = (len(values), len(values[0]))
    if promised and tuple(map(int, promised.groups())) != sizes:
        raise InputError(
            f"{path} promises {promised[1]} knapsacks of {promised[2]} items, the file holds {sizes[0]} of {sizes[1]}"
        )
    return KnapsackData(np.array(values), np.array(weights), np.array(capacities), "zitzler-thiele")


def _number(text: str, path: str | Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{path}: {text!r} is not a number") from None


def _of_program(program: LinearProgram, path: str | Path) -> KnapsackData:
    binary = np.all(program.lower == 0) and np.all(program.upper == 1)
    if any(program.minimize) or not binary or not np.all(np.isneginf(program.row_lower)):
        raise InputError(f"{path} is no knapsack (maximised, 0/1, rows <= only): use `palm build integer`")
    return KnapsackData(program.costs, program.matrix.toarray(), program.row_upper, "raw")
