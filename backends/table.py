"""Policies that already exist: a table of measured scores, one policy a row."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.bounds import EXACT
from palm_theory.contract.backend import PolicyBackend, Power, Solution
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.contract.value import Value, frozen_array
from palm_theory.errors import InputError
from palm_theory.files import array_digest, canonical_json, sha256
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.simplex import Array

if TYPE_CHECKING:
    from pandas import DataFrame

Normalization = Literal["shift", "minmax", "none"]
NORMALIZATIONS: tuple[Normalization, ...] = ("shift", "minmax", "none")


class TableBackend(PolicyBackend, kind="backends.table.TableBackend"):
    """maximise ⟨w, R_k⟩ − f_k over the N rows of a table.

    Parameters
    ----------
    scores : a CSV file's path, a pandas DataFrame, or an array of shape (N, d).
    objectives : the columns that are maximised; with an array, names of its columns. Default: every column that no
        other argument names (CSV, DataFrame), or r1, r2, … (array).
    minimize : the columns that are minimised, after ``objectives`` in the reward vector. For an array, column names
        out of ``objectives``, whose order then stands.
    name : the column with the policies' names; row numbers otherwise.
    regularizer : the column with f_k ≥ 0, in the unit of the rewards; f = 0 otherwise.
    stderr : objective (or regulariser) name → the column with its standard error, in the measurement's unit.
    samples : how many independent evaluations every standard error comes from, if known.
    reward_max : R_max, at least the largest reward. Where it is given, single evaluations (normalised) must lie within
        a range of this length too: with ``samples`` it is what empirical Bernstein intervals need. By default the
        largest reward, a mean that bounds no single evaluation; then intervals are the normal approximation.
    normalization : how measurements become rewards ≥ 0, stored in ``normalizers``:
        "shift" (default) changes as little as possible: columns that are maximised and ≥ 0 stay as they are, negative
        ones have their minimum subtracted, minimised ones become maximum − value; nothing is rescaled.
        "minmax" maps every column to [0, 1], 1 the best (a constant column to 0).
        "none" takes the columns as they are and refuses negative or minimised ones.

    The table is the whole set of policies, so the oracle is exact. With standard errors it maximises the estimates,
    and certificates are made of confidence limits and carry a confidence. A policy is its row's number. Raises
    InputError on an empty table, ragged rows (with the line), unknown columns, and entries that are not finite.
    """

    def __init__(
        self,
        scores: str | Path | DataFrame | ArrayLike,
        *,
        objectives: Sequence[str] | None = None,
        minimize: Sequence[str] = (),
        name: str | None = None,
        regularizer: str | None = None,
        stderr: Mapping[str, str] | None = None,
        samples: int | None = None,
        normalization: Normalization = "shift",
        reward_max: float | None = None,
    ) -> None:
        if normalization not in NORMALIZATIONS:
            raise InputError(f"normalization must be one of {', '.join(NORMALIZATIONS)}, got {normalization!r}")
        columns, rows, in_order = _read(scores, objectives)
        errors = dict(stderr or {})
        special = {name, regularizer, *errors.values()} - {None}
        for column in [*(objectives or ()), *minimize, *special]:
            if column not in columns:
                raise InputError(f"unknown column {column!r}; the table has {', '.join(columns)}")
        if in_order:
            chosen = [column for column in columns if column not in special]
        else:
            kept = objectives if objectives is not None else [c for c in columns if c not in {*special, *minimize}]
            chosen = [*kept, *minimize]
        if not chosen or len(set(chosen)) != len(chosen):
            raise InputError(f"the objectives must be one or more distinct columns, got {chosen}")
        unknown = [key for key in errors if key not in {*chosen, regularizer}]
        if unknown:
            raise InputError(f"stderr names {unknown[0]!r}, which is neither an objective nor the regulariser")

        def numbers(column: str) -> Array:
            return _numbers(columns[column], column)

        measured = np.column_stack([numbers(column) for column in chosen])
        normalizers = tuple(
            _normalizer(measured[:, i], column, column in minimize, normalization) for i, column in enumerate(chosen)
        )
        applied = [normalizer.apply(measured[:, i]) for i, normalizer in enumerate(normalizers)]
        self._rewards = frozen_array(np.column_stack(applied), "scores")
        self._regularizers = frozen_array(numbers(regularizer) if regularizer else np.zeros(rows), "regularizer")
        if self._regularizers.min() < 0:
            raise InputError(f"the regulariser must be >= 0, row {int(self._regularizers.argmin())} is below")
        self._has_regularizer_column = regularizer is not None
        self.declared = Declarations(
            objectives=tuple(chosen),
            reward_max=self._largest(reward_max),
            regularizer_max=float(self._regularizers.max()),
            # The best row is found exactly. What the rows' errors leave open is for the certificate's interval.
            oracle_error=EXACT,
            has_reference=bool((self._regularizers == 0).any()),
            normalizers=normalizers,
            evaluation_max=self._largest(reward_max) if reward_max is not None else None,
        )
        self._stderr = self._reward_errors({key: numbers(column) for key, column in errors.items()})
        self._regularizer_stderr = numbers(errors[regularizer]) if regularizer in errors else None
        self._samples = None if reward_max is None else samples
        labels = [str(label) for label in columns[name]] if name else [str(row) for row in range(rows)]
        if len(set(labels)) != len(labels):
            raise InputError(f"policy names must be unique, column {name!r} repeats one")
        self._names = tuple(labels)
        self._values = frozen_array(self._rewards - self._regularizers[:, None], "scores")
        self._all = tuple(self._value(row) for row in range(rows))

    @classmethod
    def from_file(cls, path: Path, **options: Any) -> TableBackend:
        """The table of a CSV file; ``options`` are those of the class."""
        return cls(path, **options)

    def _largest(self, reward_max: float | None) -> float:
        """R_max as given; by default the largest reward in the table (1 where all are 0)."""
        largest = float(self._rewards.max())
        if reward_max is None:
            return largest or 1.0
        if not (math.isfinite(reward_max) and reward_max > 0 and reward_max >= largest):
            raise InputError(f"reward_max must be > 0 and at least the largest reward {largest}, got {reward_max}")
        return float(reward_max)

    def _reward_errors(self, columns: dict[str, Array]) -> Array | None:
        wanted = [objective for objective in self.objectives if objective in columns]
        if not wanted:
            return None
        errors = np.zeros_like(self._rewards)
        for i, objective in enumerate(self.objectives):
            if objective in columns:
                errors[:, i] = abs(self.normalizers[i].scale) * columns[objective]
        if errors.min() < 0:
            raise InputError("standard errors must be >= 0")
        return errors

    @property
    def names(self) -> tuple[str, ...]:
        """The policies' names, in row order."""
        return self._names

    @property
    def rewards(self) -> Array:
        """R, shape (N, d), after normalisation."""
        return self._rewards

    @property
    def is_estimate(self) -> bool:
        """Whether the table carries standard errors."""
        return self._stderr is not None or self._regularizer_stderr is not None

    @property
    def powers(self) -> frozenset[Power]:
        return frozenset({Power.OPTIMAL_VALUE, Power.ALL_VALUES})

    def describe(self) -> Mapping[str, Any]:
        description: dict[str, Any] = {
            "rewards": array_digest(self._rewards),
            "regularizers": array_digest(self._regularizers),
            "names": sha256(canonical_json(self._names).encode()),
        }
        if self._stderr is not None:
            description["rewards_stderr"] = array_digest(self._stderr)
        if self._regularizer_stderr is not None:
            description["regularizer_stderr"] = array_digest(self._regularizer_stderr)
        if self._samples is not None:
            description["samples"] = self._samples
        return description

    def optimize(self, weights: Array) -> Solution:
        row = int(lower_envelope(self._values, weights[None, :]).policy[0])
        return Solution(row, self.evaluate(row))

    def optimal_value(self, weights: Array) -> float:
        return float(lower_envelope(self._values, weights[None, :]).best[0])

    def evaluate(self, policy: Any) -> Value:
        """The row's numbers. Raises InputError unless ``policy`` is a row number in 0..N−1."""
        if isinstance(policy, bool) or not isinstance(policy, int) or not 0 <= policy < len(self._names):
            raise InputError(f"a policy of a table is a row number in 0..{len(self._names) - 1}, got {policy!r}")
        return self._all[policy]

    def _value(self, row: int) -> Value:
        return Value(
            self._rewards[row],
            float(self._regularizers[row]),
            rewards_stderr=None if self._stderr is None else self._stderr[row],
            regularizer_stderr=None if self._regularizer_stderr is None else float(self._regularizer_stderr[row]),
            samples=self._samples if self.is_estimate else None,
        )

    def label(self, policy: Any) -> str:
        return self._names[policy]

    def all_values(self) -> tuple[Value, ...]:
        """The values of all N policies, in row order."""
        return self._all


