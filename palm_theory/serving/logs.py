"""Structured logs: one JSON object a line on standard error. No prompts, answers, keys or user names."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import orjson


class JsonLines(logging.Formatter):
    """A log record as JSON; ``extra={"fields": {...}}`` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON for a log record."""
        data: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            data["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(data).decode()


def log_as_json(level: int, *packages: str) -> None:
    """Send this package's and uvicorn's records, and those of ``packages``, to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("palm_theory", "uvicorn", *packages):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
