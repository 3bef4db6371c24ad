"""Jobs as tasks of an executor whose workers may be other machines that share the backend's folder."""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path

from backends.llm.work.jobs import Job
from backends.llm.work.worker import Child, picklable, run_claimed, run_in_child, worker_environment
from palm_theory.errors import BackendError, InputError
from palm_theory.files import explained_disk_errors

VISIBLE_SECONDS = 60.0
"""How long a result written elsewhere may take to show up here; network file systems cache what a folder holds."""


@dataclass(frozen=True, eq=False)
class RemoteWorkers:
    """Every job (sampling, training, evaluation) is one task of ``executor``: a ``RayExecutor``, a ``SlurmExecutor``.

    The executor decides how many run at once, what GPUs each holds, and starts those again whose machine was lost; the
    job then goes on from its last checkpoint. Each runs in a process of its own with ``threads`` CPU threads. The
    backend's folder, a local model and local prompts must be on a file system that all machines share, this one
    included. At most ``count`` jobs are handed over at once.

    A job that was started twice, or that runs on both sides of a network that split, leaves one whole result: workers
    claim its folder one at a time (``palm_theory.executors.claim``), and who comes second finds the work done.
    """

    executor: Executor
    count: int = 256
    threads: int = 1
    _futures: set[Future[None]] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.executor, Executor):
            raise InputError(f"executor must be a concurrent.futures.Executor, got {self.executor!r}")
        if self.count < 1 or self.threads < 1:
            raise InputError(f"count and threads must be >= 1, got {self.count} and {self.threads}")

    def run(self, job: Job, slots: Path) -> None:
        """Run ``job`` on some machine and wait for it; see ``Runner``."""
        if job.is_done:
            return
        with explained_disk_errors(job.folder):
            job.folder.mkdir(parents=True, exist_ok=True)
        future = self.executor.submit(run_here, picklable(job), self.threads, os.getcwd(), job.title)
        self._futures.add(future)
        try:
            future.result()
        finally:
            self._futures.discard(future)
        _await_result(job)

    def stop(self) -> None:
        """Withdraw what is queued, and stop what runs where the executor can."""
        for future in list(self._futures):
            future.cancel()
        stop = getattr(self.executor, "stop", None)
        if stop is not None:
            stop()


def run_here(job: Job, threads: int, cwd: str, title: str) -> None:
    """The task: run ``job`` on this machine, unless its result is there. ``title`` is for the executor's messages.

    Raises InputError where the job's folder is not visible here, BackendError where the job fails.
    """
    if not job.folder.is_dir():
        raise InputError(
            f"{job.folder} is not visible on {platform.node()}; the runs folder must be on a file system that all "
            "machines share"
        )

    def execute(child: Child) -> None:
        where = Path(cwd) if Path(cwd).is_dir() else None
        run_in_child(job, child, worker_environment(threads), retries=1, cwd=where)

    run_claimed(job, execute)


def _await_result(job: Job) -> None:
    deadline = time.monotonic() + VISIBLE_SECONDS
    while not job.is_done:
        os.scandir(job.folder).close()  # asks a network file system anew
        if time.monotonic() > deadline:
            raise BackendError(
                f"'{job.title}' ended well, but its result is not in {job.folder} as seen from here; the runs folder "
                "must be on a file system that all machines share"
            )
        time.sleep(0.5)
