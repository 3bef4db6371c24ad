"""What an answerer hands back, and its way to the client: whole or streamed, ended where the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from palm_theory.serving.body import Receive
from palm_theory.serving.errors import ApiError
from palm_theory.serving.routing import Decision

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"


@dataclass
class Reply:
    """A status, headers, and a body: bytes, or chunks as they come."""

    status: int
    media_type: str
    body: bytes | AsyncIterator[bytes]
    headers: dict[str, str] = field(default_factory=dict)
    failed: str | None = None
    """Why a stream that had begun could not be finished."""


class Answerer(Protocol):
    """The in-process engine or an upstream server."""

    async def start(self) -> None:
        """Begin to load or to connect; returns at once."""
        ...

    async def stop(self) -> None:
        """Let go of everything, after the last request has ended."""
        ...

    def not_ready(self) -> str | None:
        """Why requests would have to wait or fail, or None when all is well."""
        ...

    async def answer(self, endpoint: str, body: dict[str, Any], decision: Decision) -> Reply:
        """The reply of ``decision``'s policy to a request to ``endpoint`` ("chat/completions" or "completions").

        Raises ApiError where there is none. Cancelled where the client goes away.
        """
        ...


def json_bytes(data: Any) -> bytes:
    """JSON as sent."""
    return orjson.dumps(data)


def event(data: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def error_reply(error: ApiError) -> Reply:
    """An error as a whole reply."""
    return Reply(error.status, JSON, json_bytes(error.body()), error.headers())


class ClientGone(Exception):
    """The client closed the connection before its answer was complete."""


async def unless_client_leaves(receive: Receive, work: Awaitable[None]) -> None:
    """Run ``work``; cancel it and raise ClientGone where the client disconnects first."""
    task = asyncio.current_task()
    assert task is not None
    left = False

    def cancel(watch: asyncio.Task[None]) -> None:
        nonlocal left
        if not watch.cancelled() and not finished:
            left = True
            task.cancel()

    finished = False
    watch = asyncio.ensure_future(_disconnection(receive))
    watch.add_done_callback(cancel)
    try:
        await work
    except asyncio.CancelledError:
        if not left:
            raise
        task.uncancel()
        raise ClientGone from None
    finally:
        finished = True
        watch.cancel()


async def _disconnection(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_reply(reply: Reply, headers: dict[str, str], send: Send) -> None:
    """Send a reply with ``headers`` besides its own."""
    raw = [(b"content-type", reply.media_type.encode("latin-1"))]
    raw += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers | reply.headers).items()]
    if isinstance(reply.body, bytes):
        raw.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        await send({"type": "http.response.body", "body": reply.body})
        return
    raw.append((b"cache-control", b"no-store"))
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    async for chunk in reply.body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
