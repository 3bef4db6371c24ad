"""What every request passes first: the API key, and whether the server still takes requests."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

from palm_theory.errors import InputError
from palm_theory.serving.answer import Answer, ServerState
from palm_theory.serving.body import Receive
from palm_theory.serving.errors import ApiError, unavailable
from palm_theory.serving.reply import Send, error_reply, send_reply

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
COMPLETIONS = {"/v1/chat/completions": "chat/completions", "/v1/completions": "completions"}


class Gate:
    """An ASGI application around another: 401 without a key where keys are set, 503 while draining.

    Completions are answered from here, past the framework's middleware and routing, which would cost as much again as
    all the rest of forwarding a request. Raises InputError on an API key that no header can carry.
    """

    def __init__(self, app: Any, state: ServerState, keys: Sequence[str] = ()) -> None:
        if any(not key or not key.isascii() or not key.isprintable() or key != key.strip() for key in keys):
            raise InputError("an API key must be non-empty printable ASCII without spaces around it")
        self.app = app
        self.state = state
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            refusal = self._refusal(scope)
            if refusal is not None:
                headers = {"connection": "close"} if self.state.draining else {}
                await send_reply(error_reply(refusal), headers, send)
                return
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in COMPLETIONS:
            await Answer(self.state, COMPLETIONS[scope["path"]])(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Any) -> ApiError | None:
        if self._keys and not self._has_key(scope["headers"]):
            return ApiError(401, "a valid API key is needed: Authorization: Bearer KEY", code="invalid_api_key")
        if self.state.draining:
            return unavailable("the server is shutting down", "shutting_down")
        return None

    def _has_key(self, headers: list[tuple[bytes, bytes]]) -> bool:
        scheme, _, given = dict(headers).get(b"authorization", b"").partition(b" ")
        # All keys are compared, each in constant time, so that the time tells nothing of them.
        matches = [hmac.compare_digest(given.strip(), key) for key in self._keys]
        return scheme.lower() == b"bearer" and any(matches)
