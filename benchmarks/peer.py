"""Running the rival: morl-baselines in a virtual environment of its own, each run a process, each result a file.

The interpreter is ``PALM_PEER_PYTHON`` if that is set; otherwise ``.peer-venv`` beside this repository's files is made
on first use from ``benchmarks/peer-requirements.txt``. (morl-baselines needs PyTorch, pymoo, wandb and a C compiler
with GMP's headers for pycddlib, which is why it does not share our environment.) Finished runs are kept in
``benchmarks/results/peer`` and used again; delete them to run the rival anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "benchmarks" / "results" / "peer"
TIME_LIMIT = 120.0
"""Seconds for one run of the rival."""

GRACE = 120.0
"""Seconds more for imports, and for the alarm to reach a solver that does not look up."""


def peer_python() -> str:
    """The interpreter of the rival's environment, made if there is none."""
    given = os.environ.get("PALM_PEER_PYTHON")
    if given:
        return given
    folder = ROOT / ".peer-venv"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        requirements = ROOT / "benchmarks" / "peer-requirements.txt"
        for arguments in (["-r", str(requirements)], ["-e", f"{ROOT}[gym]"]):
            subprocess.run([str(python), "-m", "pip", "install", "-q", *arguments], check=True)
    return str(python)


def stored_run(instance: str, algorithm: str, epsilon: float, time_limit: float = TIME_LIMIT) -> dict[str, Any] | None:
    """The result of a run that was made before, or None."""
    path = _file(instance, algorithm, epsilon, time_limit)
    return json.loads(path.read_text()) if path.exists() else None


def run_peer(instance: str, algorithm: str, epsilon: float, time_limit: float = TIME_LIMIT) -> dict[str, Any]:
    """One run of LinearSupport (``peer_linear_support``), or its stored result."""
    path = _file(instance, algorithm, epsilon, time_limit)
    if not path.exists():
        print(f"running the peer: {instance}, {algorithm}, epsilon {epsilon:.6g}", file=sys.stderr, flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_run(instance, algorithm, epsilon, time_limit)) + "\n")
    return json.loads(path.read_text())


def _file(instance: str, algorithm: str, epsilon: float, time_limit: float) -> Path:
    return RUNS / f"{instance}_{algorithm}_{epsilon:.6g}_{time_limit:g}s.json"


def _run(instance: str, algorithm: str, epsilon: float, time_limit: float) -> dict[str, Any]:
    module = "benchmarks.peer_linear_support"
    command = [peer_python(), "-W", "ignore", "-m", module, instance, algorithm, repr(epsilon), repr(time_limit)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=time_limit + GRACE, check=False
        )
    except subprocess.TimeoutExpired:
        # Its vertex enumeration is one call of C code that no alarm interrupts; what it had found is lost with it.
        return {
            "instance": instance,
            "algorithm": algorithm,
            "epsilon": epsilon,
            "calls": None,
            "seconds": time_limit + GRACE,
            "ended": False,
            "failure": "killed",
            "kept": [],
        }
    if done.returncode != 0:
        raise RuntimeError(f"the peer's process failed: {done.stderr[-2000:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    # The whole history is long; what is compared is the set kept, the number of solves and the time.
    del result["values"], result["times"]
    return result
