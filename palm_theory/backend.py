"""The contract of a backend: what the core asks of anything that can optimise a weighted sum of rewards."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.bounds import OracleError
from palm_theory.errors import BackendError, InputError, PalmError
from palm_theory.normalizer import IDENTITY, Normalizer
from palm_theory.simplex import Array, validate_weights
from palm_theory.storage import canonical_json, load_plain_data, save_plain_data, sha256
from palm_theory.value import Value, as_number

ENTRY_POINT_GROUP = "palm_theory.backends"

RANGE_TOLERANCE = 1e-9
"""How far, relative to R_max, a reward or regulariser may leave its range by rounding."""


class Status(Enum):
    """How a solve ended; the member's value is the text shown to people."""

    OPTIMAL = "solved to optimality"
    BOUNDED = "stopped early with an upper bound on the optimum"
    TRAINED = "trained, with no bound on the distance to the optimum"
    FAILED = "failed"


class Power(Enum):
    """An optional ability of a backend, declared in ``PolicyBackend.powers``."""

    OPTIMAL_VALUE = "optimal_value: exact J* at any weight, cheaply: audits ask for it at every corner weight"
    ALL_VALUES = "all_values: the values of every policy, where there are finitely many"
    SURROGATE = "surrogate: a cheap backend that forecasts this one"
    PAIRED_VALUES = "paired_values: what each evaluation unit gave, the same units for every policy"


@dataclass(frozen=True, eq=False)
class Solution:
    """The answer of ``optimize`` with its evidence.

    ``policy`` is π; ``value`` its R and f; ``upper_bound`` an upper bound on J*_w at the weights solved where the
    solver has one (a dual value, say); ``status`` how the solve ended, ``message`` the details of a failure. Raises
    InputError where one of the last three is of a wrong type.
    """

    policy: Any
    value: Value
    upper_bound: float | None = None
    status: Status = Status.OPTIMAL
    message: str = ""

    def __post_init__(self) -> None:
        if self.upper_bound is not None:
            object.__setattr__(self, "upper_bound", as_number(self.upper_bound, "upper_bound"))
        if not isinstance(self.status, Status):
            raise InputError(f"status must be a Status, got {self.status!r}")
        if not isinstance(self.message, str):
            raise InputError(f"message must be text, got {self.message!r}")


