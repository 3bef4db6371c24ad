"""The log of what was served: one JSON object a line, written by a server, read by ``palm drift``.

    {"time": 1764086400.0, "user": "ada", "weights": {"quality": 0.7, "speed": 0.3}, "policy": "p02",
     "predicted_regret": 0.004, "gap_kind": "predicted", "source": "body"}

``time`` in seconds since 1970 (UTC); ``user`` or null; ``weights`` by objective, or null where a policy was asked for
by name; ``policy`` as the portfolio names it (p00, …); ``predicted_regret`` what the server said beforehand, in the
unit of the rewards, or null; ``gap_kind`` what that number is and ``source`` where the weights came from, as in the
headers of ``palm serve``, or null: kept for people, not read by ``palm drift``. Other keys are ignored.

A power cut can tear the last line. Reading drops a last line that has no end; whoever appends next ends it with
`` # torn``, as no JSON object ends, and reading skips lines that end so. Opening a log cuts nothing off: what looks
torn may be what another process is writing.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palm_theory.errors import InputError
from palm_theory.files import canonical_json, explained_disk_errors
from palm_theory.geometry.simplex import Array, named_weights
from palm_theory.portfolio import Portfolio

TORN = b" # torn"
"""Ends a line that was not written to its end."""


@dataclass(frozen=True)
class ServedRequest:
    """One request; see the module's text for the fields."""

    time: float
    weights: Mapping[str, float] | None
    policy: str
    user: str | None = None
    predicted_regret: float | None = None
    gap_kind: str | None = None
    source: str | None = None

    @classmethod
    def of(
        cls,
        portfolio: Portfolio,
        time: float,
        weights: Sequence[float] | Array | None,
        policy: str,
        user: str | None = None,
        predicted_regret: float | None = None,
    ) -> ServedRequest:
        """With weights (d,) in the portfolio's order of objectives."""
        named = None if weights is None else dict(zip(portfolio.objectives, map(float, weights), strict=True))
        return cls(float(time), named, policy, user, predicted_regret)

    def to_line(self) -> str:
        """Its line, with the line's end."""
        data = {
            "time": self.time,
            "user": self.user,
            "weights": None if self.weights is None else dict(self.weights),
            "policy": self.policy,
            "predicted_regret": self.predicted_regret,
            "gap_kind": self.gap_kind,
            "source": self.source,
        }
        return canonical_json(data) + "\n"

    @classmethod
    def from_line(cls, line: str) -> ServedRequest:
        """Raises ValueError on anything but an object with the fields above."""
        data: Any = json.loads(line)
        if not isinstance(data, dict):
            raise ValueError("not a JSON object")
        missing = [key for key in ("time", "weights", "policy") if key not in data]
        if missing:
            raise ValueError(f"no {missing[0]!r}")
        weights, regret = data["weights"], data.get("predicted_regret")
        if weights is not None and not (isinstance(weights, dict) and all(map(_is_number, weights.values()))):
            raise ValueError(f"weights must be an object of numbers by objective, or null, got {weights!r}")
        if not _is_number(data["time"]) or not isinstance(data["policy"], str):
            raise ValueError("time must be a number and policy a name")
        if not (regret is None or _is_number(regret)):
            raise ValueError(f"predicted_regret must be a number or null, got {regret!r}")
        texts = {key: data.get(key) for key in ("user", "gap_kind", "source")}
        for key, value in texts.items():
            if not (value is None or isinstance(value, str)):
                raise ValueError(f"{key} must be text or null, got {value!r}")
        regret = None if regret is None else float(regret)
        return cls(float(data["time"]), weights, data["policy"], predicted_regret=regret, **texts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class TrafficLog:
    """Appends requests to a log. Each is one write to a file opened for appending: lines of several threads and
    processes do not mix. Not synced to disk: a power cut may lose the last ones, a kill does not."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with explained_disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            self._before_next = b"" if _ends_whole(self._descriptor) else TORN + b"\n"

    def append(self, request: ServedRequest) -> None:
        """Write one line, whole or not at all. Raises ArtifactError where the disk is full."""
        line = self._before_next + request.to_line().encode()
        with explained_disk_errors(self.path):
            written = os.write(self._descriptor, line)
            if written < len(line):
                os.ftruncate(self._descriptor, os.lseek(self._descriptor, 0, os.SEEK_CUR) - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._before_next = b""

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> TrafficLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ends_whole(descriptor: int) -> bool:
    """Whether a file is empty, no regular file, or ends with a line's end. Where another process is in the midst of a
    line it may seem not to: then the mark follows that line, and stands alone."""
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


@dataclass(frozen=True, eq=False)
class Traffic:
    """n requests as arrays, in order of time: ``times`` (n,), ``users`` (names or None), ``weights`` (n, d), NaN where
    a policy was asked for by name, ``policies`` (names), ``predicted_regret`` (n,), NaN where none was logged."""

    times: Array
    users: tuple[str | None, ...]
    weights: Array
    policies: tuple[str, ...]
    predicted_regret: Array

    def __len__(self) -> int:
        return len(self.times)

    def subset(self, kept: np.ndarray) -> Traffic:
        """The requests where ``kept`` (n,) is true, or at these positions."""
        positions = np.flatnonzero(kept) if kept.dtype == bool else kept
        return Traffic(
            self.times[positions],
            tuple(self.users[i] for i in positions),
            self.weights[positions],
            tuple(self.policies[i] for i in positions),
            self.predicted_regret[positions],
        )

    @property
    def has_weights(self) -> NDArray[np.bool_]:
        """Which requests came with weights, (n,)."""
        return np.asarray(np.isfinite(self.weights).all(axis=1))


def read_traffic(path: str | Path, objectives: Sequence[str]) -> Traffic:
    """The requests of a log, sorted by time, torn lines left out (see the module's text).

    Raises InputError where the file cannot be read, holds no request, or has a bad line, with its number.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    requests: list[tuple[ServedRequest, Array]] = []
    absent = np.full(len(objectives), np.nan)
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        if not line.strip() or line.endswith(TORN):
            continue
        try:
            request = ServedRequest.from_line(line.decode("utf-8"))
            weights = absent if request.weights is None else named_weights(request.weights, objectives)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        requests.append((request, weights))
    if not requests:
        raise InputError(f"{path} holds no request")
    requests.sort(key=lambda pair: pair[0].time)
    return Traffic(
        np.array([request.time for request, _ in requests]),
        tuple(request.user for request, _ in requests),
        np.array([weights for _, weights in requests]),
        tuple(request.policy for request, _ in requests),
        np.array(
            [math.nan if request.predicted_regret is None else request.predicted_regret for request, _ in requests]
        ),
    )
