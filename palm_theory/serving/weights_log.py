"""A server's log of requests, in the form of ``traffic``, for drift and extension. No prompts, no user names."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from pathlib import Path

from palm_theory.errors import ArtifactError
from palm_theory.serving.routing import Decision
from palm_theory.traffic.log import ServedRequest, TrafficLog

logger = logging.getLogger(__name__)


class WeightsLog:
    """Appends every request to a log of ``traffic``.

    ``user`` is the first 16 hex digits of SHA-256 of the request's ``user``, or null. A full disk is reported once and
    costs lines, never requests. Raises ArtifactError where the file cannot be opened.
    """

    def __init__(self, path: Path, objectives: tuple[str, ...]) -> None:
        self.objectives = objectives
        self.lost = 0
        self._log = TrafficLog(path)

    def write(self, decision: Decision, user: str | None) -> None:
        """Append one request."""
        gap = decision.gap
        weights = decision.weights
        request = ServedRequest(
            time=time.time(),
            weights=None if weights is None else dict(zip(self.objectives, weights.tolist(), strict=True)),
            policy=decision.name,
            user=None if user is None else hashed(user),
            predicted_regret=None if gap is None or not math.isfinite(gap.value) else gap.value,
            gap_kind=None if gap is None else gap.kind,
            source=decision.source,
        )
        try:
            self._log.append(request)
        except ArtifactError as error:
            if self.lost == 0:
                logger.error("the weights log cannot be written", extra={"fields": {"reason": str(error)}})
            self.lost += 1

    def close(self) -> None:
        """Close the file."""
        self._log.close()


def hashed(user: str) -> str:
    """The pseudonym of a user in the log."""
    return hashlib.sha256(user.encode()).hexdigest()[:16]
