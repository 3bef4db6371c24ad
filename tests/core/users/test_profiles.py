"""The store of profiles: durable under kill -9, many writers, faults, and nobody else's data."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backends.table import TableBackend
from palm_theory import Adaptive, Portfolio, build_portfolio
from palm_theory.contract.normalizer import Normalizer
from palm_theory.errors import InputError, ProfileError
from palm_theory.users.elicitation import Elicitation
from palm_theory.users.preference import Comparison
from palm_theory.users.profiles import Profiles
from palm_theory.users.session import ConflictError, Session
from tests.helpers import ROOT
from tests.helpers.instances import declaring

SCORES = np.array([[0.9, 0.1], [0.7, 0.6], [0.2, 0.95]])
WRITER = """
import sys
import numpy as np
from backends.table import TableBackend
from palm_theory import Adaptive, build_portfolio
from palm_theory.users.preference import Comparison
from palm_theory.users.profiles import Profiles
portfolio = build_portfolio(TableBackend(np.array({scores})), Adaptive(0.0), progress=False)
profiles = Profiles(sys.argv[1], portfolio)
for number in range(1, 100000):
    profiles.add_comparison(sys.argv[2], Comparison((number / 1e6, 0.1), (0.2, 0.3), 1))
    profiles.put(sys.argv[2], [number / 1e6, 1 - number / 1e6])
    sys.stdout.write(f"{{number}}\\n")
    sys.stdout.flush()
