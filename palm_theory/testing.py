"""The conformance suite: every law of the backend contract, run against any backend, ours or a third party's.

    from palm_theory.testing import check_conformance
    print(check_conformance(MyBackend()))          # a readable report
    check_conformance(MyBackend()).raise_on_failure()   # in a test

from a shell, ``palm conformance NAME`` for an installed entry point, or with pytest one test a law:

    class TestMyBackend(BackendConformance):
        def make(self):
            return MyBackend()
"""

from __future__ import annotations

import math
import pickle
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np

from palm_theory.contract.backend import PolicyBackend, Power, Solution
from palm_theory.contract.calls import (
    RANGE_TOLERANCE,
    check_backend,
    check_value,
    optimal_bracket,
    solve,
    upper_bound_at,
)
from palm_theory.contract.problem import problem_fingerprint
from palm_theory.contract.registry import resolve_backend
from palm_theory.contract.value import Value
from palm_theory.errors import BackendError
from palm_theory.geometry.simplex import sample_dirichlet


@dataclass(frozen=True)
class LawResult:
    """One law: its statement, "passed", "failed" or "skipped", and for the last two why."""

    law: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True)
class ConformanceReport:
    """The outcome of every law for one backend."""

    backend: str
    results: tuple[LawResult, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether no law failed."""
        return all(result.outcome != "failed" for result in self.results)

    def raise_on_failure(self) -> None:
        """Raise AssertionError with the whole report where a law failed."""
        if not self.passed:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        marks = {"passed": "ok     ", "failed": "FAILED ", "skipped": "skipped"}
        lines = [f"Conformance of {self.backend}: {'all laws hold' if self.passed else 'NOT conformant'}"]
        for result in self.results:
            lines.append(f"  {marks[result.outcome]}  {result.law}")
            if result.detail:
                lines.extend(f"             {line}" for line in result.detail.splitlines())
        return "\n".join(lines)


class LawBroken(Exception):
    """A law does not hold; the text says how."""


class LawSkipped(Exception):
    """A law does not apply to this backend; the text says why."""


class _Trial:
    """One backend with the weights to try, the simplex's vertices and ``weights`` random ones, and, once solved, their
    solutions."""

    def __init__(
        self, backend: PolicyBackend | type[PolicyBackend] | str, weights: int, seed: int, tolerance: float
    ) -> None:
        self.backend = resolve_backend(backend)
        d = len(self.backend.objectives)
        self.weights = np.vstack([np.eye(d), sample_dirichlet(d, weights, seed=seed)]) if weights else np.eye(d)
        self.tolerance = tolerance * self.backend.reward_max
        self._solutions: list[Solution] | None = None

    def solve(self) -> list[Solution]:
        self._solutions = []
        self._solutions = [solve(self.backend, row) for row in self.weights]
        return self._solutions

    def need_solutions(self) -> list[Solution]:
        try:
            solutions = self.solve() if self._solutions is None else self._solutions
        except BackendError:
            solutions = []
        if not solutions:
            raise LawSkipped("no solve succeeded")
        return solutions


Law = Callable[[_Trial], None]
LAWS: list[tuple[str, Law]] = []


def _law(statement: str) -> Callable[[Law], Law]:
    def register(law: Law) -> Law:
        LAWS.append((statement, law))
        return law

    return register


@_law("declarations: unique objective names, R_max > 0 finite, f_max None or >= 0, one normaliser an objective")
def _declarations(trial: _Trial) -> None:
    check_backend(trial.backend)
    if trial.backend.regularizer_max == 0 and not trial.backend.has_reference:
        raise LawBroken("regularizer_max is 0, so every policy has f = 0, but has_reference is False")


@_law("describe: JSON-able, and the same each time")
def _describe(trial: _Trial) -> None:
    first, second = problem_fingerprint(trial.backend), problem_fingerprint(trial.backend)
    if first != second:
        raise LawBroken("two calls of describe() give different data")


@_law("optimize: a valid Solution at every weight, rewards in [0, R_max], f in [0, f_max]")
def _optimize(trial: _Trial) -> None:
    trial.solve()


@_law("optimize: depends on the weights alone (solving again, in another order, gives the same value)")
def _repeatable(trial: _Trial) -> None:
    solutions = trial.need_solutions()
    for k in range(len(solutions) - 1, -1, -max(1, len(solutions) // 3)):
        again = solve(trial.backend, trial.weights[k])
        if not again.value.same_numbers(solutions[k].value):
            raise LawBroken(
                f"at weights {trial.weights[k].tolist()}: first {solutions[k].value.to_dict()}, "
                f"then {again.value.to_dict()}"
            )


@_law("evaluate: gives the value that optimize reported")
def _evaluate(trial: _Trial) -> None:
    for row, solution in zip(trial.weights, trial.need_solutions(), strict=True):
        value = trial.backend.evaluate(solution.policy)
        check_value(trial.backend, value, "evaluate")
        _same_value(trial, value, solution.value, f"at weights {row.tolist()}")


def _same_value(trial: _Trial, found: Value, expected: Value, where: str) -> None:
    difference = max(
        float(np.abs(found.rewards - expected.rewards).max()), abs(found.regularizer - expected.regularizer)
    )
    allowed = trial.tolerance
    if expected.is_estimate:
        # Two independent estimates may differ by their errors; eight of them is not chance.
        errors = [
            0.0 if e is None else float(np.max(e)) for e in (expected.rewards_stderr, expected.regularizer_stderr)
        ]
        allowed += 8 * math.sqrt(2) * max(errors)
    if difference > allowed:
        raise LawBroken(f"{where}: {found.to_dict()} instead of {expected.to_dict()}")


@_law("optimize beats every other policy seen, at its own weights and within oracle_error")
def _optimal(trial: _Trial) -> None:
    error = trial.backend.oracle_error
    solutions = trial.need_solutions()
    values = np.stack([solution.value.vertex_values for solution in solutions])
    if error is None and any(s.upper_bound is None for s in solutions):
        raise LawSkipped("the backend declares no oracle_error")
    for row, solution in zip(trial.weights, solutions, strict=True):
        upper = upper_bound_at(solution, row, error)
        best = values @ row
        if upper is not None and best.max() > upper + trial.tolerance:
            rival = trial.weights[int(best.argmax())].tolist()
            raise LawBroken(
                f"at weights {row.tolist()} J* <= {upper} is claimed, but the policy solved for {rival} "
                f"has J = {best.max()}"
            )


@_law("J* is convex in w: at the midpoint of two weights no more than the mean of their upper bounds")
def _convex(trial: _Trial) -> None:
    solutions = trial.need_solutions()
    error = trial.backend.oracle_error
    bounds = [upper_bound_at(s, row, error) for s, row in zip(solutions, trial.weights, strict=True)]
    if any(bound is None for bound in bounds):
        raise LawSkipped("no upper bounds on J* are known")
    for a in range(0, len(solutions) - 1, 2):
        middle = (trial.weights[a] + trial.weights[a + 1]) / 2
        reached = solve(trial.backend, middle).value.scalarize(middle)
        mean = (float(bounds[a] or 0.0) + float(bounds[a + 1] or 0.0)) / 2
        if reached > mean + trial.tolerance:
            raise LawBroken(f"J at {middle.tolist()} is {reached}, above the mean {mean} of the bounds at its ends")


@_law("save_policy, load_policy: the loaded policy has the same value, and saving writes inside its folder only")
def _saved(trial: _Trial) -> None:
    solution = trial.need_solutions()[0]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = root / "policy"
        folder.mkdir()
        trial.backend.save_policy(solution.policy, folder)
        stray = [path.name for path in root.iterdir() if path != folder]
        if stray:
            raise LawBroken(f"save_policy wrote outside its folder: {stray}")
        if not any(path.is_file() for path in folder.rglob("*")):
            raise LawBroken("save_policy wrote nothing")
        pickled = [path.name for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".bin")]
        if pickled:
            raise LawBroken(f"policies must not be stored in formats that can run code: {pickled}")
        loaded = trial.backend.load_policy(folder)
        _same_value(trial, trial.backend.evaluate(loaded), trial.backend.evaluate(solution.policy), "after loading")


@_law("powers: what is declared works, what is not declared raises NotImplementedError")
def _powers(trial: _Trial) -> None:
    backend = trial.backend
    calls: dict[Power, Callable[[], Any]] = {
        Power.OPTIMAL_VALUE: lambda: backend.optimal_value(trial.weights[0]),
        Power.ALL_VALUES: backend.all_values,
        Power.SURROGATE: backend.surrogate,
        Power.PAIRED_VALUES: lambda: backend.paired_values(trial.need_solutions()[0].policy),
    }
    for power, call in calls.items():
        if power in backend.powers:
            call()
            continue
        try:
            call()
        except NotImplementedError:
            continue
        raise LawBroken(f"{power.name} works but is not declared in powers")


@_law("optimal_value: equals J of optimize at the same weights")
def _optimal_value(trial: _Trial) -> None:
    if Power.OPTIMAL_VALUE not in trial.backend.powers:
        raise LawSkipped("OPTIMAL_VALUE is not declared")
    for row, solution in zip(trial.weights, trial.need_solutions(), strict=True):
        optimum, reached = trial.backend.optimal_value(row), solution.value.scalarize(row)
        if abs(optimum - reached) > trial.tolerance:
            raise LawBroken(f"at weights {row.tolist()}: optimal_value {optimum}, but optimize reaches {reached}")


@_law("optimal_bracket: holds J of optimize, and no policy seen beats its upper end")
def _optimal_bracket(trial: _Trial) -> None:
    if Power.OPTIMAL_VALUE not in trial.backend.powers:
        raise LawSkipped("OPTIMAL_VALUE is not declared")
    values = np.stack([solution.value.vertex_values for solution in trial.need_solutions()])
    for row, solution in zip(trial.weights, trial.need_solutions(), strict=True):
        low, high = optimal_bracket(trial.backend, row)
        reached, best = solution.value.scalarize(row), float((values @ row).max())
        if low > reached + trial.tolerance or high < best - trial.tolerance:
            raise LawBroken(
                f"at weights {row.tolist()}: J* in [{low}, {high}] is claimed, but optimize reaches {reached} and a "
                f"policy seen {best}"
            )


@_law("all_values: J of optimize is the best of them at every weight")
def _all_values(trial: _Trial) -> None:
    if Power.ALL_VALUES not in trial.backend.powers:
        raise LawSkipped("ALL_VALUES is not declared")
    everything = np.stack([value.vertex_values for value in trial.backend.all_values()])
    for row, solution in zip(trial.weights, trial.need_solutions(), strict=True):
        best, reached = float((everything @ row).max()), solution.value.scalarize(row)
        if abs(best - reached) > trial.tolerance:
            raise LawBroken(f"at weights {row.tolist()}: the best value is {best}, but optimize reaches {reached}")


@_law("paired_values: (N, d) on the same N units for every policy, with the mean of evaluate")
def _paired_values(trial: _Trial) -> None:
    if Power.PAIRED_VALUES not in trial.backend.powers:
        raise LawSkipped("PAIRED_VALUES is not declared")
    shapes = set()
    for solution in trial.need_solutions():
        values = np.asarray(trial.backend.paired_values(solution.policy))
        shapes.add(values.shape)
        if len(shapes) > 1 or values.ndim != 2 or len(values) < 2:
            raise LawBroken(f"shapes {sorted(shapes)}: every policy needs (N, d) with one N >= 2")
        found, expected = values.mean(axis=0), trial.backend.evaluate(solution.policy).vertex_values
        if found.shape != expected.shape or np.abs(found - expected).max() > trial.tolerance:
            raise LawBroken(f"paired values have the mean {found}, but evaluate gives {expected}")
    for name, group in trial.backend.paired_reference().items():
        if any(np.shape(values) not in shapes for values in group):
            raise LawBroken(f"the reference {name!r} has other shapes than the policies, {sorted(shapes)}")


@_law("bad weights are refused: wrong length, negative, not summing to 1, NaN")
def _bad_weights(trial: _Trial) -> None:
    d = len(trial.backend.objectives)
    negative = np.append(np.full(d - 1, 2 / max(d - 1, 1)), -1.0)
    for bad in (np.full(d + 1, 1 / (d + 1)), np.full(d, 0.9 / d), np.full(d, np.nan), negative):
        try:
            solve(trial.backend, bad)
        except ValueError:
            continue
        raise LawBroken(f"weights {bad.tolist()} were accepted")


@_law("has_reference: J* >= 0 at every weight")
def _reference(trial: _Trial) -> None:
    if not trial.backend.has_reference:
        raise LawSkipped("has_reference is not declared")
    error = trial.backend.oracle_error
    for row, solution in zip(trial.weights, trial.need_solutions(), strict=True):
        upper = upper_bound_at(solution, row, error)
        if upper is not None and upper < -trial.tolerance:
            raise LawBroken(f"at weights {row.tolist()} J* <= {upper} < 0")


@_law("pickles, so that a process pool can run its solves")
def _pickles(trial: _Trial) -> None:
    try:
        copy = pickle.loads(pickle.dumps(trial.backend))
    except Exception as error:
        raise LawSkipped(f"it does not pickle ({error}); use threads, or one process") from None
    row = trial.weights[0]
    if not solve(copy, row).value.same_numbers(trial.need_solutions()[0].value):
        raise LawBroken("a pickled copy solves to another value")


def check_conformance(
    backend: PolicyBackend | type[PolicyBackend] | str,
    *,
    weights: int = 8,
    seed: int = 0,
    tolerance: float = RANGE_TOLERANCE,
) -> ConformanceReport:
    """Run every law against a backend, at the simplex's vertices and ``weights`` random weights.

    ``tolerance`` is relative to R_max; the default is for exact backends. Never raises on a broken law: read the
    report, or call its ``raise_on_failure``. Raises InputError where the backend cannot be made at all.
    """
    trial = _Trial(backend, weights, seed, tolerance)
    return ConformanceReport(type(trial.backend).__name__, tuple(_run_laws(trial)))


def _run_laws(trial: _Trial) -> Iterator[LawResult]:
    for statement, law in LAWS:
        try:
            law(trial)
        except LawSkipped as reason:
            yield LawResult(statement, "skipped", str(reason))
        except LawBroken as reason:
            yield LawResult(statement, "failed", str(reason))
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}:{last.lineno}"
            yield LawResult(statement, "failed", f"{type(error).__name__} at {place}: {error}")
        else:
            yield LawResult(statement, "passed")


class BackendConformance:
    """The laws as tests of pytest, one a law: subclass it under a name that pytest collects, and say how to ``make``
    the backend, which is done once a class. ``weights``, ``seed`` and ``tolerance`` are those of ``check_conformance``.
    """

    weights: int = 8
    seed: int = 0
    tolerance: float = RANGE_TOLERANCE

    def make(self) -> PolicyBackend | type[PolicyBackend] | str:
        """The backend on trial: an instance, a class or an entry-point name."""
        raise NotImplementedError(f"{type(self).__name__}.make must return the backend to test")

    def _hold(self, law: Law) -> None:
        kind = type(self)
        if "_trial" not in vars(kind):
            kind._trial = _Trial(self.make(), self.weights, self.seed, self.tolerance)  # type: ignore[attr-defined]
        try:
            law(vars(kind)["_trial"])
        except LawBroken as reason:
            raise AssertionError(str(reason)) from None
        except LawSkipped as reason:
            raise SkipTest(str(reason)) from None


def _add_test(statement: str, law: Law) -> None:
    def test(self: BackendConformance) -> None:
        self._hold(law)

    test.__doc__ = statement
    setattr(BackendConformance, f"test{law.__name__}", test)


for _statement, _holds in LAWS:
    _add_test(_statement, _holds)
