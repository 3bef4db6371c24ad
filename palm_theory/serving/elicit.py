"""Learning a user's weights through the server: questions, answers and their undoing, under /v1/palm/elicit/USER."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response

from palm_theory.errors import InputError, PalmError
from palm_theory.serving.body import read_object
from palm_theory.serving.errors import ApiError, unavailable
from palm_theory.serving.limits import ServerLimits
from palm_theory.serving.reply import JSON, json_bytes
from palm_theory.users.elicitation import Elicitation
from palm_theory.users.profiles import Profiles
from palm_theory.users.session import ConflictError, Session

PATH = "/v1/palm/elicit/{user}"


def add_elicitation(app: FastAPI, elicitation: Elicitation, profiles: Profiles, limits: ServerLimits) -> None:
    """Mount the endpoints. Each answers with the state to show (``Elicitation.state``), 409 with it on a conflict.

    Weights they arrive at are stored in ``profiles``, and serve the user's next request by its ``user``. A
    request that is not as it should be raises ApiError, answered in OpenAI's form.
    """

    def session(user: str) -> Session:
        return Session(elicitation, profiles, user)

    async def told(work: Callable[[], dict[str, Any]], user: str) -> Response:
        try:
            # Some tens of milliseconds of computing and a disk: not on the event loop.
            return Response(json_bytes(await asyncio.to_thread(work)), media_type=JSON)
        except ConflictError as error:
            state = await asyncio.to_thread(session(user).state)
            conflict = ApiError(409, str(error), code="conflict")
            return Response(json_bytes(conflict.body() | {"state": state}), 409, media_type=JSON)
        except InputError as error:
            raise ApiError(422, str(error), code="invalid_value") from None
        except PalmError as error:
            raise unavailable(f"the profiles cannot be used: {error}", "profiles_unavailable", 5) from None

    @app.get(PATH)
    async def state(user: str) -> Response:
        """The open question and the result so far."""
        return await told(lambda: session(user).state(), user)

    @app.post(PATH)
    async def answer(user: str, request: Request) -> Response:
        """Answer {"question": NUMBER, "choice": "first", "second" or "equal"}."""
        body = await read_object(dict(request.scope["headers"]), request.receive, limits)
        question: Any = body.get("question")
        choice: Any = body.get("choice")
        return await told(lambda: session(user).answer(question, choice), user)

    @app.post(PATH + "/undo")
    async def undo(user: str) -> Response:
        """Take the last answer back."""
        return await told(lambda: session(user).undo(), user)
