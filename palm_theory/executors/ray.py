"""Tasks on a Ray cluster, as a ``concurrent.futures.Executor``. Needs the extra ``ray``."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from palm_theory.errors import BackendError, InputError
from palm_theory.executors.outcome import Outcome, packed, run_packed, task_label
from palm_theory.executors.stoppable import StoppableExecutor

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

GIGABYTE = 10**9
HEAD = "node:__internal_head__"


class RayExecutor(StoppableExecutor):
    """Runs each call as one Ray task, as many at once as the cluster has room for.

    Parameters
    ----------
    address : "auto" for the cluster this machine is part of, "ray://HOST:10001" for one reached by Ray Client, "local"
        for one that lives as long as this executor. None takes the cluster that this program is connected to, or else
        "auto".
    cpus, gpus : what one task holds; a fraction of a GPU shares it.
    memory_gb : gigabytes (10^9 bytes) of main memory that one task holds, or None to ask for none.
    resources : custom resources that one task holds, by the names the nodes declare.
    retries : how often a task whose worker or node died or was preempted is started again. What the task itself had
        saved by then is its own: a task that resumes from checkpoints in a shared folder resumes.
    runtime_env : Ray's own, for packages or variables the nodes lack.

    An exception raised by the call is set on its future at once, with its traceback, and never retried. ``cancel``
    withdraws a task that has not started; one that has started is left alone. Leaving the ``with`` block by Ctrl-C
    withdraws the queued tasks and stops the running ones.

    Raises InputError on bad arguments, where ray is not installed, or where no cluster answers.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus: float = 1,
        gpus: float = 0,
        memory_gb: float | None = None,
        resources: Mapping[str, float] | None = None,
        retries: int = 3,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        _check_amounts({"cpus": cpus, "gpus": gpus, "memory_gb": memory_gb or 0, **(resources or {})})
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise InputError(f"retries must be an integer >= 0, got {retries!r}")
        self._retries = retries
        self._owns_connection = _connect(address)
        ray = _ray()
        memory = None if memory_gb is None else int(memory_gb * GIGABYTE)
        options = {
            "num_cpus": cpus,
            "num_gpus": gpus,
            "memory": memory,
            "resources": dict(resources or {}),
            "runtime_env": None if runtime_env is None else dict(runtime_env),
            "max_retries": 0,  # retried here, where it can be counted and told
        }
        self._remote = ray.remote(_run_task).options(**options)
        gate = ray.remote(_Gate).options(num_cpus=0, resources={HEAD: 0.001}, max_restarts=-1, max_task_retries=-1)
        self._gate = gate.remote()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._tasks: dict[int, _Task] = {}
        self._idle = threading.Condition(self._lock)
        self._closed = False
        _warn_where_nothing_fits(cpus, gpus, memory, resources or {})

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue one call. What cannot be pickled is an error of its future."""
        future = _RayFuture(self._withdraw)
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            number = next(self._numbers)
        try:
            payload = packed(fn, args, kwargs)
        except BackendError as error:
            future.set_exception(error)
            return future
        task = _Task(number, task_label(number, fn, args), payload, future)
        future.number = number
        with self._lock:
            self._tasks[number] = task
        self._launch(task)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; withdraw the queued ones if asked, wait for the others if asked."""
        with self._lock:
            self._closed = True
            tasks = list(self._tasks.values())
        if cancel_futures:
            for task in tasks:
                task.future.cancel()
        if wait:
            with self._idle:
                self._idle.wait_for(lambda: not self._tasks)
        if wait or not self._tasks:
            self._disconnect()

    def stop(self) -> None:
        """Take no more calls, withdraw the queued ones and kill the running ones."""
        with self._lock:
            self._closed = True
            tasks = list(self._tasks.values())
        for task in tasks:
            if not task.future.cancel():
                # Settled before it is killed, or its death would count as a loss and start it again.
                self._settle(task, Outcome(error=BackendError(f"{task.label} was stopped")))
                _cancel(task.ref, force=True)
        self._disconnect()

    def _launch(self, task: _Task) -> None:
        task.ref = self._remote.remote(self._gate, task.number, task.payload)
        task.ref.future().add_done_callback(lambda done: self._ended(task, done))

    def _ended(self, task: _Task, done: Future[Any]) -> None:
        """A Ray task is over: settle its future, or start it again where its worker was lost."""
        from ray import exceptions

        error = done.exception()
        if task.withdrawn or task.future.done():
            self._forget(task)
        elif error is None:
            outcome = done.result()
            if outcome is not None:  # None: withdrawn, and whoever did that cancels the future
                self._settle(task, outcome)
        elif isinstance(error, _lost_errors()):
            reason = " ".join(str(error).split()).split(". This can")[0][:300]
            task.attempts += 1
            if task.attempts > self._retries:
                text = f"{task.label} was lost {task.attempts} time(s), at last by {type(error).__name__}: {reason}"
                self._settle(task, Outcome(error=BackendError(text)))
                return
            retry = f"retry {task.attempts} of {self._retries}"
            logger.warning("%s was lost (%s: %s); %s", task.label, type(error).__name__, reason, retry)
            self._launch(task)
        elif isinstance(error, exceptions.TaskCancelledError):
            self._settle(task, Outcome(error=BackendError(f"{task.label} was cancelled in the cluster")))
        else:
            self._settle(task, Outcome(error=BackendError(f"{task.label}: {type(error).__name__}: {error}")))

    def _settle(self, task: _Task, outcome: Outcome) -> None:
        # Two attempts may end where a node was cut off and came back: the first to arrive counts.
        with contextlib.suppress(InvalidStateError):
            if not task.future.done() and task.future.set_running_or_notify_cancel():
                outcome.settle(task.future)
        self._forget(task)

    def _forget(self, task: _Task) -> None:
        with self._idle:
            self._tasks.pop(task.number, None)
            self._idle.notify_all()

    def _withdraw(self, number: int) -> bool:
        """Keep a task from starting; False where it has started."""
        from ray.exceptions import RayError

        task = self._tasks.get(number)
        try:
            if task is None or not _ray().get(self._gate.withdraw.remote(number)):
                return False
        except RayError:
            return False
        task.withdrawn = True
        _cancel(task.ref, force=False)
        self._forget(task)
        return True

    def _disconnect(self) -> None:
        if self._owns_connection:
            self._owns_connection = False
            _ray().shutdown()


