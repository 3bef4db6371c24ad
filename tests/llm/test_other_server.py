"""The router before a server of somebody else: Hugging Face's ``transformers serve``. Slow.

It runs in the environment of ``$PALM_TRANSFORMERS_SERVE`` (a Python with ``transformers[serving]``), or in this one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2 as httpx
import pytest
from openai import OpenAI

from .test_serving import Palm, say
from .tiny import make_tiny_model
from .tiny_portfolio import save_tiny_portfolio


@pytest.mark.slow
def test_transformers_serve_as_upstream(tmp_path: Path):
    python = os.environ.get("PALM_TRANSFORMERS_SERVE", sys.executable)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    model = make_tiny_model(tmp_path / "model")
    saved = save_tiny_portfolio(model, tmp_path)
    log = (tmp_path / "upstream.log").open("wb")
    command = [python, "-m", "transformers.cli.transformers", "serve", "--port", str(port), "--device", "cpu"]
    # It lists its cache's models, and fails where there is no cache.
    (tmp_path / "hub").mkdir()
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub")}
    other = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"{base}/health")
                break
            except httpx.TransportError:
                assert other.poll() is None, (tmp_path / "upstream.log").read_text()[-3000:]
                assert time.monotonic() < deadline
                time.sleep(0.2)
        # One model under the names of all policies: which one is asked for shows in the router's headers.
        names = [part for policy in ("p00", "p01", "p02") for part in ("--upstream-name", f"{policy}={model}")]
        router = Palm(str(saved), "--upstream", base, *names, log=tmp_path / "router.jsonl")
        try:
            asked = {"messages": say("I like tea"), "max_tokens": 5, "temperature": 0.0}
            direct = OpenAI(base_url=f"{base}/v1", api_key="any").chat.completions.create(model=str(model), **asked)
            raw = router.openai.chat.completions.with_raw_response.create(model="palm:positivity=1", **asked)
            answer = raw.parse()
            assert raw.headers["x-palm-policy"] == "p02"
            assert answer.model == "p02"
            assert answer.choices[0].message.content == direct.choices[0].message.content
            chunks = list(router.openai.chat.completions.create(model="palm:brevity=1", **asked, stream=True))
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            assert text == direct.choices[0].message.content
            assert {chunk.model for chunk in chunks} == {"p00"}
        finally:
            assert router.stop() == 0
    finally:
        other.terminate()
        other.wait(30)
        log.close()
