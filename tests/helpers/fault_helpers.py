"""Backends that note every real solve and fail on demand, ways to break files, and real processes to kill."""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np

from backends.bandit import BanditBackend
from palm_theory import (
    Adaptive,
    Palm,
    Portfolio,
    RandomWeights,
    Solution,
    Status,
    Strategy,
    UniformGrid,
    Value,
    build,
    build_portfolio,
    files,
    portfolio,
)
from palm_theory.errors import ArtifactError
from palm_theory.store import artifact, journal
from palm_theory.store.journal import Journal

STRATEGIES: dict[str, Strategy] = {
    "adaptive": Adaptive(epsilon=0.03),
    "adaptive-batch-4": Adaptive(epsilon=0.03, batch=4),
    "palm": Palm(mu=0.05, alpha=0.02),
    "grid": UniformGrid(3),
    "random": RandomWeights(9),
}


def _nan(solution: Solution) -> Solution:
    return replace(solution, value=Value(np.full(3, np.nan)))


def _raise(solution: Solution) -> Solution:
    raise ZeroDivisionError("the solver broke down")


def _unexpected_type(solution: Solution) -> Any:
    return solution.value


def _value_of_unexpected_type(solution: Solution) -> Solution:
    return replace(solution, value=[0.5, 0.5, 0.5])  # type: ignore[arg-type]


FAULTS: dict[str, tuple[Callable[[Solution], Any], str]] = {
    "raises": (_raise, "ZeroDivisionError: the solver broke down"),
    "nan": (_nan, "rewards must be finite"),
    "shape": (lambda s: replace(s, value=Value(np.ones(2))), r"shape \(2,\), not \(3,\)"),
    "type": (_unexpected_type, "returned Value, not a Solution"),
    "value-type": (_value_of_unexpected_type, "value of type list, not a Value"),
    "negative": (lambda s: replace(s, value=Value([-0.1, 0.5, 0.5])), "-0.1 for objective 'r1'"),
    "too-large": (lambda s: replace(s, value=Value([0.5, 7.0, 0.5])), "7.0 for objective 'r2'"),
    "regularizer": (lambda s: replace(s, value=Value([0.5] * 3, 99.0)), "regulariser 99.0"),
    "negative-regularizer": (lambda s: replace(s, value=Value([0.5] * 3, -0.5)), "regulariser -0.5"),
    "low-bound": (lambda s: replace(s, upper_bound=-1.0), "upper_bound=-1.0"),
    "nan-bound": (lambda s: replace(s, upper_bound=float("nan")), "upper_bound=nan"),
    "text-bound": (lambda s: replace(s, upper_bound="high"), "upper_bound"),  # type: ignore[arg-type]
    "failed": (lambda s: replace(s, status=Status.FAILED, message="out of memory"), "failed: out of memory"),
    "status-type": (lambda s: replace(s, status="ok"), "status"),  # type: ignore[arg-type]
    "message-type": (lambda s: replace(s, message=3), "message"),  # type: ignore[arg-type]
}


