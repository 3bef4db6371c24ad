"""Kills, full and read-only disks: nothing finished is lost, and the portfolio is the same in the end."""

import contextlib
import random
import subprocess
import time

import numpy as np
import pytest

import tests.helpers.fault_helpers as fh
from palm_theory import Portfolio, UniformGrid, build_portfolio
from palm_theory.errors import ArtifactError, JournalError
from palm_theory.store.journal import Journal
from tests.helpers.fault_helpers import STRATEGIES, TrialBandit

pytest_plugins = ["tests.helpers.fault_fixtures"]

KILLS = 60
LINES_KILLED_AT = 8


def uninterrupted(folder, strategy):
    return build_portfolio(TrialBandit(), STRATEGIES[strategy], path=folder)


def assert_same_artifact(folder, expected):
    assert fh.artifact_files(folder) == fh.artifact_files(expected)
    assert not list(folder.glob(".portfolio.*"))
    assert not list((folder / "solves").glob(".*"))


def test_killed_from_outside_at_random_moments(fast_path):
    """SIGKILL to a real process until enough kills have landed in the middle of a build."""
    expected = uninterrupted(fast_path / "expected", "adaptive-batch-4")
    rng = random.Random(7)
    kills, rounds = 0, 0
    while kills < KILLS:
        folder, log = fast_path / f"build{rounds}", fast_path / f"log{rounds}"
        rounds += 1
        finished = False
        kills_here, patience = 0, 0.05
        while not finished:
            kept, solved = fh.journaled(folder), fh.solves(log)
            process = fh.start(fh.build_task, folder, log, "adaptive-batch-4", 0.002)
            time.sleep(rng.uniform(0.0, patience))
            process.kill()
            code = fh.finish(process)
            # However slow the machine, sooner or later a build is given time for one more solve.
            patience = 0.05 if len(fh.journaled(folder)) > len(kept) else 1.5 * patience
            assert code in (0, -9)
            finished = code == 0
            kills_here += code == -9
            again = fh.solves(log)[len(solved) :]
            assert kept.isdisjoint(again), "a journaled solve was solved again"
        kills += kills_here
        every = fh.solves(log)
        # A kill loses at most the one solve whose line it kept from being written.
        assert len(every) <= len(set(every)) + kills_here
        assert set(every) == fh.journaled(folder)
        assert_same_artifact(folder, fast_path / "expected")
        assert fh.contents(Portfolio.load(folder, TrialBandit())) == fh.contents(expected)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_killed_at_any_line_of_the_code_that_writes(fast_path, strategy):
    """SIGKILL right before a random line of the package's I/O code, the last steps of a save among them."""
    expected = uninterrupted(fast_path / "expected", strategy)
    count = fast_path / "count"
    code = fh.finish(fh.start(fh.traced_build_task, fast_path / "counted", fast_path / "l", strategy, None, count))
    assert code == 0
    lines = int(count.read_text())
    rng = random.Random(strategy)
    moments = {rng.randrange(1, lines) for _ in range(LINES_KILLED_AT)}
    moments |= {lines - back for back in rng.sample(range(1, 60), 4)}
    for moment in sorted(moments):
        folder, log = fast_path / f"build{moment}", fast_path / f"log{moment}"
        assert fh.finish(fh.start(fh.traced_build_task, folder, log, strategy, moment, count)) == -9
        kept, solved = fh.journaled(folder), fh.solves(log)
        try:
            assert fh.contents(Portfolio.load(folder, TrialBandit())) == fh.contents(expected)
        except ArtifactError:
            assert moment < lines
        resumed = build_portfolio(TrialBandit(log), STRATEGIES[strategy], path=folder)
        assert kept.isdisjoint(fh.solves(log)[len(solved) :]), "a journaled solve was solved again"
        assert len(fh.solves(log)) <= len(fh.journaled(folder)) + 1
        assert fh.contents(resumed) == fh.contents(expected)
        assert_same_artifact(folder, fast_path / "expected")


