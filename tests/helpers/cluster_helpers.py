"""What the tests of the executors run on other processes: importable there, and steered through files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from backends.bandit import BanditBackend
from palm_theory.executors.claim import claim

PATIENCE = 120.0
"""Seconds after which a wait is a failure; nothing depends on how long things take below that."""

OBJECTS = 80 * 2**20
"""Bytes of a Ray node's object store."""

STEPS = 6
CHECKPOINT_AT = 3


def add_node(cluster, **resources):
    """One more node of a ``ray.cluster_utils.Cluster``, without CPUs unless told otherwise."""
    return cluster.add_node(object_store_memory=OBJECTS, **{"num_cpus": 0, **resources})


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited too long until {what}"
        time.sleep(0.02)


def note(file: Path, text: str) -> None:
    with file.open("a") as log:
        log.write(text + "\n")


def notes(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def meet(folder: Path, number: int, others: int) -> str:
    """Return only once ``others`` calls run at the same time; says which GPUs it was given."""
    (folder / f"here{number}").touch()
    wait_until(lambda: len(list(folder.glob("here*"))) >= others, f"{others} calls run at once")
    return os.environ.get("CUDA_VISIBLE_DEVICES", "")


def wait_for_file(started: Path, go: Path) -> str:
    note(started, str(os.getpid()))
    wait_until(go.exists, f"{go} exists")
    return "went on"


def crash_first(log: Path, times: int) -> int:
    """Kill its own process as if by the kernel, the first ``times`` times it is called."""
    note(log, str(os.getpid()))
    if len(notes(log)) <= times:
        os.kill(os.getpid(), 9)
    return len(notes(log))


def fail(log: Path) -> None:
    note(log, "called")
    raise ZeroDivisionError("by the user's own code")


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class SteppedBandit(BanditBackend):
    """A bandit whose solves are loops of steps with a checkpoint each, in a folder that all machines share.

    Every step is one line "process step" in a log of its weights; at ``CHECKPOINT_AT`` the loop waits for the file
    ``go``. The line "process done" is written by rename of the result, so there is one a completed loop.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(np.random.default_rng(0).random((2, 6, 2)), beta=0.1)
        self.folder = folder

    def solve_folder(self, weights: np.ndarray) -> Path:
        return self.folder / "-".join(f"{w:.6f}" for w in weights)

    def optimize(self, weights):
        folder = self.solve_folder(weights)
        folder.mkdir(parents=True, exist_ok=True)
        with claim(folder):
            if not (folder / "done").exists():
                for step in range(self._next_step(folder), STEPS + 1):
                    note(folder / "log", f"{os.getpid()} {step}")
                    if step == CHECKPOINT_AT:
                        wait_until((self.folder / "go").exists, "the test says go")
                    (folder / ".checkpoint").write_text(str(step))
                    os.replace(folder / ".checkpoint", folder / "checkpoint")
                note(folder / "log", f"{os.getpid()} done")
                (folder / "done").touch()
        return super().optimize(weights)

    @staticmethod
    def _next_step(folder: Path) -> int:
        return int((folder / "checkpoint").read_text()) + 1 if (folder / "checkpoint").exists() else 1

    def log(self, weights: np.ndarray) -> list[tuple[int, str]]:
        return [(int(line.split()[0]), line.split()[1]) for line in notes(self.solve_folder(weights) / "log")]

    def logs(self) -> Iterator[list[tuple[int, str]]]:
        for folder in sorted(path for path in self.folder.iterdir() if path.is_dir()):
            yield [(int(line.split()[0]), line.split()[1]) for line in notes(folder / "log")]
