"""Open-loop HTTP load over many connections: requests arrive at random times whether or not earlier ones are answered.

A latency is counted from the moment a request was due, so a server that falls behind is not excused. Raw asyncio
protocols: the generator must cost little beside what it measures.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
import time
from typing import Any

import numpy as np
import uvloop


class Connection(asyncio.Protocol):
    """One kept-alive connection: one request at a time; requests that find it busy wait for it."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: Any = None
        self.due: float | None = None
        self.waiting: list[float] = []
        self.received = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, due: float) -> None:
        """Send a request that was due at ``due``, or after the one that is being answered."""
        if self.due is not None:
            self.waiting.append(due)
            return
        self.due = due
        self.received = b""
        self.transport.write(self.load.request())

    def data_received(self, data: bytes) -> None:
        self.received = self.received + data if self.received else data
        if not _is_whole(self.received):
            return
        assert self.due is not None
        self.load.answered(self.received[9:12], time.perf_counter() - self.due)
        self.due = None
        if self.waiting:
            self.ask(self.waiting.pop(0))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.due is not None:
            self.load.answered(b"cut", 0.0)
            self.due = None


def _is_whole(raw: bytes) -> bool:
    top, end, body = raw.partition(b"\r\n\r\n")
    if not end:
        return False
    top = top.lower()
    at = top.find(b"content-length:")
    if at < 0:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(top[at + 15 :].split(b"\r\n", 1)[0])


class Load:
    """Requests with random weights on ``connections`` connections at ``rate`` a second for ``seconds``."""

    def __init__(self, url: str, path: str, connections: int, rate: float, seconds: float, virtual: bool) -> None:
        self.host, port = url.removeprefix("http://").split(":")
        self.port = int(port)
        self.path = path
        self.connections = connections
        self.rate = rate
        self.seconds = seconds
        self.virtual = virtual
        self.random = random.Random(0)
        self.latencies: list[float] = []
        self.statuses: dict[str, int] = {}

    def request(self) -> bytes:
        """One chat completion with a prompt of usual length and fresh weights."""
        body: dict[str, object] = {
            "model": "palm" if self.virtual else "p00",
            "messages": [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "word " * 200}],
            "max_tokens": 64,
        }
        if self.virtual:
            a, b = sorted((self.random.random(), self.random.random()))
            body["palm_weights"] = {"r1": a, "r2": b - a, "r3": 1 - b}
        data = json.dumps(body).encode()
        head = f"POST {self.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
        return head.encode() + b"\r\n\r\n" + data

    def answered(self, status: bytes, latency: float) -> None:
        """Count an answer."""
        name = status.decode()
        self.statuses[name] = self.statuses.get(name, 0) + 1
        self.latencies.append(latency)

    async def run(self) -> dict[str, object]:
        """The load; statuses and latencies in milliseconds."""
        loop = asyncio.get_running_loop()
        pool = []
        for _ in range(self.connections):
            _, protocol = await loop.create_connection(lambda: Connection(self), self.host, self.port)
            pool.append(protocol)
        gc.collect()
        gc.freeze()
        begin = due = time.perf_counter() + 0.2
        sent = 0
        while due < begin + self.seconds:
            pause = due - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            # Every connection in turn: all of them are used, however few are busy.
            pool[sent % self.connections].ask(due)
            sent += 1
            due += self.random.expovariate(self.rate)
        while len(self.latencies) < sent:
            await asyncio.sleep(0.01)
        milliseconds = 1000 * np.array(self.latencies)
        p50, p90, p99, p999 = np.percentile(milliseconds, [50, 90, 99, 99.9])
        figures = {"p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "max": milliseconds.max()}
        return {
            "requests": sent,
            "per_second": sent / self.seconds,
            "statuses": self.statuses,
            "ms": {name: round(float(value), 3) for name, value in figures.items()},
        }


def main() -> None:
    """Run one load and print its figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--path", default="/v1/chat/completions")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--plain", action="store_true", help="name a policy instead of sending weights")
    given = parser.parse_args()
    load = Load(given.url, given.path, given.connections, given.rate, given.seconds, not given.plain)
    json.dump(uvloop.run(load.run()), sys.stdout)


if __name__ == "__main__":
    main()