@dataclass(eq=False)
class _Task:
    """One call on its way: what to run, where its result goes, how often it was lost."""

    number: int
    label: str
    payload: bytes
    future: _RayFuture
    attempts: int = 0
    withdrawn: bool = False
    ref: Any = None


class _RayFuture(Future[Any]):
    """A future that asks the cluster whether it can still be cancelled."""

    def __init__(self, withdraw: Callable[[int], bool]) -> None:
        super().__init__()
        self._withdraw = withdraw
        self.number = 0

    def cancel(self) -> bool:
        if self.done():
            return self.cancelled()
        if not self._withdraw(self.number) or not super().cancel():
            return False
        self.set_running_or_notify_cancel()  # nobody else tells those who wait for it
        return True


class _Gate:
    """Decides, for all tasks, between "started" and "withdrawn": an actor, so never both."""

    def __init__(self) -> None:
        self._started: set[int] = set()
        self._withdrawn: set[int] = set()

    def start(self, number: int) -> bool:
        if number in self._withdrawn:
            return False
        self._started.add(number)
        return True

    def withdraw(self, number: int) -> bool:
        if number in self._started:
            return False
        self._withdrawn.add(number)
        return True


def _run_task(gate: Any, number: int, payload: bytes) -> Outcome | None:
    """The body of every Ray task; None where it was withdrawn before it started."""
    import ray
    from ray.exceptions import RayActorError

    with contextlib.suppress(RayActorError):  # without a gate nothing can be withdrawn, but work goes on
        if not ray.get(gate.start.remote(number)):
            return None
    return run_packed(payload)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise InputError(f"ray is not installed ({error}); pip install 'palm-theory[ray]'") from error
    return ray


def _connect(address: str | None) -> bool:
    """Connect to a cluster where this program is not connected yet; whether this call did it."""
    ray = _ray()
    if ray.is_initialized():
        return False
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of ours reports to nobody
    try:
        ray.init(address=address or "auto", log_to_driver=False, logging_level=logging.ERROR)
    except ImportError as error:
        raise InputError(f"Ray Client is not installed ({error}); pip install 'ray[client]'") from error
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise InputError(
            f"no Ray cluster answers at {address or 'auto'!r} ({error}); start one with `ray start --head`, or use "
            'address="local"'
        ) from error
    return True


def _lost_errors() -> tuple[type[Exception], ...]:
    """How Ray says that a worker, its node or its result is gone."""
    from ray import exceptions

    return (
        exceptions.WorkerCrashedError,
        exceptions.NodeDiedError,
        exceptions.ObjectLostError,
        exceptions.OutOfMemoryError,
        exceptions.LocalRayletDiedError,
    )


def _cancel(ref: Any, *, force: bool) -> None:
    with contextlib.suppress(Exception):
        _ray().cancel(ref, force=force)


def _check_amounts(amounts: Mapping[str, float]) -> None:
    for name, amount in amounts.items():
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < float("inf"):
            raise InputError(f"{name} must be a finite number >= 0, got {amount!r}")


def _warn_where_nothing_fits(cpus: float, gpus: float, memory: int | None, resources: Mapping[str, float]) -> None:
    """Say so where no node of the cluster could run a task: it then waits for one, perhaps for ever."""
    asked = {"CPU": cpus, "GPU": gpus, "memory": memory or 0, **resources}
    nodes = [node["Resources"] for node in _ray().nodes() if node["Alive"]]
    if not any(all(node.get(name, 0) >= amount for name, amount in asked.items()) for node in nodes):
        wanted = ", ".join(f"{name} {amount:g}" for name, amount in asked.items() if amount)
        logger.warning("no node of the cluster has %s: tasks wait until one joins", wanted)
