"""What an in-process engine is to the server: questions in, pieces of text out, from a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from palm_theory.serving.errors import ApiError


@dataclass(frozen=True)
class Sampling:
    """How a completion is drawn: at most ``max_tokens`` tokens (None: the policy's own limit), from the policy's
    distribution at ``temperature`` (0: the likeliest token), cut to the likeliest tokens of total probability
    ``top_p``, ended before any of ``stops``. Equal seeds give equal completions; None draws a seed."""

    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    stops: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class Question:
    """``choices`` completions of a conversation, or of a plain text where ``messages`` is a string."""

    policy: int
    messages: tuple[dict[str, str], ...] | str
    sampling: Sampling = Sampling()
    choices: int = 1


@dataclass(frozen=True)
class Started:
    """The question is being answered; its prompt has this many tokens."""

    prompt_tokens: int


@dataclass(frozen=True)
class Piece:
    """More text of one choice, from ``tokens`` new tokens; ``finish`` on its last piece."""

    choice: int
    text: str
    tokens: int
    finish: Literal["stop", "length"] | None = None


Event = Started | Piece | ApiError
Deliver = Callable[[Event], None]


class Ticket(Protocol):
    """A question in the engine."""

    def cancel(self) -> None:
        """Forget it; nothing more is delivered."""
        ...


class Engine(Protocol):
    """Answers questions to several policies together. ``deliver`` is called from the engine's thread."""

    def start(self) -> None:
        """Begin to load the policies; questions may be asked at once and wait."""
        ...

    def stop(self) -> None:
        """Answer what was asked, then end."""
        ...

    def not_ready(self) -> str | None:
        """Why questions wait or fail, or None."""
        ...

    def ask(self, question: Question, deliver: Deliver) -> Ticket:
        """Queue a question. Raises ApiError where it can never be answered or the queue is full."""
        ...

    @property
    def queued(self) -> int:
        """Questions that wait."""
        ...

    @property
    def running(self) -> int:
        """Completions being generated."""
        ...
