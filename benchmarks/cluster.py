"""What an executor costs a task, and a run in which a node is lost: ``python -m benchmarks.cluster``.

Ray runs as a real cluster of three nodes on this machine, submitit as processes of this machine ("local"), beside a
ProcessPoolExecutor, each with two workers. Writes results/cluster.json.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.common import Stopwatch, show, store
from palm_theory import UniformGrid, build_portfolio
from palm_theory.executors.ray import RayExecutor
from palm_theory.executors.slurm import SlurmExecutor
from tests.helpers.cluster_helpers import CHECKPOINT_AT, SteppedBandit, add_node, alive, wait_until

TASKS = {"ProcessPoolExecutor": 400, "RayExecutor": 400, "SlurmExecutor, local": 8}


def nothing(number: int) -> int:
    """The smallest task."""
    return number


def cost(name: str, make: Callable[[], Executor]) -> dict[str, Any]:
    """Seconds from making an executor to its first result, and a task after that, two workers."""
    watch = Stopwatch()
    with make() as executor:
        executor.submit(nothing, 0).result()
        first = watch.seconds
        for future in [executor.submit(nothing, number) for number in range(20 if TASKS[name] > 20 else 0)]:
            future.result()  # both workers are up
        watch = Stopwatch()
        for future in [executor.submit(nothing, number) for number in range(TASKS[name])]:
            future.result()
        return {
            "executor": name,
            "first result, s": first,
            "tasks": TASKS[name],
            "s a task": watch.seconds / TASKS[name],
        }


class Notes(logging.Handler):
    """Keeps what is logged, with seconds since the start."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._start = time.perf_counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.say(re.sub(r"\. Node IP[^)]*\)", ")", record.getMessage()))

    def say(self, text: str) -> None:
        """Add a line."""
        self.lines.append(f"{time.perf_counter() - self._start:6.1f} s  {text}")
        print(self.lines[-1], flush=True)


def node_loss(cluster: Any, folder: Path) -> dict[str, Any]:
    """Five policies of six steps each on two nodes of two GPUs; one node is killed when four are half done."""
    notes = Notes()
    logging.getLogger("palm_theory.executors.ray").addHandler(notes)
    backend = SteppedBandit(folder / "shared")
    backend.folder.mkdir()
    extra = add_node(cluster, num_gpus=2)

    def build() -> None:
        with RayExecutor(cpus=0, gpus=1) as executor:
            portfolio = build_portfolio(backend, UniformGrid(4), path=folder / "portfolio", executor=executor)
        notes.say(f"built: {portfolio.solves} of 5 solves arrived, {portfolio.certificate}")

    thread = threading.Thread(target=build)
    thread.start()

    def waiting() -> set[int]:
        return {log[-1][0] for log in backend.logs() if log and log[-1][1] == str(CHECKPOINT_AT)}

    wait_until(lambda: len(waiting()) == 4, "four policies are half done")
    before = waiting()
    notes.say("four policies are in step 3 of 6, two on each node; one node is killed")
    cluster.remove_node(extra, allow_graceful=False)
    wait_until(lambda: sum(alive(pid) for pid in before) == 2, "the node's processes are gone")
    (backend.folder / "go").touch()
    thread.join()
    steps = [[f"process {pid}: {step}" for pid, step in log] for log in backend.logs()]
    for number, log in enumerate(backend.logs()):
        shown: dict[int, list[str]] = {}
        for pid, step in log:
            shown.setdefault(pid, []).append(step)
        parts = "; then ".join(f"process {pid} steps {' '.join(done)}" for pid, done in shown.items())
        notes.say(f"policy {number}: {parts}")
    finished = sum(line.endswith("done") for log in steps for line in log)
    notes.say(f"completed trainings: {finished}, policies: {len(steps)}")
    return {"log": notes.lines, "policies": len(steps), "completed trainings": finished}


def main() -> None:
    """Measure, print, store."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray's own spelling)
    import ray
    from ray.cluster_utils import Cluster

    health = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False, "_system_config": health}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [cost("ProcessPoolExecutor", lambda: ProcessPoolExecutor(2))]
        jobs = folder / "jobs"
        rows.append(
            cost("SlurmExecutor, local", lambda: SlurmExecutor(jobs, cluster="local", max_jobs=2, poll_seconds=0.1))
        )
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            ray.init(address=cluster.address, logging_level=logging.ERROR, log_to_driver=False)
            add_node(cluster, num_gpus=2)
            rows.append(cost("RayExecutor", lambda: RayExecutor(cpus=0, gpus=1)))
            show("cost of an executor, two workers", rows)
            lost = node_loss(cluster, folder)
        finally:
            ray.shutdown()
            cluster.shutdown()
    store("cluster", {"executors": rows, "node loss": lost})


if __name__ == "__main__":
    main()
