"""What the router adds to a request: 1,000 connections, 500 requests a second, the router on one core.

``python -m benchmarks.serving.overhead``. The same load goes to a null upstream directly and through ``palm serve
--upstream`` in turns; the router is pinned to one core, the load generator and the upstream share the other.
"Added" is the difference of the percentiles. "Routing alone" is what the router itself counts from the parsed body to
the policy (``palm_routing_seconds``).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from backends.bandit import BanditBackend
from benchmarks.common import machine
from palm_theory import Adaptive, build_portfolio

RESULT = Path(__file__).parent / "results" / "overhead.json"
CONNECTIONS, RATE, SECONDS, ROUNDS = 1000, 500, 10, 3
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(command: list[str], core: int, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server on one core, from the moment it answers at ``url``."""
    with tempfile.TemporaryFile() as errors:
        running = subprocess.Popen(command, stderr=errors, cwd=ROOT, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
                    break
                time.sleep(0.1)
            else:
                errors.seek(0)
                raise RuntimeError(errors.read(2000).decode())
            yield running
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)


def load(url: str, core: int, seconds: float) -> dict[str, Any]:
    """One run of the load generator on ``core``."""
    command = [sys.executable, "-m", "benchmarks.serving.load", url, "--connections", str(CONNECTIONS)]
    command += ["--rate", str(RATE), "--seconds", str(seconds)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, cwd=ROOT, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )
    return json.loads(done.stdout)


def cpu_seconds(pid: int) -> float:
    """User and system time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def routing_percentiles(url: str) -> dict[str, str]:
    """Upper ends of the histogram's buckets that hold the 50th and 99th percentile of the routing time, in ms."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    counts = {
        line.split('le="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith("palm_routing_seconds_bucket")
    }
    total = counts["+Inf"]
    found = {}
    for share in (50, 99):
        edge = next(edge for edge, count in counts.items() if count >= total * share / 100)
        found[f"p{share}"] = "more" if edge == "+Inf" else f"<= {1000 * float(edge):g}"
    return found


def measure() -> dict[str, Any]:
    """All rounds."""
    cores = sorted(os.sched_getaffinity(0))
    ours, theirs = cores[0], cores[-1]
    bandit = BanditBackend(np.random.default_rng(0).random((5, 20, 3)), beta=0.05)
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        portfolio = build_portfolio(bandit, Adaptive(epsilon=0.01), path=Path(folder) / "portfolio")
        upstream = f"http://127.0.0.1:{free_port()}"
        router = f"http://127.0.0.1:{(port := free_port())}"
        null = [sys.executable, "-m", "benchmarks.serving.null_upstream", upstream.rsplit(":", 1)[1]]
        palm = [sys.executable, "-c", "from palm_theory.cli.app import main; main()", "serve", f"{folder}/portfolio"]
        palm += ["--upstream", upstream, "--port", str(port), "--log", "quiet"]
        with process(null, theirs, f"{upstream}/v1/models"), process(palm, ours, f"{router}/readyz") as running:
            load(router, theirs, 3)
            for _ in range(ROUNDS):
                direct = load(upstream, theirs, SECONDS)
                before = cpu_seconds(running.pid)
                routed = load(router, theirs, SECONDS)
                busy = (cpu_seconds(running.pid) - before) / SECONDS
                added = {name: round(routed["ms"][name] - direct["ms"][name], 3) for name in direct["ms"]}
                rounds.append({"direct": direct, "routed": routed, "added_ms": added, "router_core_busy": busy})
                print(f"direct {direct['ms']} ms; added {added}; {routed['statuses']}; core {busy:.0%} busy")
            routing = routing_percentiles(router)
    medians = {
        name: float(np.median([round_["added_ms"][name] for round_ in rounds])) for name in rounds[0]["added_ms"]
    }
    print(f"policies {len(portfolio)}; added, median of {ROUNDS} rounds: {medians}; routing alone in ms: {routing}")
    return {
        "machine": machine(),
        "load_average": os.getloadavg(),
        "niceness": os.nice(0),
        "connections": CONNECTIONS,
        "requests_a_second": RATE,
        "policies": len(portfolio),
        "added_ms": medians,
        "routing_alone_ms": routing,
        "rounds": rounds,
    }


if __name__ == "__main__":
    result = measure()
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
