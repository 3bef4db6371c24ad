"""The OpenAPI document against the server: schemathesis sends what it says and what it forbids. Slow.

Needs ``pip install schemathesis``, which no extra brings.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import pytest

from palm_theory import Portfolio
from palm_theory.serving.schemas import REQUESTS
from tests.serving.conftest import FakeUpstream, Serve, forwarding


def test_the_document_is_complete(serve: Serve, portfolio: Portfolio, upstream: FakeUpstream):
    running = serve(portfolio, forwarding(upstream.url, portfolio))
    document = httpx.get(f"{running.url}/openapi.json").json()
    for endpoint in REQUESTS:
        operation = document["paths"][f"/v1/{endpoint}"]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert "palm_weights" in schema["properties"]
        assert {"400", "413", "503"} <= set(operation["responses"])
    assert "$ref" not in str(document["paths"]["/v1/chat/completions"])
    assert httpx.get(f"{running.url}/docs").status_code == 404


@pytest.mark.slow
def test_schemathesis_finds_no_crash(serve: Serve, portfolio: Portfolio, upstream: FakeUpstream, tmp_path: Path):
    pytest.importorskip("schemathesis")
    running = serve(portfolio, forwarding(upstream.url, portfolio))
    # status_code_conformance and positive_data_acceptance are left out: a portfolio's own objectives and policies are
    # not in the document, so much that fits it is a 400 or 404.
    checks = "not_a_server_error,content_type_conformance,response_schema_conformance"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/openapi.json", "--checks", checks]
    command += ["--max-examples", "150", "--seed", "1", "--exclude-path", "/readyz"]
    # It keeps a folder of its own where it runs.
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
