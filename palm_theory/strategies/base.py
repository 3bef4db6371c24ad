"""Which weights to solve, and which of the policies found to keep.

A strategy is a generator: it yields ``Request``s for weights to solve, is sent their ``Solution``s in order, and
returns what is ``Chosen``. It never sees a backend, a file or a clock, and given the same solutions it asks for the
same weights: that makes every build resumable and parallel.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from palm_theory.bounds import Bound
from palm_theory.contract.backend import PolicyBackend, Solution
from palm_theory.contract.declarations import Declarations
from palm_theory.geometry.sandwich import SolvedWeights
from palm_theory.geometry.simplex import Array


@dataclass(frozen=True)
class Given:
    """What a strategy is told: what the backend declares, and the build's seed. ``surrogate`` makes the cheap backend
    that forecasts this one, None where there is none."""

    declared: Declarations
    seed: int = 0
    surrogate: Callable[[], PolicyBackend] | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """Weights to solve, (n, d), independent of each other; the certified gap so far, and the solves still expected."""

    weights: Array
    gap: float | None = None
    remaining: int | None = None


@dataclass(frozen=True, eq=False)
class Chosen:
    """A strategy's result: ``members``, indices into all solutions in the order asked for; what is known of J*
    (``solved``); and the theorem's promise for these members, where there is one."""

    members: tuple[int, ...]
    solved: SolvedWeights
    promise: Bound | None = None


Construction = Generator[Request, Sequence[Solution], Chosen]
Search = Generator[Request, Sequence[Solution], None]


class Strategy(ABC):
    """A way to choose weights. Implementations are frozen dataclasses of their parameters."""

    @abstractmethod
    def construct(self, given: Given) -> Construction:
        """The construction for one backend; see the module's text for the protocol."""

    def describe(self) -> dict[str, Any]:
        """Name and parameters, stored with the portfolio."""
        # As JSON gives it back, so that a portfolio that was loaded says the same as one just built.
        parameters = json.loads(json.dumps(asdict(self)))  # type: ignore[call-overload]
        return {"strategy": type(self).__name__, **parameters}