class PolicyBackend(ABC):
    """A set of policies with d rewards and a regulariser, and a way to maximise J_w(π) = ⟨w, R(π)⟩ − f(π).

    Laws (checked by ``palm_theory.testing``): rewards lie in [0, R_max] and f in [0, f_max]; ``optimize`` depends on
    the weights alone; ``evaluate(optimize(w).policy)`` gives the value of the solution; within the declared
    ``oracle_error``, ``optimize(w)`` beats every policy seen at w; J* is convex in w; saved policies load unchanged.
    """

    @property
    @abstractmethod
    def objectives(self) -> tuple[str, ...]:
        """Names of the d objectives, unique, in the order of the reward vector."""

    @property
    @abstractmethod
    def reward_max(self) -> float:
        """R_max > 0: every R(π) lies in [0, R_max]^d."""

    @property
    @abstractmethod
    def regularizer_max(self) -> float | None:
        """f_max: f(π) ≤ f_max for every policy ``optimize`` returns and for the optima, which are others where
        ``optimize`` is approximate; 0 without a regulariser, None if unknown."""

    @abstractmethod
    def optimize(self, weights: Array) -> Solution:
        """A policy that maximises J_w, for one validated weight vector (d,). A stochastic backend draws its seed
        from ``seed_for(its own seed, weights)``, so that the order of solves does not matter."""

    @abstractmethod
    def evaluate(self, policy: Any) -> Value:
        """R(π) and f(π)."""

    @property
    def oracle_error(self) -> OracleError | None:
        """(ε₀, δ₀) with J_w(optimize(w)) ≥ (1−ε₀)J*_w − δ₀ at every w, or None, the default, where none is known."""
        return None

    @property
    def evaluation_max(self) -> float | None:
        """The length of an interval in which every reward of every *single* evaluation lies, > 0, or None, the default,
        where none is known: R_max bounds R(π), an expectation, and one evaluation may be far above it. Confidence
        intervals of values with standard errors are a bound (empirical Bernstein) with it, an approximation without."""
        return None

    @property
    def has_reference(self) -> bool:
        """Whether some policy has f = 0; then J* ≥ 0 and F = min(f_max, R_max) in Theorem 1′."""
        return self.regularizer_max == 0

    @property
    def powers(self) -> frozenset[Power]:
        """The optional abilities this backend has; asked for, never guessed."""
        return frozenset()

    def optimal_value(self, weights: Array) -> float:
        """Exact J*_w (power OPTIMAL_VALUE) at one weight vector (d,)."""
        raise NotImplementedError(f"{type(self).__name__} does not declare {Power.OPTIMAL_VALUE}")

    def all_values(self) -> Sequence[Value]:
        """The values of every policy there is (power ALL_VALUES)."""
        raise NotImplementedError(f"{type(self).__name__} does not declare {Power.ALL_VALUES}")

    def surrogate(self) -> PolicyBackend:
        """A cheap backend whose optima forecast this one's (power SURROGATE)."""
        raise NotImplementedError(f"{type(self).__name__} does not declare {Power.SURROGATE}")

    def paired_values(self, policy: Any) -> Array:
        """Vertex values r − f·1 of ``policy`` on N ≥ 2 independent evaluation units, (N, d), the same units in the same
        order for every policy; their mean is that of ``evaluate`` (power PAIRED_VALUES). Certificates then come from
        paired differences (``palm_theory.paired``)."""
        raise NotImplementedError(f"{type(self).__name__} does not declare {Power.PAIRED_VALUES}")

    def paired_reference(self) -> Mapping[str, Sequence[Array]]:
        """Paired values (N, d) of further policies beside which a portfolio has to stand, under words that describe
        them; none by default. Only asked for where PAIRED_VALUES is declared."""
        return {}

    @property
    def normalizers(self) -> tuple[Normalizer, ...]:
        """How each objective's measurement became a reward; the identity unless the backend rescales."""
        return (IDENTITY,) * len(self.objectives)

    def describe(self) -> Mapping[str, Any]:
        """What identifies this problem, as JSON-able data: parameters, and digests of large arrays. It is stored with
        a portfolio and decides whether a journal belongs to this problem, so two different problems must differ."""
        return {}

    def label(self, policy: Any) -> str | None:
        """A short name of a policy for people, or None, the default."""
        return None

    def save_policy(self, policy: Any, folder: Path) -> None:
        """Write a policy into an existing, empty folder. The default takes plain data (numbers, strings, lists,
        dicts, numeric arrays)."""
        save_plain_data(policy, folder)

    def load_policy(self, folder: Path) -> Any:
        """Read a policy that ``save_policy`` wrote."""
        return load_plain_data(folder)


def problem_description(backend: PolicyBackend) -> dict[str, Any]:
    """What a backend is, as plain data: class, objectives, ranges and ``describe()``.

    Raises BackendError where ``describe()`` is not JSON-able.
    """
    kind = type(backend)
    description = {
        "backend": f"{kind.__module__}.{kind.__qualname__}",
        "objectives": list(backend.objectives),
        "reward_max": backend.reward_max,
        "regularizer_max": backend.regularizer_max,
        "normalizers": [normalizer.to_dict() for normalizer in backend.normalizers],
    }
    try:
        # What is read back from a file must compare equal: no tuples, and no keys but strings.
        return json.loads(canonical_json({**description, "parameters": dict(backend.describe())}))
    except (TypeError, ValueError) as error:
        raise BackendError(f"{kind.__name__}.describe() must return JSON-able data: {error}") from error


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


def seed_for(seed: int, weights: ArrayLike) -> int:
    """A 63-bit seed that depends on ``seed`` and the weights (d,) alone, for a stochastic ``optimize``."""
    data = f"{int(seed)}".encode() + np.ascontiguousarray(weights, dtype=np.float64).tobytes()
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big") >> 1


