"""Continuous batching: a thread that takes questions as they come and gives every row one token a step."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from backends.llm.model.loading import end_tokens, load_model, load_tokenizer
from backends.llm.model.tokens import Tokens
from backends.llm.policies.adapter import Adapter, Reference, attach_adapters
from backends.llm.policies.base import LLMPolicy
from backends.llm.serving.batch import BASE, Batch
from backends.llm.serving.draw import Drawer, draw
from backends.llm.serving.prompt import question_tokens
from backends.llm.serving.text import TextStream
from palm_theory.errors import InputError
from palm_theory.serving.engine import Deliver, Event, Piece, Question, Started, Ticket
from palm_theory.serving.errors import ApiError, bad_request, unavailable

logger = logging.getLogger(__name__)

PREFILL_TOKENS = 2048
"""Prompt tokens (padding included) taken in before the running rows get their next token; one prompt always is."""
CACHE_TOKENS = 65536
"""Rows × width that the key-value cache may reach; one question is always taken."""


@dataclass(frozen=True)
class EngineSettings:
    """What the engine holds at once. Raises InputError unless every number is ≥ 1.

    rows : completions generated together.
    queue : questions that may wait; more are refused.
    prompt_tokens : the longest prompt.
    """

    rows: int = 16
    queue: int = 256
    prompt_tokens: int = 4096

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise InputError(f"{field.name} must be >= 1, got {getattr(self, field.name)}")


class EngineTicket(Ticket):
    """A question in the engine, as its asker holds it."""

    def __init__(self, question: Question, deliver: Deliver, forget: Callable[[EngineTicket], None]) -> None:
        self.question = question
        self.prompt: Tokens = []
        self.max_tokens = 0
        self.cancelled = False
        self._deliver = deliver
        self._forget = forget

    def cancel(self) -> None:
        """Forget it: it leaves the queue at once, or its rows leave at the next step."""
        self.cancelled = True
        self._forget(self)

    def deliver(self, event: Event) -> None:
        """Tell the asker."""
        if not self.cancelled:
            self._deliver(event)

    @property
    def longest(self) -> int:
        """The most cache columns one of its rows can fill."""
        return len(self.prompt) + self.max_tokens


class Row:
    """One choice of a ticket's question."""

    def __init__(self, ticket: EngineTicket, choice: int, tokenizer: Any) -> None:
        self.ticket = ticket
        self.choice = choice
        self.drawer = Drawer.of(ticket.question.sampling, choice)
        self.text = TextStream(tokenizer, ticket.question.sampling.stops)
        self.generated = 0
        self.token = 0

    def take(self, token: int, ends: Sequence[int]) -> bool:
        """Append a token and deliver its text; whether the row goes on."""
        self.generated += 1
        self.token = token
        limit = self.generated >= self.ticket.max_tokens
        if token in ends:
            self.ticket.deliver(Piece(self.choice, self.text.finish(), 1, "stop"))
            return False
        text = self.text.push(token)
        if self.text.stopped or limit:
            text += self.text.finish()
            self.ticket.deliver(Piece(self.choice, text, 1, "stop" if self.text.stopped else "length"))
            return False
        self.ticket.deliver(Piece(self.choice, text, 1))
        return not self.ticket.cancelled


