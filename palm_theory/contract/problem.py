"""What tells one problem from another: a description as plain data, and its digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from palm_theory.contract.backend import PolicyBackend
from palm_theory.errors import BackendError, InputError
from palm_theory.files import canonical_json, sha256


def problem_description(backend: PolicyBackend) -> dict[str, Any]:
    """What a backend is, as plain data: kind, objectives, ranges and ``describe()``.

    Raises BackendError where ``describe()`` is not JSON-able.
    """
    description = {
        "backend": backend.kind,
        "objectives": list(backend.objectives),
        "reward_max": backend.reward_max,
        "regularizer_max": backend.regularizer_max,
        "normalizers": [normalizer.to_dict() for normalizer in backend.normalizers],
    }
    try:
        # What is read back from a file must compare equal: no tuples, and no keys but strings.
        return json.loads(canonical_json({**description, "parameters": dict(backend.describe())}))
    except (TypeError, ValueError) as error:
        raise BackendError(f"{type(backend).__name__}.describe() must return JSON-able data: {error}") from error


def problem_fingerprint(backend: PolicyBackend) -> str:
    """SHA-256 of ``problem_description``: equal for equal problems."""
    return sha256(canonical_json(problem_description(backend)).encode())


def differing_parts(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The names of what differs between two descriptions, parameters by their own names, for people."""
    parts = sorted(key for key in {*one, *other} - {"parameters"} if one.get(key) != other.get(key))
    ours, theirs = (dict(description.get("parameters") or {}) for description in (one, other))
    parts += sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
    return ", ".join(parts)


def check_same_problem(backend: PolicyBackend, problem: Mapping[str, Any], fingerprint: str) -> None:
    """Raise InputError, saying what differs, unless ``backend`` is the described problem of that fingerprint."""
    if problem_fingerprint(backend) != fingerprint:
        differing = differing_parts(problem, problem_description(backend))
        raise InputError(f"this backend is not the problem the portfolio was made for (different: {differing})")
