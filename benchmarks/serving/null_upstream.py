"""An upstream that answers at once and does nothing: what it costs to be asked, and no more."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvloop

MODELS = json.dumps({"object": "list", "data": [{"id": f"p{k:02d}", "object": "model"} for k in range(100)]}).encode()
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "word " * 60}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 200, "completion_tokens": 60, "total_tokens": 260}
ANSWER = json.dumps(
    {"id": "x", "object": "chat.completion", "created": 1, "model": "p00", "choices": [CHOICE], "usage": USAGE}
).encode()


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


class Null(asyncio.Protocol):
    """HTTP/1.1 with kept-alive connections, just enough for well-formed requests."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while True:
            top, end, body = self.received.partition(b"\r\n\r\n")
            if not end:
                return
            lower = top.lower()
            at = lower.find(b"content-length:")
            length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(body) < length:
                return
            self.received = body[length:]
            self.transport.write(_response(MODELS if top.startswith(b"GET") else ANSWER))


async def main() -> None:
    """Listen on the port given."""
    server = await asyncio.get_running_loop().create_server(Null, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
