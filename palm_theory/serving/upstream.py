"""Forwarding: an OpenAI-compatible server (vLLM, LoRAX, …) answers under the policy's name; streams pass through."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from palm_theory.errors import InputError
from palm_theory.serving.asking import BODY_FIELD
from palm_theory.serving.errors import ApiError, bad_request, unavailable
from palm_theory.serving.reply import DONE, EVENTS, JSON, Reply, event, json_bytes
from palm_theory.serving.routing import Decision

RETRY_AFTER = 1
LONGEST_LINE = 1 << 16
"""Of a line that is not whole yet, so much is kept to look at."""

FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError)


@dataclass(frozen=True)
class UpstreamSettings:
    """Where requests go.

    url : base of the upstream's API, with or without ``/v1``.
    names : what the upstream calls each policy, by the policy's name.
    api_key : sent as a bearer token, or None.
    connections : open at once; more requests wait for one.
    connect_seconds, read_seconds : how long connecting, and silence before and between chunks, may last.
    check_seconds : how often the list of models is asked for, to know whether the upstream is there.
    """

    url: str
    names: Mapping[str, str]
    api_key: str | None = None
    connections: int = 2048
    connect_seconds: float = 5.0
    read_seconds: float = 600.0
    check_seconds: float = 5.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InputError(f"the upstream must be a URL like http://127.0.0.1:8001/v1, got {self.url!r}")

    @property
    def base(self) -> str:
        """The URL that ends in /v1."""
        url = self.url.rstrip("/")
        return url if url.endswith("/v1") else url + "/v1"


class Upstream:
    """Answers by forwarding. The body goes on as it came, but for the model's name and ``palm_weights``."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self.settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._checks: asyncio.Task[None] | None = None
        self._trouble: str | None = "the upstream has not answered yet"

    async def start(self) -> None:
        """Open the connections and begin to check that the upstream is there."""
        headers = {"content-type": JSON}
        if self.settings.api_key:
            headers["authorization"] = f"Bearer {self.settings.api_key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.settings.connections, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self.settings.connect_seconds, sock_read=self.settings.read_seconds
            ),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._checks = asyncio.create_task(self._keep_checking())

    async def stop(self) -> None:
        """Stop checking and close the connections."""
        if self._checks is not None:
            self._checks.cancel()
            await asyncio.gather(self._checks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def not_ready(self) -> str | None:
        """Why the upstream cannot be used now, or None."""
        return self._trouble

    async def _keep_checking(self) -> None:
        while True:
            self._trouble = await self._check()
            # While it is missing, look often, so that readiness follows soon.
            await asyncio.sleep(self.settings.check_seconds if self._trouble is None else 0.5)

    async def _check(self) -> str | None:
        assert self._session is not None
        try:
            async with self._session.get(
                f"{self.settings.base}/models", timeout=aiohttp.ClientTimeout(total=10)
            ) as answer:
                if answer.status != 200:
                    return f"the upstream answers /models with status {answer.status}"
                listed = orjson.loads(await answer.read())
                present = {entry["id"] for entry in listed["data"]}
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"the upstream cannot be reached: {type(error).__name__}"
        except (ValueError, KeyError, TypeError):
            return "the upstream's /models is not a list of models"
        missing = [name for name in self.settings.names.values() if name not in present]
        return f"the upstream does not list {', '.join(missing[:10])}" if missing else None

    async def answer(self, endpoint: str, body: dict[str, Any], decision: Decision) -> Reply:
        """The upstream's answer, streamed through. Raises ApiError where it fails or is away."""
        theirs = self.settings.names[decision.name]
        forwarded = {key: value for key, value in body.items() if key != BODY_FIELD}
        forwarded["model"] = theirs
        try:
            data = orjson.dumps(forwarded)
        except TypeError:
            raise bad_request("the body is nested too deeply", code="invalid_json") from None
        response = await self._post(endpoint, data)
        try:
            rename = None if theirs == decision.name else decision.name
            if response.status == 200 and response.content_type == "text/event-stream":
                reply = Reply(200, EVENTS, b"")
                reply.body = self._events(response, rename, reply)
                return reply
            whole = await _whole(response)
        except BaseException:
            response.close()
            raise
        response.release()
        if response.status == 200:
            return Reply(200, JSON, whole if rename is None else _renamed(whole, rename))
        return _client_error(response, whole)

    async def _post(self, endpoint: str, data: bytes) -> aiohttp.ClientResponse:
        assert self._session is not None
        url = f"{self.settings.base}/{endpoint}"
        try:
            try:
                return await self._session.post(url, data=data, allow_redirects=False)
            except LOST:
                # A connection that idled in the pool may have been closed at the other end as it was taken: no byte
                # of an answer was seen, so it is asked once more.
                return await self._session.post(url, data=data, allow_redirects=False)
        except aiohttp.ServerTimeoutError:
            self._trouble = "the upstream did not answer in time"
            raise ApiError(504, self._trouble, code="upstream_timeout", retry_after=RETRY_AFTER) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._trouble = f"the upstream cannot be reached: {type(error).__name__}"
            raise _bad_gateway(self._trouble) from None

    async def _events(self, response: aiohttp.ClientResponse, rename: str | None, reply: Reply) -> AsyncIterator[bytes]:
        """The upstream's events as they come; where it dies, a last event says so and no [DONE] follows.

        Some servers say a reason to finish and end the stream without [DONE] (``transformers serve``): it is added.
        """
        rest = b""
        ended = finished = False
        try:
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                ended = ended or any(map(_is_done, lines))
                finished = finished or any(map(FINISHED.search, lines))
                if rename is None:
                    # Nothing is rewritten: what was kept of an unfinished line has gone on already.
                    rest = rest[:LONGEST_LINE]
                    yield chunk
                elif lines:
                    yield b"".join(_renamed_line(line, rename) + b"\n" for line in lines)
            if rename is not None and rest:
                yield _renamed_line(rest, rename)
            if not (ended or _is_done(rest)):
                if not (finished or FINISHED.search(rest)):
                    raise aiohttp.ClientPayloadError("the stream ended without [DONE]")
                yield (b"\n\n" if rest else b"") + DONE
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # What breaks after [DONE] breaks nothing.
            if not ended:
                reply.failed = f"the upstream broke off: {type(error).__name__}"
                yield b"\n\n" + event(_bad_gateway(reply.failed).body())
        finally:
            # A stream cut short by either side must not go back into the pool; one read to its end already has.
            response.close()


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.read()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _bad_gateway(f"the upstream broke off: {type(error).__name__}") from None


def _bad_gateway(message: str) -> ApiError:
    return ApiError(502, message, code="upstream_error", retry_after=RETRY_AFTER)


def _client_error(response: aiohttp.ClientResponse, whole: bytes) -> Reply:
    """What the client is told where the upstream refused: its own errors for the client's faults, ours for its."""
    status = response.status
    said = _message(whole)
    if status == 429 or status == 503:
        after = response.headers.get("retry-after", "")
        seconds = min(int(after), 3600) if after.isdigit() and len(after) < 6 else RETRY_AFTER
        if status == 503:
            raise unavailable(f"the upstream is not available: {said}", "upstream_unavailable", seconds)
        raise ApiError(429, said, code="rate_limit_exceeded", retry_after=seconds)
    if status in (401, 403, 404, 405) or not 400 <= status < 500:
        raise _bad_gateway(f"the upstream answered with status {status}: {said}")
    raise ApiError(status, said, code="upstream_refused")


def _message(whole: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        data = orjson.loads(whole)
        error = data.get("error", data)
        text = error["message"] if isinstance(error, dict) else error
        if isinstance(text, str) and text:
            return text
    return "no reason given"


def _renamed(whole: bytes, name: str) -> bytes:
    try:
        data = orjson.loads(whole)
    except orjson.JSONDecodeError:
        raise _bad_gateway("the upstream's answer is not JSON") from None
    if isinstance(data, dict) and "model" in data:
        data["model"] = name
    return json_bytes(data)


def _is_done(line: bytes) -> bool:
    return line.startswith(b"data:") and line[5:].strip() == b"[DONE]"


def _renamed_line(line: bytes, name: str) -> bytes:
    if not line.startswith(b"data:") or _is_done(line):
        return line
    try:
        data = orjson.loads(line[5:])
    except orjson.JSONDecodeError:
        return line
    if not isinstance(data, dict) or "model" not in data:
        return line
    data["model"] = name
    return b"data: " + orjson.dumps(data)