def _read(scores: Any, objectives: Sequence[str] | None) -> tuple[dict[str, Sequence[Any]], int, bool]:
    """Columns by name, the number of rows, and whether the columns' own order is the objectives'."""
    in_order = False
    if isinstance(scores, str | Path):
        columns = _read_csv(Path(scores))
    elif hasattr(scores, "columns") and hasattr(scores, "to_dict"):
        columns = {str(column): scores[column].tolist() for column in scores.columns}
    else:
        array = frozen_array(scores, "scores")
        if array.ndim != 2 or 0 in array.shape:
            raise InputError(f"scores must have shape (N, d) with N, d >= 1, got {array.shape}")
        names = list(objectives) if objectives is not None else [f"r{i + 1}" for i in range(array.shape[1])]
        if len(names) != array.shape[1] or len(set(names)) != len(names):
            raise InputError(f"objectives must be {array.shape[1]} distinct names, got {names}")
        columns, in_order = dict(zip(names, array.T.tolist(), strict=True)), True
    rows = len(next(iter(columns.values()), []))
    if rows == 0:
        raise InputError("the table is empty: it needs a header and at least one policy")
    return columns, rows, in_order


def _read_csv(path: Path) -> dict[str, Sequence[Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [cell.strip() for cell in next(reader, [])]
            if not header:
                raise InputError(f"{path} is empty: it needs a header and at least one policy")
            if len(set(header)) != len(header) or "" in header:
                raise InputError(f"{path}, line 1: column names must be distinct and not empty, got {header}")
            rows: list[list[str]] = []
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise InputError(
                        f"{path}, line {reader.line_num}: {len(row)} cells, but the header has {len(header)}"
                    )
                rows.append(row)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a UTF-8 CSV file: {error}") from error
    return {column: [row[i].strip() for row in rows] for i, column in enumerate(header)}


def _numbers(cells: Sequence[Any], column: str) -> Array:
    values = []
    for row, cell in enumerate(cells):
        try:
            value = float(cell)
        except (TypeError, ValueError):
            raise InputError(
                f"column {column!r}, row {row}: {cell!r} is not a number; name the objectives (--objective, "
                "--minimize), and the column with the policies' names (--name)"
            ) from None
        if not math.isfinite(value):
            raise InputError(f"column {column!r}, row {row}: {value} is not finite")
        values.append(value)
    return np.array(values)


def _normalizer(column: Array, name: str, minimized: bool, normalization: Normalization) -> Normalizer:
    low, high = float(column.min()), float(column.max())
    if normalization == "none":
        if minimized or low < 0:
            why = "is minimised" if minimized else f"has the negative value {low}"
            raise InputError(f"column {name!r} {why}; choose normalization 'shift' or 'minmax'")
        return IDENTITY
    sign = -1.0 if minimized else 1.0
    worst = high if minimized else low
    if normalization == "minmax":
        scale = sign / (high - low) if high > low else sign
        return Normalizer(scale, -scale * worst)
    if minimized or low < 0:
        return Normalizer(sign, -sign * worst)
    return IDENTITY
