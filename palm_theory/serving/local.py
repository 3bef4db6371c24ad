"""Answering in this process: the engine's pieces of text as OpenAI's objects and events."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from palm_theory.serving.engine import Engine, Event, Piece, Question, Sampling, Started
from palm_theory.serving.errors import ApiError
from palm_theory.serving.limits import ServerLimits
from palm_theory.serving.reply import DONE, EVENTS, JSON, Reply, event, json_bytes
from palm_theory.serving.routing import Decision
from palm_theory.serving.schemas import ChatRequest, Common, CompletionRequest, parse_request


class Local:
    """Answers by an engine in this process."""

    def __init__(self, engine: Engine, limits: ServerLimits) -> None:
        self.engine = engine
        self.limits = limits
        self._ids = map("{:s}{:08x}".format, itertools.repeat(secrets.token_hex(8)), itertools.count())

    async def start(self) -> None:
        """Load the model; requests may come before it is ready."""
        self.engine.start()

    async def stop(self) -> None:
        """Let what runs come to its end, then free the model."""
        await asyncio.to_thread(self.engine.stop)

    def not_ready(self) -> str | None:
        """Why no request can be answered yet, or None."""
        return self.engine.not_ready()

    async def answer(self, endpoint: str, body: dict[str, Any], decision: Decision) -> Reply:
        """The completion, whole or as events. Raises ApiError on a request it cannot answer."""
        request = parse_request(endpoint, body, self.limits)
        question = self._question(request, decision)
        events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        ticket = self.engine.ask(question, lambda item: loop.call_soon_threadsafe(events.put_nowait, item) and None)
        shape = Shape(request, next(self._ids), decision.name, question.choices)
        try:
            first = await events.get()
            if isinstance(first, ApiError):
                raise first
            assert isinstance(first, Started)
            shape.prompt_tokens = first.prompt_tokens
            if not request.stream:
                return Reply(200, JSON, json_bytes(await _whole(events, shape)))
        except BaseException:
            ticket.cancel()
            raise
        reply = Reply(200, EVENTS, b"")

        async def stream() -> AsyncIterator[bytes]:
            try:
                async for chunk in _chunks(events, shape, reply):
                    yield chunk
            finally:
                ticket.cancel()

        reply.body = stream()
        return reply

    def _question(self, request: Common, decision: Decision) -> Question:
        limit = request.token_limit
        if limit is not None:
            limit = min(limit, self.limits.completion_tokens)
        sampling = Sampling(
            max_tokens=limit,
            temperature=1.0 if request.temperature is None else request.temperature,
            top_p=1.0 if request.top_p is None else request.top_p,
            stops=request.stops,
            seed=request.seed,
        )
        if isinstance(request, ChatRequest):
            messages: Any = tuple(message.plain() for message in request.messages)
        else:
            assert isinstance(request, CompletionRequest)
            messages = request.text
        return Question(decision.policy, messages, sampling, request.n or 1)


class Shape:
    """OpenAI's objects for one request: identity, counts, and how text goes into a choice."""

    def __init__(self, request: Common, identity: str, model: str, choices: int) -> None:
        self.chat = isinstance(request, ChatRequest)
        self.wants_usage = request.wants_usage
        self.choices = choices
        self.prompt_tokens = 0
        self.completion_tokens = 0
        kind = "chat.completion" if self.chat else "text_completion"
        prefix = "chatcmpl-" if self.chat else "cmpl-"
        self._head = {"id": prefix + identity, "object": kind, "created": int(time.time()), "model": model}

    @property
    def usage(self) -> dict[str, int]:
        """Token counts so far."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }

    def whole(self, texts: list[str], finishes: list[str | None]) -> dict[str, Any]:
        """The object of an answer that is not streamed."""
        choices = []
        for index, (text, finish) in enumerate(zip(texts, finishes, strict=True)):
            content = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
            choices.append({"index": index, **content, "logprobs": None, "finish_reason": finish})
        return {**self._head, "choices": choices, "usage": self.usage}

    def chunk(self, choices: list[dict[str, Any]], *, usage: bool = False) -> bytes:
        """One event of a stream."""
        head = self._head | ({"object": "chat.completion.chunk"} if self.chat else {})
        counted = {"usage": self.usage if usage else None} if self.wants_usage else {}
        return event({**head, "choices": choices, **counted})

    def opening(self) -> bytes:
        """The events that open a chat's choices; nothing for completions."""
        if not self.chat:
            return b""
        role = {"role": "assistant", "content": ""}
        return b"".join(
            self.chunk([{"index": i, "delta": role, "logprobs": None, "finish_reason": None}])
            for i in range(self.choices)
        )

    def piece(self, piece: Piece) -> bytes:
        """The events of a piece of text."""
        events = []
        if self.chat:
            if piece.text:
                events.append(self._choice(piece.choice, {"delta": {"content": piece.text}}, None))
            if piece.finish:
                events.append(self._choice(piece.choice, {"delta": {}}, piece.finish))
        elif piece.text or piece.finish:
            events.append(self._choice(piece.choice, {"text": piece.text}, piece.finish))
        return b"".join(events)

    def _choice(self, index: int, content: dict[str, Any], finish: str | None) -> bytes:
        return self.chunk([{"index": index, **content, "logprobs": None, "finish_reason": finish}])


async def _whole(events: asyncio.Queue[Event], shape: Shape) -> dict[str, Any]:
    texts = [""] * shape.choices
    finishes: list[str | None] = [None] * shape.choices
    while None in finishes:
        item = await events.get()
        if isinstance(item, ApiError):
            raise item
        assert isinstance(item, Piece)
        texts[item.choice] += item.text
        shape.completion_tokens += item.tokens
        finishes[item.choice] = item.finish
    return shape.whole(texts, finishes)


async def _chunks(events: asyncio.Queue[Event], shape: Shape, reply: Reply) -> AsyncIterator[bytes]:
    if opening := shape.opening():
        yield opening
    unfinished = shape.choices
    while unfinished:
        item = await events.get()
        if isinstance(item, ApiError):
            reply.failed = item.message
            yield event(item.body())
            return
        assert isinstance(item, Piece)
        shape.completion_tokens += item.tokens
        unfinished -= item.finish is not None
        if chunk := shape.piece(item):
            yield chunk
    if shape.wants_usage:
        yield shape.chunk([], usage=True)
    yield DONE
