"""The worker process: ``python -m backends.llm.work.child``.

It reads one pickled job from standard input, which only its parent writes, leaves the result in the job's folder, and
dies when its parent does: the pipe, which the parent holds open, tells it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import sys
import threading

from backends.llm.work.worker import ERROR_FILE, explained_failures
from palm_theory.errors import PalmError
from palm_theory.files import write_atomically


def main() -> None:
    """Run the job on standard input; describe a failure for the parent."""
    import torch

    job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        with explained_failures(job):
            job.run()
    except PalmError as error:
        report = {"type": type(error).__name__, "message": str(error)}
        with contextlib.suppress(PalmError):
            write_atomically(job.folder / ERROR_FILE, json.dumps(report).encode())
        raise


def _die_with_parent() -> None:
    """End this process when standard input closes, which only the parent's end does. The work can be resumed."""
    # The descriptor, not the file object: a thread inside the object's lock would hang the interpreter's exit.
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    main()
