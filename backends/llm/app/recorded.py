"""What the policies of a saved portfolio said when they were measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backends.llm.measure.evaluation import Measured, load_measured
from backends.llm.work.jobs import MEASURED_FILE
from palm_theory.errors import ArtifactError
from palm_theory.portfolio import Portfolio

EVALUATIONS_FOLDER = "evaluations"


def recorded_answers(portfolio: Portfolio, runs: Path) -> dict[str, Any] | None:
    """The prompts that policies were measured on, and one reply of each policy to each; None where none is on disk.

    ``replies`` has a list for every policy (None where its evaluation is not in ``runs``/evaluations), ``base`` those
    of the base model, or None. An evaluation belongs to the policy whose value it gives, bit for bit.
    """
    parameters = portfolio.problem.get("parameters")
    prompts = [text for text, _ in parameters.get("held_out", ())] if isinstance(parameters, dict) else []
    measured = [one for one in _all_measured(runs) if len(one.replies) == len(prompts)]
    values = [one.value() for one in measured]
    replies: list[list[str] | None] = []
    for member in portfolio:
        own = [one for one, value in zip(measured, values, strict=True) if value.same_numbers(member.value)]
        replies.append(list(own[0].replies) if own else None)
    if all(row is None for row in replies):
        return None
    base = [one for one in measured if not one.divergence.any()]
    return {"prompts": prompts, "replies": replies, "base": list(base[0].replies) if base else None}


def _all_measured(runs: Path) -> list[Measured]:
    found = []
    for path in sorted((runs / EVALUATIONS_FOLDER).glob(f"*/{MEASURED_FILE}")):
        try:
            found.append(load_measured(path))
        except ArtifactError:
            # Another policy's, or half deleted: answers are an extra, and what can be shown is shown.
            continue
    return found
