"""The three heavy pieces of work, as picklable data that any process can run."""

from __future__ import annotations

import json
import os
import platform
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from backends.llm.measure.evaluation import load_measured, measure, save_measured
from backends.llm.measure.pools import Pool, Progress, sample_chunks
from backends.llm.policies import LLMPolicy
from backends.llm.problem import Problem
from backends.llm.train.training import is_trained, train
from palm_theory.files import explained_disk_errors, write_atomically

PROGRESS_FILE = "progress.json"
STEPS_FILE = "steps.log"
"""A line a step: time, machine, process, done/total. A line of a second process shows what it went on from."""
MEASURED_FILE = "measured.json"


@dataclass(frozen=True)
class Job(ABC):
    """Work on ``problem`` that leaves its result in ``folder``; run again, it goes on where it stopped."""

    problem: Problem
    folder: Path

    @property
    @abstractmethod
    def title(self) -> str:
        """What people see beside the progress bar."""

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """Whether the result is already in ``folder``."""

    @abstractmethod
    def run(self) -> None:
        """Do it, in this process."""

    def progress(self, done: int, total: int) -> None:
        """Note in ``folder`` how far the work is, and in its log of steps when, where and by which process."""
        record = {"title": self.title, "done": done, "total": total}
        write_atomically(self.folder / PROGRESS_FILE, json.dumps(record).encode())
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with explained_disk_errors(self.folder), (self.folder / STEPS_FILE).open("a") as log:
            log.write(f"{now} {platform.node()} {os.getpid()} {done}/{total}\n")


@dataclass(frozen=True)
class TrainJob(Job):
    """Train the adapter for one weight vector."""

    weights: tuple[float, ...]
    seed: int
    samples: Path | None = None

    @property
    def title(self) -> str:
        return "train " + weights_label(self.problem.objectives, self.weights)

    @property
    def is_done(self) -> bool:
        return is_trained(self.folder)

    def run(self) -> None:
        report: Progress = self.progress
        train(self.problem, np.array(self.weights), self.folder, self.seed, report, self.samples)


@dataclass(frozen=True)
class EvaluateJob(Job):
    """Measure a policy on the held-out prompts."""

    policy: LLMPolicy

    @property
    def title(self) -> str:
        return f"evaluate {type(self.policy).__name__}"

    @property
    def is_done(self) -> bool:
        return (self.folder / MEASURED_FILE).is_file()

    def run(self) -> None:
        self.progress(0, 1)
        save_measured(measure(self.problem, self.policy), self.folder / MEASURED_FILE)
        # Read back before it is called done: a result that cannot be read is found here, not in a later run.
        load_measured(self.folder / MEASURED_FILE)
        self.progress(1, 1)


@dataclass(frozen=True)
class SampleJob(Job):
    """Sample and score ``share`` of the ``shares`` parts of a pool of the base model's answers."""

    pool: Pool
    share: int
    shares: int

    @property
    def title(self) -> str:
        return f"sample the base model, part {self.share + 1} of {self.shares}"

    @property
    def is_done(self) -> bool:
        mine = list(self.pool.chunks)[self.share :: self.shares]
        return self.pool.is_done or all(self.pool.part(start).is_file() for start in mine)

    def run(self) -> None:
        sample_chunks(self.problem, self.pool, self.share, self.shares, self.progress)


def weights_label(objectives: tuple[str, ...], weights: tuple[float, ...]) -> str:
    """Weights for people: ``brevity .70 + positivity .30``."""
    parts = [f"{name} {w:.2f}" for name, w in zip(objectives, weights, strict=True) if w > 0]
    return " + ".join(parts)
