"""Input made to hurt: always a clean 4xx in OpenAI's form, and the server goes on."""

from __future__ import annotations

import json
import socket
import time

import httpx2 as httpx
import pytest

from palm_theory import Portfolio
from palm_theory.serving.limits import ServerLimits
from tests.serving.conftest import FakeUpstream, Running, Serve, forwarding

LIMITS = ServerLimits(body_bytes=20_000, header_bytes=4_000, body_seconds=1.0, shutdown_seconds=5)
CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
GOOD = b'{"model":"palm","messages":[{"role":"user","content":"x"}]}'


@pytest.fixture
def running(serve: Serve, portfolio: Portfolio, upstream: FakeUpstream) -> Running:
    return serve(portfolio, forwarding(upstream.url, portfolio), limits=LIMITS)


def is_clean(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert len(error["message"]) < 600
    assert "Traceback" not in answer.text


def still_serves(running: Running) -> None:
    assert httpx.post(running.url + CHAT, content=GOOD, headers=JSON).status_code == 200


def deep(levels: int) -> bytes:
    return b'{"model":"palm","messages":' + b"[" * levels + b"]" * levels + b"}"


BODIES = {
    "empty": b"",
    "half": b'{"model": "palm", "mess',
    "no object": b"[1, 2]",
    "a number": b"7",
    "NaN": b'{"model":"palm","palm_weights":{"quality":NaN}}',
    "infinity": b'{"model":"palm","palm_weights":{"quality":Infinity}}',
    "overflow": b'{"model":"palm","palm_weights":{"quality":1e999,"cost":0}}',
    "huge integer": b'{"model":"palm","palm_weights":{"quality":' + b"9" * 5000 + b"}}",
    "negative": b'{"model":"palm","palm_weights":{"quality":-1,"cost":2}}',
    "unknown objective": b'{"model":"palm","palm_weights":{"' + b"x" * 9000 + b'":1}}',
    "deep weights": b'{"model":"palm","palm_weights":' + b"[" * 3000 + b"]" * 3000 + b"}",
    "deep": deep(3000),
    "too deep to send on": deep(600),
    "invalid UTF-8": b'{"model":"\xff\xfe"}',
    "lone surrogate": b'{"model":"\\ud800"}',
    "no model": b'{"messages":[]}',
    "model is a list": b'{"model":["palm"]}',
    "path in the model": b'{"model":"../../etc/passwd"}',
    "header in the model": b'{"model":"p00\\r\\nx-evil: 1"}',
    "header in the weights": b'{"model":"palm:quality=1\\r\\nx-evil: 1"}',
    "null byte": b'{"model":"palm\\u0000"}',
    "user is an object": b'{"model":"palm","user":{"a":1}}',
}


@pytest.mark.parametrize("name", list(BODIES))
def test_bad_bodies(running: Running, name: str):
    for path in (CHAT, "/v1/completions"):
        answer = httpx.post(running.url + path, content=BODIES[name], headers=JSON)
        is_clean(answer, 400, 404)
        assert "x-evil" not in answer.headers
    still_serves(running)


@pytest.mark.parametrize("value", ["quality=nan", "{", "[1e999,0]", "quality=1\tx", "a" * 3000, "quality=½", "\x80"])
def test_bad_weights_in_the_header(running: Running, value: str):
    headers = [(b"content-type", b"application/json"), (b"x-palm-weights", value.encode("utf-8"))]
    is_clean(httpx.post(running.url + CHAT, content=GOOD, headers=headers), 400)


def test_bodies_that_are_too_large_declared_or_not(running: Running):
    large = b'{"model":"' + b"x" * 50_000 + b'"}'
    is_clean(httpx.post(running.url + CHAT, content=large, headers=JSON), 413)
    chunks = (large[start : start + 1000] for start in range(0, len(large), 1000))
    is_clean(httpx.post(running.url + CHAT, content=chunks, headers=JSON), 413)
    lying = {**JSON, "content-length": "9" * 19}
    assert b"413" in exchange(running, head("POST", CHAT, lying) + b"x" * 100)
    still_serves(running)


def test_wrong_media_types_methods_and_paths(running: Running):
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "a" * 200):
        is_clean(httpx.post(running.url + CHAT, content=GOOD, headers={"content-type": media}), 415)
    is_clean(httpx.get(running.url + CHAT), 405)
    is_clean(httpx.request("DELETE", running.url + "/v1/models"), 405)
    for path in (
        "/",
        "/v1",
        "/v1/models/../../etc/passwd",
        "/v1/models/..%2f..%2fetc%2fpasswd",
        "/v1/models/p00%0d%0ax",
    ):
        is_clean(httpx.get(running.url + path), 404)
    is_clean(httpx.get(running.url + "/v1/models/" + "x" * 2000), 404)


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: x", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


PATIENCE = 5.0


def exchange(running: Running, sent: bytes) -> bytes:
    """What comes back for raw bytes, until the server closes or nothing came for ``PATIENCE`` seconds."""
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        received = b""
        try:
            for start in range(0, len(sent), 1000):
                connection.sendall(sent[start : start + 1000])
                time.sleep(0.0005)
            while chunk := connection.recv(65536):
                received += chunk
        except OSError:
            pass
        return received


def status_and_error(raw: bytes) -> tuple[int, str]:
    top, _, body = raw.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(body)["error"]["code"]


def test_headers_that_are_too_large_or_never_end(running: Running):
    many = head("GET", "/v1/models", {f"x-{n}": "y" * 50 for n in range(100)})
    assert status_and_error(exchange(running, many)) == (431, "headers_too_large")
    one = head("GET", "/v1/models", {"x-long": "y" * 100_000})
    assert status_and_error(exchange(running, one)) == (431, "headers_too_large")
    assert status_and_error(exchange(running, b"GET /" + b"a" * 10_000)) == (431, "headers_too_large")
    assert status_and_error(exchange(running, b"GET /v1/models HTTP/1.1\r\nhost: x\r\n")) == (408, "timeout")
    still_serves(running)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-a: b\x00c\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_not_http(running: Running, raw: bytes):
    status, _ = status_and_error(exchange(running, raw))
    assert status in (400, 404, 415)
    still_serves(running)


def test_a_body_that_never_comes(running: Running):
    raw = exchange(running, head("POST", CHAT, {**JSON, "content-length": "100"}) + b'{"model":')
    assert status_and_error(raw) == (408, "timeout")


def send_for_ever(connection: socket.socket) -> None:
    for _ in range(100_000):
        connection.sendall(b"x" * 10_000)


def test_a_client_that_sends_on_and_on_after_its_413_is_cut_off(running: Running):
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head("POST", CHAT, {**JSON, "content-length": "900000000"}))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_for_ever(connection)
    still_serves(running)


def test_many_connections_that_say_nothing_hurt_nobody(running: Running):
    host, port = running.url.removeprefix("http://").split(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(100)]
    still_serves(running)
    for connection in idle:
        connection.close()
