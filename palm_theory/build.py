"""build_portfolio: run a strategy on a backend, keep every finished solve, certify the result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from palm_theory.certify.audit import best_known, certify
from palm_theory.certify.certificate import Certificate
from palm_theory.certify.optimum import Paired
from palm_theory.contract.backend import PolicyBackend, Power, Solution
from palm_theory.contract.calls import solve, surrogate
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.problem import problem_fingerprint
from palm_theory.contract.registry import resolve_backend
from palm_theory.errors import BackendError, InputError, OtherProblemError, PalmError
from palm_theory.files import canonical_json
from palm_theory.geometry.simplex import Array
from palm_theory.portfolio import Portfolio
from palm_theory.progress import BuildProgress
from palm_theory.store.artifact import PORTFOLIO_FILE, read_artifact, refuse_foreign_folder
from palm_theory.store.journal import JOURNAL_FILE, LOCK_FILE, SOLVES_FOLDER, Journal, StoredPolicy
from palm_theory.strategies.adaptive import Adaptive
from palm_theory.strategies.base import Chosen, Given, Request, Strategy
from palm_theory.strategies.planned import Planned


def build_portfolio(
    backend: PolicyBackend | type[PolicyBackend] | str,
    strategy: Strategy | None = None,
    *,
    path: str | Path | None = None,
    executor: Executor | None = None,
    progress: bool | None = None,
    seed: int = 0,
    known: Sequence[tuple[Array, Solution]] = (),
) -> Portfolio:
    """Build a certified portfolio.

    Parameters
    ----------
    backend : an instance, a class (built with its defaults), or an entry-point name.
    strategy : which weights to solve; by default ``Planned()`` where the backend has a surrogate, else
        ``Adaptive(epsilon=0.01)``.
    path : a folder. Every finished solve is journaled there before the next is asked for, and the portfolio is saved
        there at the end. Run again after a kill, or with another strategy: what was solved is not solved again.
    executor : any ``concurrent.futures.Executor`` for the solves a strategy asks for at once. The portfolio does not
        depend on it. (A process pool needs a backend that pickles.)
    progress : a progress bar on standard error; by default where that is a terminal.
    seed : for strategies that draw at random.
    known : (weights, solution) pairs of this backend that need no solve, should the strategy ask for them.

    Returns
    -------
    The portfolio, its certificate "exact" where J* can be asked for cheaply (power OPTIMAL_VALUE), "bounded" by what
    was solved where it cannot, and for estimated values or unknown optima a statement against all policies solved.

    Raises
    ------
    InputError, BackendError : before any work, for a bad backend or argument.
    BackendError : a solve failed; what finished before is in the journal.
    OtherProblemError, JournalError, ArtifactError : the folder belongs to another problem, is corrupt, in use, full or
        read-only.
    """
    backend = resolve_backend(backend)
    if strategy is None:
        strategy = Planned() if Power.SURROGATE in backend.powers else Adaptive(epsilon=0.01)
    if not isinstance(strategy, Strategy):
        raise InputError(f"strategy must be a Strategy such as Adaptive(epsilon=0.01), got {strategy!r}")
    if executor is not None and not isinstance(executor, Executor):
        raise InputError(f"executor must be a concurrent.futures.Executor, got {executor!r}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed must be an integer >= 0, got {seed!r}")
    description = _described(strategy)
    fingerprint = problem_fingerprint(backend)
    journal = None if path is None else _open_journal(Path(path), backend, fingerprint)
    try:
        with BuildProgress(progress, type(strategy).__name__) as bar:
            solver = _Solver(backend, journal, executor, bar, known)
            chosen = _run(strategy, _given(backend, int(seed)), solver)
            certificate = _certify(backend, chosen, solver.solutions)
            members = [solver.solutions[k] for k in chosen.members]
            policies = [
                (_loaded(solution), solution.value, solver.weights[k])
                for k, solution in zip(chosen.members, members, strict=True)
            ]
            portfolio = Portfolio.of(
                backend,
                policies,
                certificate,
                strategy=description,
                seed=int(seed),
                solves=len(solver.solutions) - solver.reused,
            )
            if path is not None:
                portfolio.write_into(Path(path), backend)
        return portfolio
    finally:
        if journal is not None:
            journal.close()


def _described(strategy: Strategy) -> dict[str, Any]:
    """The strategy's description, known to be writable before any work is done for it."""
    try:
        description = strategy.describe()
        canonical_json(description)
    except (TypeError, ValueError) as error:
        raise InputError(f"{type(strategy).__name__}.describe() must return JSON-able data: {error}") from error
    return description


