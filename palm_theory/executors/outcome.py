"""What a task on another machine sends back: its value, or the error of the user's code with its traceback.

The distinction decides what is retried. An ``Outcome`` means that the code ran to its end, well or badly: it is
reported, never retried. No outcome means that its worker was lost: it is retried.
"""

from __future__ import annotations

import os
import pickle
import platform
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from palm_theory.errors import BackendError


class RemoteTraceback(Exception):
    """The traceback of an error on another machine, as text: the ``__cause__`` of what is raised here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Outcome:
    """``value`` of a call, or its ``error`` with its ``trace``; ``node`` is the name of the machine it ran on."""

    value: Any = None
    error: BaseException | None = None
    trace: str = ""
    node: str = ""

    def settle(self, future: Future[Any]) -> None:
        """Give a running future this result."""
        if self.error is None:
            future.set_result(self.value)
            return
        if self.trace:
            self.error.__cause__ = RemoteTraceback(f"\n\non {self.node}:\n{self.trace}")
        future.set_exception(self.error)


def packed(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """A call as bytes for another machine, with cloudpickle: what can be imported here goes by name, and with the
    folders it is found in. Raises BackendError where it cannot be pickled."""
    import cloudpickle

    try:
        folders = [os.path.abspath(path) for path in sys.path]
        return pickle.dumps((folders, cloudpickle.dumps((function, args, kwargs))))
    except Exception as error:
        raise BackendError(f"a call that cannot be pickled cannot leave this process: {error}") from error


def run_packed(call: bytes) -> Outcome:
    """Unpack a call, run it here, and catch what it raises; KeyboardInterrupt and SystemExit pass."""
    node = platform.node()
    try:
        folders, payload = pickle.loads(call)
        # Last, so that nothing installed here is hidden by the other machine's.
        sys.path.extend(path for path in folders if path not in sys.path and os.path.isdir(path))
        function, args, kwargs = pickle.loads(payload)
        return Outcome(function(*args, **kwargs), node=node)
    except Exception as error:
        return Outcome(error=_portable(error), trace=traceback.format_exc(), node=node)


def _portable(error: Exception) -> Exception:
    """The error itself where it survives pickling, else a BackendError that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return BackendError(f"{type(error).__name__}: {error}")
    return error


def task_label(number: int, function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """A task for people: its number, its function and its last argument, which says most."""
    last = " ".join(str(args[-1]).split())[:60] if args else ""
    return f"task {number} ({getattr(function, '__name__', 'call')} {last})".replace(" )", ")")
