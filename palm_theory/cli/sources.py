"""``--against``: the problem that a saved portfolio was built from, out of its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from palm_theory.cli.build import array_backend, table_backend
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.problem import problem_fingerprint
from palm_theory.errors import InputError
from palm_theory.portfolio import Portfolio

ARRAYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "backends.bandit.BanditBackend": ("bandit", ("beta",)),
    "backends.mdp.MDPBackend": ("mdp", ("discount", "horizon", "beta")),
}
"""Class that a portfolio names → its entry point, and the parameters it stores that an .npz file does not hold."""

TABLE = "backends.table.TableBackend"


def is_of_arrays(portfolio: Portfolio) -> bool:
    """Whether the portfolio was built from an .npz file of arrays."""
    return portfolio.problem.get("backend") in ARRAYS


def built_from(portfolio: Portfolio, source: Path, options: tuple[Any, ...]) -> PolicyBackend:
    """The backend that the portfolio was built from; parameters that it stores are not asked for again. ``options``
    as for ``table_backend``.

    Raises InputError where ``source`` is another problem, or the portfolio's cannot be read from a file.
    """
    made_by = str(portfolio.problem.get("backend"))
    if made_by in ARRAYS:
        kind, names = ARRAYS[made_by]
        parameters = portfolio.problem["parameters"]
        found = array_backend(kind, source, **{name: parameters[name] for name in names})
        hint = "is it the .npz file that the portfolio was built from?"
    elif made_by == TABLE:
        found = table_backend(source, *options)
        hint = "give the same --objective, --minimize, --name, ... as to palm build table"
    else:
        raise InputError(
            f"--against reads tables, bandits and MDPs; this portfolio is {made_by}'s: use --backend or Python"
        )
    if problem_fingerprint(found) != portfolio.fingerprint:
        raise InputError(f"{source} is not the problem that the portfolio was made for; {hint}")
    return found
