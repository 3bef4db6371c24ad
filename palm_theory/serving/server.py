"""Running the application: uvicorn with bounded headers and a shutdown that loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import time
from types import FrameType
from typing import Any

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from palm_theory.serving.answer import ServerState
from palm_theory.serving.errors import ApiError, bad_request
from palm_theory.serving.gate import Gate
from palm_theory.serving.limits import ServerLimits

logger = logging.getLogger(__name__)

LEAST_DRAIN_SECONDS = 0.5
"""How long new requests are still refused with a clean 503 after the last running one has ended."""

UNREAD_BODIES = 16
"""After an early answer, a client may send this many times the largest body before it is cut off."""

COLLECT_AFTER = 20_000
"""New objects after which the garbage collector looks at them: a request makes hundreds, almost none in cycles."""

LINGER_SECONDS = 2.0
"""How long what a refused client still sends is read and dropped, so that it gets to read why it was refused."""


def bounded_protocol(limits: ServerLimits) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol with a limit on the size of headers, the time they take, and what is read unanswered."""

    class BoundedProtocol(HttpToolsProtocol):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._in_headers = True
            self._header_bytes = 0
            self._unread = 0
            self._refused = False
            self._header_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._start_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._refused:
                self._drop(data)
                return
            if self._in_headers:
                self._header_bytes += len(data)
                self._start_timer()
            super().data_received(data)
            if self._in_headers and not self._refused and self._header_bytes > limits.header_bytes:
                self._refuse(_headers_too_large(limits))

        def on_headers_complete(self) -> None:
            self._in_headers = False
            self._header_bytes = 0
            self._unread = 0
            self._stop_timer()
            if len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers) > limits.header_bytes:
                self._refuse(_headers_too_large(limits))
            if not self._refused:
                super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if self._refused:
                return
            if self.cycle.response_complete:
                self._drop(body)
            else:
                super().on_body(body)

        def on_message_complete(self) -> None:
            self._in_headers = True
            if not self._refused:
                super().on_message_complete()

        def send_400_response(self, msg: str) -> None:
            if not self._refused:
                self._refuse(bad_request("this is not an HTTP request", code="invalid_http"))

        def _start_timer(self) -> None:
            if self._header_timer is None:
                self._header_timer = self.loop.call_later(limits.body_seconds, self._give_up)

        def _stop_timer(self) -> None:
            if self._header_timer is not None:
                self._header_timer.cancel()
                self._header_timer = None

        def _give_up(self) -> None:
            self._header_timer = None
            if self._in_headers and not self._refused and not self.transport.is_closing():
                self._refuse(ApiError(408, f"no whole header within {limits.body_seconds:g} s", code="timeout"))

        def _refuse(self, error: ApiError) -> None:
            self._refused = True
            body = orjson.dumps(error.body())
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[error.status] + head + body)
            if self.transport.can_write_eof():
                self.transport.write_eof()
                self.loop.call_later(LINGER_SECONDS, self.transport.close)
            else:
                self.transport.close()

        def _drop(self, data: bytes) -> None:
            self._unread += len(data)
            if self._unread > UNREAD_BODIES * limits.body_bytes:
                self.transport.close()

    return BoundedProtocol


def _headers_too_large(limits: ServerLimits) -> ApiError:
    return ApiError(431, f"the headers are larger than {limits.header_bytes} bytes", code="headers_too_large")


class Server(uvicorn.Server):
    """On SIGTERM or SIGINT: refuse new requests with 503, finish the running ones, then close. On a second one: stop.

    Connections stay open for a moment after the last answer, so that a request already on its way is told to come
    back rather than cut off.
    """

    def __init__(self, app: Gate, host: str, port: int) -> None:
        self.state: ServerState = app.state
        limits = self.state.limits
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=bounded_protocol(limits),  # pyright: ignore[reportArgumentType]
            ws="none",
            loop="auto",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
            backlog=4096,
        )
        super().__init__(config)
        self._drained_at: float | None = None
        self._deadline = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first signal, leave on the second."""
        if self.state.draining:
            self.should_exit = True
        else:
            self.drain()

    def drain(self) -> None:
        """Begin to shut down."""
        self.state.draining = True
        self._deadline = time.monotonic() + self.state.limits.shutdown_seconds
        logger.info("shutting down", extra={"fields": {"in_flight": self.state.in_flight}})

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; what is loaded by now is left out of garbage collection."""
        await super().startup(sockets)
        # What is loaded by now stays: without this, every full collection walks all of it and stops requests meanwhile.
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)

    async def on_tick(self, counter: int) -> bool:
        """Whether to leave: once drained, when nothing runs any more."""
        if self.state.draining and not self.should_exit:
            now = time.monotonic()
            if self.state.in_flight:
                self._drained_at = None
            elif self._drained_at is None:
                self._drained_at = now
            drained = self._drained_at is not None and now - self._drained_at >= LEAST_DRAIN_SECONDS
            self.should_exit = drained or now >= self._deadline
        return await super().on_tick(counter)

    @property
    def url(self) -> str:
        """http://HOST:PORT, once it is started."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def raise_file_limit() -> None:
    """Allow as many open files as the system grants this process: every connection is one."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
