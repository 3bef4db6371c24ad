"""One progress bar for a whole LLM run, with the time left, from what the worker processes note in their folders."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from backends.llm.measure.pools import Pool
from backends.llm.runs import Runs, adapter_of
from backends.llm.work.jobs import PROGRESS_FILE, Job, TrainJob

# Rough costs of one completion in each phase, in completions sampled from the base model: only the bar goes by them.
OFFLINE_STEP_COST = 2.0
TRAIN_COST = 4.0
EVALUATE_COST = 2.0
POLL_SECONDS = 1.0
TOLD_EVERY = 0.05
"""Where there is no terminal for a bar, a line is written whenever this much more is done."""


class RunProgress:
    """Shows how far planning, training and evaluation are. ``jobs`` are the training runs known so far."""

    def __init__(self, runs: Runs, policies: int, console: Console) -> None:
        self.runs = runs
        self.policies = policies
        self.jobs: list[TrainJob] = []
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=1.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> RunProgress:
        self._bar.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._bar.stop()

    def fraction(self) -> float:
        """The share of the whole run's cost that is done, in [0, 1]."""
        problem, training = self.runs.problem, self.runs.problem.training
        pools = [self.runs.planning_pool, self.runs.held_out_pool]
        rows = training.prompts_per_step * training.generations
        train = rows * (training.plan_steps * OFFLINE_STEP_COST + training.steps * TRAIN_COST)
        evaluate = len(problem.held_out) * problem.evaluation.generations * EVALUATE_COST
        total = sum(_cost(pool) for pool in pools) + self.policies * (train + evaluate)
        done = sum(_cost(pool) * pool.fraction() for pool in pools)
        for job in self.jobs:
            done += train * _done(job)
            if job.is_done:
                done += evaluate * _done(self.runs.evaluation(adapter_of(job)))
        return min(1.0, done / total)

    def _watch(self) -> None:
        told = 0.0
        while not self._stop.wait(POLL_SECONDS):
            fraction = self.fraction()
            self._bar.update(self._task, completed=fraction, description=self._description())
            if not self._console.is_terminal and fraction >= told + TOLD_EVERY:
                told = fraction
                self._console.print(f"{fraction:4.0%} {self._description()}", highlight=False)

    def _description(self) -> str:
        if not self.runs.planning_pool.is_done:
            return "plan: sample the base model"
        finished = sum(job.is_done for job in self.jobs)
        return f"train and evaluate, {finished} of {self.policies} trained"


def _cost(pool: Pool) -> int:
    return len(pool.prompts) * pool.samples


def _done(job: Job) -> float:
    """How much of a job is done, in [0, 1], as its worker noted."""
    if job.is_done:
        return 1.0
    try:
        record = json.loads(Path(job.folder / PROGRESS_FILE).read_text())
        return record["done"] / record["total"]
    except (OSError, ValueError, KeyError, ZeroDivisionError):
        return 0.0
