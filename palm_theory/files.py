"""Writing files that are whole or absent, and policies that are plain data."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from palm_theory.errors import ArtifactError, InputError

POLICY_FILE = "policy.json"
ARRAYS_FILE = "policy.npz"

SYNC_THREADS = 16


@contextlib.contextmanager
def explained_disk_errors(path: Path) -> Iterator[None]:
    """Turn an operating-system error while writing ``path`` into an ArtifactError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            reason += "; what was finished before is kept, free the disk or choose another folder and run again"
        raise ArtifactError(f"cannot write {path}: {reason}") from error


def sync(path: Path) -> None:
    """fsync one file, or one folder: the names in it and renames."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """fsync every file and folder below ``folder``, and ``folder`` itself."""
    # At once, so that a journaling file system commits them together: several times faster than one after another.
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        list(pool.map(sync, [*folder.rglob("*"), folder]))


def without_infinities(data: Any) -> Any:
    """Plain data with null for infinities and NaN, which JSON does not have."""
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, Mapping):
        return {key: without_infinities(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [without_infinities(value) for value in data]
    return data


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file by temporary file, fsync and rename: a kill leaves the old one or the new one, whole.

    Raises ArtifactError where the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with explained_disk_errors(path):
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync(path.parent)


def canonical_json(data: Any) -> str:
    """JSON with sorted keys and no spaces: equal data, equal text. NaN and infinity are refused."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def array_digest(array: np.ndarray) -> str:
    """SHA-256 over an array's type, shape and bytes."""
    contiguous = np.ascontiguousarray(array)
    header = f"{contiguous.dtype.str}{contiguous.shape}".encode()
    return sha256(header + contiguous.tobytes())


def folder_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder``, by relative POSIX path, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _file_digest(path) for path in files}


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_plain_data(policy: Any, folder: Path) -> None:
    """Write a policy made of None, bools, numbers, strings, lists, dicts and numeric arrays into ``folder``.

    The structure goes to policy.json, arrays to policy.npz; never pickle. Raises InputError on any other type. The
    files are not synced: whoever puts the folder in place does that, once for all of it.
    """
    arrays: dict[str, np.ndarray] = {}
    structure = _encode(policy, arrays)
    with explained_disk_errors(folder):
        if arrays:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **arrays)
            (folder / ARRAYS_FILE).write_bytes(buffer.getvalue())
        # Not canonical: a dict keeps the order of its keys.
        (folder / POLICY_FILE).write_text(json.dumps(structure, allow_nan=False), encoding="ascii")


def load_plain_data(folder: Path) -> Any:
    """The inverse of ``save_plain_data``; tuples come back as lists. Raises ArtifactError on a corrupt file."""
    try:
        structure = json.loads((folder / POLICY_FILE).read_text())
        arrays: dict[str, np.ndarray] = {}
        if (folder / ARRAYS_FILE).exists():
            with np.load(folder / ARRAYS_FILE, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        return _decode(structure, arrays)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ArtifactError(f"the policy in {folder} cannot be read: {error}") from error
    except Exception as error:  # zipfile and zlib have error types of their own, none of them an OSError
        raise ArtifactError(f"the policy in {folder} is corrupt: {error}") from error


def _encode(data: Any, arrays: dict[str, np.ndarray]) -> Any:
    plain = data.item() if isinstance(data, np.generic) else data
    if isinstance(plain, float) and not math.isfinite(plain):
        return {"float": repr(float(plain))}
    if plain is None or isinstance(plain, bool | int | float | str):
        return plain
    if isinstance(data, np.ndarray) and data.dtype.kind in "biuf":
        name = f"array{len(arrays)}"
        arrays[name] = data
        return {"array": name}
    if isinstance(data, list | tuple):
        return {"list": [_encode(item, arrays) for item in data]}
    if isinstance(data, dict) and all(isinstance(key, str) for key in data):
        return {"dict": {key: _encode(item, arrays) for key, item in data.items()}}
    raise InputError(
        f"a policy of type {type(data).__name__} is not plain data; the backend must define save_policy and load_policy"
    )


def _decode(data: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(data, dict):
        return data
    ((kind, content),) = data.items()
    if kind == "array":
        return arrays[content]
    if kind == "float":
        return float(content)
    if kind == "list":
        return [_decode(item, arrays) for item in content]
    return {key: _decode(item, arrays) for key, item in content.items()}
