"""kill -9 while comparisons are stored: what was acknowledged is there.

    python -m benchmarks.elicitation.kill [--kills 40]

Writers are real processes, two at a time on one file, killed at random moments. Prints what was acknowledged, found
and lost, and the result of SQLite's integrity check.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from palm_theory.users.preference import Comparison
from palm_theory.users.profiles import Profiles, Subject

SUBJECT = Subject(("a", "b"), ((1.0, 0.0), (1.0, 0.0)), "kill")


def write(path: str, user: str) -> None:
    """Store comparisons for ever, each number printed once it is acknowledged."""
    profiles = Profiles(path)
    profiles.subject = SUBJECT
    while True:
        number = profiles.add_comparison(user, Comparison((0.1, 0.9), (0.9, 0.1), 1))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


def main() -> None:
    """Kill writers, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write(*arguments.write)
    rng = random.Random(0)
    acknowledged = found = lost = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profiles.sqlite"
        for round_number in range(arguments.kills // 2):
            users = [f"{round_number}-{side}" for side in "ab"]
            command = [sys.executable, "-m", "benchmarks.elicitation.kill", "--write", str(path)]
            writers = [subprocess.Popen([*command, user], stdout=subprocess.PIPE, text=True) for user in users]
            for writer in writers:
                assert writer.stdout is not None
                writer.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.3))
            for writer in writers:
                writer.send_signal(signal.SIGKILL)
            for user, writer in zip(users, writers, strict=True):
                # A kill may cut the last line; the line before it was acknowledged.
                rest = writer.communicate()[0]
                numbers = rest[: rest.rfind("\n") + 1].split()
                last = int(numbers[-1]) if numbers else 1
                profiles = Profiles(path)
                kept = len(profiles.comparisons(user))
                profiles.close()
                acknowledged, found, lost = acknowledged + last, found + kept, lost + max(0, last - kept)
            print(f"round {round_number + 1}: {acknowledged} acknowledged so far, {lost} lost", flush=True)
        with contextlib.closing(sqlite3.connect(path)) as database:
            integrity = database.execute("PRAGMA integrity_check").fetchone()[0]
    print(
        f"{arguments.kills} kills: {acknowledged} comparisons acknowledged, {found} found, {lost} lost; "
        f"integrity check: {integrity}"
    )


if __name__ == "__main__":
    main()
