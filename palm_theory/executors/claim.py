"""One worker at a time on a folder that several machines share."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import SoftFileLease

CLAIM_FILE = ".claim"
LEASE_SECONDS = 60.0


@contextlib.contextmanager
def claim(folder: Path, on_loss: Callable[[], None] | None = None) -> Iterator[None]:
    """Wait until no other worker holds ``folder``, and hold it.

    A lease, not an operating-system lock, for file systems without those: the holder renews a file every 20 s, and who
    waits takes it over once it has not been renewed for 60 s by the waiter's own clock, or at once where the holder was
    a process of this machine that is gone. So a lost machine delays its successor by a minute at most.

    A holder cut off from the file system for longer may come back while its successor works. Then ``on_loss`` is called
    from another thread and must stop the work; whatever the work leaves should also be written by atomic rename.
    """
    lost = threading.Event()

    def compromised(_: object) -> None:
        if not lost.is_set():
            lost.set()
            if on_loss is not None:
                on_loss()

    lease = SoftFileLease(
        folder / CLAIM_FILE, lease_duration=LEASE_SECONDS, on_compromise=compromised, thread_local=False
    )
    with lease:
        yield
