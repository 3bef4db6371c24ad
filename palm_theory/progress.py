"""The progress bar of a build: solves done, gap certified so far, time left."""

from __future__ import annotations

import math
import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class BuildProgress:
    """Shows on standard error what a build does; silent where ``enabled`` is False or, by default, without a terminal.

    Where a strategy cannot know how many solves it will need, the total is its estimate and moves.
    """

    def __init__(self, enabled: bool | None, strategy: str) -> None:
        shown = sys.stderr.isatty() if enabled is None else enabled
        self._bar = Progress(
            TextColumn(f"[bold]{strategy}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("solves · {task.fields[gap]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not shown,
        )
        self._task = self._bar.add_task("", total=None, gap="nothing certified yet")
        self._asked = 0

    def __enter__(self) -> BuildProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._bar.update(self._task, total=self._asked)
        self._bar.stop()

    def request(self, count: int, gap: float | None, remaining: int | None) -> None:
        """``count`` more solves are asked for; ``gap`` is certified so far, ``remaining`` more expected after that."""
        self._asked += count
        self._bar.update(self._task, total=self._asked + (remaining or 0))
        if gap is not None and math.isfinite(gap):
            self._bar.update(self._task, gap=f"epsilon <= {gap:.4g} so far")

    def solved(self, count: int) -> None:
        """``count`` more solves are finished."""
        self._bar.advance(self._task, count)
