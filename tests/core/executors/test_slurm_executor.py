"""SlurmExecutor over submitit's local executor, which runs every job as a process of this machine."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("submitit")

from palm_theory import UniformGrid, build_portfolio
from palm_theory.errors import BackendError, InputError
from palm_theory.executors import slurm
from palm_theory.executors.options import ray_executor, slurm_executor
from palm_theory.executors.outcome import RemoteTraceback
from palm_theory.executors.slurm import SlurmExecutor
from tests.helpers.cluster_helpers import (
    CHECKPOINT_AT,
    SteppedBandit,
    alive,
    crash_first,
    fail,
    notes,
    wait_for_file,
    wait_until,
)


@pytest.fixture
def local(tmp_path: Path, monkeypatch):
    """A function that makes an executor; a local result is there at once, or never."""
    monkeypatch.setattr(slurm, "GRACE_SECONDS", 0.5)

    def make(**arguments) -> SlurmExecutor:
        return SlurmExecutor(tmp_path / "jobs", cluster="local", poll_seconds=0.05, **arguments)

    return make


def test_a_job_killed_in_mid_run_resumes_and_no_solve_is_done_twice(local, tmp_path: Path, caplog):
    backend, strategy = SteppedBandit(tmp_path / "shared"), UniformGrid(1)
    (tmp_path / "shared").mkdir()
    built = {}

    def build() -> None:
        with local() as executor:
            built["portfolio"] = build_portfolio(backend, strategy, path=tmp_path / "portfolio", executor=executor)

    thread = threading.Thread(target=build)
    thread.start()
    waiting = lambda: [log for log in backend.logs() if log and log[-1][1] == str(CHECKPOINT_AT)]  # noqa: E731
    wait_until(lambda: len(waiting()) == 2, "both solves wait at the checkpoint")
    victim = waiting()[0][-1][0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: "was lost" in caplog.text, "the loss is noticed")
    (tmp_path / "shared" / "go").touch()
    thread.join()
    lost, other = sorted(backend.logs(), key=lambda log: log[0][0] != victim)
    assert [step for pid, step in lost if pid == victim] == ["1", "2", "3"]
    assert [step for pid, step in lost if pid != victim] == ["3", "4", "5", "6", "done"]
    assert [step for _, step in other] == ["1", "2", "3", "4", "5", "6", "done"]
    expected = build_portfolio(SteppedBandit(tmp_path / "shared"), strategy)
    assert np.array_equal(built["portfolio"].rewards, expected.rewards)


def test_a_job_whose_time_is_up_is_requeued(local, tmp_path: Path):
    with local() as executor:
        future = executor.submit(wait_for_file, tmp_path / "started", tmp_path / "go")
        wait_until(lambda: notes(tmp_path / "started"), "the job has started")
        # What SLURM sends before it preempts a job or its time is up.
        os.kill(int(notes(tmp_path / "started")[0]), signal.SIGUSR2)
        wait_until(lambda: len(notes(tmp_path / "started")) == 2, "the job has started again")
        (tmp_path / "go").touch()
        assert future.result() == "went on"


def test_errors_are_reported_and_jobs_that_keep_dying_given_up(local, tmp_path: Path):
    with local(retries=1) as executor:
        failing = executor.submit(fail, tmp_path / "fails")
        dying = executor.submit(crash_first, tmp_path / "dies", 99)
        with pytest.raises(ZeroDivisionError) as caught:
            failing.result()
        with pytest.raises(BackendError, match=r"\(crash_first 99\) was lost 2 time\(s\), its last job \d+ in state"):
            dying.result()
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert notes(tmp_path / "fails") == ["called"]
    assert len(notes(tmp_path / "dies")) == 2


def test_queued_jobs_are_cancelled_running_ones_only_by_ctrl_c(local, tmp_path: Path):
    executor = local(max_jobs=1)
    running, queued, other = (
        executor.submit(wait_for_file, tmp_path / "started", tmp_path / "never") for _ in range(3)
    )
    wait_until(lambda: notes(tmp_path / "started"), "the first job has started")
    assert not running.cancel()
    assert queued.cancel()
    with pytest.raises(KeyboardInterrupt), executor:
        raise KeyboardInterrupt
    assert other.cancelled()
    assert "was stopped" in str(running.exception())
    assert len(notes(tmp_path / "started")) == 1
    wait_until(lambda: not alive(int(notes(tmp_path / "started")[0])), "the job's process is gone")
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(max, 1, 2)


def test_submitits_debug_executor_and_refused_arguments(tmp_path: Path):
    with SlurmExecutor(tmp_path, cluster="debug", poll_seconds=0.05) as executor:
        assert executor.submit(max, 1, 2).result() == 2
        with pytest.raises(BackendError, match="cannot be pickled"):
            executor.submit(threading.Lock().acquire).result()
    for arguments in ({"cluster": "pbs"}, {"gpus": 0.5}, {"time_minutes": 0}, {"retries": -1}, {"poll_seconds": 0}):
        with pytest.raises(InputError, match="must be"):
            SlurmExecutor(tmp_path, **{"cluster": "local", **arguments})


def test_executors_from_command_line_options(tmp_path: Path):
    made = slurm_executor("cluster=local,gpus=2,cpus=4,memory=8,time=1-02:03:30,max_jobs=3,partition=p", tmp_path)
    assert (made._max_jobs, made._cluster) == (3, "local")
    assert made._submitter.parameters == {"timeout_min": 1564, "cpus_per_task": 4, "gpus_per_node": 2, "mem_gb": 8.0}
    for text in ("gpus", "gpus=", "gpus=1,gpus=2", "gpus=half", "time=soon", "memory=-1", "cpus=0"):
        with pytest.raises(InputError, match=r"name=value|twice|must be"):
            slurm_executor(f"cluster=local,{text}", tmp_path)
    with pytest.raises(InputError, match="--cluster starts with auto, local"):
        ray_executor("gpus=1")
    with pytest.raises(InputError, match="gpus must be a number, got 'one'"):
        ray_executor("auto,gpus=one")
