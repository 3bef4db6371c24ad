"""A portfolio as a set of outcome points: in original units, the extreme nondominated ones, beside a published set."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.contract.normalizer import Normalizer
from palm_theory.contract.value import Value
from palm_theory.errors import InputError
from palm_theory.files import explained_disk_errors
from palm_theory.geometry.envelope import essential_policies
from palm_theory.geometry.simplex import Array, as_float_array

MATCH_TOLERANCE = 1e-6
"""Points are the same where every coordinate agrees within this multiple of max(1, its size)."""


def original_points(values: Sequence[Value], normalizers: Sequence[Normalizer]) -> Array:
    """The measurements behind rewards R_k, (K, d): in the units and orientation of the problem's source."""
    rewards = np.stack([value.rewards for value in values])
    columns = [normalizer.invert(rewards[:, i]) for i, normalizer in enumerate(normalizers)]
    return np.column_stack(columns) + 0.0


def extreme_points(points: ArrayLike, normalizers: Sequence[Normalizer]) -> np.ndarray:
    """Indices, increasing, of the extreme supported nondominated points among ``points`` (K, d), in original units.

    These are the vertices of conv(points) ± R^d_≥0, the points that are the only optimum at some weights: the ones
    that multi-objective codes publish. A point that is optimal only at weights with zeros may be dominated, and is no
    vertex of that set; one on a face between others is not extreme; of equal points the first counts. Equality is to
    1e-12 relative to the values. Raises InputError on another shape or an empty table.
    """
    table = as_float_array(points, "points")
    if table.ndim != 2 or len(table) == 0 or table.shape[1] != len(normalizers):
        raise InputError(f"points must have shape (K, {len(normalizers)}) with K >= 1, got {table.shape}")
    signs = np.array([np.sign(normalizer.scale) for normalizer in normalizers])
    return essential_policies(table * signs)


@dataclass(frozen=True, eq=False)
class PointMatch:
    """Found points beside published ones, all in original units.

    ``published`` counts the published points, ``extreme`` those of them that are extreme nondominated among
    themselves. ``missing`` holds the extreme ones that were not found, ``unexpected`` the found points that match no
    published one.
    """

    found: int
    published: int
    extreme: int
    missing: Array
    unexpected: Array

    @property
    def equal(self) -> bool:
        """Whether the two sets are the same."""
        return len(self.missing) == len(self.unexpected) == 0


def compare_points(
    found: Array, published: ArrayLike, normalizers: Sequence[Normalizer], tolerance: float = MATCH_TOLERANCE
) -> PointMatch:
    """Compare extreme points (K, d) with a published set, which may hold other nondominated points besides."""
    table = as_float_array(published, "published points")
    extreme = table[extreme_points(table, normalizers)]
    return PointMatch(
        found=len(found),
        published=len(table),
        extreme=len(extreme),
        missing=extreme[~_matched(extreme, found, tolerance)],
        unexpected=found[~_matched(found, table, tolerance)],
    )


def _matched(points: Array, others: Array, tolerance: float) -> np.ndarray:
    """For each point whether some other agrees with it in every coordinate."""
    allowed = tolerance * np.maximum(1.0, np.abs(points))
    return np.array(
        [bool(np.any(np.all(np.abs(others - p) <= a, axis=1))) for p, a in zip(points, allowed, strict=True)]
    )


def read_points(path: str | Path, normalizers: Sequence[Normalizer]) -> Array:
    """Points (K, d) from a file, in the orientation that the d normalisers say.

    Text has d numbers a line, apart by commas or white space; a first line of names is skipped, # starts a comment.
    JSON is a list of lists or of objects, or a result of MOrepo: objects with z1, …, zd under "points", where those of
    "type" other than "se" (supported extreme) are left out, and a "direction" other than the problem's flips the sign.
    Raises InputError on lines of other lengths.
    """
    objectives = len(normalizers)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if Path(path).suffix.lower() == ".json":
        try:
            rows = _json_rows(json.loads(text), normalizers)
        except json.JSONDecodeError as error:
            raise InputError(f"{path} is not JSON: {error}") from error
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise InputError(f"{path} holds no points of {objectives} numbers: {error}") from error
    else:
        rows = []
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split("#")[0].translate(str.maketrans(",;[]()", "      ")).split()
            if not words:
                continue
            try:
                row = [float(word) for word in words]
            except ValueError:
                if rows:
                    raise InputError(f"{path}, line {number}: not numbers: {line.strip()!r}") from None
                continue
            if len(row) != objectives:
                raise InputError(
                    f"{path}, line {number}: {len(row)} numbers where {objectives} objectives need as many"
                )
            rows.append(row)
    table = as_float_array(rows, f"the points of {path}")
    if table.ndim != 2 or table.shape[1] != objectives or len(table) == 0 or not np.all(np.isfinite(table)):
        raise InputError(f"{path} must hold points of {objectives} finite numbers, got shape {table.shape}")
    return table


def _json_rows(data: Any, normalizers: Sequence[Normalizer]) -> list[list[float]]:
    if isinstance(data, list):
        return [list(row.values()) if isinstance(row, dict) else row for row in data]
    maximized = ["max" if normalizer.scale > 0 else "min" for normalizer in normalizers]
    signs = [1 if own == given else -1 for own, given in zip(maximized, data.get("direction", maximized), strict=True)]
    extreme = [point for point in data["points"] if point.get("type", "se") == "se"]
    return [[sign * point[f"z{i}"] for i, sign in enumerate(signs, 1)] for point in extreme]


def write_points(path: str | Path, points: Array, objectives: Sequence[str]) -> None:
    """Points (K, d) as JSON (a list of objects) where the name ends in .json, as CSV with a header where in .csv.

    Raises InputError on any other ending.
    """
    target = Path(path)
    if target.suffix.lower() not in (".json", ".csv"):
        raise InputError(f"points are written as .csv or .json, not {target.suffix or 'without an ending'}")
    rows = plain_points(points)
    with explained_disk_errors(target):
        if target.suffix.lower() == ".json":
            data = [dict(zip(objectives, row, strict=True)) for row in rows]
            target.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        else:
            with target.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows([list(objectives), *rows])


def plain_points(points: Array) -> list[list[int | float]]:
    """Points (K, d) as numbers, whole ones as integers, in lexicographic order."""
    ordered = points[np.lexsort(points.T[::-1])] if len(points) else points
    return [[int(x) if x == int(x) and abs(x) < 2**53 else float(x) for x in row] for row in ordered]
