"""Every outcome of code that draws random numbers, with its probability: the code is run once for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from palm_theory.errors import PalmError

T = TypeVar("T")


class EnumerationError(PalmError, RuntimeError):
    """An environment cannot be turned into a finite decision process; the text says why."""


class Chance:
    """Stands in for ``numpy.random.Generator``: draws follow a script and, past its end, take their first branch.

    A finite draw (``integers``, ``choice``) branches at once. A continuous one (``random``, ``uniform``) branches when
    it is compared with a number, which is the only use allowed: then its two branches have exact probabilities.
    """

    def __init__(self, script: Sequence[int] = ()) -> None:
        self._script = script
        self.branches: list[tuple[int, list[float]]] = []

    @property
    def probability(self) -> float:
        """Of the branches taken so far together."""
        product = 1.0
        for taken, probabilities in self.branches:
            product *= probabilities[taken]
        return product

    def branch(self, probabilities: Sequence[float]) -> int:
        """Take one of several branches; those of probability 0 are never taken."""
        position = len(self.branches)
        if position < len(self._script):
            taken = self._script[position]
        else:
            taken = next(k for k, p in enumerate(probabilities) if p > 0)
        self.branches.append((taken, list(probabilities)))
        return taken

    def random(self, size: None = None) -> Draw:
        """A uniform number in [0, 1), to be compared only. Raises EnumerationError where ``size`` is given."""
        _scalar_only(size)
        return Draw(self, 0.0, 1.0)

    def uniform(self, low: float = 0.0, high: float = 1.0, size: None = None) -> Draw:
        """A uniform number in [low, high), to be compared only. Raises EnumerationError where ``size`` is given."""
        _scalar_only(size)
        return Draw(self, low, high)

    def integers(
        self, low: int, high: int | None = None, size: None = None, dtype: Any = int, endpoint: bool = False
    ) -> int:
        """A uniform integer as of ``Generator.integers``; each is a branch. Raises EnumerationError on ``size``."""
        _scalar_only(size)
        first, last = (0, low) if high is None else (low, high)
        count = last - first + int(endpoint)
        return first + self.branch([1 / count] * count)

    def choice(self, a: Any, size: None = None, replace: bool = True, p: Sequence[float] | None = None) -> Any:
        """One of ``a``, with probabilities ``p``, (len(a),); each is a branch. Raises EnumerationError on ``size``."""
        _scalar_only(size)
        options = range(a) if isinstance(a, int) else a
        return options[self.branch(p if p is not None else [1 / len(options)] * len(options))]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise EnumerationError(f"it draws random numbers with np_random.{name}, whose outcomes are not finite")


class Draw:
    """A number uniform on [low, high), of which only comparisons are allowed; each narrows the interval."""

    def __init__(self, chance: Chance, low: float, high: float) -> None:
        self._chance, self._low, self._high = chance, low, high

    def _below(self, threshold: float) -> bool:
        if threshold <= self._low:
            return False
        if threshold >= self._high:
            return True
        share = (threshold - self._low) / (self._high - self._low)
        below = self._chance.branch([share, 1 - share]) == 0
        if below:
            self._high = threshold
        else:
            self._low = threshold
        return below

    def __lt__(self, other: float) -> bool:
        return self._below(float(other))

    def __gt__(self, other: float) -> bool:
        return not self._below(float(other))

    # A single point has probability 0, so < and ≤ are the same event.
    __le__, __ge__ = __lt__, __gt__

    def _refuse(self, *_: Any) -> Any:
        raise EnumerationError("it uses a continuous random number other than by comparing it")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __float__ = __int__ = __bool__ = __array__ = __neg__ = __pow__ = __round__ = _refuse


def _scalar_only(size: Any) -> None:
    if size is not None:
        raise EnumerationError("it draws arrays of random numbers; only single draws can be enumerated")


def outcomes(run: Callable[[Chance], T]) -> Iterator[tuple[float, T]]:
    """(probability, result) of every outcome of ``run``, which must behave the same on the same draws.

    The probabilities sum to 1 up to rounding. Outcomes come in depth-first order of the branches.
    """
    script: list[int] = []
    while True:
        chance = Chance(script)
        result = run(chance)
        yield chance.probability, result
        branches = list(chance.branches)
        while branches:
            taken, probabilities = branches.pop()
            later = [k for k in range(taken + 1, len(probabilities)) if probabilities[k] > 0]
            if later:
                script = [earlier for earlier, _ in branches] + [later[0]]
                break
        else:
            return
