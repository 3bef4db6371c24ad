"""One request to the policies: read, routed, answered, counted and logged, whatever happens on the way."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from palm_theory.serving.asking import BODY_FIELD, HEADER, Asker
from palm_theory.serving.body import Disconnected, Receive, read_object
from palm_theory.serving.errors import ApiError, unavailable
from palm_theory.serving.limits import ServerLimits
from palm_theory.serving.metrics import Metrics
from palm_theory.serving.reply import Answerer, ClientGone, Reply, Send, error_reply, send_reply, unless_client_leaves
from palm_theory.serving.routing import Decision
from palm_theory.serving.weights_log import WeightsLog

logger = logging.getLogger(__name__)

CLIENT_GONE = 499


@dataclass
class ServerState:
    """A server's parts and its state. ``draining``: it was told to stop, and takes nothing new."""

    asker: Asker
    answerer: Answerer
    limits: ServerLimits = field(default_factory=ServerLimits)
    weights_log: WeightsLog | None = None
    in_flight: int = 0
    draining: bool = False

    def __post_init__(self) -> None:
        self.metrics = Metrics(lambda: self.in_flight)

    def not_ready(self) -> str | None:
        """Why no traffic should be sent here, or None."""
        return "shutting down" if self.draining else self.answerer.not_ready()


class Answer(Response):
    """The response to one completion request; does its work when it is sent."""

    def __init__(self, state: ServerState, endpoint: str) -> None:
        super().__init__()
        self.state = state
        self.endpoint = endpoint
        self.decision: Decision | None = None
        self.status_code = 500
        self._begun = False

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        state = self.state
        started = time.perf_counter()
        state.in_flight += 1
        failed: str | None = None
        try:
            reply = await self._reply_or_error(scope, receive, send)
            failed = reply.failed
        except (ClientGone, Disconnected):
            self.status_code = CLIENT_GONE
        except asyncio.CancelledError:
            # The time to shut down is over.
            failed = "ended by shutdown"
            if not self._begun:
                await self._send_error(unavailable("the server is shutting down", "shutting_down"), send)
        finally:
            state.in_flight -= 1
            seconds = time.perf_counter() - started
            name = None if self.decision is None else self.decision.name
            state.metrics.answered(self.endpoint, name, self.status_code, seconds)
            if logger.isEnabledFor(logging.INFO):
                fields = {"endpoint": self.endpoint, "status": self.status_code, "ms": round(1000 * seconds, 3)}
                fields |= {"policy": name} | ({"failed": failed} if failed else {})
                logger.info("answered", extra={"fields": fields})

    async def _reply_or_error(self, scope: Any, receive: Receive, send: Send) -> Reply:
        try:
            headers = dict(scope["headers"])
            body = await read_object(headers, receive, self.state.limits)
            if self.state.in_flight > self.state.limits.in_flight:
                raise unavailable("too many requests at once", "overloaded")
            decision = self._decide(body, headers)
            reply = Reply(500, "", b"")

            async def work() -> None:
                nonlocal reply
                reply = await self._answered(body, decision)
                await self._send(reply, send)

            await unless_client_leaves(receive, work())
            return reply
        except ApiError as error:
            return await self._send_error(error, send)
        except (asyncio.CancelledError, ClientGone, Disconnected):
            raise
        except Exception:
            logger.exception("a request failed")
            if self._begun:
                raise
            return await self._send_error(ApiError(500, "an internal error; see the log", code="internal_error"), send)

    def _decide(self, body: dict[str, Any], headers: dict[bytes, bytes]) -> Decision:
        started = time.perf_counter()
        header = headers.get(HEADER.encode())
        user = body.get("user")
        decision = self.state.asker.decide(
            body.get("model"), body.get(BODY_FIELD), None if header is None else header.decode("utf-8", "replace"), user
        )
        self.state.metrics.routed(decision, time.perf_counter() - started)
        self.decision = decision
        return decision

    async def _answered(self, body: dict[str, Any], decision: Decision) -> Reply:
        reply = await self.state.answerer.answer(self.endpoint, body, decision)
        if self.state.weights_log is not None:
            self.state.weights_log.write(decision, body.get("user"))
        return reply

    async def _send_error(self, error: ApiError, send: Send) -> Reply:
        reply = error_reply(error)
        await self._send(reply, send)
        return reply

    async def _send(self, reply: Reply, send: Send) -> None:
        self._begun = True
        self.status_code = reply.status
        headers = {} if self.decision is None else decision_headers(self.decision)
        if self.state.draining:
            headers["connection"] = "close"
        await send_reply(reply, headers, send)


def decision_headers(decision: Decision) -> dict[str, str]:
    """What a reply says of the choice. Names and numbers of ours only: nothing a client sent is repeated."""
    headers = {"x-palm-policy": decision.name, "x-palm-weights-from": decision.source}
    gap = decision.gap
    if gap is not None:
        headers["x-palm-gap"] = repr(gap.value) if math.isfinite(gap.value) else "unknown"
        headers["x-palm-gap-kind"] = gap.kind
    return headers