def check_backend(backend: PolicyBackend) -> None:
    """Check a backend's declarations before any work. Raises BackendError with what is wrong."""
    name = type(backend).__name__
    objectives = backend.objectives
    if isinstance(objectives, str) or not objectives or not all(isinstance(o, str) and o for o in objectives):
        raise BackendError(f"{name}.objectives must be one or more non-empty names, got {objectives!r}")
    if len(set(objectives)) != len(objectives):
        raise BackendError(f"{name}.objectives must be unique, got {objectives!r}")
    try:
        reward_max = as_number(backend.reward_max, f"{name}.reward_max")
        limit = backend.regularizer_max
        regularizer_max = 0.0 if limit is None else as_number(limit, f"{name}.regularizer_max")
        single = backend.evaluation_max
        evaluation_max = 1.0 if single is None else as_number(single, f"{name}.evaluation_max")
    except InputError as error:
        raise BackendError(str(error)) from None
    if not (math.isfinite(reward_max) and reward_max > 0):
        raise BackendError(f"{name}.reward_max must be finite and > 0, got {reward_max}")
    if not (math.isfinite(regularizer_max) and regularizer_max >= 0):
        raise BackendError(f"{name}.regularizer_max must be None or finite and >= 0, got {regularizer_max}")
    if not (math.isfinite(evaluation_max) and evaluation_max > 0):
        raise BackendError(f"{name}.evaluation_max must be None or finite and > 0, got {evaluation_max}")
    if backend.oracle_error is not None:
        try:
            OracleError(*backend.oracle_error).validated()
        except (TypeError, ValueError) as error:
            raise BackendError(f"{name}.oracle_error must be None or OracleError(epsilon, delta): {error}") from None
    if len(backend.normalizers) != len(objectives):
        raise BackendError(f"{name}.normalizers must be {len(objectives)}, one an objective")


def solve(backend: PolicyBackend, weights: Array) -> Solution:
    """``backend.optimize(weights)`` with its answer checked. This is the only way the core calls ``optimize``.

    Raises BackendError where the backend raises, reports a failure, or returns a wrong type or shape or a value out
    of range: a failed solve is an error, never coverage.
    """
    array = validate_weights(weights, len(backend.objectives))
    where = f"{type(backend).__name__}.optimize at weights {array.tolist()}"
    try:
        solution = backend.optimize(array)
    except PalmError as error:
        raise BackendError(f"{where}: {error}") from error
    except Exception as error:
        raise BackendError(f"{where} raised {type(error).__name__}: {error}") from error
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


def write_policy(backend: PolicyBackend, policy: Any, folder: Path) -> None:
    """``backend.save_policy``; OSError passes, any other foreign exception becomes a BackendError."""
    try:
        backend.save_policy(policy, folder)
    except (PalmError, OSError):
        raise
    except Exception as error:
        raise BackendError(f"{type(backend).__name__}.save_policy raised {type(error).__name__}: {error}") from error


def read_policy(backend: PolicyBackend, folder: Path) -> Any:
    """``backend.load_policy``; any foreign exception becomes a BackendError."""
    try:
        return backend.load_policy(folder)
    except PalmError:
        raise
    except Exception as error:
        raise BackendError(f"{type(backend).__name__}.load_policy raised {type(error).__name__}: {error}") from error


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
    """The least upper bound on J*_w that a solve at w (d,) proves: the solver's own, (J_w + δ₀)/(1−ε₀), or None."""
    bounds = []
    if solution.upper_bound is not None:
        bounds.append(solution.upper_bound)
    if oracle_error is not None:
        reached = solution.value.scalarize(weights)
        bounds.append((reached + oracle_error.delta) / (1 - oracle_error.epsilon))
    return min(bounds, default=None)


def resolve_backend(backend: PolicyBackend | type[PolicyBackend] | str) -> PolicyBackend:
    """An instance from an instance, a class (built with its defaults) or an entry-point name.

    Names come from the entry-point group ``palm_theory.backends``. Raises InputError on an unknown name, on anything
    that is not a backend, and where a class cannot be built without arguments; BackendError if ``check_backend`` fails.
    """
    if isinstance(backend, str):
        backend = backend_class(backend)
    if isinstance(backend, type) and issubclass(backend, PolicyBackend):
        try:
            backend = backend()
        except TypeError as error:
            raise InputError(f"{backend.__name__} needs arguments ({error}); pass an instance instead") from error
    if not isinstance(backend, PolicyBackend):
        raise InputError(f"backend must be a PolicyBackend, a subclass or a name, got {type(backend).__name__}")
    check_backend(backend)
    return backend


def backend_names() -> list[str]:
    """The names of all installed backends, sorted."""
    return sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP).names)


def backend_class(name: str) -> type[PolicyBackend]:
    """The class behind an entry-point name, not yet built. Raises InputError on an unknown or broken one."""
    found = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP, name=name)
    if not found:
        raise InputError(f"no backend named {name!r}; installed: {', '.join(backend_names()) or 'none'}")
    entry = next(iter(found))
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise InputError(f"backend {name!r} cannot be imported ({error}); install its extra") from error
