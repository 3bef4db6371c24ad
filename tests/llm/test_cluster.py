"""LLM jobs as tasks of an executor: what they leave, and what the loss of a machine costs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from backends.llm import RemoteWorkers, Training, Workers
from backends.llm.work.jobs import STEPS_FILE
from backends.llm.work.worker import run_claimed
from palm_theory import RandomWeights, build_portfolio
from palm_theory.errors import InputError
from tests.helpers import cluster_helpers
from tests.helpers.cluster_helpers import add_node, alive, wait_until

from .patient import GO, patient

pytest_plugins = ["tests.helpers.ray_fixtures"]


def steps(folder: Path) -> list[tuple[int, str]]:
    """(process, done/total) of every line in a job's log of steps."""
    path = folder / STEPS_FILE
    return [(int(line.split()[2]), line.split()[3]) for line in path.read_text().splitlines()] if path.exists() else []


def test_jobs_of_an_executor_give_what_workers_here_give(make_backend, tmp_path: Path):
    weights = np.array([0.5, 0.5])
    here = make_backend(folder=tmp_path / "here", workers=Workers()).optimize(weights)
    with ThreadPoolExecutor(1) as executor:
        backend = make_backend(folder=tmp_path / "there", workers=RemoteWorkers(executor))
        there = backend.optimize(weights)
    assert there.value.same_numbers(here.value)
    assert [step for _, step in steps(backend.runs.training(weights).folder)] == ["0/4", "1/4", "2/4", "3/4", "4/4"]


def test_a_job_started_twice_is_done_once(make_backend):
    backend = make_backend()
    job = backend.runs.evaluation(backend.optimize([1.0, 0.0]).policy)
    runs = []
    for _ in range(2):
        run_claimed(job, lambda child: runs.append(child))
    assert runs == []
    assert job.is_done


def test_a_folder_that_the_machines_do_not_share_is_named(make_backend, tmp_path: Path):
    class Elsewhere(ThreadPoolExecutor):
        def submit(self, fn, /, job, *args):
            job.folder.rmdir()
            return super().submit(fn, job, *args)

    with Elsewhere(1) as executor, pytest.raises(InputError, match="is not visible on"):
        make_backend(workers=RemoteWorkers(executor)).optimize([0.5, 0.5])
    with pytest.raises(InputError, match="executor must be"):
        RemoteWorkers(4)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_node_lost_in_mid_training_costs_no_policy_and_trains_none_twice(
    cluster, make_backend, tmp_path: Path, monkeypatch
):
    from palm_theory.executors.ray import RayExecutor

    monkeypatch.setattr(cluster_helpers, "PATIENCE", 900.0)  # every job imports torch
    go = tmp_path / "go"
    training = Training(steps=6, prompts_per_step=2, generations=4, checkpoint_every=2, lora_rank=4, lora_alpha=8)
    extra = add_node(cluster, num_gpus=1, resources={"trainer": 1})
    built = {}
    with RayExecutor(cpus=0, gpus=1, resources={"trainer": 1}, runtime_env={"env_vars": {GO: str(go)}}) as executor:
        backend = make_backend(rewards=["brevity", patient], training=training, workers=RemoteWorkers(executor))
        strategy = RandomWeights(3, seed=1)

        def build() -> None:
            with ThreadPoolExecutor(8) as threads:
                built["portfolio"] = build_portfolio(backend, strategy, path=tmp_path / "portfolio", executor=threads)

        thread = threading.Thread(target=build)
        thread.start()

        def folders() -> list[Path]:
            return sorted((backend.runs.folder / "policies").glob("*"))

        def waiting() -> list[int]:
            return [log[-1][0] for log in map(steps, folders()) if log and log[-1][1] == "3/6"]

        wait_until(lambda: len(waiting()) == 2, "two policies are half trained, one on each node")
        before = set(waiting())
        cluster.remove_node(extra, allow_graceful=False)
        wait_until(lambda: sum(alive(pid) for pid in before) == 1, "the training of the lost node has ended")
        go.touch()
        thread.join()

    assert len(built["portfolio"]) >= 1
    logs = [steps(folder) for folder in folders()]
    assert len(logs) == 3
    assert [sum(step == "6/6" for _, step in log) for log in logs] == [1] * 3
    resumed = [log for log in logs if len({pid for pid, _ in log}) == 2]
    assert len(resumed) == 1
    for log in resumed:
        first, second = dict.fromkeys(pid for pid, _ in log)
        assert [step for pid, step in log if pid == first] == ["0/6", "1/6", "2/6", "3/6"]
        # From the checkpoint after step 2, not from the start.
        assert [step for pid, step in log if pid == second] == ["2/6", "3/6", "4/6", "5/6", "6/6"]
    print("\n".join(f"{folder.name}: {log}" for folder, log in zip(folders(), logs, strict=True)))
