"""One line a finished solve: what was computed survives any kill, and a second run does not compute it again."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from palm_theory.contract.backend import PolicyBackend, Solution, Status
from palm_theory.contract.calls import read_policy, write_policy
from palm_theory.contract.problem import differing_parts, problem_description, problem_fingerprint
from palm_theory.contract.value import Value
from palm_theory.errors import JournalError, OtherProblemError
from palm_theory.files import canonical_json, explained_disk_errors, folder_digests, sha256, sync, sync_tree
from palm_theory.geometry.simplex import Array

JOURNAL_FILE = "journal.jsonl"
LOCK_FILE = "journal.lock"
SOLVES_FOLDER = "solves"
JOURNAL_VERSION = 1


class StoredPolicy:
    """A policy on disk, read when it is asked for."""

    def __init__(self, backend: PolicyBackend, folder: Path, digests: dict[str, str]) -> None:
        self._backend, self._folder, self._digests = backend, folder, digests

    def load(self) -> Any:
        """The policy. Raises JournalError where its files are not those that were written."""
        if not self._folder.is_dir() or folder_digests(self._folder) != self._digests:
            raise JournalError(
                f"the policy in {self._folder} is not the one that was written; "
                f"delete that folder's line from {JOURNAL_FILE} to solve it again"
            )
        return read_policy(self._backend, self._folder)


class Journal:
    """The finished solves of one problem in a folder; at most one process writes it.

    Raises JournalError where the journal is corrupt before its last line, belongs to another problem, or is locked by
    another process; ArtifactError where the disk is full or read-only. A torn last line (a kill while writing) is
    dropped with its solve.
    """

    def __init__(self, folder: Path, backend: PolicyBackend) -> None:
        self._backend = backend
        self._path = folder / JOURNAL_FILE
        self._solves = folder / SOLVES_FOLDER
        with explained_disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / LOCK_FILE)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise JournalError(f"{folder} is in use by another build") from None
        try:
            self._found: dict[bytes, Solution] = {}
            self._count = 0
            with explained_disk_errors(self._path):
                self._solves.mkdir(exist_ok=True)
                self._open()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._found)

    def close(self) -> None:
        """Let other processes use the folder."""
        self._lock.release()

    def find(self, weights: Array) -> Solution | None:
        """The finished solve at exactly these weights (d,), its policy a ``StoredPolicy``, or None."""
        return self._found.get(weights.tobytes())

    def record(self, weights: Array, solution: Solution) -> Solution:
        """Make one finished solve at weights (d,) durable: first its policy's files, then its line.

        Returns it with its policy a ``StoredPolicy``: builds need little memory, and hold the same after a kill.
        """
        name = f"{self._count:06d}"
        with explained_disk_errors(self._solves / name):
            digests = self._write_policy(solution.policy, name)
            entry = {
                "weights": weights.tolist(),
                "value": solution.value.to_dict(),
                "upper_bound": solution.upper_bound,
                "status": solution.status.name,
                "message": solution.message,
                "policy": name,
                "files": digests,
            }
            self._append(entry)
        self._count += 1
        stored = replace(solution, policy=StoredPolicy(self._backend, self._solves / name, digests))
        self._found[weights.tobytes()] = stored
        return stored

    def _write_policy(self, policy: Any, name: str) -> dict[str, str]:
        temporary, final = self._solves / f".{name}", self._solves / name
        for leftover in (temporary, final):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary.mkdir()
        write_policy(self._backend, policy, temporary)
        sync_tree(temporary)
        digests = folder_digests(temporary)
        temporary.rename(final)
        sync(self._solves)
        return digests

    def _append(self, entry: dict[str, Any]) -> None:
        text = canonical_json(entry)
        line = canonical_json({"entry": entry, "sha256": sha256(text.encode())}) + "\n"
        size = self._path.stat().st_size
        # Unbuffered: a buffer would write the rest of a line again when the file is closed after a full disk.
        with self._path.open("ab", buffering=0) as file:
            try:
                left = memoryview(line.encode())
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                # A full disk may have taken part of the line; the next line must not follow half of one.
                os.ftruncate(file.fileno(), size)
                raise

    def _open(self) -> None:
        data = self._path.read_bytes() if self._path.exists() else b""
        complete = data.rfind(b"\n") + 1
        lines = data[:complete].split(b"\n")[:-1]
        if lines:
            self._check_header(self._parse(lines[0], 1))
        for number, line in enumerate(lines[1:], start=2):
            self._take(self._parse(line, number), number)
        # Nothing is changed before all of it has been understood.
        orphans = self._orphans()
        if complete < len(data):
            os.truncate(self._path, complete)
        if not lines:
            self._path.touch()
            self._append(self._header())
            sync(self._path.parent)
        for orphan in orphans:
            shutil.rmtree(orphan)

    def _header(self) -> dict[str, Any]:
        return {
            "journal": JOURNAL_VERSION,
            "fingerprint": problem_fingerprint(self._backend),
            "problem": problem_description(self._backend),
        }

    def _check_header(self, header: dict[str, Any]) -> None:
        version = header.get("journal")
        if not isinstance(version, int):
            raise JournalError(f"{self._path}, line 1 is not a journal's header")
        if version > JOURNAL_VERSION:
            raise JournalError(
                f"{self._path} is of version {version}, newer than {JOURNAL_VERSION}; upgrade palm-theory"
            )
        if header.get("fingerprint") != problem_fingerprint(self._backend):
            old, new = header.get("problem", {}), problem_description(self._backend)
            differing = differing_parts(old, new)
            raise OtherProblemError(
                f"{self._path} belongs to another problem (different: {differing}); choose another folder"
            )

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
            entry = record["entry"]
            if sha256(canonical_json(entry).encode()) != record["sha256"]:
                raise ValueError("its checksum does not match")
            return entry
        except (ValueError, KeyError, TypeError) as error:
            raise JournalError(
                f"{self._path}, line {number} is corrupt: {error}; delete it to solve it again"
            ) from None

    def _take(self, entry: dict[str, Any], number: int) -> None:
        try:
            weights = np.array(entry["weights"], dtype=np.float64)
            folder = self._solves / entry["policy"]
            solution = Solution(
                StoredPolicy(self._backend, folder, entry["files"]),
                Value.from_dict(entry["value"]),
                upper_bound=entry["upper_bound"],
                status=Status[entry["status"]],
                message=entry["message"],
            )
            self._count = max(self._count, int(entry["policy"]) + 1)
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(f"{self._path}, line {number} is not a finished solve: {error}") from None
        self._found[weights.tobytes()] = solution

    def _orphans(self) -> list[Path]:
        """What a kill between a policy and its line leaves: the folder of the next number, finished or not.

        Policies beyond that say that the journal was cut. They may be all that is left of long work, so that is an
        error.
        """
        found = [path for path in self._solves.iterdir() if re.fullmatch(r"\.?\d{6,}", path.name)]
        lost = sorted(path.name for path in found if path.name.isdecimal() and int(path.name) > self._count)
        if lost:
            raise JournalError(
                f"the policies {', '.join(lost)} in {self._solves} have no line in {JOURNAL_FILE}, which was cut; "
                "put the whole file back, or delete these folders to solve them again"
            )
        return [path for path in found if not path.name.isdecimal() or int(path.name) == self._count]
