"""``--against`` and the files that commands take: from a path and its options to a backend, or to rivals."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palm_theory.cli.options import TableColumns, TableOptions
from palm_theory.errors import InputError

if TYPE_CHECKING:
    from palm_theory.contract.backend import PolicyBackend
    from palm_theory.contract.value import Value
    from palm_theory.portfolio import Portfolio


def installed(name: str) -> Any:
    """The class of an installed backend, by its entry point."""
    from palm_theory.contract.registry import backend_class

    return backend_class(name)


def table_of(scores: Path, table: TableColumns) -> Any:
    """The ``table`` backend of a CSV file. Raises InputError on a file or options that it refuses."""
    return installed("table").from_file(scores, **table.parameters())


def built_from(portfolio: Portfolio, source: Path, table: TableOptions) -> PolicyBackend:
    """The problem that the portfolio was built from, out of its file; what the portfolio stores is not asked for again.

    Raises InputError where ``source`` is another problem, or its backend reads no files.
    """
    from palm_theory.contract.problem import problem_fingerprint
    from palm_theory.contract.registry import read_again

    is_table = _is_of_table(portfolio)
    found = read_again(portfolio.problem, source, **(table.parameters() if is_table else {}))
    if problem_fingerprint(found) != portfolio.fingerprint:
        if is_table:
            hint = "give the same --objective, --minimize, --name, ... as to palm build table"
        else:
            hint = f"is it the {source.suffix or 'same'} file that the portfolio was built from?"
        raise InputError(f"{source} is not the problem that the portfolio was made for; {hint}")
    return found


@dataclass(frozen=True, eq=False)
class Rivals:
    """What a portfolio is compared with: every policy of the problem it was built from (``backend``), or the
    ``candidates`` of a table, with the range ``evaluation_max`` of their and the portfolio's single evaluations."""

    backend: PolicyBackend | None = None
    candidates: Sequence[Value] | None = None
    evaluation_max: float | None = None


def rivals(portfolio: Portfolio, source: Path, table: TableOptions) -> Rivals:
    """Who is in a file: a .csv holds candidates; of a backend that reads files, any other is the problem that the
    portfolio was built from, and a table's is candidates all the same.

    Raises InputError as ``built_from``, and on candidates with other objectives, or normalised otherwise, than the
    portfolio's.
    """
    from palm_theory.contract.calls import all_values
    from palm_theory.contract.registry import class_of, reads_files
    from palm_theory.geometry.intervals import widest

    made = None if source.suffix.lower() == ".csv" else class_of(portfolio.problem)
    if made is not None and reads_files(made) and made is not installed("table"):
        return Rivals(built_from(portfolio, source, table))
    found = table_of(source, table)
    if found.objectives != portfolio.objectives:
        raise InputError(f"{source} has objectives {found.objectives}, the portfolio {portfolio.objectives}")
    if tuple(found.normalizers) != tuple(portfolio.normalizers):
        raise InputError(f"{source} is normalised otherwise than the portfolio was: its numbers do not compare")
    return Rivals(candidates=all_values(found), evaluation_max=widest(portfolio.evaluation_max, found.evaluation_max))


def _is_of_table(portfolio: Portfolio) -> bool:
    """Whether the portfolio's policies are rows of a table, whose columns the command line names."""
    return portfolio.problem.get("backend") == installed("table").kind


def weights_of(path: Path, objectives: tuple[str, ...]) -> list[list[float]]:
    """Weights of a CSV, one user a row, in the order of ``objectives``. Raises InputError with the line at fault."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in objectives if name not in (reader.fieldnames or [])]
            if missing:
                raise InputError(f"{path} has no column {missing[0]!r}")
            rows = []
            for row in reader:
                try:
                    rows.append([float(row[name]) for name in objectives])
                except (TypeError, ValueError):
                    raise InputError(f"{path}, line {reader.line_num}: not a number in every objective") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if not rows:
        raise InputError(f"{path} holds no weights")
    return rows