def test_killed_while_a_finished_build_is_run_again(fast_path):
    """The second run replaces the portfolio; killed in the middle of that, it does not block the third."""
    expected = uninterrupted(fast_path / "expected", "grid")
    count = fast_path / "count"
    folder, log = fast_path / "build", fast_path / "log"
    assert fh.finish(fh.start(fh.traced_build_task, folder, log, "grid", None, count)) == 0
    assert fh.finish(fh.start(fh.traced_build_task, folder, log, "grid", None, count)) == 0
    lines = int(count.read_text())
    loaded = []
    for back in range(1, 80, 7):
        assert fh.finish(fh.start(fh.traced_build_task, folder, log, "grid", lines - back, count)) == -9
        try:
            Portfolio.load(folder, TrialBandit())
            loaded.append(True)
        except ArtifactError:
            loaded.append(False)
        resumed = build_portfolio(TrialBandit(log), STRATEGIES["grid"], path=folder)
        assert fh.contents(resumed) == fh.contents(expected)
        assert_same_artifact(folder, fast_path / "expected")
    assert any(loaded)
    assert len(fh.solves(log)) == len(set(fh.solves(log))) == len(fh.journaled(folder))


def test_killed_with_a_pool_of_processes(fast_path):
    """The workers outlive a killed build; they must hold neither its lock nor its folder."""
    expected = uninterrupted(fast_path / "expected", "grid")
    folder, log = fast_path / "build", fast_path / "log"
    process = fh.start(fh.pool_build_task, folder, log, "grid", 0.05)
    while len(fh.solves(log)) < 3:
        assert process.is_alive()
        time.sleep(0.005)
    process.kill()
    assert fh.finish(process) == -9
    try:
        resumed = build_portfolio(TrialBandit(log), STRATEGIES["grid"], path=folder)
        assert fh.contents(resumed) == fh.contents(expected)
        assert_same_artifact(folder, fast_path / "expected")
    finally:
        fh.end_orphans(log)


def test_a_second_process_is_refused_while_the_first_builds(fast_path):
    folder, log = fast_path / "build", fast_path / "log"
    process = fh.start(fh.build_task, folder, log, "grid", 0.1)
    try:
        while not fh.solves(log):
            assert process.is_alive()
            time.sleep(0.005)
        with pytest.raises(JournalError, match="in use by another build"):
            build_portfolio(TrialBandit(), UniformGrid(2), path=folder)
        process.kill()
    finally:
        process.kill()
        fh.finish(process)
    build_portfolio(TrialBandit(), UniformGrid(2), path=folder)


@pytest.mark.parametrize("strategy", ["adaptive", "grid"])
def test_files_that_may_not_grow(fast_path, strategy):
    """A write cut short at every kind of place: header, line, policy, portfolio.json."""
    uninterrupted(fast_path / "expected", strategy)
    size = (fast_path / "expected" / "journal.jsonl").stat().st_size
    header = (fast_path / "expected" / "journal.jsonl").read_bytes().index(b"\n") + 1
    rng = random.Random(3)
    limits = [10, header - 1, header, *(rng.randrange(header, size) for _ in range(8)), size - 1]
    failures = 0
    for limit in limits:
        folder, log, error = (fast_path / f"{name}{limit}" for name in ("build", "log", "error"))
        assert fh.finish(fh.start(fh.limited_build_task, folder, log, strategy, limit, error)) == 0
        message = error.read_text()
        assert message.startswith("ArtifactError: cannot write "), message
        assert "File too large" in message
        assert "run again" in message
        failures += 1
        kept, solved = fh.journaled(folder), fh.solves(log)
        assert len(solved) - len(kept) in (0, 1)
        build_portfolio(TrialBandit(log), STRATEGIES[strategy], path=folder)
        assert kept.isdisjoint(fh.solves(log)[len(solved) :])
        assert_same_artifact(folder, fast_path / "expected")
    assert failures == len(limits)


@pytest.mark.parametrize("room", [1, 300, 500, 600])
def test_a_line_cut_short_by_a_full_disk_does_not_spoil_the_next(fast_path, room):
    folder, error = fast_path / "build", fast_path / "error"
    backend, weights = TrialBandit(), np.array([0.2, 0.3, 0.5])
    assert fh.finish(fh.start(fh.limited_record_task, folder, room, error)) == 0
    assert "File too large" in error.read_text()
    journal = Journal(folder, backend)
    journal.close()
    found = journal.find(weights)
    assert found is not None
    assert found.value.same_numbers(backend.optimize(weights).value)
    assert len((folder / "journal.jsonl").read_bytes().splitlines()) == 2


