"""The application: OpenAI's endpoints, health, readiness, metrics."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from palm_theory.serving.answer import ServerState
from palm_theory.serving.asking import VIRTUAL
from palm_theory.serving.errors import ApiError
from palm_theory.serving.gate import COMPLETIONS, Gate
from palm_theory.serving.reply import JSON, json_bytes
from palm_theory.serving.schemas import openapi_body
from palm_theory.version import __version__

ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {JSON: {"schema": ERROR_SCHEMA}}
    return {status: {"description": "An error in OpenAI's form.", "content": content} for status in statuses}


COMPLETION_TEXTS = {
    "chat/completions": "The next message of a conversation",
    "completions": "The continuation of a text",
}
COMPLETION_ERRORS = _errors(400, 401, 404, 408, 413, 415, 429, 431, 500, 502, 503, 504)


def make_app(state: ServerState, keys: Sequence[str] = (), extend: Callable[[FastAPI], None] | None = None) -> Gate:
    """The ASGI application of a server; it starts and stops the answerer with itself. ``extend`` adds endpoints.

    Raises InputError on an API key that no header can carry.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await state.answerer.start()
        try:
            yield
        finally:
            await state.answerer.stop()
            if state.weights_log is not None:
                state.weights_log.close()

    # The pages of /docs and /redoc would load scripts from elsewhere.
    app = FastAPI(
        title="palm serve",
        summary="A policy portfolio behind OpenAI's API",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )

    async def answered_in_the_gate() -> Response:
        raise AssertionError("a completion passed the gate")

    # For the document, and 405 to other methods.
    for path, endpoint in COMPLETIONS.items():
        app.post(
            path,
            name=endpoint.replace("/", "_"),
            description=f"{COMPLETION_TEXTS[endpoint]}, from the policy for the request's weights.",
            responses=COMPLETION_ERRORS,
            openapi_extra=openapi_body(endpoint),
            response_class=Response,
        )(answered_in_the_gate)

    @app.get("/v1/models", responses=_errors(401, 503))
    async def models() -> Response:
        """The virtual model and the policies."""
        return _json({"object": "list", "data": [model_object(state, name) for name in state.asker.models]})

    @app.get("/v1/models/{model}", responses=_errors(401, 404, 503))
    async def model(model: str) -> Response:
        """One of them."""
        if model not in state.asker.models:
            raise ApiError(404, f"the model {model[:80]!r} does not exist", code="model_not_found", param="model")
        return _json(model_object(state, model))

    @app.get("/healthz")
    async def healthz() -> Response:
        """200 as long as the process runs."""
        return _json({"status": "ok"})

    @app.get("/readyz", responses={503: {"description": "Not ready."}})
    async def readyz() -> Response:
        """200 where a request would be answered at once; 503 while policies load, without the upstream, at the end."""
        why = state.not_ready()
        return _json({"status": "ready"}) if why is None else _json({"status": "not ready", "reason": why}, 503)

    @app.get("/metrics", responses=_errors(401, 503), response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(state.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.exception_handler(ApiError)
    async def told(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return _json(error.body(), error.status, error.headers())

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        ours = ApiError(error.status_code, str(error.detail), code=code)
        return _json(ours.body(), ours.status, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return _json(ApiError(500, "an internal error; see the log", code="internal_error").body(), 500)

    if extend is not None:
        extend(app)
    return Gate(app, state, keys)


def model_object(state: ServerState, name: str) -> dict[str, Any]:
    """OpenAI's object for a model; ``palm`` holds what this package knows of it."""
    portfolio = state.asker.table.portfolio
    data: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": "palm_theory"}
    if name == VIRTUAL:
        default = dict(zip(portfolio.objectives, state.asker.default.tolist(), strict=True))
        return data | {"palm": {"objectives": list(portfolio.objectives), "default_weights": default}}
    member = portfolio[state.asker.table.names.index(name)]
    rewards = dict(zip(portfolio.objectives, member.value.rewards.tolist(), strict=True))
    palm = {"label": member.label, "rewards": rewards, "regularizer": member.value.regularizer}
    if member.weights is not None:
        palm["weights"] = dict(zip(portfolio.objectives, member.weights.tolist(), strict=True))
    return data | {"parent": VIRTUAL, "palm": palm}


def _json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json_bytes(data), status, headers, JSON)