class TrialBandit(BanditBackend):
    """A KL bandit that notes each solve in a side file before it returns it, and writes policies in slow pieces.

    ``fault`` of ``FAULTS`` befalls the solve at ``fault_weights``. None of the options is part of the problem.
    """

    def __init__(
        self,
        log: Path | None = None,
        *,
        pause: float = 0.0,
        fault: str | None = None,
        fault_weights: Sequence[float] = (),
        padding: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(np.random.default_rng(seed).random((2, 5, 3)), beta=0.05)
        self.log, self.pause, self.fault, self.padding = log, pause, fault, padding
        self.fault_weights = list(fault_weights)

    def optimize(self, weights: np.ndarray) -> Solution:
        time.sleep(self.pause)
        solution = super().optimize(weights)
        if self.fault is not None and weights.tolist() == self.fault_weights:
            return FAULTS[self.fault][0](solution)
        if self.log is not None:
            line = json.dumps({"weights": weights.tolist(), "process": os.getpid()}) + "\n"
            with self.log.open("ab", buffering=0) as file:
                file.write(line.encode())
        return solution

    def save_policy(self, policy: Any, folder: Path) -> None:
        super().save_policy(policy, folder)
        parts = folder / "parts"
        parts.mkdir()
        for part in range(3):
            time.sleep(self.pause / 3)
            (parts / f"{part}.bin").write_bytes(bytes([part]) * (1 + self.padding))


def solves(log: Path) -> list[tuple[float, ...]]:
    """The weights really solved, in the order they were noted."""
    if not log.exists():
        return []
    return [tuple(json.loads(line)["weights"]) for line in log.read_text().splitlines()]


def journaled(folder: Path) -> set[tuple[float, ...]]:
    """The weights whose line is completely written, read without the package's code."""
    path = folder / "journal.jsonl"
    if not path.exists():
        return set()
    lines = path.read_bytes().split(b"\n")[:-1]
    return {tuple(json.loads(line)["entry"]["weights"]) for line in lines[1:]}


def contents(portfolio: Portfolio) -> dict[str, Any]:
    """All that two equal portfolios share, bit for bit."""
    return {
        "values": portfolio.vertex_values.tobytes(),
        "rewards": portfolio.rewards.tobytes(),
        "weights": [member.weights.tobytes() for member in portfolio if member.weights is not None],
        "labels": [member.label for member in portfolio],
        "policies": [np.asarray(member.policy).tobytes() for member in portfolio],
        "certificate": portfolio.certificate.to_dict(),
        "strategy": portfolio.strategy,
        "seed": portfolio.seed,
        "problem": portfolio.problem,
    }


def artifact_files(folder: Path) -> dict[str, bytes]:
    """portfolio.json and every policy file of a saved portfolio."""
    paths = [folder / "portfolio.json", *(path for path in (folder / "policies").rglob("*") if path.is_file())]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def flip_bit(path: Path, position: int, bit: int) -> None:
    """Flip one bit of a file in place."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


@contextlib.contextmanager
def copy_of(folder: Path, where: Path) -> Iterator[Path]:
    """A throw-away copy of a folder."""
    target = where / "copy"
    shutil.copytree(folder, target)
    try:
        yield target
    finally:
        shutil.rmtree(target)


@functools.cache
def _fork_server() -> multiprocessing.context.ForkServerContext:
    """A clean process with the package imported, from which processes fork in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.helpers.fault_helpers"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def start(task: Callable[..., None], *arguments: Any) -> multiprocessing.process.BaseProcess:
    """Start ``task`` in a process of its own; returns once it runs."""
    context = _fork_server()
    running = context.Event()
    process = context.Process(target=_announced, args=(running, task, *arguments))
    process.start()
    assert running.wait(60), "the process does not start"
    return process


def _announced(running: Any, task: Callable[..., None], *arguments: Any) -> None:
    running.set()
    task(*arguments)


def finish(process: multiprocessing.process.BaseProcess) -> int:
    """Wait for a process; its exit code, negative for a signal."""
    process.join(60)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def build_task(folder: Path, log: Path, strategy: str, pause: float) -> None:
    """One build, to be killed from outside."""
    build_portfolio(TrialBandit(log, pause=pause), STRATEGIES[strategy], path=folder)


def pool_build_task(folder: Path, log: Path, strategy: str, pause: float) -> None:
    """One build on two forked workers, to be killed from outside."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        build_portfolio(TrialBandit(log, pause=pause), STRATEGIES[strategy], path=folder, executor=pool)


def end_orphans(log: Path) -> None:
    """End the workers that a killed build left behind, found by the ids they noted with their solves."""
    noted = {json.loads(line)["process"] for line in log.read_text().splitlines()} - {os.getpid()}
    for process in noted:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


TRACED = {module.__file__ for module in (artifact, build, files, journal, portfolio)} | {__file__}


def _trace_lines(on_line: Callable[[], None]) -> None:
    def trace(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            on_line()
        return trace

    sys.settrace(trace)


def traced_build_task(folder: Path, log: Path, strategy: str, kill_at: int | None, count: Path) -> None:
    """One build that kills itself with SIGKILL at the given line executed, or notes how many lines it executed."""
    executed = 0

    def on_line() -> None:
        nonlocal executed
        executed += 1
        if executed == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    backend = TrialBandit(log)
    _trace_lines(on_line)
    build_portfolio(backend, STRATEGIES[strategy], path=folder)
    sys.settrace(None)
    count.write_text(str(executed))


def limited_build_task(folder: Path, log: Path, strategy: str, limit: int, error: Path) -> None:
    """One build in which no file may grow beyond ``limit`` bytes; notes the error it ended with."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        build_portfolio(TrialBandit(log), STRATEGIES[strategy], path=folder)
        text = "none"
    except Exception as failure:
        text = f"{type(failure).__name__}: {failure}"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    error.write_text(text)


def limited_record_task(folder: Path, room: int, error: Path) -> None:
    """Record a solve with room for only so many bytes of its line, then again with room for all; notes the error."""
    backend = TrialBandit()
    weights = np.array([0.2, 0.3, 0.5])
    solution = backend.optimize(weights)
    journal = Journal(folder, backend)
    limit = (folder / "journal.jsonl").stat().st_size + room
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    text = "none"
    try:
        journal.record(weights, solution)
    except ArtifactError as failure:
        text = str(failure)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.record(weights, solution)
    journal.close()
    error.write_text(text)