@contextlib.contextmanager
def small_disk(folder, size):
    """A disk of its own, of ``size`` bytes; skips where mounting is not permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode != 0:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def test_a_full_disk_then_a_larger_one(tmp_path):
    expected = build_portfolio(TrialBandit(padding=5000), UniformGrid(4), path=tmp_path / "expected")
    disk, log = tmp_path / "disk", tmp_path / "log"
    with small_disk(disk, 200_000):
        folder = disk / "build"
        with pytest.raises(ArtifactError, match="No space left on device; what was finished before is kept"):
            build_portfolio(TrialBandit(log, padding=5000), UniformGrid(4), path=folder)
        kept, first = fh.journaled(folder), len(fh.solves(log))
        assert 2 <= len(kept) <= first <= len(kept) + 1
        # Still full: it goes no further, and loses nothing.
        with pytest.raises(ArtifactError, match="No space left on device"):
            build_portfolio(TrialBandit(padding=5000), UniformGrid(4), path=folder)
        assert fh.journaled(folder) == kept
        remount(disk, "size=20m")
        resumed = build_portfolio(TrialBandit(log, padding=5000), UniformGrid(4), path=folder)
        assert kept.isdisjoint(fh.solves(log)[first:])
        assert fh.contents(resumed) == fh.contents(expected)
        assert_same_artifact(folder, tmp_path / "expected")


def test_a_full_disk_while_the_portfolio_is_written(tmp_path):
    """All solves fit, the portfolio does not: the next run writes it without solving anything."""
    backend = TrialBandit(padding=5000)
    build_portfolio(backend, UniformGrid(3), path=tmp_path / "expected")
    disk, log = tmp_path / "disk", tmp_path / "log"
    with small_disk(disk, 20_000_000):
        folder = disk / "build"
        build_portfolio(backend, UniformGrid(3), path=folder)
        (folder / "portfolio.json").unlink()
        used = sum(path.stat().st_blocks * 512 for path in disk.rglob("*"))
        policies = sum(path.stat().st_blocks * 512 for path in (folder / "policies").rglob("*"))
        subprocess.run(["rm", "-r", str(folder / "policies")], check=True)
        remount(disk, f"size={used - policies // 2}")
        with pytest.raises(ArtifactError, match="No space left on device"):
            build_portfolio(TrialBandit(log, padding=5000), UniformGrid(3), path=folder)
        with pytest.raises(ArtifactError, match="an interrupted build"):
            Portfolio.load(folder)
        assert not list(folder.glob(".portfolio.*"))
        remount(disk, "size=20m")
        build_portfolio(TrialBandit(log, padding=5000), UniformGrid(3), path=folder)
        assert fh.solves(log) == []
        assert_same_artifact(folder, tmp_path / "expected")


def test_a_full_disk_keeps_the_portfolio_that_was_to_be_replaced(tmp_path):
    backend = TrialBandit(padding=5000)
    small = build_portfolio(backend, UniformGrid(1))
    large = build_portfolio(backend, UniformGrid(4))
    disk = tmp_path / "disk"
    with small_disk(disk, 150_000):
        folder = small.save(disk / "portfolio", backend)
        before = fh.artifact_files(folder)
        with pytest.raises(ArtifactError, match="No space left on device"):
            large.save(folder, backend)
        assert fh.artifact_files(folder) == before
        assert fh.contents(Portfolio.load(folder, backend)) == fh.contents(small)
        remount(disk, "size=20m")
        large.save(folder, backend)
        assert fh.contents(Portfolio.load(folder, backend)) == fh.contents(large)


def test_a_read_only_disk(tmp_path):
    backend = TrialBandit()
    disk = tmp_path / "disk"
    with small_disk(disk, 20_000_000):
        portfolio = build_portfolio(backend, UniformGrid(2), path=disk / "build")
        remount(disk, "ro")
        for folder in (disk / "build", disk / "new"):
            with pytest.raises(ArtifactError, match=r"cannot write .*Read-only file system"):
                build_portfolio(backend, UniformGrid(2), path=folder)
            with pytest.raises(ArtifactError, match=r"cannot write .*Read-only file system"):
                portfolio.save(folder, backend)
        assert fh.contents(Portfolio.load(disk / "build", backend)) == fh.contents(portfolio)
        remount(disk, "rw")
        build_portfolio(backend, UniformGrid(3), path=disk / "build")
