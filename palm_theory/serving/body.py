"""Reading a request's body: within limits, as one JSON object."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from palm_theory.serving.errors import ApiError, bad_request
from palm_theory.serving.limits import ServerLimits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Disconnected(Exception):
    """The client went away before it had sent its request."""


async def read_object(headers: dict[bytes, bytes], receive: Receive, limits: ServerLimits) -> dict[str, Any]:
    """The body as a JSON object. Raises ApiError: 400, 408, 413 or 415."""
    media = headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
    if media != b"application/json":
        shown = media.decode("latin-1") or "none"
        raise ApiError(415, f"content-type must be application/json, got {shown}", code="unsupported_media_type")
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared[:20]) > limits.body_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.body_seconds):
            data = await _read(receive, limits)
    except TimeoutError:
        raise ApiError(408, f"no whole body within {limits.body_seconds:g} s", code="timeout") from None
    return parse_object(data)


async def _read(receive: Receive, limits: ServerLimits) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limits.body_bytes:
            raise _too_large(limits)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(limits: ServerLimits) -> ApiError:
    return ApiError(413, f"the body is larger than {limits.body_bytes} bytes", code="body_too_large")


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object from bytes. Raises ApiError 400 on anything else; NaN and infinity are not JSON."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise bad_request("the body must be a JSON object", code="invalid_json")
    return value
