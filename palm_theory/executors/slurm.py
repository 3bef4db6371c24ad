"""Tasks as SLURM jobs, as a ``concurrent.futures.Executor``, through submitit. Needs the extra ``slurm``."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from palm_theory.errors import BackendError, InputError
from palm_theory.executors.outcome import Outcome, packed, run_packed, task_label
from palm_theory.executors.squeue import QueueStates, is_over
from palm_theory.executors.stoppable import StoppableExecutor

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

CLUSTERS = ("slurm", "local", "debug")
GRACE_SECONDS = 10.0
"""How long a finished job's result may take to show up through a shared file system."""
SQUEUE_SECONDS = 5.0
"""SLURM is asked for the states of jobs at most this often; results are looked for in the folder."""
HOPELESS = ("CANCELLED", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")
"""States of a lost job that starting it again would not cure."""


class SlurmExecutor(StoppableExecutor):
    """Runs each call as one SLURM job.

    Parameters
    ----------
    folder : where submitit keeps pickled calls, results and job logs: on a file system that all nodes share.
    cluster : "slurm"; "local" runs each job as a process of this machine, "debug" in this process: for trying out.
        Local jobs are stopped by SIGINT, which programs started in the background of a shell ignore.
    cpus, gpus, memory_gb : what one job asks for; gpus is a whole number.
    time_minutes : a job's time limit. A job that reaches it, or is preempted, is requeued and starts its call again.
    partition, parameters : the partition, and any other sbatch option by its name ({"account": "x", "qos": "low"}).
    retries : how often a job that ended without a word (killed, node failed, timed out) is submitted again, and how
        often one is requeued after its time limit.
    max_jobs : jobs in SLURM's hands at once; the others wait here. None for no limit.
    poll_seconds : how often results are looked for.

    An exception raised by the call is set on its future, with its traceback, and never retried. ``cancel`` withdraws a
    job that has not started. Leaving the ``with`` block by Ctrl-C cancels queued and running jobs. A job cancelled by
    somebody else, or out of memory, is an error, not retried.

    Raises InputError on bad arguments, where submitit is not installed, or where there is no SLURM.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        cluster: Literal["slurm", "local", "debug"] = "slurm",
        cpus: int = 1,
        gpus: int = 0,
        memory_gb: float | None = None,
        time_minutes: int = 24 * 60,
        partition: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        retries: int = 3,
        max_jobs: int | None = None,
        poll_seconds: float = 1.0,
    ) -> None:
        if cluster not in CLUSTERS:
            raise InputError(f"cluster must be one of {', '.join(CLUSTERS)}, got {cluster!r}")
        for name, number, least in (
            ("cpus", cpus, 1),
            ("gpus", gpus, 0),
            ("time_minutes", time_minutes, 1),
            ("retries", retries, 0),
            ("max_jobs", 1 if max_jobs is None else max_jobs, 1),
        ):
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise InputError(f"{name} must be an integer >= {least}, got {number!r}")
        if poll_seconds <= 0 or (memory_gb is not None and memory_gb <= 0):
            raise InputError(f"poll_seconds and memory_gb must be > 0, got {poll_seconds} and {memory_gb}")
        self._retries, self._max_jobs, self._poll_seconds = retries, max_jobs, poll_seconds
        self._folder, self._cluster = Path(folder).absolute(), cluster
        self._submitter = _submitter(self._folder, cluster, retries)
        asked: dict[str, Any] = {
            "timeout_min": time_minutes,
            "cpus_per_task": cpus,
            "gpus_per_node": gpus or None,
            "mem_gb": memory_gb,
            "slurm_partition": partition,
            "slurm_additional_parameters": dict(parameters or {}) or None,
        }
        self._submitter.update_parameters(**{key: value for key, value in asked.items() if value is not None})
        self._states = QueueStates(max(poll_seconds, SQUEUE_SECONDS))
        self._numbers = itertools.count(1)
        self._waiting: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._running: list[_Task] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue one call. What cannot be pickled is an error of its future."""
        with self._lock:
            if self._closed.is_set():
                raise RuntimeError("cannot schedule new futures after shutdown")
            number = next(self._numbers)
            future = _SlurmFuture()
            try:
                payload = packed(fn, args, kwargs)
            except BackendError as error:
                future.set_exception(error)
                return future
            started = self._folder / f"started-{time.time_ns()}-{number}"
            future.task = _Task(task_label(number, fn, args), Call(payload, started), future)
            self._waiting.put(future.task)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="palm-slurm", daemon=True)
                self._thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; cancel those not started if asked, wait for the others if asked."""
        with self._lock:
            self._closed.set()
        if cancel_futures:
            for task in self._unstarted():
                task.future.cancel()
        if wait and self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Take no more calls and cancel all jobs, queued or running."""
        self._stopped.set()
        self.shutdown(wait=True)

    def _unstarted(self) -> list[_Task]:
        with self._lock:
            waiting = [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
            for task in waiting:
                self._waiting.put(task)
            return [*waiting, *self._running]

    def _watch(self) -> None:
        """The thread that submits jobs and looks for their results."""
        while True:
            if self._stopped.is_set():
                self._cancel_all()
            self._submit_waiting()
            self._running = [task for task in self._running if not self._settled(task)]
            if self._closed.is_set() and not self._running and self._waiting.empty():
                return
            self._stopped.wait(self._poll_seconds)

    def _submit_waiting(self) -> None:
        while self._max_jobs is None or len(self._running) < self._max_jobs:
            try:
                task = self._waiting.get_nowait()
            except queue.Empty:
                return
            if not task.future.cancelled() and self._submitted(task):
                self._running.append(task)

    def _submitted(self, task: _Task) -> bool:
        try:
            task.job, task.lost_since = self._submitter.submit(task.call), None
        except Exception as error:
            text = f"{task.label} could not be submitted: {type(error).__name__}: {error}"
            task.settle(Outcome(error=BackendError(text)))
            return False
        return True

    def _settled(self, task: _Task) -> bool:
        """Look after one submitted job; whether its future is done."""
        if task.future.cancelled():
            _cancel(task)
            return True
        task.note_start()
        if self._cluster != "debug" and not task.has_result():
            return is_over(self._state(task)) and task.is_lost_for(GRACE_SECONDS) and not self._again(task)
        try:
            outcome = task.job.result()
        except Exception as error:  # submitit's: the pickled call could not even be read, or its time was up too often
            outcome = Outcome(error=BackendError(f"{task.label}: {error}"))
        task.settle(outcome)
        return True

    def _state(self, task: _Task) -> str:
        if self._cluster == "slurm":
            return self._states.state(task.job.job_id, [other.job.job_id for other in self._running])
        return str(task.job.state).upper()

    def _again(self, task: _Task) -> bool:
        """Submit a lost job again; False where that is no use, with the error on its future."""
        state = self._state(task)
        task.attempts += 1
        if state.startswith(HOPELESS) or task.attempts > self._retries or self._stopped.is_set():
            text = f"{task.label} was lost {task.attempts} time(s), its last job {task.job.job_id} in state {state}"
            task.settle(Outcome(error=BackendError(f"{text}; its output is in {task.job.paths.stderr}")))
            return False
        retry = f"retry {task.attempts} of {self._retries}"
        logger.warning("%s was lost (job %s, state %s); %s", task.label, task.job.job_id, state, retry)
        return self._submitted(task)

    def _cancel_all(self) -> None:
        for task in self._unstarted():
            if not task.future.cancel():
                task.settle(Outcome(error=BackendError(f"{task.label} was stopped")))
            _cancel(task)
        self._running = []
        while not self._waiting.empty():
            self._waiting.get_nowait()


class Call:
    """The body of every job. submitit calls ``checkpoint`` when its time is up or it is preempted, and requeues what
    that returns: the same call, which goes on from whatever its code has saved."""

    def __init__(self, payload: bytes, started: Path) -> None:
        self.payload, self.started = payload, started

    def __call__(self) -> Outcome:
        """Say that it has started, and run."""
        self.started.touch()
        return run_packed(self.payload)

    def checkpoint(self) -> Any:
        """What submitit is to requeue."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass(eq=False)
class _Task:
    """One call on its way: what to run, where its result goes, how often it was lost, its present job."""

    label: str
    call: Call
    future: _SlurmFuture
    attempts: int = 0
    job: Any = None
    lost_since: float | None = None

    def has_result(self) -> bool:
        """Whether the job has left its result."""
        with contextlib.suppress(OSError):
            os.scandir(self.job.paths.folder).close()  # asks a network file system anew
        return self.job.paths.result_pickle.exists()

    def is_lost_for(self, seconds: float) -> bool:
        """Whether its job, ended without a result, was first seen so at least this long ago."""
        if self.lost_since is None:
            self.lost_since = time.monotonic()
        return time.monotonic() - self.lost_since >= seconds

    def note_start(self) -> None:
        """Mark the future as running once the job says that it has started."""
        if not self.future.running() and self.call.started.exists():
            with contextlib.suppress(InvalidStateError):
                self.future.set_running_or_notify_cancel()

    def settle(self, outcome: Outcome) -> None:
        """Give the future its result, unless it was cancelled."""
        self.call.started.unlink(missing_ok=True)
        with contextlib.suppress(InvalidStateError):
            if not self.future.done() and (self.future.running() or self.future.set_running_or_notify_cancel()):
                outcome.settle(self.future)


class _SlurmFuture(Future[Any]):
    """A future that looks whether its job has started before it lets itself be cancelled."""

    task: _Task

    def cancel(self) -> bool:
        if self.done():
            return self.cancelled()
        self.task.note_start()
        if not super().cancel():
            return False
        self.set_running_or_notify_cancel()  # nobody else tells those who wait for it
        return True


def _cancel(task: _Task) -> None:
    if task.job is not None:
        with contextlib.suppress(Exception):
            task.job.cancel(check=False)
    task.call.started.unlink(missing_ok=True)


def _submitter(folder: Path, cluster: str, retries: int) -> Any:
    try:
        import submitit
    except ImportError as error:
        raise InputError(f"submitit is not installed ({error}); pip install 'palm-theory[slurm]'") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return submitit.AutoExecutor(folder, cluster=cluster, slurm_max_num_timeout=retries)
    except RuntimeError as error:
        raise InputError(f"no SLURM here ({error}); log in to a machine that has sbatch and srun") from error
