"""The explorer: one HTML page on which a class, or a user, moves the weights and sees who serves and how well.

``write_page`` makes it from a portfolio. The page needs no server and asks nothing of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.problem import check_same_problem
from palm_theory.contract.value import Value
from palm_theory.explorer.data import page_data
from palm_theory.explorer.page import render
from palm_theory.explorer.references import reference_of
from palm_theory.explorer.subsets import SizedSubset, best_subsets
from palm_theory.explorer.teaching import example
from palm_theory.files import explained_disk_errors
from palm_theory.portfolio import Portfolio

__all__ = ["SizedSubset", "best_subsets", "example", "page_data", "reference_of", "render", "write_page"]


def write_page(
    portfolio: Portfolio,
    path: str | Path,
    *,
    backend: PolicyBackend | None = None,
    candidates: Sequence[Value] | None = None,
    answers: Mapping[str, Any] | None = None,
    title: str = "Portfolio explorer",
    command: str = "PORTFOLIO",
    budget: float = 20.0,
    advance: Callable[[], None] = lambda: None,
) -> Path:
    """Write the explorer of a portfolio into one HTML file, and return its path.

    Parameters
    ----------
    portfolio : K policies.
    path : the file to write; an existing one is replaced.
    backend : asked for J*, so that gaps are against all its policies. Without it the portfolio is its own reference,
        the stored certificate says what is known of J*, and the page says so.
    candidates : values of all policies there are to choose from, instead of a backend.
    answers : sampled answers of language models: ``prompts`` (N texts), ``replies`` (K lists of N), ``base`` (N texts
        of the base model, or None).
    title, command : the page's heading, and the portfolio's name in the commands that the page shows.
    budget : seconds for proving subsets the best of their size; see ``best_subsets``.
    advance : called after each size K, for progress bars.

    Raises ArtifactError where the file cannot be written, InputError for another problem's backend, and as ``audit``.
    """
    if backend is not None:
        check_same_problem(backend, portfolio.problem, portfolio.fingerprint)
    data = page_data(
        portfolio,
        backend=backend,
        candidates=candidates,
        answers=answers,
        title=title,
        command=command,
        budget=budget,
        advance=advance,
    )
    target = Path(path)
    with explained_disk_errors(target):
        target.write_text(render(data), encoding="utf-8")
    return target
