"""The only way the core calls a backend: every answer is checked, every foreign exception becomes a BackendError."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from palm_theory.bounds import EXACT, OracleError
from palm_theory.contract.backend import PolicyBackend, Solution, Status, Witness
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.value import Value
from palm_theory.errors import BackendError, InputError, PalmError
from palm_theory.geometry.simplex import Array, validate_weights

RANGE_TOLERANCE = 1e-9
"""How far, relative to R_max, a reward or regulariser may leave its range by rounding."""


def check_backend(backend: PolicyBackend) -> None:
    """Check a backend's declarations before any work. Raises BackendError with what is wrong."""
    try:
        Declarations.of(backend).validated()
    except InputError as error:
        raise BackendError(f"{type(backend).__name__}.{error}") from None


def solve(backend: PolicyBackend, weights: Array) -> Solution:
    """``backend.optimize(weights)`` with its answer checked. This is the only way the core calls ``optimize``.

    Raises BackendError where the backend raises, reports a failure, or returns a wrong type or shape or a value out
    of range: a failed solve is an error, never coverage.
    """
    array = validate_weights(weights, len(backend.objectives))
    with _guarded(backend, f"optimize at weights {array.tolist()}", passing=()) as where:
        solution = backend.optimize(array)
    if not isinstance(solution, Solution):
        raise BackendError(f"{where} returned {type(solution).__name__}, not a Solution")
    if solution.status is Status.FAILED:
        raise BackendError(f"{where} failed: {solution.message or 'no reason given'}")
    check_value(backend, solution.value, where)
    bound = solution.upper_bound
    if bound is not None:
        reached = solution.value.scalarize(array)
        if not math.isfinite(bound) or bound < reached - RANGE_TOLERANCE * backend.reward_max:
            raise BackendError(f"{where} returned upper_bound={bound}; it must be finite and at least J_w={reached}")
    return solution


def optimal_bracket(backend: PolicyBackend, weights: Array) -> tuple[float, float]:
    """``backend.optimal_bracket`` at weights (d,), with its answer checked: finite, and reached ≤ upper.

    A bracket that rounding turned round by at most ``RANGE_TOLERANCE``·R_max is put right. Raises BackendError where
    the backend raises or returns anything else.
    """
    array = validate_weights(weights, len(backend.objectives))
    with _guarded(backend, f"optimal_bracket at weights {array.tolist()}", passing=()) as where:
        reached, upper = (float(number) for number in backend.optimal_bracket(array))
    if not (math.isfinite(reached) and reached <= upper + RANGE_TOLERANCE * backend.reward_max < math.inf):
        raise BackendError(f"{where} returned {reached}, {upper}; it must be two finite numbers, reached <= upper")
    return reached, max(reached, upper)


def witness(backend: PolicyBackend, weights: Array) -> Witness:
    """``backend.witness`` at weights (d,). Raises BackendError where it raises or gives no finite bound."""
    array = validate_weights(weights, len(backend.objectives))
    with _guarded(backend, f"witness at weights {array.tolist()}", passing=()) as where:
        found = backend.witness(array)
    if not isinstance(found, Witness) or not math.isfinite(found.upper):
        raise BackendError(f"{where} returned {found!r}, not a Witness with a finite bound")
    return found


def witnessed_problem(backend: PolicyBackend) -> Mapping[str, Any]:
    """``backend.witnessed_problem``. Raises BackendError where it raises or names no type."""
    with _guarded(backend, "witnessed_problem") as where:
        problem = dict(backend.witnessed_problem())
    if not isinstance(problem.get("type"), str):
        raise BackendError(f"{where} returned a problem of no type")
    return problem


def optimal_value(backend: PolicyBackend, weights: Array) -> float:
    """``backend.optimal_value``, a finite number, at one weight vector (d,). Errors as of ``solve``."""
    array = validate_weights(weights, len(backend.objectives))
    with _guarded(backend, f"optimal_value at weights {array.tolist()}", passing=()) as where:
        value = float(backend.optimal_value(array))
    if not math.isfinite(value):
        raise BackendError(f"{where} returned {value}")
    return value


def evaluate(backend: PolicyBackend, policy: Any, name: str) -> Value:
    """``backend.evaluate`` of the policy called ``name``, checked. Raises BackendError where it is no such value."""
    with _guarded(backend, f"evaluate of policy {name}") as where:
        value = backend.evaluate(policy)
    check_value(backend, value, where)
    return value


def all_values(backend: PolicyBackend) -> list[Value]:
    """``backend.all_values``, each checked. Raises BackendError where there are none, or one is no value."""
    with _guarded(backend, "all_values") as where:
        values = list(backend.all_values())
    if not values:
        raise BackendError(f"{where} returned no values")
    for number, value in enumerate(values):
        check_value(backend, value, f"{where}, value {number},")
    return values


