"""Answers to show, in a file: one JSON object a line.

    {"name": "p00", "prompt": "Why is the sky blue?", "text": "Because …",
     "rewards": {"brevity": 0.8, "positivity": 0.4}}

``rewards`` by objective, as the portfolio normalises them; or ``measurements`` in the unit before that. ``prompt`` and
``text`` may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from palm_theory.errors import InputError
from palm_theory.files import write_atomically
from palm_theory.portfolio import Portfolio
from palm_theory.users.elicitation import Candidate


def read_candidates(path: str | Path, portfolio: Portfolio) -> tuple[Candidate, ...]:
    """The candidates of a file. Raises InputError where it cannot be read, holds none, or has a bad line (named)."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append(_candidate(json.loads(line), portfolio))
            except (ValueError, TypeError) as error:
                raise InputError(f"{path}, line {number}: {error}") from None
    if not found:
        raise InputError(f"{path} holds no answer")
    return tuple(found)


def _candidate(data: Any, portfolio: Portfolio) -> Candidate:
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise ValueError('needs an object with a "name"')
    if ("rewards" in data) == ("measurements" in data):
        raise ValueError('needs either "rewards" or "measurements"')
    numbers = data.get("rewards", data.get("measurements"))
    if not isinstance(numbers, dict) or set(numbers) != set(portfolio.objectives):
        raise ValueError(f"needs a number for each of {', '.join(portfolio.objectives)}")
    for key in ("prompt", "text"):
        if not (data.get(key) is None or isinstance(data[key], str)):
            raise ValueError(f"{key} must be text")
    vector = [float(numbers[name]) for name in portfolio.objectives]
    text, prompt = data.get("text"), data.get("prompt")
    if "measurements" in data:
        return Candidate.measured(data["name"], vector, portfolio.normalizers, text, prompt)
    return Candidate(data["name"], tuple(vector), text, prompt)


def write_candidates(path: str | Path, candidates: Sequence[Candidate], objectives: Sequence[str]) -> None:
    """Write candidates, whole or not at all. Raises ArtifactError where the disk is full."""
    lines = []
    for candidate in candidates:
        rewards = dict(zip(objectives, map(float, candidate.rewards), strict=True))
        data = {"name": candidate.name, "prompt": candidate.prompt, "text": candidate.text, "rewards": rewards}
        lines.append(json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n")
    write_atomically(Path(path), "".join(lines).encode())
