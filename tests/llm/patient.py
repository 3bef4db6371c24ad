"""A reward that holds a training until a test has looked at it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

GO = "PALM_TEST_GO"


def patient(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """A constant reward that waits, from its fourth call in a process on, until the file $PALM_TEST_GO exists."""
    patient.calls += 1
    while patient.calls > 3 and GO in os.environ and not Path(os.environ[GO]).exists():
        time.sleep(0.05)
    return [0.5] * len(completions)


patient.calls = 0