def surrogate(backend: PolicyBackend) -> PolicyBackend:
    """``backend.surrogate`` with its declarations checked: a backend of as many objectives, or a BackendError."""
    with _guarded(backend, "surrogate") as where:
        cheap = backend.surrogate()
    if not isinstance(cheap, PolicyBackend):
        raise BackendError(f"{where} returned {type(cheap).__name__}, not a PolicyBackend")
    check_backend(cheap)
    if len(cheap.objectives) != len(backend.objectives):
        raise BackendError(f"{where} has {len(cheap.objectives)} objectives, not {len(backend.objectives)}")
    return cheap


def paired_values(backend: PolicyBackend, policy: Any) -> Array:
    """``backend.paired_values`` as float64, (N, d). Raises BackendError on another shape and on what is no number."""
    with _guarded(backend, "paired_values") as where:
        values = np.asarray(backend.paired_values(policy), dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(backend.objectives) or not np.all(np.isfinite(values)):
        raise BackendError(f"{where} gave an array of shape {values.shape}, or no numbers")
    return values


def paired_reference(backend: PolicyBackend) -> Mapping[str, Sequence[Array]]:
    """``backend.paired_reference``: words, and paired values (N, d) of the policies they describe."""
    with _guarded(backend, "paired_reference"):
        return dict(backend.paired_reference())


def label(backend: PolicyBackend, policy: Any) -> str | None:
    """``backend.label``: a short name for people, or None."""
    with _guarded(backend, "label"):
        return backend.label(policy)


def write_policy(backend: PolicyBackend, policy: Any, folder: Path) -> None:
    """``backend.save_policy``; OSError passes."""
    with _guarded(backend, "save_policy", passing=(PalmError, OSError)):
        backend.save_policy(policy, folder)


def read_policy(backend: PolicyBackend, folder: Path) -> Any:
    """``backend.load_policy``."""
    with _guarded(backend, "load_policy"):
        return backend.load_policy(folder)


@contextlib.contextmanager
def _guarded(
    backend: PolicyBackend, call: str, *, passing: tuple[type[Exception], ...] = (PalmError,)
) -> Iterator[str]:
    """Turn what ``backend`` raises in a call into a BackendError that says where, in the words yielded.

    ``passing`` errors pass as they are: by default those raised on purpose, which say what is wrong themselves.
    """
    where = f"{type(backend).__name__}.{call}"
    try:
        yield where
    except passing:
        raise
    except PalmError as error:
        raise BackendError(f"{where}: {error}") from error
    except Exception as error:
        raise BackendError(f"{where} raised {type(error).__name__}: {error}") from error


def check_value(backend: PolicyBackend, value: Any, where: str) -> None:
    """Raise BackendError unless ``value`` is a Value of d rewards in [0, R_max] and f in [0, f_max], to rounding."""
    if not isinstance(value, Value):
        raise BackendError(f"{where} returned a value of type {type(value).__name__}, not a Value")
    d = len(backend.objectives)
    if value.rewards.shape != (d,):
        raise BackendError(f"{where} returned rewards of shape {value.rewards.shape}, not ({d},)")
    tolerance = RANGE_TOLERANCE * backend.reward_max
    low, high = float(value.rewards.min()), float(value.rewards.max())
    if low < -tolerance or high > backend.reward_max + tolerance:
        bad = int(value.rewards.argmin() if low < -tolerance else value.rewards.argmax())
        raise BackendError(
            f"{where} returned {value.rewards[bad]} for objective {backend.objectives[bad]!r}; "
            f"rewards must lie in [0, {backend.reward_max}]"
        )
    limit = backend.regularizer_max
    if value.regularizer_stderr is not None:
        return
    if value.regularizer < -tolerance or (limit is not None and value.regularizer > limit + tolerance):
        raise BackendError(f"{where} returned regulariser {value.regularizer}; it must lie in [0, {limit}]")


def upper_bound_at(solution: Solution, weights: Array, oracle_error: OracleError | None) -> float | None:
    """The least upper bound on J*_w that a solve at w (d,) proves: the solver's own, (J_w + δ₀)/(1−ε₀), or None.

    An oracle declared exact is so to rounding. Where its solve has a bound of its own, that says how far rounding went.
    """
    bounds = []
    if solution.upper_bound is not None:
        bounds.append(solution.upper_bound)
    if oracle_error is not None and not (bounds and oracle_error == EXACT):
        reached = solution.value.scalarize(weights)
        bounds.append((reached + oracle_error.delta) / (1 - oracle_error.epsilon))
    return min(bounds, default=None)
