"""What a server takes on: sizes, counts and times, refused or ended above them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from palm_theory.errors import InputError


@dataclass(frozen=True)
class ServerLimits:
    """Bounds on one server. Raises InputError unless each is finite and > 0.

    body_bytes : largest request body; 413 above.
    header_bytes : largest request line and headers; 431 above.
    body_seconds : time a client has to send headers, and again for its body; 408 after.
    in_flight : requests being answered or waiting at once; 503 with Retry-After above.
    prompt_tokens : longest prompt of the in-process engine; 400 above.
    completion_tokens : longest completion a request may ask of it.
    choices : largest n.
    shutdown_seconds : how long running requests may take to end once the server is told to stop.
    """

    body_bytes: int = 1 << 20
    header_bytes: int = 16 << 10
    body_seconds: float = 30.0
    in_flight: int = 2048
    prompt_tokens: int = 4096
    completion_tokens: int = 1024
    choices: int = 8
    shutdown_seconds: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{field.name} must be finite and > 0, got {value!r}")
