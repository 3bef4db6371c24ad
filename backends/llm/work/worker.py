"""Running a job in a process of its own (``child.py``), with its own threads and GPU, retried and resumed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pickle
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

import backends
from backends.llm.work.jobs import Job
from palm_theory.errors import ArtifactError, BackendError, InputError, PalmError
from palm_theory.executors.claim import claim
from palm_theory.files import explained_disk_errors

ERROR_FILE = "error.json"
LOG_FILE = "log.txt"
LOG_TAIL = 12
POLL_SECONDS = 0.2
FULL_BELOW = 2**20
"""A disk with fewer free bytes counts as full when something fails on it."""

# glibc gives freed tensors back to the system at once unless told otherwise, which cost a third of a training step of
# the embedded model where it was measured.
WORKER_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive",
    "TOKENIZERS_PARALLELISM": "false",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "20000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


class Runner(Protocol):
    """Where jobs run: ``Workers`` here, ``RemoteWorkers`` as tasks of an executor."""

    @property
    def count(self) -> int:
        """How many jobs to hand over at once."""
        ...

    def run(self, job: Job, slots: Path) -> None:
        """Run ``job`` unless its result is there; return when it is. ``slots`` is a folder for bookkeeping.

        Raises the job's own PalmError, or BackendError where its process died too often. Nothing finished is lost:
        calling again goes on from the last checkpoint.
        """
        ...

    def stop(self) -> None:
        """Give up on what was handed over: called once no more results are wanted."""
        ...


@dataclass(frozen=True)
class Workers:
    """Processes of this machine: ``count`` at once, ``threads`` CPU threads each, worker i on GPU ``gpus[i]``.

    A job that dies is started again up to ``retries`` times and goes on from its last checkpoint.
    """

    count: int = 1
    threads: int = 1
    gpus: tuple[str, ...] = ()
    retries: int = 1

    def __post_init__(self) -> None:
        if self.count < 1 or self.threads < 1 or self.retries < 0:
            raise InputError(
                f"workers and threads must be >= 1 and retries >= 0, got {self.count}, {self.threads}, {self.retries}"
            )
        if self.gpus and len(self.gpus) < self.count:
            raise InputError(f"{self.count} workers need as many GPU ids, got {', '.join(self.gpus)}")

    def run(self, job: Job, slots: Path) -> None:
        """Run ``job`` here. Callers in other threads and processes of this machine share the ``count`` slots."""
        if job.is_done:
            return
        slots = slots / platform.node()
        with explained_disk_errors(job.folder):
            job.folder.mkdir(parents=True, exist_ok=True)
            slots.mkdir(parents=True, exist_ok=True)

        def execute(child: Child) -> None:
            with _slot(slots, self.count) as slot:
                run_in_child(job, child, self._environment(slot), self.retries)

        run_claimed(job, execute)

    def stop(self) -> None:
        """Nothing: a worker process ends with the thread that waits for it."""

    def _environment(self, slot: int) -> dict[str, str]:
        environment = worker_environment(self.threads)
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[slot]
        return environment


class Child:
    """The worker process of one job, if it runs, for whoever must stop it from another thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def adopt(self, process: subprocess.Popen[bytes]) -> None:
        """Take a process; one that comes after ``stop`` is killed."""
        self._process = process
        if self._stopped:
            process.kill()

    def stop(self) -> None:
        """Kill it, now and whenever it comes."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopped


def run_claimed(job: Job, execute: Callable[[Child], None]) -> None:
    """``execute`` once no other worker holds the job's folder, unless its result is there. Where another worker takes
    the folder over meanwhile (this machine was cut off), the child is stopped and that worker waited for."""
    while True:
        child = Child()
        with claim(job.folder, child.stop):
            if job.is_done:
                return
            try:
                execute(child)
            except BackendError:
                if not child.stopped:
                    raise
            else:
                return


def run_in_child(job: Job, child: Child, environment: dict[str, str], retries: int, cwd: Path | None = None) -> None:
    """Run a claimed job in a process of its own, again up to ``retries`` times where that dies.

    Raises BackendError where it dies once more or was stopped, else the error that the job itself raised.
    """
    payload = _pickled(job)
    for attempt in range(retries + 1):
        (job.folder / ERROR_FILE).unlink(missing_ok=True)
        code = _run_child(payload, environment, job.folder / LOG_FILE, cwd, child)
        if job.is_done:
            return
        if child.stopped:
            raise BackendError(f"'{job.title}' was stopped: another worker has taken {job.folder} over")
        _raise_reported(job.folder)
        if attempt == retries:
            raise BackendError(_death_text(job, code, attempt + 1))


def picklable(job: Job) -> Job:
    """The job itself; InputError where it cannot be sent to another process."""
    _pickled(job)
    return job


def worker_environment(threads: int) -> dict[str, str]:
    """The environment of a worker process with ``threads`` CPU threads."""
    environment = {**os.environ, **WORKER_ENVIRONMENT}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = str(threads)
    environment["PYTHONPATH"] = os.pathsep.join(import_path())
    return environment


def import_path() -> list[str]:
    """``sys.path`` of a worker process: this process's own, so that a user's modules are found alike, and the current
    folder. Where another ``backends`` comes first on it (a folder of that name made, or entered, since ours was
    imported), ours is put before all."""
    here = os.getcwd()
    paths = list(dict.fromkeys([*(path or here for path in sys.path), here]))
    found = PathFinder.find_spec(backends.__name__, paths)
    if found is None or list(found.submodule_search_locations or ()) != list(backends.__path__):
        paths.insert(0, str(Path(backends.__path__[0]).parent))
    return paths


@contextlib.contextmanager
def solving_threads(workers: Runner) -> Iterator[Executor]:
    """Threads that wait for ``workers``, as many as they take jobs at once. An error or Ctrl-C stops them."""
    with ThreadPoolExecutor(workers.count) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            workers.stop()
            raise


@contextlib.contextmanager
def _slot(folder: Path, count: int) -> Iterator[int]:
    """Wait for one of ``count`` slots, shared between processes, and hold it."""
    while True:
        for slot in range(count):
            lock = FileLock(folder / f"slot{slot}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield slot
                return
            finally:
                lock.release()
        time.sleep(POLL_SECONDS)


def _pickled(job: Job) -> bytes:
    try:
        data = pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"this problem cannot be sent to a worker process ({error}); let its rewards be functions at the top of a "
            "module, or objects of plain values"
        ) from None
    for reward in job.problem.rewards:
        if getattr(reward.measure, "__module__", None) == "__main__":
            raise InputError(
                f"the reward {reward.name!r} is defined in the script that runs, where a worker process cannot import "
                "it; move it to a module of its own"
            )
    return data


def _run_child(payload: bytes, environment: dict[str, str], log: Path, cwd: Path | None, child: Child) -> int:
    with explained_disk_errors(log), log.open("ab") as output:
        process = subprocess.Popen(
            # -P: the current folder is no place to look in before all others.
            [sys.executable, "-P", "-m", "backends.llm.work.child"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=cwd,
        )
        try:
            child.adopt(process)
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(payload)
                process.stdin.flush()
            return process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise


def _raise_reported(folder: Path) -> None:
    """Raise the error that the child described, if it lived to describe one."""
    path = folder / ERROR_FILE
    if not path.exists():
        return
    try:
        report = json.loads(path.read_text())
        kind = {cls.__name__: cls for cls in (InputError, ArtifactError)}.get(report["type"], BackendError)
        message = str(report["message"])
    except (ValueError, KeyError, TypeError):
        return
    raise kind(message)


def _death_text(job: Job, code: int, times: int) -> str:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    log = job.folder / LOG_FILE
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:]) if log.exists() else ""
    return (
        f"the process of '{job.title}' ended with {how}, {times} time(s); what is finished is kept, run again to go on "
        f"from the last checkpoint. The end of {log}:\n{tail}"
    )


@contextlib.contextmanager
def explained_failures(job: Job) -> Iterator[None]:
    """Turn an error on a full disk into an ArtifactError; other errors pass. Libraries that write files in C++ report
    a full disk in ways that do not name it, so the disk itself is asked."""
    try:
        yield
    except PalmError:
        raise
    except Exception as error:
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT) or shutil.disk_usage(job.folder).free < FULL_BELOW:
            raise ArtifactError(
                f"no room left on the disk of {job.folder} while running '{job.title}'; what is finished is kept, free "
                "the disk and run again"
            ) from error
        raise