"""


@pytest.fixture(scope="module")
def portfolio() -> Portfolio:
    return build_portfolio(TableBackend(SCORES), Adaptive(0.0), progress=False)


@pytest.fixture
def store(tmp_path: Path, portfolio: Portfolio):
    profiles = Profiles(tmp_path / "profiles.sqlite", portfolio)
    yield profiles
    profiles.close()


A_COMPARISON = Comparison((0.9, 0.1), (0.2, 0.95), 1, ("p00", "p02"), "why?")


def test_what_is_put_comes_back(store, portfolio):
    assert store.get("ada") is None
    assert store.add_comparison("ada", A_COMPARISON) == 1
    assert store.get("ada") is None
    store.put("ada", {"r1": 0.25, "r2": 0.75}, {"expected_regret": 0.004})
    np.testing.assert_array_equal(store.get("ada"), [0.25, 0.75])
    again = Profiles(store.path, portfolio)
    assert again.comparisons("ada") == [A_COMPARISON]
    exported = again.export("ada")
    assert exported["weights"] == [0.25, 0.75]
    assert exported["result"] == {"expected_regret": 0.004}
    assert exported["fingerprint"] == portfolio.fingerprint
    assert exported["comparisons"][0]["prompt"] == "why?"
    assert again.users() == ["ada"]
    again.close()


def test_deleting_leaves_no_trace_in_the_files(store):
    store.put("grace-hopper", [0.5, 0.5])
    store.add_comparison("grace-hopper", replace(A_COMPARISON, prompt="a secret question"))
    assert store.delete("grace-hopper")
    assert not store.delete("grace-hopper")
    assert store.comparisons("grace-hopper") == []
    store.close()
    for path in store.path.parent.iterdir():
        content = path.read_bytes()
        assert b"grace-hopper" not in content
        assert b"secret" not in content


def test_undo_takes_the_last(store):
    store.add_comparison("ada", A_COMPARISON)
    store.add_comparison("ada", replace(A_COMPARISON, preferred=0))
    assert store.undo("ada")
    assert store.comparisons("ada") == [A_COMPARISON]
    assert store.undo("ada")
    assert not store.undo("ada")


def test_profiles_of_other_objectives_or_scales_are_refused(store, portfolio):
    store.put("ada", [0.5, 0.5])
    other = Profiles(store.path, declaring(portfolio, objectives=("r1", "speed")))
    for act in (lambda: other.get("ada"), lambda: other.put("ada", [1, 0]), lambda: other.comparisons("ada")):
        with pytest.raises(InputError, match="is about r1, r2, the portfolio about r1, speed"):
            act()
    scaled = Profiles(store.path, declaring(portfolio, normalizers=(Normalizer(2.0), Normalizer())))
    with pytest.raises(InputError, match="normalised otherwise"):
        scaled.get("ada")
    retrained = Profiles(store.path, replace(portfolio, fingerprint="another"))
    np.testing.assert_array_equal(retrained.get("ada"), [0.5, 0.5])
    for opened in (other, scaled, retrained):
        opened.close()


@pytest.mark.parametrize("user", ["", " ada", "a\nb", "x" * 257, 7])
def test_bad_users_are_refused(store, user):
    with pytest.raises(InputError, match="a user is"):
        store.get(user)


def test_a_user_name_is_data_only(store):
    name = "x'; DROP TABLE profiles; --"
    store.put(name, [1.0, 0.0])
    assert store.users() == [name]


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path, portfolio):
    path = tmp_path / "profiles.sqlite"
    for attempt in range(4):
        user = f"user-{attempt}"
        command = [sys.executable, "-c", WRITER.format(scores=SCORES.tolist()), str(path), user]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        ) as writer:
            assert writer.stdout is not None
            acknowledged = 0
            for line in writer.stdout:
                acknowledged = int(line)
                if acknowledged >= 7 + 10 * attempt:
                    break
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout:
                if line.endswith("\n"):
                    acknowledged = int(line)
        store = Profiles(path, portfolio)
        comparisons = store.comparisons(user)
        assert len(comparisons) >= acknowledged
        assert [c.first[0] for c in comparisons] == [n / 1e6 for n in range(1, len(comparisons) + 1)]
        assert round(store.get(user)[0] * 1e6) in (acknowledged, acknowledged + 1)
        store.close()
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_threads_and_processes_at_once(tmp_path, portfolio):
    path = tmp_path / "profiles.sqlite"
    script = WRITER.format(scores=SCORES.tolist()).replace("100000", "13")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(path), "shared" if k < 2 else "own"], env=env, stdout=subprocess.DEVNULL
        )
        for k in range(3)
    ]
    store = Profiles(path, portfolio)

    def write() -> None:
        for _ in range(10):
            store.add_comparison("threads", A_COMPARISON)
        store.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert [len(store.comparisons(user)) for user in ("shared", "own", "threads")] == [24, 12, 40]
    store.close()


def test_a_corrupt_file_is_named(tmp_path, portfolio):
    path = tmp_path / "profiles.sqlite"
    path.write_bytes(b"this is no database, and longer than the header of one" * 40)
    with pytest.raises(ProfileError, match="is corrupt or no store of profiles"):
        Profiles(path, portfolio)


def test_damaged_pages_are_named(store, portfolio):
    for k in range(50):
        store.add_comparison(f"user-{k}", A_COMPARISON)
    store.close()
    data = bytearray(store.path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    store.path.write_bytes(data)
    with pytest.raises(ProfileError, match="corrupt"):
        Profiles(store.path, portfolio).comparisons("user-3")


def test_another_program_s_database_is_refused(tmp_path, portfolio):
    path = tmp_path / "other.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE birds (name TEXT)")
    with pytest.raises(ProfileError, match="no store of profiles"):
        Profiles(path, portfolio)


def test_a_newer_version_is_refused(store, portfolio):
    store.close()
    with contextlib.closing(sqlite3.connect(store.path)) as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(ProfileError, match="version 2, newer than 1; upgrade"):
        Profiles(store.path, portfolio)


def test_a_full_disk_keeps_what_was_there(store):
    store.add_comparison("ada", A_COMPARISON)
    database = store._connection()
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    long = replace(A_COMPARISON, prompt="x" * 100_000)
    with pytest.raises(ProfileError, match="disk is full; nothing of this change was kept"):
        store.add_comparison("ada", long)
    kept = len(store.comparisons("ada"))
    database.execute("PRAGMA max_page_count = 1000000")
    assert store.add_comparison("ada", A_COMPARISON) == kept + 1


def test_no_folder_no_store(tmp_path, portfolio):
    with pytest.raises(ProfileError, match="does its folder exist"):
        Profiles(tmp_path / "missing" / "profiles.sqlite", portfolio)


def test_a_store_without_a_portfolio_only_reads(store):
    store.put("ada", [0.5, 0.5])
    reader = Profiles(store.path)
    np.testing.assert_array_equal(reader.get("ada"), [0.5, 0.5])
    with pytest.raises(InputError, match="open the store with the portfolio"):
        reader.put("ada", [1, 0])
    reader.close()


def test_a_file_that_was_replaced_is_opened_anew(store, portfolio):
    store.put("ada", [0.5, 0.5])
    for path in store.path.parent.iterdir():
        path.unlink()
    assert store.get("ada") is None
    store.put("ada", [1.0, 0.0])
    fresh = Profiles(store.path, portfolio)
    np.testing.assert_array_equal(fresh.get("ada"), [1.0, 0.0])
    fresh.close()


def test_a_session_goes_on_in_another_process_and_counts_an_answer_once(store, portfolio):
    elicitation = Elicitation.of(portfolio, samples=512, epsilon=1e-6)
    session = Session(elicitation, store, "ada")
    state = session.state()
    assert state["question"]["number"] == 1
    state = session.answer(1, "first")
    with pytest.raises(ConflictError, match="question 1 is not open; 1 are answered"):
        session.answer(1, "first")
    other = Session(elicitation, Profiles(store.path, portfolio), "ada")
    assert other.state() == state
    np.testing.assert_allclose(store.get("ada"), list(state["result"]["weights"].values()))
    assert session.undo()["answered"] == 0
    with pytest.raises(ConflictError, match="no answer to take back"):
        session.undo()
    with pytest.raises(InputError, match="a choice is"):
        session.answer(1, "third")
    other.profiles.close()
