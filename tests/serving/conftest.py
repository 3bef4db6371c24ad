"""Servers for tests: a portfolio by hand, a router in a thread on a free port, and an upstream that misbehaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("aiohttp", reason="the extra serve is not installed")

from aiohttp import web

from palm_theory import Certificate, Portfolio, Value
from palm_theory.certify.certificate import Kind
from palm_theory.contract.declarations import Declarations
from palm_theory.members import Member
from palm_theory.serving.answer import ServerState
from palm_theory.serving.app import make_app
from palm_theory.serving.asking import Asker
from palm_theory.serving.limits import ServerLimits
from palm_theory.serving.server import Server
from palm_theory.serving.upstream import Upstream, UpstreamSettings

UNKNOWN = Certificate(float("inf"), 0.0, None, Kind.UNKNOWN, confidence=0.0)


def hand_made(
    rewards: list[list[float]],
    weights: list[list[float]] | None = None,
    regularizers: list[float] | None = None,
    certificate: Certificate = UNKNOWN,
) -> Portfolio:
    """A portfolio over quality and cost (and safety) from its numbers."""
    members = tuple(
        Member(
            k,
            f"model-{k}",
            None,
            Value(np.array(row), 0.0 if regularizers is None else regularizers[k]),
            None if weights is None else np.array(weights[k]),
        )
        for k, row in enumerate(rewards)
    )
    objectives = ("quality", "cost", "safety")[: len(rewards[0])]
    return Portfolio(Declarations(objectives, 1.0, None), members, certificate, {}, "")


@pytest.fixture
def portfolio() -> Portfolio:
    return hand_made([[0.9, 0.1], [0.6, 0.6], [0.1, 0.9]], [[1, 0], [0.5, 0.5], [0, 1]])


class Running:
    """A server in a thread."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.thread = threading.Thread(target=server.run)
        self.thread.start()
        while not server.started:
            assert self.thread.is_alive(), "the server did not start"
            self.thread.join(0.01)
        self.url = server.url

    @property
    def state(self) -> ServerState:
        return self.server.state

    def stop(self) -> None:
        if not self.state.draining:
            self.server.drain()
        self.thread.join(30)
        assert not self.thread.is_alive(), "the server did not stop"


Serve = Callable[..., Running]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that starts a router on an answerer and stops it after the test."""
    started: list[Running] = []

    def start(portfolio: Portfolio, answerer: object, keys: tuple[str, ...] = (), **options: object) -> Running:
        asker = Asker(portfolio, options.pop("profiles", None), options.pop("default", None))  # type: ignore[arg-type]
        limits = options.pop("limits", None) or ServerLimits(shutdown_seconds=5)
        state = ServerState(asker, answerer, limits, **options)  # type: ignore[arg-type]
        started.append(Running(Server(make_app(state, keys), "127.0.0.1", 0)))
        return started[-1]

    yield start
    for running in started:
        running.stop()


class FakeUpstream:
    """An OpenAI-like server that answers with what it was asked, and does what the last message says.

    ``500``, ``429``, ``hang``, ``garbage``, ``die`` (mid-stream, or before an answer where not streamed), ``slow``.
    """

    def __init__(self, models: list[str]) -> None:
        self.models = models
        self.bodies: list[dict] = []
        self.headers: list[dict] = []
        self.cancelled = threading.Event()
        self.release = threading.Event()
        self.reached = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._started.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=1 << 24)
        app.router.add_get("/v1/models", self._list)
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/completions", self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)

        async def begin() -> None:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._started.set()

        self._loop.run_until_complete(begin())
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def stop(self) -> None:
        self.release.set()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.reached.set()
        said = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        if body["model"] not in self.models:
            return web.json_response({"error": {"message": f"no model {body['model']}"}}, status=404)
        if said == "500":
            return web.json_response({"error": {"message": "it burns"}}, status=500)
        if said == "429":
            return web.json_response({"error": {"message": "too many"}}, status=429, headers={"Retry-After": "7"})
        if said == "400":
            return web.json_response({"object": "error", "message": "temperature is wrong"}, status=400)
        if said == "garbage":
            return web.Response(text="<html>", content_type="application/json")
        try:
            if said == "hang":
                await asyncio.sleep(3600)
            while said == "slow" and not self.release.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if said == "die" and not body.get("stream"):
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError
        return await self._stream(request, body, said) if body.get("stream") else self._whole(body, said)

    def _whole(self, body: dict, said: str) -> web.Response:
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        head = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"]}
        return web.json_response({**head, "choices": [choice], "usage": usage})

    async def _stream(self, request: web.Request, body: dict, said: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for n in range(3):
                head = f'data: {{"id":"x","object":"chat.completion.chunk","created":1,"model":"{body["model"]}",'
                delta = f'"choices":[{{"index":0,"delta":{{"content":"{said}{n} "}},"finish_reason":null}}]}}\n\n'
                # In two halves, so that events are cut anywhere.
                await response.write(head.encode())
                await asyncio.sleep(0)
                await response.write(delta.encode())
                if said == "die":
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                while said == "pause" and not self.release.is_set():
                    await asyncio.sleep(0.01)
            await response.write(b"data: [DONE]\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled.set()
            raise
        return response


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    fake = FakeUpstream(["p00", "p01", "p02"])
    yield fake
    fake.stop()


def forwarding(fake_url: str, portfolio: Portfolio, **options: object) -> Upstream:
    """An answerer that forwards to ``fake_url``; ``names`` gives other names."""
    names = options.pop("names", None) or {member.name: member.name for member in portfolio}
    return Upstream(UpstreamSettings(fake_url, names, **options))  # type: ignore[arg-type]
