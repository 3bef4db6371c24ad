"""The journal: what was finished survives, what is corrupt is refused."""

import hashlib
import json
import shutil

import numpy as np
import pytest

import tests.helpers.fault_helpers as fh
from palm_theory.contract.backend import Solution, Status
from palm_theory.contract.calls import solve
from palm_theory.contract.value import Value
from palm_theory.errors import ArtifactError, BackendError, JournalError, PalmError
from palm_theory.geometry.simplex import sample_dirichlet
from palm_theory.store.journal import Journal
from tests.helpers.fault_helpers import TrialBandit

pytest_plugins = ["tests.helpers.fault_fixtures"]


def record_solves(folder, count, backend=None, seed=0):
    backend = backend or TrialBandit()
    weights = sample_dirichlet(3, count, seed=seed)
    journal = Journal(folder, backend)
    for row in weights:
        journal.record(row, solve(backend, row))
    journal.close()
    return weights


@pytest.fixture
def recorded(fast_path):
    folder = fast_path / "build"
    return folder, record_solves(folder, 3)


def reopened(folder, backend=None):
    journal = Journal(folder, backend or TrialBandit())
    journal.close()
    return journal


def assert_same_solves(journal, weights):
    backend = TrialBandit()
    for row in weights:
        found, expected = journal.find(row), solve(backend, row)
        assert found.value.same_numbers(expected.value)
        assert found.policy.load().tobytes() == expected.policy.tobytes()


def test_recorded_solves_are_found_again_bit_for_bit(recorded):
    folder, weights = recorded
    journal = reopened(folder)
    assert len(journal) == 3
    assert_same_solves(journal, weights)
    assert journal.find(np.array([1.0, 0.0, 0.0])) is None
    assert journal.find(np.nextafter(weights[0], 1)) is None


def test_status_bound_message_and_errors_are_kept(fast_path):
    value = Value([0.1, 1e-300, 0.3], 0.25, rewards_stderr=[0.1, 0.0, 1 / 3], regularizer_stderr=0.125, samples=7)
    solution = Solution({"a": [1, None]}, value, 0.7, Status.BOUNDED, "stopped early, ‘½’")
    weights = np.array([1 / 3, 1 / 3, 1 / 3])
    journal = Journal(fast_path, TrialBandit())
    journal.record(weights, solution)
    journal.close()
    found = reopened(fast_path).find(weights)
    assert found.value.same_numbers(value)
    assert (found.upper_bound, found.status, found.message) == (0.7, Status.BOUNDED, "stopped early, ‘½’")
    assert found.policy.load() == {"a": [1, None]}


def test_recording_goes_on_after_reopening(recorded):
    folder, first = recorded
    more = record_solves(folder, 2, seed=9)
    journal = reopened(folder)
    assert len(journal) == 5
    assert_same_solves(journal, [*first, *more])
    assert sorted(path.name for path in (folder / "solves").iterdir()) == [f"{k:06d}" for k in range(5)]


def test_what_record_returns_is_read_from_the_disk(fast_path):
    # An uninterrupted build and a resumed one then hold policies that came the same way.
    backend = TrialBandit()
    journal = Journal(fast_path, backend)
    weights = np.array([0.2, 0.3, 0.5])
    solution = solve(backend, weights)
    stored = journal.record(weights, solution)
    journal.close()
    assert stored.policy is not solution.policy
    assert stored.policy.load().tobytes() == solution.policy.tobytes()
    assert stored.value is solution.value


def test_a_torn_last_line_is_dropped_with_its_policy(recorded):
    folder, weights = recorded
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    journal = reopened(folder)
    assert len(journal) == 2
    assert_same_solves(journal, weights[:2])
    assert not (folder / "solves" / "000002").exists()
    record_solves(folder, 1, seed=4)
    assert len(reopened(folder)) == 3


def test_a_corrupt_middle_line_is_refused_with_its_number(recorded):
    folder, _ = recorded
    path = folder / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b'"rewards":[0', b'"rewards":[1')
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(JournalError, match="line 3 is corrupt: its checksum does not match; delete it"):
        reopened(folder)


def test_deleting_the_corrupt_line_as_told_keeps_the_others(recorded):
    folder, weights = recorded
    path = folder / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(lines[:2] + lines[3:]))
    journal = reopened(folder)
    assert len(journal) == 2
    assert_same_solves(journal, [weights[0], weights[2]])
    record_solves(folder, 1, seed=5)
    assert_same_solves(reopened(folder), [weights[0], weights[2]])


