"""SlurmExecutor on a real SLURM, where there is one (its folder in $PALM_SLURM_FOLDER, shared by all nodes)."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from palm_theory.errors import BackendError
from palm_theory.executors.slurm import SlurmExecutor
from tests.helpers import cluster_helpers
from tests.helpers.cluster_helpers import crash_first, fail, meet, notes, wait_for_file, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("sbatch") is None, reason="no SLURM here")]


@pytest.fixture
def shared(monkeypatch) -> Path:
    if "PALM_SLURM_FOLDER" not in os.environ:
        pytest.skip("PALM_SLURM_FOLDER names no folder that the nodes share")
    monkeypatch.setattr(cluster_helpers, "PATIENCE", 600.0)  # SLURM holds a requeued job back for two minutes
    folder = Path(os.environ["PALM_SLURM_FOLDER"]) / uuid.uuid4().hex
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def executor(shared: Path):
    with SlurmExecutor(shared / "jobs", time_minutes=10, poll_seconds=0.2) as executor:
        yield executor


def job_ids() -> list[str]:
    return subprocess.check_output(["squeue", "--noheader", "--me", "--format=%i"], text=True).split()


def test_jobs_run_at_once_and_errors_are_reported(executor, shared: Path):
    futures = [executor.submit(meet, shared, number, 2) for number in range(2)]
    assert len([future.result() for future in futures]) == 2
    with pytest.raises(ZeroDivisionError):
        executor.submit(fail, shared / "fails").result()
    assert notes(shared / "fails") == ["called"]


def test_a_job_that_is_killed_is_submitted_again(executor, shared: Path):
    assert executor.submit(crash_first, shared / "dies", 1).result() == 2


@pytest.mark.parametrize("how", ["preempted", "node failed"])
def test_requeued_jobs_start_their_call_again(executor, shared: Path, how):
    future = executor.submit(wait_for_file, shared / "started", shared / "go")
    wait_until(lambda: notes(shared / "started"), "the job has started")
    # The signal that submitit has SLURM send before preemption or the end of time; a requeue as after a lost node.
    command = ["scancel", "--signal=USR2"] if how == "preempted" else ["scontrol", "requeue"]
    subprocess.check_call([*command, *job_ids()])
    wait_until(lambda: len(notes(shared / "started")) == 2, "the job has started again")
    (shared / "go").touch()
    assert future.result() == "went on"


def test_a_job_that_somebody_cancels_is_not_submitted_again(executor, shared: Path):
    future = executor.submit(wait_for_file, shared / "started", shared / "never")
    wait_until(lambda: notes(shared / "started"), "the job has started")
    subprocess.check_call(["scancel", *job_ids()])
    with pytest.raises(BackendError, match="in state CANCELLED"):
        future.result()


def test_ctrl_c_cancels_all_jobs(executor, shared: Path):
    futures = [executor.submit(wait_for_file, shared / "started", shared / "never") for _ in range(3)]
    wait_until(lambda: notes(shared / "started"), "a job has started")
    with pytest.raises(KeyboardInterrupt), executor:
        raise KeyboardInterrupt
    assert all(future.done() for future in futures)
    wait_until(lambda: not job_ids(), "the queue is empty")
