"""What SLURM says of its jobs. ``squeue`` answers on every cluster; ``sacct``, which submitit asks, only where an
accounting database runs."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

UNFINISHED = ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED")
UNFINISHED += ("SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "RESV_DEL_HOLD")
GONE = "GONE"
"""The state of a job that SLURM has forgotten, as it does some minutes after the end."""


class QueueStates:
    """The states of some jobs, asked for together and at most once every ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._asked = float("-inf")
        self._states: dict[str, str] = {}

    def state(self, job: str, jobs: Sequence[str]) -> str:
        """The state of ``job``, one of ``jobs``, which are asked for together; "UNKNOWN" until SLURM has answered."""
        if time.monotonic() - self._asked >= self._seconds:
            self._asked = time.monotonic()
            self._states = self._ask(jobs) or self._states
        return self._states.get(job, "UNKNOWN")

    @staticmethod
    def _ask(jobs: Sequence[str]) -> dict[str, str]:
        command = ["squeue", "--noheader", "--states=all", f"--jobs={','.join(jobs)}", "--format=%i %T"]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode and "Invalid job id" not in answer.stderr:
            return {}  # the controller does not answer: nothing is known
        found = dict(line.split(maxsplit=1) for line in answer.stdout.splitlines() if " " in line)
        return {job: found.get(job, GONE) for job in jobs}


def is_over(state: str) -> bool:
    """Whether a job in this state will not run on."""
    return state != "UNKNOWN" and state not in UNFINISHED
