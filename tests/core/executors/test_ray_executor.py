"""RayExecutor on a real cluster of several nodes: what runs, what is retried, what is reported, what is cancelled."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

from palm_theory import UniformGrid, build_portfolio
from palm_theory.errors import BackendError, InputError
from palm_theory.executors.outcome import RemoteTraceback
from palm_theory.executors.ray import RayExecutor
from tests.helpers.cluster_helpers import (
    CHECKPOINT_AT,
    STEPS,
    SteppedBandit,
    add_node,
    alive,
    crash_first,
    fail,
    meet,
    notes,
    wait_for_file,
    wait_until,
)

pytest_plugins = ["tests.helpers.ray_fixtures"]


@pytest.fixture(scope="module")
def executor(cluster):
    with RayExecutor(cpus=0, gpus=1, retries=1) as executor:
        yield executor


def test_fractions_of_gpus_run_at_once_and_are_handed_out(cluster, tmp_path: Path):
    with RayExecutor(cpus=0, gpus=0.5) as halves:
        futures = [halves.submit(meet, tmp_path, number, 4) for number in range(4)]
        assert sorted(future.result() for future in futures) == ["0", "0", "1", "1"]


def test_an_error_is_reported_with_its_traceback_and_not_retried(executor, tmp_path: Path):
    with pytest.raises(ZeroDivisionError, match="by the user's own code") as caught:
        executor.submit(fail, tmp_path / "log").result()
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "cluster_helpers.py" in str(caught.value.__cause__)
    assert notes(tmp_path / "log") == ["called"]


def test_a_worker_that_dies_is_replaced_and_that_is_told(executor, tmp_path: Path, caplog):
    assert executor.submit(crash_first, tmp_path / "log", 1).result() == 2
    assert "was lost (WorkerCrashedError" in caplog.text
    assert "retry 1 of 1" in caplog.text


def test_a_worker_that_keeps_dying_is_given_up(executor, tmp_path: Path):
    with pytest.raises(BackendError, match=r"\(crash_first 99\) was lost 2 time\(s\), at last by WorkerCrashedError"):
        executor.submit(crash_first, tmp_path / "log", 99).result()
    assert len(notes(tmp_path / "log")) == 2


def test_what_cannot_be_pickled_is_an_error_of_its_future(executor):
    with pytest.raises(BackendError, match="cannot be pickled"):
        executor.submit(threading.Lock().acquire).result()


def test_queued_calls_are_cancelled_and_running_ones_are_not(executor, tmp_path: Path):
    running = [executor.submit(wait_for_file, tmp_path / "started", tmp_path / "go") for _ in range(2)]
    wait_until(lambda: len(notes(tmp_path / "started")) == 2, "two calls have started")
    queued = executor.submit(wait_for_file, tmp_path / "started", tmp_path / "go")
    assert [future.cancel() for future in running] == [False, False]
    assert queued.cancel()
    assert queued.cancelled()
    (tmp_path / "go").touch()
    assert [future.result() for future in running] == ["went on"] * 2
    assert len(notes(tmp_path / "started")) == 2


def test_ctrl_c_stops_what_runs_cancels_what_waits_and_keeps_what_is_finished(cluster, tmp_path: Path):
    executor = RayExecutor(cpus=0, gpus=1)
    finished = executor.submit(max, 1, 2)
    assert finished.result() == 2
    futures = [executor.submit(wait_for_file, tmp_path / "started", tmp_path / "never") for _ in range(3)]
    wait_until(lambda: len(notes(tmp_path / "started")) == 2, "two calls have started")
    with pytest.raises(KeyboardInterrupt), executor:
        raise KeyboardInterrupt
    assert finished.result() == 2
    assert sum(future.cancelled() for future in futures) == 1
    assert all("was stopped" in str(future.exception()) for future in futures if not future.cancelled())
    wait_until(lambda: not any(alive(int(pid)) for pid in notes(tmp_path / "started")), "the workers are gone")
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(max, 1, 2)


def test_bad_arguments_are_refused_and_hopeless_requests_told(cluster, caplog):
    for arguments in ({"gpus": -1}, {"cpus": float("nan")}, {"retries": -1}, {"resources": {"tpu": "one"}}):
        with pytest.raises(InputError, match=r"must be"):
            RayExecutor(**arguments)
    RayExecutor(gpus=16).shutdown()
    assert "no node of the cluster has CPU 1, GPU 16: tasks wait until one joins" in caplog.text


def test_a_node_lost_in_mid_run_loses_no_policy_and_trains_none_twice(cluster, tmp_path: Path, caplog):
    backend, strategy = SteppedBandit(tmp_path / "shared"), UniformGrid(4)
    extra = add_node(cluster, num_gpus=2)
    (tmp_path / "shared").mkdir()
    built = {}

    def build() -> None:
        with RayExecutor(cpus=0, gpus=1) as executor:
            built["portfolio"] = build_portfolio(backend, strategy, path=tmp_path / "portfolio", executor=executor)

    thread = threading.Thread(target=build)
    thread.start()
    waiting = lambda: [log[-1][0] for log in backend.logs() if log and log[-1][1] == str(CHECKPOINT_AT)]  # noqa: E731
    wait_until(lambda: len(waiting()) == 4, "four solves wait at the checkpoint, two on each node")
    before = set(waiting())
    cluster.remove_node(extra, allow_graceful=False)
    wait_until(lambda: sum(alive(pid) for pid in before) == 2, "the workers of the lost node are gone")
    (tmp_path / "shared" / "go").touch()
    thread.join()

    logs = list(backend.logs())
    assert len(logs) == 5
    assert all(sum(step == "done" for _, step in log) == 1 for log in logs)
    resumed = [log for log in logs if len({pid for pid, _ in log}) == 2]
    assert len(resumed) == 2
    for log in resumed:
        first, second = list(dict.fromkeys(pid for pid, _ in log))
        assert [step for pid, step in log if pid == first] == ["1", "2", "3"]
        # Step 3 was begun but not saved: it is done again, and nothing before it.
        assert [step for pid, step in log if pid == second] == ["3", "4", "5", "6", "done"]
    assert STEPS == 6
    assert caplog.text.count("was lost (NodeDiedError") >= 2
    expected = build_portfolio(SteppedBandit(tmp_path / "shared"), strategy)
    assert np.array_equal(built["portfolio"].rewards, expected.rewards)
