"""Jobs in the process of the test: none to start, and what a test puts in place of something is seen."""

from __future__ import annotations

from pathlib import Path

from backends.llm.work.jobs import Job
from backends.llm.work.worker import explained_failures


class Here:
    """A ``Runner`` that does each job where it is asked for."""

    count = 1

    def run(self, job: Job, slots: Path) -> None:
        if not job.is_done:
            with explained_failures(job):
                job.folder.mkdir(parents=True, exist_ok=True)
                job.run()

    def stop(self) -> None:
        """Nothing runs beside the caller."""
