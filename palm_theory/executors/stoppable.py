"""What the executors of other machines share: Ctrl-C stops what runs there, any other error lets it end."""

from __future__ import annotations

from abc import abstractmethod
from concurrent.futures import Executor
from types import TracebackType


class StoppableExecutor(Executor):
    """An executor that can stop calls that are running elsewhere.

    Left by an interrupt (KeyboardInterrupt, SystemExit), it stops everything; left by an exception, it cancels what is
    queued and waits for what runs; else it waits for all.
    """

    @abstractmethod
    def stop(self) -> None:
        """Take no more calls and stop all, queued or running."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is not None and not issubclass(kind, Exception):
            self.stop()
        else:
            self.shutdown(wait=True, cancel_futures=kind is not None)
        return None
