"""The contract of a backend: what the core asks of anything that can optimise a weighted sum of rewards."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.contract.declarations import Declarations, Fact
from palm_theory.contract.value import Value, as_number
from palm_theory.errors import InputError
from palm_theory.files import load_plain_data, save_plain_data
from palm_theory.geometry.simplex import Array

if TYPE_CHECKING:
    from palm_theory.bounds import OracleError
    from palm_theory.contract.normalizer import Normalizer


class Status(Enum):
    """How a solve ended; the member's value is the text shown to people."""

    OPTIMAL = "solved to optimality"
    BOUNDED = "stopped early with an upper bound on the optimum"
    TRAINED = "trained, with no bound on the distance to the optimum"
    FAILED = "failed"


class Power(Enum):
    """An optional ability of a backend, declared in ``PolicyBackend.powers``."""

    OPTIMAL_VALUE = "optimal_value, optimal_bracket: J* at any weight, cheaply, so audits ask at every corner"
    ALL_VALUES = "all_values: the values of every policy, where there are finitely many"
    SURROGATE = "surrogate: a cheap backend that forecasts this one"
    WITNESSES = "witnesses: upper bounds on J* with reasons that anyone can check in exact arithmetic"
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


class Witness(NamedTuple):
    """J*_w ≤ ``upper``, a float64 not below what the witness ``data`` proves of ``witnessed_problem()`` at w/Σw.

    "decision": (V (S,), ρ) with V ≥ 0 and TV ≤ V + ρ in every state, so J* ≤ ⟨start, V⟩ + ρ/(1−γ). "linear": the row
    multipliers (m,).
    """

    upper: float
    data: tuple[Any, ...]


class PolicyBackend(ABC):
    """A set of policies with d rewards and a regulariser, and a way to maximise J_w(π) = ⟨w, R(π)⟩ − f(π).

    Laws (checked by ``palm_theory.testing``): rewards lie in [0, R_max] and f in [0, f_max]; ``optimize`` depends on
    the weights alone; ``evaluate(optimize(w).policy)`` gives the value of the solution; within the declared
    ``oracle_error``, ``optimize(w)`` beats every policy seen at w; J* is convex in w; saved policies load unchanged.

    ``class MyBackend(PolicyBackend, kind="my-package/my-backend")`` declares the word under which its problems are
    stored. Declare one and never change it: without it the class's import path is the word, and a class that moves
    makes every folder it wrote foreign. A subclass has a word of its own, being another problem.

    What it declares of its objectives and ranges is ``declared``, which a constructor sets, or the same names as
    attributes or properties of its own; ``Declarations`` says what each of them means.
    """

    kind: ClassVar[str]
    declared: Declarations

    if TYPE_CHECKING:  # The fields of Declarations, which a checker cannot read from there.

        @property
        def objectives(self) -> tuple[str, ...]: ...
        @property
        def reward_max(self) -> float: ...
        @property
        def regularizer_max(self) -> float | None: ...
        @property
        def evaluation_max(self) -> float | None: ...
        @property
        def normalizers(self) -> tuple[Normalizer, ...]: ...
        @property
        def has_reference(self) -> bool: ...
        @property
        def oracle_error(self) -> OracleError | None: ...

    def __init_subclass__(cls, *, kind: str | None = None, **others: Any) -> None:
        super().__init_subclass__(**others)
        cls.kind = kind or f"{cls.__module__}.{cls.__qualname__}"

    @classmethod
    def from_file(cls, path: Path, *args: Any, **options: Any) -> PolicyBackend:
        """The problem that a file holds: what ``palm build NAME FILE``, ``compare``, ``extend`` and ``--against`` call.

        An override names its options and their types, with a line of help each if wanted (``beta: Annotated[float,
        "price of a nat"] = 0.0``): the command line offers them so. Where a saved portfolio's problem is read back,
        those that ``describe()`` holds under the same names are not asked for again. The default raises InputError.
        """
        raise InputError(f"{cls.__name__} reads no files: build it in Python")

    @abstractmethod
    def optimize(self, weights: Array) -> Solution:
        """A policy that maximises J_w, for one validated weight vector (d,). A stochastic backend draws its seed
        from ``seed_for(its own seed, weights)``, so that the order of solves does not matter."""

    @abstractmethod
    def evaluate(self, policy: Any) -> Value:
        """R(π) and f(π)."""

    @property
    def powers(self) -> frozenset[Power]:
        """The optional abilities this backend has; asked for, never guessed."""
        return frozenset()

    def optimal_value(self, weights: Array) -> float:
        """J*_w to rounding (power OPTIMAL_VALUE) at one weight vector (d,)."""
        raise NotImplementedError(f"{type(self).__name__} does not declare {Power.OPTIMAL_VALUE}")

    def optimal_bracket(self, weights: Array) -> tuple[float, float]:
        """(reached, upper) with reached ≤ J*_w ≤ upper at one weight vector (d,): what certificates rest on (power
        OPTIMAL_VALUE). By default ``optimal_value`` is both. Override it where rounding can add up to more than about
        1e-12·J*: an audit then judges by ``upper``, and says "exact" only where the two meet."""
        value = self.optimal_value(weights)
        return value, value

    def witnessed_problem(self) -> Mapping[str, Any]:
        """The problem as a proof states it (power WITNESSES), floats in lists: what ``witness`` is checked against.

        ``type`` says how: "decision" (a bandit or an MDP) or "linear" (a linear program), with the fields that
        ``tools/check_certificate.py`` reads; ``constants`` (d,), if given, are added to the rewards.
        """
        raise NotImplementedError(f"{type(self).__name__} does not declare {Power.WITNESSES}")

    def witness(self, weights: Array) -> Witness:
        """Why J*_w is not above a number, at one weight vector (d,) (power WITNESSES)."""
        raise NotImplementedError(f"{type(self).__name__} does not declare {Power.WITNESSES}")

    def all_values(self) -> Sequence[Value]:
        """The values of every policy there is (power ALL_VALUES)."""
        raise NotImplementedError(f"{type(self).__name__} does not declare {Power.ALL_VALUES}")

    def surrogate(self) -> PolicyBackend:
        """A cheap backend whose optima forecast this one's (power SURROGATE)."""
        raise NotImplementedError(f"{type(self).__name__} does not declare {Power.SURROGATE}")

    def paired_values(self, policy: Any) -> Array:
        """Vertex values r − f·1 of ``policy`` on N ≥ 2 independent evaluation units, (N, d), the same units in the same
        order for every policy; their mean is that of ``evaluate`` (power PAIRED_VALUES). Certificates then come from
        paired differences (``palm_theory.certify.paired``)."""
        raise NotImplementedError(f"{type(self).__name__} does not declare {Power.PAIRED_VALUES}")

    def paired_reference(self) -> Mapping[str, Sequence[Array]]:
        """Paired values (N, d) of further policies beside which a portfolio has to stand, under words that describe
        them; none by default. Only asked for where PAIRED_VALUES is declared."""
        return {}

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


for _fact in fields(Declarations):
    setattr(PolicyBackend, _fact.name, Fact(_fact))


def seed_for(seed: int, weights: ArrayLike) -> int:
    """A 63-bit seed that depends on ``seed`` and the weights (d,) alone, for a stochastic ``optimize``."""
    data = f"{int(seed)}".encode() + np.ascontiguousarray(weights, dtype=np.float64).tobytes()
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big") >> 1
