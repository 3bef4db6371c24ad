"""The router before another server: OpenAI's own client, streams, faults, shutdown."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import httpx2 as httpx
import pytest
from openai import APIError, APIStatusError, InternalServerError, NotFoundError, OpenAI, RateLimitError

from palm_theory import Portfolio
from palm_theory.serving.limits import ServerLimits
from palm_theory.serving.weights_log import WeightsLog, hashed
from palm_theory.traffic.log import read_traffic
from tests.serving.conftest import Serve, forwarding


def client(url: str, key: str = "any", **options) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=30, **options)


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def wait_until(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_openais_client_is_answered_by_the_policy_for_its_weights(serve: Serve, portfolio: Portfolio, upstream):
    openai = client(serve(portfolio, forwarding(upstream.url, portfolio)).url)
    raw = openai.chat.completions.with_raw_response.create(
        model="palm", messages=say("hello"), extra_body={"palm_weights": {"quality": 0.1, "cost": 0.9}}, temperature=0.5
    )
    assert raw.headers["x-palm-policy"] == "p02"
    # The hull gives 0.2·0.6 + 0.8·0.9 at (0.1, 0.9), the policy 0.82.
    assert float(raw.headers["x-palm-gap"]) == pytest.approx(0.02)
    assert raw.headers["x-palm-gap-kind"] == "predicted"
    answer = raw.parse()
    assert answer.choices[0].message.content == "hello"
    assert answer.model == "p02"
    assert answer.usage.total_tokens == 7
    assert upstream.bodies[-1] == {"model": "p02", "messages": say("hello"), "temperature": 0.5}
    named = openai.chat.completions.create(model="palm:quality=1", messages=say("x"))
    assert (named.model, upstream.bodies[-1]["model"]) == ("p00", "p00")
    assert openai.chat.completions.create(model="p01", messages=say("x")).model == "p01"
    headed = openai.with_options(default_headers={"X-Palm-Weights": "cost=1"})
    assert headed.chat.completions.create(model="palm", messages=say("x")).model == "p02"
    assert [model.id for model in openai.models.list()] == ["palm", "p00", "p01", "p02"]
    assert openai.models.retrieve("p01").id == "p01"
    assert all(body["model"].startswith("p0") for body in upstream.bodies)


def test_streams_pass_through_byte_for_byte(serve: Serve, portfolio: Portfolio, upstream):
    url = serve(portfolio, forwarding(upstream.url, portfolio)).url
    chunks = list(client(url).chat.completions.create(model="palm", messages=say("tea"), stream=True))
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "tea0 tea1 tea2 "
    asked = {"model": "p01", "messages": say("tea"), "stream": True}
    direct = httpx.post(f"{upstream.url}/v1/chat/completions", json=asked).content
    assert httpx.post(f"{url}/v1/chat/completions", json=asked).content == direct


def test_other_names_upstream_are_translated_both_ways(serve: Serve, portfolio: Portfolio, upstream):
    upstream.models = ["/models/a", "b", "c"]
    names = dict(zip(("p00", "p01", "p02"), upstream.models, strict=True))
    running = serve(portfolio, forwarding(upstream.url, portfolio, names=names))
    openai = client(running.url)
    assert openai.chat.completions.create(model="palm:quality=1", messages=say("x")).model == "p00"
    assert upstream.bodies[-1]["model"] == "/models/a"
    chunks = list(openai.chat.completions.create(model="p00", messages=say("tea"), stream=True))
    assert {chunk.model for chunk in chunks} == {"p00"}
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "tea0 tea1 tea2 "


@pytest.mark.parametrize(
    ("said", "status", "code", "after"),
    [
        ("500", 502, "upstream_error", "1"),
        ("429", 429, "rate_limit_exceeded", "7"),
        ("400", 400, "upstream_refused", None),
        ("garbage", 502, "upstream_error", None),
        ("die", 502, "upstream_error", "1"),
        ("hang", 504, "upstream_timeout", "1"),
    ],
)
def test_faults_of_the_upstream_are_clean_errors(
    serve: Serve, portfolio: Portfolio, upstream, said: str, status: int, code: str, after: str | None
):
    names = {"p00": "p00", "p01": "p01", "p02": "p02"}
    if said == "garbage":
        upstream.models.append("z")
        names["p01"] = "z"
    answerer = forwarding(upstream.url, portfolio, names=names, read_seconds=0.3 if said == "hang" else 30)
    url = serve(portfolio, answerer).url
    with pytest.raises(APIStatusError) as caught:
        client(url).chat.completions.create(model="p01", messages=say(said))
    error = caught.value
    assert (error.status_code, error.code) == (status, code)
    if after is not None:
        assert error.response.headers["retry-after"] == after
    assert isinstance(error, RateLimitError | InternalServerError) or status == 400


def test_a_policy_the_upstream_does_not_have_is_our_fault_not_the_clients(serve: Serve, portfolio: Portfolio, upstream):
    upstream.models = ["p00", "p01"]
    running = serve(portfolio, forwarding(upstream.url, portfolio))
    wait_until(lambda: "does not list p02" in (running.state.not_ready() or ""))
    assert httpx.get(f"{running.url}/readyz").status_code == 503
    with pytest.raises(InternalServerError) as caught:
        client(running.url).chat.completions.create(model="p02", messages=say("x"))
    assert caught.value.status_code == 502
    with pytest.raises(NotFoundError):
        client(running.url).chat.completions.create(model="p03", messages=say("x"))


def test_an_upstream_that_dies_in_a_stream_ends_it_with_an_error(serve: Serve, portfolio: Portfolio, upstream):
    url = serve(portfolio, forwarding(upstream.url, portfolio)).url
    stream = client(url).chat.completions.create(model="palm", messages=say("die"), stream=True)
    with pytest.raises(APIError, match="broke off"):
        list(stream)
    text = httpx.post(f"{url}/v1/chat/completions", json={"model": "p00", "messages": say("die"), "stream": True}).text
    assert "[DONE]" not in text
    assert json.loads(text.strip().splitlines()[-1].removeprefix("data: "))["error"]["code"] == "upstream_error"


def test_an_upstream_that_went_away_and_came_back(serve: Serve, portfolio: Portfolio, upstream):
    running = serve(portfolio, forwarding(upstream.url, portfolio, check_seconds=0.05))
    wait_until(lambda: running.state.not_ready() is None)
    assert httpx.get(f"{running.url}/readyz").json() == {"status": "ready"}
    client(running.url).chat.completions.create(model="palm", messages=say("x"))
    upstream.stop()
    with pytest.raises(InternalServerError) as caught:
        client(running.url).chat.completions.create(model="palm", messages=say("x"))
    assert caught.value.status_code == 502
    assert caught.value.response.headers["retry-after"] == "1"
    wait_until(lambda: httpx.get(f"{running.url}/readyz").status_code == 503)
    assert httpx.get(f"{running.url}/healthz").status_code == 200


def test_a_client_that_leaves_takes_its_request_with_it(serve: Serve, portfolio: Portfolio, upstream):
    running = serve(portfolio, forwarding(upstream.url, portfolio))
    stream = client(running.url).chat.completions.create(model="palm", messages=say("pause"), stream=True)
    next(iter(stream))
    stream.close()
    assert upstream.cancelled.wait(20)
    upstream.cancelled.clear()
    with pytest.raises(APIError):
        client(running.url).with_options(timeout=0.2).chat.completions.create(model="palm", messages=say("hang"))
    assert upstream.cancelled.wait(20)
    wait_until(lambda: running.state.in_flight == 0)
    assert 'status="499"' in httpx.get(f"{running.url}/metrics").text


def test_shutdown_finishes_what_runs_and_refuses_what_comes(serve: Serve, portfolio: Portfolio, upstream):
    running = serve(portfolio, forwarding(upstream.url, portfolio), limits=ServerLimits(shutdown_seconds=20))
    answers: list[str] = []

    def ask() -> None:
        answers.append(client(running.url).chat.completions.create(model="palm", messages=say("slow")).model)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(upstream.bodies) == 5)
    running.server.drain()
    refused = httpx.post(f"{running.url}/v1/chat/completions", json={"model": "palm", "messages": say("x")})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert httpx.get(f"{running.url}/readyz").status_code == 503
    upstream.release.set()
    for thread in threads:
        thread.join()
    running.stop()
    assert answers == ["p01"] * 5


def test_what_still_runs_when_the_time_is_over_is_told_so(serve: Serve, portfolio: Portfolio, upstream):
    running = serve(portfolio, forwarding(upstream.url, portfolio), limits=ServerLimits(shutdown_seconds=0.2))
    caught: list[APIStatusError] = []

    def ask() -> None:
        try:
            client(running.url).chat.completions.create(model="palm", messages=say("hang"))
        except APIStatusError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert upstream.reached.wait(20)
    running.stop()
    thread.join()
    assert [error.status_code for error in caught] == [503]


def test_too_many_at_once_are_told_to_come_back(serve: Serve, portfolio: Portfolio, upstream):
    limits = ServerLimits(in_flight=1, shutdown_seconds=5)
    running = serve(portfolio, forwarding(upstream.url, portfolio), limits=limits)
    first = threading.Thread(
        target=lambda: client(running.url).chat.completions.create(model="palm", messages=say("slow"))
    )
    first.start()
    assert upstream.reached.wait(20)
    with pytest.raises(InternalServerError) as caught:
        client(running.url).chat.completions.create(model="palm", messages=say("x"))
    assert caught.value.code == "overloaded"
    upstream.release.set()
    first.join()


def test_keys_are_asked_for_everywhere_but_at_health(serve: Serve, portfolio: Portfolio, upstream):
    running = serve(portfolio, forwarding(upstream.url, portfolio, api_key="theirs"), ("k1", "k2"))
    for path in ("/v1/models", "/metrics", "/openapi.json", "/nothing"):
        for headers in ({}, {"authorization": "Bearer k3"}, {"authorization": "k1"}, {"authorization": "Basic k1"}):
            refused = httpx.get(running.url + path, headers=headers)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert httpx.get(f"{running.url}/healthz").status_code == 200
    client(running.url, "k2").chat.completions.create(model="palm", messages=say("x"))
    assert upstream.headers[-1]["Authorization"] == "Bearer theirs"


def test_metrics_and_the_weights_log_say_who_was_served(serve: Serve, portfolio: Portfolio, upstream, tmp_path: Path):
    log = tmp_path / "log" / "weights.jsonl"
    running = serve(portfolio, forwarding(upstream.url, portfolio), weights_log=WeightsLog(log, portfolio.objectives))
    openai = client(running.url)
    openai.chat.completions.create(model="palm:cost=1", messages=say("secret"), user="ann@example.org")
    openai.chat.completions.create(model="p00", messages=say("secret"))
    first, second = map(json.loads, log.read_text().splitlines())
    assert (first["weights"], first["policy"], first["user"]) == (
        {"quality": 0, "cost": 1},
        "p02",
        hashed("ann@example.org"),
    )
    assert (first["predicted_regret"], first["source"]) == (0.0, "model")
    assert (second["weights"], second["policy"], second["user"], second["predicted_regret"]) == (
        None,
        "p00",
        None,
        None,
    )
    # palm drift reads it.
    traffic = read_traffic(log, portfolio.objectives)
    assert traffic.policies == ("p02", "p00")
    assert traffic.users == (hashed("ann@example.org"), None)
    assert traffic.has_weights.tolist() == [True, False]
    assert "secret" not in log.read_text()
    assert "ann" not in log.read_text()
    wait_until(lambda: running.state.in_flight == 0)  # an answer is counted after its last byte
    text = httpx.get(f"{running.url}/metrics").text
    assert 'palm_requests_total{endpoint="chat/completions",policy="p02",status="200"} 1.0' in text
    assert 'palm_predicted_regret_count{policy="p02"} 1.0' in text
    assert 'palm_unknown_regret_total{policy="p00"} 1.0' in text
    assert "palm_in_flight 0.0" in text


def test_a_log_on_a_full_disk_costs_no_request(serve: Serve, portfolio: Portfolio, upstream):
    log = WeightsLog(Path("/dev/full"), portfolio.objectives)
    running = serve(portfolio, forwarding(upstream.url, portfolio), weights_log=log)
    for _ in range(2):
        client(running.url).chat.completions.create(model="palm", messages=say("x"))
    assert log.lost == 2
