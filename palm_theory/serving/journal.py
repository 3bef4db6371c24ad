"""The weights log: which weights were asked for, one JSON line a request, for drift and extension. No prompts."""

from __future__ import annotations

import errno
import hashlib
import logging
import math
import os
import time
from pathlib import Path

import orjson

from palm_theory.serving.routing import Decision
from palm_theory.storage import explained_disk_errors

logger = logging.getLogger(__name__)


class WeightsLog:
    """Appends {time, user, weights, policy, predicted_regret, gap_kind, source} to a file, a line a request.

    ``user`` is the first 16 hex digits of SHA-256 of the request's ``user``, or null; ``weights`` are by objective,
    null where a policy was named without any. Lines of several servers on one file do not mix. A full disk is reported
    once and costs lines, never requests. Raises ArtifactError where the file cannot be opened.
    """

    def __init__(self, path: Path, objectives: tuple[str, ...]) -> None:
        self.path = path
        self.objectives = objectives
        self.lost = 0
        with explained_disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, decision: Decision, user: str | None) -> None:
        """Append one request."""
        gap = decision.gap
        weights = decision.weights
        named = None if weights is None else dict(zip(self.objectives, weights.tolist(), strict=True))
        line = orjson.dumps(
            {
                "time": time.time(),
                "user": None if user is None else hashed(user),
                "weights": named,
                "policy": decision.name,
                "predicted_regret": None if gap is None or not math.isfinite(gap.value) else gap.value,
                "gap_kind": None if gap is None else gap.kind,
                "source": decision.source,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        try:
            written = os.write(self._file, line)
            if written < len(line):
                os.ftruncate(self._file, os.lseek(self._file, 0, os.SEEK_CUR) - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            if self.lost == 0:
                logger.error("the weights log cannot be written", extra={"fields": {"reason": error.strerror}})
            self.lost += 1

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def hashed(user: str) -> str:
    """The pseudonym of a user in the log."""
    return hashlib.sha256(user.encode()).hexdigest()[:16]
