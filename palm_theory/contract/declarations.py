"""What a backend declares, in one value: the only list of these facts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any

from palm_theory.bounds import OracleError
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.contract.value import as_number
from palm_theory.errors import BackendError, InputError

KEPT = "kept"
"""Metadata of a fact that a portfolio keeps, in portfolio.json under the fact's name."""


def _kept(default: Any = MISSING) -> Any:
    return field(default=default, metadata={KEPT: True})


@dataclass(frozen=True)
class Declarations:
    """What a ``PolicyBackend`` declares. Each field is an attribute of every backend, too; a new fact is a field here.

    A backend sets ``self.declared`` to one of these, or defines the fields' names itself, as properties, class
    attributes or attributes of the instance; either way ``Declarations.of`` reads them.

    Attributes
    ----------
    objectives : names of the d objectives, unique, in the order of the reward vector.
    reward_max : R_max > 0: every R(π) lies in [0, R_max]^d.
    regularizer_max : f_max: f(π) ≤ f_max for every policy ``optimize`` returns and for the optima, which are others
        where ``optimize`` is approximate; 0 without a regulariser, None if unknown.
    evaluation_max : the length of an interval in which every reward of every *single* evaluation lies, > 0, or None,
        the default, where none is known: R_max bounds R(π), an expectation, and one evaluation may be far above it.
        Confidence intervals of values with standard errors are a bound (empirical Bernstein) with it, an approximation
        without.
    normalizers : how each objective's measurement became a reward; the identity unless the backend rescales.
    has_reference : whether some policy has f = 0; then J* ≥ 0 and F = min(f_max, R_max) in Theorem 1′. By default
        exactly where f_max = 0.
    oracle_error : (ε₀, δ₀) with J_w(optimize(w)) ≥ (1−ε₀)J*_w − δ₀ at every w, or None, the default, where none is
        known.
    """

    objectives: tuple[str, ...] = _kept()
    reward_max: float = _kept()
    regularizer_max: float | None = _kept()
    evaluation_max: float | None = _kept(None)
    normalizers: tuple[Normalizer, ...] = _kept(None)
    has_reference: bool = None  # type: ignore[assignment]
    oracle_error: OracleError | None = None

    def __post_init__(self) -> None:
        for name, rule in UNSAID.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, rule(self))
        for fact in fields(self):
            if isinstance(getattr(self, fact.name), list):
                object.__setattr__(self, fact.name, tuple(getattr(self, fact.name)))

    @classmethod
    def of(cls, backend: object) -> Declarations:
        """What ``backend`` declares, however it does. Raises BackendError where a fact is missing or cannot be read."""
        try:
            return cls(**{fact.name: getattr(backend, fact.name) for fact in fields(cls)})
        except BackendError:
            raise
        except Exception as error:
            name = type(backend).__name__
            raise BackendError(f"what {name} declares cannot be read: {type(error).__name__}: {error}") from error

    @property
    def d(self) -> int:
        """The number of objectives."""
        return len(self.objectives)

    def validated(self) -> Declarations:
        """Itself. Raises InputError, naming the fact, where one is impossible."""
        names = self.objectives
        if isinstance(names, str) or not names or not all(isinstance(name, str) and name for name in names):
            raise InputError(f"objectives must be one or more non-empty names, got {names!r}")
        if len(set(names)) != len(names):
            raise InputError(f"objectives must be unique, got {names!r}")
        if not 0 < as_number(self.reward_max, "reward_max") < math.inf:
            raise InputError(f"reward_max must be finite and > 0, got {self.reward_max}")
        limit, single = self.regularizer_max, self.evaluation_max
        if limit is not None and not 0 <= as_number(limit, "regularizer_max") < math.inf:
            raise InputError(f"regularizer_max must be None or finite and >= 0, got {limit}")
        if single is not None and not 0 < as_number(single, "evaluation_max") < math.inf:
            raise InputError(f"evaluation_max must be None or finite and > 0, got {single}")
        if self.oracle_error is not None:
            try:
                OracleError(*self.oracle_error).validated()
            except (TypeError, ValueError) as error:
                raise InputError(f"oracle_error must be None or OracleError(epsilon, delta): {error}") from None
        if len(self.normalizers) != self.d:
            raise InputError(f"normalizers must be {self.d}, one an objective")
        return self

    def kept(self) -> Declarations:
        """What a portfolio keeps: of the other facts it says nothing."""
        return Declarations(**{name: getattr(self, name) for name in KEPT_FACTS})

    def to_dict(self) -> dict[str, Any]:
        """The facts that a portfolio keeps, as plain data."""
        data = asdict(self)
        return {name: data[name] for name in KEPT_FACTS}


KEPT_FACTS = tuple(fact.name for fact in fields(Declarations) if fact.metadata.get(KEPT))
"""Names of the facts that a portfolio keeps, in the order in which they are written."""

UNSAID: dict[str, Callable[[Any], Any]] = {
    "normalizers": lambda its: (IDENTITY,) * len(its.objectives),
    "has_reference": lambda its: its.regularizer_max == 0,
}
"""What holds where nothing is said of a fact and it follows from others, those of a backend or of ``Declarations``."""


class Fact:
    """A field of ``Declarations`` as an attribute of a backend: what ``declared`` says, or else what holds unsaid.

    It is no data descriptor: a class may define the name itself, an instance may set it, and both go before this.
    """

    def __init__(self, fact: Field[Any]) -> None:
        self._name, self._default = fact.name, fact.default

    def __get__(self, backend: object, owner: type | None = None) -> Any:
        if backend is None:
            return self
        declared = getattr(backend, "declared", None)
        if isinstance(declared, Declarations):
            return getattr(declared, self._name)
        if self._name in UNSAID:
            return UNSAID[self._name](backend)
        if self._default is MISSING:
            raise BackendError(
                f"{type(backend).__name__} does not declare {self._name}: define it, or set self.declared"
            )
        return self._default