def test_the_journal_of_another_problem_is_refused_with_what_differs(recorded):
    folder, _ = recorded
    before = (folder / "journal.jsonl").read_bytes()
    with pytest.raises(JournalError, match=r"belongs to another problem \(different: reward_max, rewards"):
        Journal(folder, TrialBandit(seed=1))
    assert (folder / "journal.jsonl").read_bytes() == before


def test_a_newer_journal_is_refused(recorded):
    folder, _ = recorded
    path = folder / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")
    header = json.loads(lines[0])["entry"]
    header["journal"] = 2
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    lines[0] = json.dumps({"entry": header, "sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(JournalError, match="version 2, newer than 1; upgrade"):
        reopened(folder)


def test_a_file_that_is_no_journal_is_refused(fast_path):
    (fast_path / "journal.jsonl").write_text("dear diary\n")
    with pytest.raises(JournalError, match="line 1 is corrupt"):
        reopened(fast_path)
    assert (fast_path / "journal.jsonl").read_text() == "dear diary\n"


def test_int_keys_in_a_description_survive(fast_path):
    class Keyed(TrialBandit):
        def describe(self):
            return {**super().describe(), "layers": {2: "a", 10: "b"}}

    weights = record_solves(fast_path, 2, Keyed())
    journal = reopened(fast_path, Keyed())
    assert_same_solves(journal, weights)


def test_a_changed_policy_file_is_refused_when_it_is_loaded(recorded):
    folder, weights = recorded
    fh.flip_bit(folder / "solves" / "000001" / "parts" / "0.bin", 0, 3)
    journal = reopened(folder)
    assert_same_solves(journal, weights[:1])
    with pytest.raises(JournalError, match="not the one that was written"):
        journal.find(weights[1]).policy.load()


def test_a_lost_policy_folder_is_refused_when_it_is_loaded(recorded):
    folder, weights = recorded
    shutil.rmtree(folder / "solves" / "000000")
    with pytest.raises(JournalError, match="not the one that was written"):
        reopened(folder).find(weights[0]).policy.load()


def test_policies_without_lines_are_never_deleted_beyond_what_a_crash_leaves(recorded):
    # A kill leaves at most one policy without its line; more mean that the journal was cut, and they may be all
    # that is left of hours of work.
    folder, _ = recorded
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    for kept in (0, 1, 2):
        path.write_bytes(b"".join(line + b"\n" for line in whole.split(b"\n")[:kept]))
        with pytest.raises(JournalError, match=r"no line in journal.jsonl"):
            reopened(folder)
        assert sorted(p.name for p in (folder / "solves").iterdir()) == ["000000", "000001", "000002"]
    path.unlink()
    with pytest.raises(JournalError, match=r"no line in journal.jsonl"):
        reopened(folder)


def test_foreign_files_among_the_solves_are_left_alone(recorded):
    folder, weights = recorded
    (folder / "solves" / ".DS_Store").write_bytes(b"finder")
    (folder / "solves" / "notes").mkdir()
    assert_same_solves(reopened(folder), weights)
    assert (folder / "solves" / ".DS_Store").exists()
    assert (folder / "solves" / "notes").is_dir()


def test_unfinished_policy_folders_are_removed(recorded):
    folder, weights = recorded
    for name in (".000003", "000003"):
        (folder / "solves" / name).mkdir()
        (folder / "solves" / name / "half").write_bytes(b"x")
    assert_same_solves(reopened(folder), weights)
    assert sorted(path.name for path in (folder / "solves").iterdir()) == ["000000", "000001", "000002"]


def test_one_writer_at_a_time(fast_path):
    backend = TrialBandit()
    first = Journal(fast_path, backend)
    with pytest.raises(JournalError, match="in use by another build"):
        Journal(fast_path, backend)
    first.close()
    reopened(fast_path)


def test_a_refused_journal_is_unlocked(recorded):
    folder, weights = recorded
    with pytest.raises(JournalError):
        Journal(folder, TrialBandit(seed=1))
    assert_same_solves(reopened(folder), weights)


def test_a_policy_that_cannot_be_written_says_why(fast_path):
    class Opaque(TrialBandit):
        def save_policy(self, policy, folder):
            raise KeyError("adapter")

    backend = Opaque()
    journal = Journal(fast_path, backend)
    weights = np.array([0.5, 0.25, 0.25])
    with pytest.raises(BackendError, match=r"Opaque.save_policy raised KeyError: 'adapter'"):
        journal.record(weights, solve(backend, weights))
    journal.close()
    assert len(reopened(fast_path, backend)) == 0


def test_a_policy_that_cannot_be_read_says_why(fast_path):
    class Opaque(TrialBandit):
        def load_policy(self, folder):
            raise KeyError("adapter")

    weights = record_solves(fast_path, 1, Opaque())
    with pytest.raises(BackendError, match=r"Opaque.load_policy raised KeyError: 'adapter'"):
        reopened(fast_path, Opaque()).find(weights[0]).policy.load()


def test_a_failed_record_can_be_tried_again(fast_path):
    class Unsteady(TrialBandit):
        broken = True

        def save_policy(self, policy, folder):
            super().save_policy(policy, folder)
            if self.broken:
                raise OSError(28, "No space left on device")

    backend = Unsteady()
    weights = np.array([0.5, 0.25, 0.25])
    journal = Journal(fast_path, backend)
    with pytest.raises(ArtifactError, match="No space left on device"):
        journal.record(weights, solve(backend, weights))
    backend.broken = False
    journal.record(weights, solve(backend, weights))
    journal.close()
    assert_same_solves(reopened(fast_path, backend), [weights])


@pytest.mark.parametrize("seed", range(4))
def test_bit_flips_load_the_same_or_are_refused(fast_path, seed):
    folder = fast_path / "build"
    weights = record_solves(folder, 3)
    path = folder / "journal.jsonl"
    rng = np.random.default_rng(seed)
    size = path.stat().st_size
    refused = 0
    # The newlines are where the reader's notion of a line could slip.
    newlines = [i for i, byte in enumerate(path.read_bytes()) if byte == ord("\n")]
    positions = [*rng.integers(size, size=60), *newlines]
    for position in positions:
        with fh.copy_of(folder, fast_path) as copy:
            fh.flip_bit(copy / "journal.jsonl", int(position), int(rng.integers(8)))
            try:
                journal = reopened(copy)
            except JournalError:
                refused += 1
                continue
            assert_same_solves(journal, weights[: len(journal)])
            assert len(journal) == 3 or position == newlines[-1]
    assert refused > 40


def test_every_truncation_resumes_or_is_refused(fast_path):
    folder = fast_path / "build"
    weights = record_solves(folder, 2)
    shutil.copytree(folder / "solves", fast_path / "solves")
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        lines = sum(end <= length for end in ends)
        if lines < 2:
            # Two policies without lines: no crash leaves that, so nothing is touched.
            with pytest.raises(JournalError):
                reopened(folder)
            assert path.read_bytes() == whole[:length]
        else:
            journal = reopened(folder)
            assert len(journal) == 1
            assert_same_solves(journal, weights[:1])
            assert path.read_bytes() == whole[: ends[1]]
            shutil.copytree(fast_path / "solves", folder / "solves", dirs_exist_ok=True)


def test_a_kill_while_the_header_is_written_leaves_a_usable_folder(fast_path):
    record_solves(fast_path / "model", 1)
    header = (fast_path / "model" / "journal.jsonl").read_bytes().split(b"\n")[0] + b"\n"
    for length in range(len(header)):
        folder = fast_path / f"cut{length}"
        (folder / "solves").mkdir(parents=True)
        (folder / "journal.jsonl").write_bytes(header[:length])
        assert len(reopened(folder)) == 0
        assert (folder / "journal.jsonl").read_bytes() == header
        shutil.rmtree(folder)


def test_corruption_never_escapes_the_family_of_errors(fast_path):
    folder = fast_path / "build"
    record_solves(folder, 1)
    lines = (folder / "journal.jsonl").read_bytes().split(b"\n")
    nonsense = [b"", b"null", b"[]", b"3", b"{}", b'{"entry":[],"sha256":"x"}', b'{"entry":NaN,"sha256":"x"}', b"\xff"]
    for line in nonsense:
        for number in (0, 1):
            with fh.copy_of(folder, fast_path) as copy:
                broken = list(lines)
                broken[number] = line
                (copy / "journal.jsonl").write_bytes(b"\n".join(broken))
                with pytest.raises(PalmError):
                    reopened(copy)
