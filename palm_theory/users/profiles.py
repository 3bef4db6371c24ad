"""What is known of each user, in one SQLite file: comparisons, weights, and what they are about.

The file is made on first use. Many threads and processes may use it at once: write-ahead log, one transaction a change,
a busy timeout. A change is durable before its call returns (synchronous = FULL), so a kill, or a power cut on a disk
that keeps its promises, loses nothing acknowledged. Deleted profiles are overwritten in the file, not only unlinked.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from palm_theory.errors import InputError, ProfileError
from palm_theory.files import canonical_json, sync
from palm_theory.geometry.simplex import Array, named_weights, validate_weights
from palm_theory.portfolio import Portfolio
from palm_theory.users.preference import Comparison

APPLICATION_ID = 0x50414C4D
SCHEMA_VERSION = 1
BUSY_SECONDS = 30.0
MAX_USER = 256

SCHEMA = """
CREATE TABLE profiles (
    user TEXT PRIMARY KEY,
    objectives TEXT NOT NULL,
    normalizers TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    weights TEXT,
    result TEXT,
    created REAL NOT NULL,
    updated REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE comparisons (
    user TEXT NOT NULL REFERENCES profiles (user) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number >= 1),
    comparison TEXT NOT NULL,
    time REAL NOT NULL,
    PRIMARY KEY (user, number)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Subject:
    """What weights are about: objectives, how each is normalised, and the fingerprint of the portfolio's problem.

    Weights mean the same for another portfolio with the same objectives and normalisers (one more policy, say), so the
    fingerprint is kept for the record and not compared.
    """

    objectives: tuple[str, ...]
    normalizers: tuple[tuple[float, float], ...]
    fingerprint: str

    @classmethod
    def of(cls, portfolio: Portfolio) -> Subject:
        """The subject of a portfolio's weights."""
        scales = tuple((float(n.scale), float(n.offset)) for n in portfolio.normalizers)
        return cls(tuple(portfolio.objectives), scales, portfolio.fingerprint)


@dataclass(frozen=True, eq=False)
class Profile:
    """One user's profile. ``weights`` (d,) or None before any are stored; ``result`` as ``Elicitation.result`` gives
    it, or None where the weights were put in by hand; ``created`` and ``updated`` in seconds since 1970."""

    user: str
    subject: Subject
    weights: Array | None
    result: dict[str, Any] | None
    comparisons: tuple[Comparison, ...]
    created: float
    updated: float
    times: tuple[float, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything that is stored of the user, as plain data."""
        return {
            "user": self.user,
            "objectives": list(self.subject.objectives),
            "normalizers": [list(pair) for pair in self.subject.normalizers],
            "fingerprint": self.subject.fingerprint,
            "weights": None if self.weights is None else self.weights.tolist(),
            "result": self.result,
            "created": self.created,
            "updated": self.updated,
            "comparisons": [
                {**comparison.to_dict(), "time": when}
                for comparison, when in zip(self.comparisons, self.times, strict=True)
            ],
        }


class Profiles:
    """A store of user profiles, usable from many threads and processes at once.

    Parameters
    ----------
    path : the SQLite file; made, with its folder's permission, on first use.
    portfolio : where given, profiles of other objectives or normalisers are refused (InputError), and new ones are of
        this portfolio. Reading, exporting and deleting need none.

    Raises ProfileError where the file is corrupt, no store of profiles, of a newer version, locked for half a minute,
    or cannot be written (disk full, read-only); InputError on a bad user name.

    Example
    -------
    >>> import tempfile
    >>> from palm_theory.users.profiles import Profiles
    >>> profiles = Profiles(tempfile.mkdtemp() + "/profiles.sqlite")
    >>> profiles.get("ada") is None
    True
    """

    def __init__(self, path: str | Path, portfolio: Portfolio | None = None) -> None:
        self.path = Path(path)
        self.subject = None if portfolio is None else Subject.of(portfolio)
        self._local = threading.local()
        with self._reading():
            pass

    def get(self, user: str) -> Array | None:
        """The user's weights (d,), or None where none are stored. Fast: for every request of a server."""
        with self._reading() as database:
            row = database.execute(
                "SELECT objectives, normalizers, weights FROM profiles WHERE user = ?", (_user(user),)
            ).fetchone()
        if row is None or row[2] is None:
            return None
        self._check(user, row[0], row[1])
        return self._weights(row[2], user)

    def profile(self, user: str) -> Profile | None:
        """All that is stored of the user, or None."""
        with self._reading() as database, self._transaction(database, "DEFERRED"):
            return self._profile(database, _user(user))

    def users(self) -> list[str]:
        """All users with a profile, sorted."""
        with self._reading() as database:
            return [row[0] for row in database.execute("SELECT user FROM profiles ORDER BY user")]

    def put(self, user: str, weights: ArrayLike | Mapping[str, float], result: dict[str, Any] | None = None) -> None:
        """Store the user's weights (d,), and the elicitation's ``result`` behind them. Comparisons stay as they are.

        Raises InputError where the weights are not one point of the simplex.
        """
        subject = self._required()
        if isinstance(weights, Mapping):
            vector = named_weights(weights, subject.objectives)
        else:
            vector = validate_weights(weights, len(subject.objectives))
        if vector.ndim != 1:
            raise InputError(f"a user has one weight vector (d,), got shape {vector.shape}")
        stored = None if result is None else _json(result)
        with self._writing() as database:
            self._ensure(database, user)
            database.execute(
                "UPDATE profiles SET weights = ?, result = ?, fingerprint = ?, updated = ? WHERE user = ?",
                (_json(vector.tolist()), stored, subject.fingerprint, time.time(), user),
            )

    def comparisons(self, user: str) -> list[Comparison]:
        """The user's comparisons, in the order given."""
        with self._reading() as database:
            row = database.execute(
                "SELECT objectives, normalizers FROM profiles WHERE user = ?", (_user(user),)
            ).fetchone()
            if row is None:
                return []
            self._check(user, row[0], row[1])
            return [comparison for comparison, _ in self._comparisons(database, user)]

    def add_comparison(self, user: str, comparison: Comparison, number: int | None = None) -> int:
        """Append one comparison; returns its number, 1 for the first. Durable when this returns.

        ``number`` is the one it must get: InputError where it is taken, so that an answer sent twice counts once.
        """
        subject = self._required()
        if len(comparison.first) != len(subject.objectives):
            raise InputError(f"the comparison has {len(comparison.first)} rewards, not {len(subject.objectives)}")
        with self._writing() as database:
            self._ensure(database, user)
            (count,) = database.execute("SELECT COUNT(*) FROM comparisons WHERE user = ?", (user,)).fetchone()
            if number is not None and number != count + 1:
                raise InputError(f"question {number} is not open; {count} are answered")
            now = time.time()
            database.execute(
                "INSERT INTO comparisons VALUES (?, ?, ?, ?)", (user, count + 1, _json(comparison.to_dict()), now)
            )
            database.execute("UPDATE profiles SET updated = ? WHERE user = ?", (now, user))
        return count + 1

    def undo(self, user: str) -> bool:
        """Take back the last comparison; whether there was one. Weights already stored stay until the next ``put``."""
        with self._writing() as database:
            taken = database.execute(
                "DELETE FROM comparisons WHERE user = ?1 AND number = "
                "(SELECT MAX(number) FROM comparisons WHERE user = ?1)",
                (_user(user),),
            ).rowcount
            database.execute("UPDATE profiles SET updated = ? WHERE user = ?", (time.time(), user))
        return taken > 0

    def delete(self, user: str) -> bool:
        """Delete all that is stored of the user, here and in the write-ahead log; whether there was anything."""
        with self._writing() as database:
            taken = database.execute("DELETE FROM profiles WHERE user = ?", (_user(user),)).rowcount
        with self._reading() as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return taken > 0

    def export(self, user: str) -> dict[str, Any] | None:
        """All that is stored of the user as JSON-able data, or None."""
        found = self.profile(user)
        return None if found is None else found.to_dict()

    def close(self) -> None:
        """Close this thread's connection; the next call opens another."""
        opened: sqlite3.Connection | None = getattr(self._local, "database", None)
        if opened is not None:
            self._local.database = None
            opened.close()

    def _required(self) -> Subject:
        if self.subject is None:
            raise InputError("to store profiles, open the store with the portfolio they are for")
        return self.subject

    def _check(self, user: str, objectives: str, normalizers: str) -> None:
        if self.subject is None:
            return
        if tuple(json.loads(objectives)) != self.subject.objectives:
            raise InputError(
                f"the profile of {user!r} is about {', '.join(json.loads(objectives))}, the portfolio about "
                f"{', '.join(self.subject.objectives)}; delete it or use another file"
            )
        if tuple(tuple(pair) for pair in json.loads(normalizers)) != self.subject.normalizers:
            raise InputError(
                f"the profile of {user!r} is about rewards normalised otherwise, so its weights mean something else; "
                "delete it or use another file"
            )

    def _ensure(self, database: sqlite3.Connection, user: str) -> None:
        subject = self._required()
        row = database.execute("SELECT objectives, normalizers FROM profiles WHERE user = ?", (_user(user),)).fetchone()
        if row is not None:
            self._check(user, row[0], row[1])
            return
        now = time.time()
        database.execute(
            "INSERT INTO profiles VALUES (?, ?, ?, ?, NULL, NULL, ?, ?)",
            (user, _json(subject.objectives), _json(subject.normalizers), subject.fingerprint, now, now),
        )

    def _profile(self, database: sqlite3.Connection, user: str) -> Profile | None:
        row = database.execute(
            "SELECT objectives, normalizers, fingerprint, weights, result, created, updated FROM profiles "
            "WHERE user = ?",
            (user,),
        ).fetchone()
        if row is None:
            return None
        self._check(user, row[0], row[1])
        answered = self._comparisons(database, user)
        return Profile(
            user=user,
            subject=Subject(tuple(json.loads(row[0])), tuple((s, o) for s, o in json.loads(row[1])), row[2]),
            weights=None if row[3] is None else self._weights(row[3], user),
            result=None if row[4] is None else json.loads(row[4]),
            comparisons=tuple(comparison for comparison, _ in answered),
            created=row[5],
            updated=row[6],
            times=tuple(when for _, when in answered),
        )

    def _comparisons(self, database: sqlite3.Connection, user: str) -> list[tuple[Comparison, float]]:
        rows = database.execute(
            "SELECT comparison, time FROM comparisons WHERE user = ? ORDER BY number", (user,)
        ).fetchall()
        try:
            return [(Comparison.from_dict(json.loads(text)), float(when)) for text, when in rows]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ProfileError(f"{self.path}: a comparison of {user!r} is corrupt: {error}") from None

    def _weights(self, text: str, user: str) -> Array:
        try:
            return validate_weights(json.loads(text))
        except ValueError as error:
            raise ProfileError(f"{self.path}: the weights of {user!r} are corrupt: {error}") from None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as database, self._transaction(database, "IMMEDIATE"):
            yield database

    @contextlib.contextmanager
    def _transaction(self, database: sqlite3.Connection, kind: str) -> Iterator[None]:
        database.execute(f"BEGIN {kind}")
        try:
            yield
            database.execute("COMMIT")
        except BaseException:
            # After a full disk SQLite may have rolled back by itself.
            if database.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
            raise

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection; a new one after a fork, or where the file is not the one that was opened."""
        opened: sqlite3.Connection | None = getattr(self._local, "database", None)
        if opened is not None and self._local.owner == (os.getpid(), _identity(self.path)):
            return opened
        if opened is not None and self._local.owner[0] == os.getpid():
            opened.close()
        self._local.database = None
        database = self._open()
        self._local.database = database
        self._local.owner = (os.getpid(), _identity(self.path))
        return database

    def _open(self) -> sqlite3.Connection:
        is_new = not self.path.exists()
        if is_new:
            # Personal data: nobody else's to read. SQLite gives the files beside it the same mode.
            with contextlib.suppress(OSError):
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        try:
            database = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise self._explained(error) from error
        try:
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("PRAGMA secure_delete = ON")
            version = self._version(database)
            if version == 0:
                self._create(database)
            database.execute("PRAGMA synchronous = FULL")
        except BaseException:
            database.close()
            raise
        if is_new:
            with contextlib.suppress(OSError):
                sync(self.path.parent)
        return database

    def _version(self, database: sqlite3.Connection) -> int:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (tables,) = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if application == 0 and version == 0 and tables == 0:
            return 0
        if application != APPLICATION_ID:
            raise ProfileError(f"{self.path} is a database, but no store of profiles; choose another file")
        if version > SCHEMA_VERSION:
            raise ProfileError(f"{self.path} is of version {version}, newer than {SCHEMA_VERSION}; upgrade palm-theory")
        return version

    def _create(self, database: sqlite3.Connection) -> None:
        database.execute("PRAGMA journal_mode = WAL").fetchall()
        with self._transaction(database, "EXCLUSIVE"):
            # Another process may have made it while this one waited.
            if self._version(database) == 0:
                for statement in SCHEMA.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _explained(self, error: sqlite3.Error) -> ProfileError:
        text = str(error)
        code = getattr(error, "sqlite_errorcode", None)
        primary = None if code is None else code & 0xFF
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return ProfileError(
                f"{self.path} is corrupt or no store of profiles ({text}); move it away, or put a backup in its place"
            )
        if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            return ProfileError(
                f"cannot write {self.path}: {text}; nothing of this change was kept, all before it is; free the disk"
            )
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return ProfileError(f"{self.path} was locked by another program for {BUSY_SECONDS:g} s")
        if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return ProfileError(f"cannot open {self.path} for writing: {text}; does its folder exist?")
        return ProfileError(f"{self.path}: {text}")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _user(user: str) -> str:
    if not isinstance(user, str) or not 1 <= len(user) <= MAX_USER or not user.isprintable() or user != user.strip():
        raise InputError(f"a user is 1 to {MAX_USER} printable characters, not blank at the ends, got {user!r}")
    return user


def _json(data: Any) -> str:
    if isinstance(data, Sequence) and not isinstance(data, str):
        data = list(data)
    try:
        return canonical_json(_finite(data))
    except (TypeError, ValueError) as error:
        raise InputError(f"only JSON-able data can be stored: {error}") from None


def _finite(data: Any) -> Any:
    """Data with infinities as None: JSON has none."""
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data