class AdapterEngine:
    """One base model in memory with K adapters; rows of different adapters go through it in one batch.

    Each step first lets waiting questions join, as many as settings allow, and then gives every row a token; a row
    leaves when it ends. So a short answer waits for no long one. A policy is an ``Adapter`` or the ``Reference``.

    Raises InputError for any other policy, or where policies differ in base model or dtype.
    """

    def __init__(self, policies: Sequence[LLMPolicy], settings: EngineSettings) -> None:
        for k, policy in enumerate(policies):
            if not isinstance(policy, Adapter | Reference):
                raise InputError(
                    f"p{k:02d} is a {type(policy).__name__}, which the in-process engine cannot batch: it serves "
                    "adapters and the base model; make a soup of the adapters instead (backends.llm.make_soup)"
                )
        chats = {(policy.chat.model, policy.chat.dtype) for policy in policies}
        if len(chats) > 1:
            raise InputError(f"the policies have different base models or dtypes: {sorted(chats)}")
        self._policies = tuple(policies)
        self._settings = settings
        self._waiting: deque[EngineTicket] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._state: str | None = "policies are loading"
        self._failed = False
        self._batch: Batch[Row] | None = None
        self._tokenizer: Any = None
        self._ends: list[int] = []
        self._context = 0
        self._thread = threading.Thread(target=self._run, name="palm-engine", daemon=True)

    @property
    def queued(self) -> int:
        """Questions that wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Rows being generated."""
        return 0 if self._batch is None else len(self._batch.choices)

    def not_ready(self) -> str | None:
        """Why questions wait or fail, or None."""
        return self._state

    def start(self) -> None:
        """Load in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what was asked, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def ask(self, question: Question, deliver: Deliver) -> EngineTicket:
        """Queue a question. Raises ApiError 400 where it never fits, 503 where the queue is full or loading failed."""
        if question.choices > self._settings.rows:
            raise bad_request(f"n must be at most {self._settings.rows}, got {question.choices}", "n")
        ticket = EngineTicket(question, deliver, self._forget)
        with self._changed:
            if self._failed or self._stopping:
                raise unavailable(self._state or "the server is shutting down", "unavailable", 5)
            if len(self._waiting) >= self._settings.queue:
                raise unavailable("the queue is full", "overloaded")
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def _run(self) -> None:
        try:
            self._load()
        except Exception as error:
            logger.exception("the policies cannot be loaded")
            with self._changed:
                self._failed, self._state = True, f"the policies cannot be loaded: {error}"
                for ticket in self._waiting:
                    ticket.deliver(unavailable("the policies cannot be loaded; see the log", "unavailable", 5))
                self._waiting.clear()
            return
        self._state = None
        logger.info("policies loaded", extra={"fields": {"policies": len(self._policies)}})
        assert self._batch is not None
        while self._wait_for_work():
            try:
                self._step(self._batch)
            except Exception:
                # Out of memory, say: those in the batch are told, and the next start with an empty one.
                logger.exception("a step of the engine failed")
                for ticket in {row.ticket for row in self._batch.choices}:
                    ticket.deliver(ApiError(500, "the engine failed; see the log", code="engine_error"))
                self._batch = self._empty_batch()

    def _wait_for_work(self) -> bool:
        """Sleep until there is something to do; False once stopped and done."""
        assert self._batch is not None
        with self._changed:
            while not self._waiting and not self._batch.choices:
                if self._stopping:
                    return False
                self._changed.wait()
        return True

    def _load(self) -> None:
        chat = self._policies[0].chat
        self._tokenizer = load_tokenizer(chat.model)
        model = load_model(chat)
        self._ends = end_tokens(model, self._tokenizer)
        self._context = int(model.config.get_text_config().max_position_embeddings)
        folders = {name: policy.folder for name, policy in self._named() if isinstance(policy, Adapter)}
        self._mixed = bool(folders)
        self._model = attach_adapters(model, chat, folders) if folders else model
        self._batch = self._empty_batch()

    def _named(self) -> list[tuple[str, LLMPolicy]]:
        return [(f"p{k:02d}", policy) for k, policy in enumerate(self._policies)]

    def _empty_batch(self) -> Batch[Row]:
        return Batch(self._model, self._tokenizer.pad_token_id, mixed=self._mixed)

    def _step(self, batch: Batch[Row]) -> None:
        batch.keep([i for i, row in enumerate(batch.choices) if not row.ticket.cancelled])
        if batch.choices:
            self._draw(batch, batch.step([row.token for row in batch.choices]), 0)
        tickets = self._admitted(batch)
        if tickets:
            first = len(batch.choices)
            groups = [[Row(ticket, k, self._tokenizer) for k in range(ticket.question.choices)] for ticket in tickets]
            prompts, adapters = zip(*((ticket.prompt, self._adapter(ticket)) for ticket in tickets), strict=True)
            for ticket in tickets:
                ticket.deliver(Started(len(ticket.prompt)))
            try:
                logits = batch.join(groups, prompts, adapters)
            except Exception:
                for ticket in tickets:
                    ticket.deliver(ApiError(500, "the engine failed; see the log", code="engine_error"))
                raise
            self._draw(batch, logits, first)

    def _draw(self, batch: Batch[Row], logits: Any, first: int) -> None:
        """Give the rows from ``first`` on their tokens; those that ended leave."""
        rows = batch.choices[first:]
        tokens = draw(logits, [row.drawer for row in rows])
        going_on = [row.take(token, self._ends) for row, token in zip(rows, tokens, strict=True)]
        batch.keep([*range(first), *(first + i for i, on in enumerate(going_on) if on)])

    def _adapter(self, ticket: EngineTicket) -> str:
        policy = ticket.question.policy
        return f"p{policy:02d}" if isinstance(self._policies[policy], Adapter) else BASE

    def _admitted(self, batch: Batch[Row]) -> list[EngineTicket]:
        """The questions that join now, first come, first served: those at the head of the queue that fit."""
        settings = self._settings
        count = len(batch.choices)
        longest = max((row.ticket.longest for row in batch.choices), default=0)
        tickets: list[EngineTicket] = []
        width = 0
        while True:
            with self._changed:
                ticket = self._waiting[0] if self._waiting else None
            if ticket is None:
                break
            if ticket.cancelled or not self._prepared(ticket):
                self._forget(ticket)
                continue
            rows = count + ticket.question.choices
            wider = max(width, len(ticket.prompt))
            reach = max(longest, ticket.longest)
            if count and (rows > settings.rows or rows * reach > CACHE_TOKENS):
                break
            if tickets and wider * (len(tickets) + 1) > PREFILL_TOKENS:
                break
            self._forget(ticket)
            tickets.append(ticket)
            count, width, longest = rows, wider, reach
        return tickets

    def _forget(self, ticket: EngineTicket) -> None:
        """Take a ticket out of the queue, if it is there."""
        with self._changed, contextlib.suppress(ValueError):
            self._waiting.remove(ticket)

    def _prepared(self, ticket: EngineTicket) -> bool:
        """Fill in a ticket's tokens, once; False where it was refused."""
        if ticket.prompt:
            return True
        chat = self._policies[ticket.question.policy].chat
        try:
            prompt = question_tokens(self._tokenizer, ticket.question.messages, chat.system_prompt)
            limit = min(self._settings.prompt_tokens, self._context - 1)
            if len(prompt) > limit:
                raise ApiError(
                    400,
                    f"the prompt has {len(prompt)} tokens, more than the limit of {limit}",
                    code="context_length_exceeded",
                    param="messages" if isinstance(ticket.question.messages, tuple) else "prompt",
                )
        except ApiError as error:
            ticket.deliver(error)
            return False
        ticket.prompt = prompt
        wanted = ticket.question.sampling.max_tokens or chat.max_new_tokens
        ticket.max_tokens = min(wanted, self._context - len(prompt))
        return True
