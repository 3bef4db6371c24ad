"""The upstream's streams, however they are cut into chunks: complete ones pass, broken ones are said to be."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palm_theory.serving.reply import EVENTS, Reply
from palm_theory.serving.upstream import Upstream, UpstreamSettings

ANSWER = b'data: {"model":"a","text":"not the end: [DONE]"}\n\n'
ENDINGS = [
    b"data: [DONE]\n\n",
    b"data: [DONE]\r\n\r\n",
    b"data:[DONE]\n\n",
    b"data: [DONE]",
    b"data: [DONE]\n\n: alive\n\n",
]


class Response:
    """Hands out chunks, then breaks where it is told to."""

    def __init__(self, chunks: list[bytes], *, breaks: bool = False) -> None:
        self.content = self
        self._chunks, self._breaks = chunks, breaks

    async def iter_any(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if self._breaks:
            raise aiohttp.ClientPayloadError

    def close(self) -> None:
        """Nothing is held."""


def passed_on(chunks: list[bytes], rename: str | None, *, breaks: bool = False) -> tuple[bytes, str | None]:
    """What a client receives, and what is said to have failed."""
    reply = Reply(200, EVENTS, b"")
    response: Any = Response(chunks, breaks=breaks)

    async def read() -> bytes:
        upstream = Upstream(UpstreamSettings("http://upstream", {}))
        return b"".join([part async for part in upstream._events(response, rename, reply)])

    return asyncio.run(read()), reply.failed


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({0, len(stream), *(place for place in places if place < len(stream))})
    return [stream[first:last] for first, last in itertools.pairwise(ends)]


@given(st.sampled_from(ENDINGS), st.lists(st.integers(0, 100)), st.sampled_from([None, "b"]))
def test_a_complete_stream_is_complete_however_it_is_cut(ending: bytes, places: list[int], rename: str | None) -> None:
    stream = ANSWER + ending
    received, failed = passed_on(cut(stream, places), rename)
    assert failed is None
    assert received == (stream if rename is None else stream.replace(b'"a"', b'"b"'))


@given(st.lists(st.integers(0, 100)), st.sampled_from([None, "b"]))
def test_a_stream_without_done_is_said_to_be_broken_however_it_is_cut(places: list[int], rename: str | None) -> None:
    received, failed = passed_on(cut(ANSWER + b"data: [DON", places), rename)
    assert failed == "the upstream broke off: ClientPayloadError"
    assert b"upstream_error" in received


@given(st.sampled_from([b"\n\n", b""]), st.lists(st.integers(0, 100)), st.sampled_from([None, "b"]))
def test_done_is_added_where_a_finished_stream_ends_without_it(ending: bytes, places: list[int], rename: str | None):
    last = b'data: {"model":"a","choices":[{"finish_reason": "stop"}]}' + ending
    received, failed = passed_on(cut(ANSWER + last, places), rename)
    assert failed is None
    assert received.endswith(b"}\n\ndata: [DONE]\n\n")
    said = b'data: {"model":"a","text":"\\"finish_reason\\": \\"stop\\"","choices":[{"finish_reason":null}]}\n\n'
    assert passed_on(cut(said, places), rename)[1] is not None
    assert passed_on([ANSWER, last], rename, breaks=True)[1] is not None


@pytest.mark.parametrize("rename", [None, "b"])
def test_a_connection_that_breaks_after_done_breaks_nothing(rename: str | None) -> None:
    assert passed_on([ANSWER, b"data: [DONE]\n", b"\n"], rename, breaks=True)[1] is None
    assert passed_on([ANSWER], rename, breaks=True)[1] == "the upstream broke off: ClientPayloadError"
