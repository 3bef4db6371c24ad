"""Weights learnt through the server serve the same user's next request."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx

from palm_theory import Portfolio
from palm_theory.serving.answer import ServerState
from palm_theory.serving.app import make_app
from palm_theory.serving.asking import Asker
from palm_theory.serving.elicit import add_elicitation
from palm_theory.serving.limits import ServerLimits
from palm_theory.serving.server import Server
from palm_theory.users.elicitation import Elicitation
from palm_theory.users.profiles import Profiles
from tests.serving.conftest import FakeUpstream, Running, forwarding


def test_answers_become_weights_that_serve(portfolio: Portfolio, upstream: FakeUpstream, tmp_path: Path):
    profiles = Profiles(tmp_path / "profiles.sqlite", portfolio)
    limits = ServerLimits(shutdown_seconds=5)
    state = ServerState(Asker(portfolio, profiles), forwarding(upstream.url, portfolio), limits)
    elicitation = Elicitation.of(portfolio, max_questions=4)
    running = Running(
        Server(make_app(state, extend=lambda app: add_elicitation(app, elicitation, profiles, limits)), "127.0.0.1", 0)
    )
    try:
        url = f"{running.url}/v1/palm/elicit/ann"
        state = httpx.get(url).json()
        while (question := state["question"]) is not None:
            better = max(("first", "second"), key=lambda side: question[side]["rewards"]["cost"])
            state = httpx.post(url, json={"question": question["number"], "choice": better}).json()
        assert state["result"]["weights"] is not None
        answer = httpx.post(
            f"{running.url}/v1/chat/completions",
            json={"model": "palm", "user": "ann", "messages": [{"role": "user", "content": "x"}]},
        )
        assert (answer.headers["x-palm-policy"], answer.headers["x-palm-weights-from"]) == ("p02", "profile")
        assert httpx.post(url, json={"question": 1, "choice": "first"}).status_code == 409
        assert httpx.post(url, json={"question": 1, "choice": "both"}).status_code == 422
        assert httpx.post(url, content=b"{").status_code == 415
        assert httpx.post(f"{url}/undo").status_code == 200
    finally:
        running.stop()