def _open_journal(folder: Path, backend: PolicyBackend, fingerprint: str) -> Journal:
    refuse_foreign_folder(folder, {JOURNAL_FILE, PORTFOLIO_FILE}, {LOCK_FILE, SOLVES_FOLDER})
    # With a journal it is the journal that says whose folder this is; the portfolio may be half replaced by a kill.
    alone = (folder / PORTFOLIO_FILE).exists() and not (folder / JOURNAL_FILE).exists()
    if alone and read_artifact(folder).fingerprint != fingerprint:
        raise OtherProblemError(f"{folder} holds the portfolio of another problem; choose another folder")
    return Journal(folder, backend)


def _given(backend: PolicyBackend, seed: int) -> Given:
    forecasts = Power.SURROGATE in backend.powers
    return Given(Declarations.of(backend), seed, partial(surrogate, backend) if forecasts else None)


class _Solver:
    """Answers a strategy's requests: from the journal, or by solving, in parallel where there is an executor."""

    def __init__(
        self,
        backend: PolicyBackend,
        journal: Journal | None,
        executor: Executor | None,
        bar: BuildProgress,
        known: Sequence[tuple[Array, Solution]],
    ) -> None:
        self._backend = backend
        self._journal = journal
        self._executor = executor
        self._bar = bar
        self._known = {np.ascontiguousarray(weights).tobytes(): solution for weights, solution in known}
        self.reused = 0
        self.solutions: list[Solution] = []
        self.weights: list[Array] = []

    def answer(self, request: Request) -> list[Solution]:
        """One solution a row of the request, in its order."""
        rows = np.ascontiguousarray(request.weights)
        self._bar.request(len(rows), request.gap, request.remaining)
        found = [self._at_hand(row) for row in rows]
        missing = [i for i, solution in enumerate(found) if solution is None]
        self._bar.solved(len(rows) - len(missing))
        if self._executor is None:
            for i in missing:
                found[i] = self._finish(rows[i], solve(self._backend, rows[i]))
        else:
            for i, solution in self._in_parallel(self._executor, rows, missing):
                found[i] = solution
        solutions = [solution for solution in found if solution is not None]
        self.solutions.extend(solutions)
        self.weights.extend(rows)
        return solutions

    def _at_hand(self, row: Array) -> Solution | None:
        solution = self._known.get(row.tobytes())
        if solution is not None:
            self.reused += 1
            return solution
        return None if self._journal is None else self._journal.find(row)

    def _in_parallel(self, executor: Executor, rows: Array, missing: Sequence[int]) -> list[tuple[int, Solution]]:
        futures: dict[Future[Solution], int] = {}
        finished: list[tuple[int, Solution]] = []
        failure: BaseException | None = None
        try:
            for i in missing:
                try:
                    futures[executor.submit(solve, self._backend, rows[i])] = i
                except RuntimeError as error:
                    failure = _lost_solve(rows[i], error)
                    _cancel(futures)
                    break
            for future in as_completed(list(futures)):
                i = futures.pop(future)
                if future.cancelled():
                    continue
                error = future.exception()
                if error is None:
                    finished.append((i, self._finish(rows[i], future.result())))
                elif failure is None:
                    # One failure must not lose the solves that are running: they are journaled before it is raised.
                    failure = _lost_solve(rows[i], error)
                    _cancel(futures)
        except BaseException:
            _cancel(futures)
            raise
        if failure is not None:
            raise failure
        return finished

    def _finish(self, weights: Array, solution: Solution) -> Solution:
        if self._journal is not None:
            solution = self._journal.record(weights, solution)
        self._bar.solved(1)
        return solution


def _lost_solve(weights: Array, error: BaseException) -> BaseException:
    """What to raise for a solve that an executor lost: workers that died, a backend that does not pickle."""
    if isinstance(error, PalmError) or not isinstance(error, Exception):
        return error
    failure = BackendError(f"the solve at weights {weights.tolist()} was lost: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def _cancel(futures: Iterable[Future[Solution]]) -> None:
    for future in futures:
        future.cancel()


def _run(strategy: Strategy, given: Given, solver: _Solver) -> Chosen:
    construction = strategy.construct(given)
    try:
        request = next(construction)
        while True:
            request = construction.send(solver.answer(request))
    except StopIteration as stop:
        return stop.value


def _loaded(solution: Solution) -> object:
    return solution.policy.load() if isinstance(solution.policy, StoredPolicy) else solution.policy


def _certify(backend: PolicyBackend, chosen: Chosen, solutions: list[Solution]) -> Certificate:
    values = [solution.value for solution in solutions]
    known = best_known(
        backend,
        measured=any(value.is_estimate for value in values),
        solved=chosen.solved,
        found=values,
        pairs=lambda: [_loaded(solution) for solution in solutions],
    )
    policies = [known.found[k] for k in chosen.members] if isinstance(known, Paired) and known.found else ()
    found = certify(known, [values[k] for k in chosen.members], policies=policies)
    size_bound = None if chosen.promise is None else chosen.promise.size_bound
    return replace(found, size_bound=size_bound, oracle_calls=len(solutions) + found.oracle_calls)
