"""The folder of a portfolio: its schema, and reading and writing it. Loading runs no code from the folder."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from palm_theory.errors import ArtifactError
from palm_theory.storage import (
    canonical_json,
    explained_disk_errors,
    folder_digests,
    sha256,
    sync_directory,
    sync_tree,
    write_atomically,
)

PORTFOLIO_FILE = "portfolio.json"
POLICIES_FOLDER = "policies"
SCHEMA_VERSION = 1
CHECKSUM = "sha256"


class StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ValueRecord(StrictModel):
    """A ``Value``: rewards, regulariser, standard errors."""

    rewards: list[float]
    regularizer: float
    rewards_stderr: list[float] | None = None
    regularizer_stderr: float | None = None
    samples: int | None = None


class NormalizerRecord(StrictModel):
    """reward = scale·measurement + offset."""

    scale: float
    offset: float


class PolicyRecord(StrictModel):
    """One policy: where it is, what it was trained for, what it is worth."""

    name: str = Field(pattern=r"^p\d+$")
    label: str
    weights: list[float] | None
    value: ValueRecord
    files: dict[str, str]


class PortfolioRecord(StrictModel):
    """The whole of portfolio.json."""

    schema_version: int
    created_by: str
    objectives: list[str] = Field(min_length=1)
    reward_max: float = Field(gt=0)
    regularizer_max: float | None
    normalizers: list[NormalizerRecord]
    problem: dict[str, Any]
    fingerprint: str
    strategy: dict[str, Any]
    seed: int
    solves: int = Field(ge=0)
    certificate: dict[str, Any]
    policies: list[PolicyRecord] = Field(min_length=1)


def write_artifact(folder: Path, record: PortfolioRecord, staged_policies: Path) -> None:
    """Put ``staged_policies`` (a folder beside the target's files) and portfolio.json in place.

    portfolio.json goes away first and comes back last, and names the digest of every file: a crash in between leaves a
    folder that is seen to be unfinished, never a mixture that loads.
    """
    with explained_disk_errors(folder):
        sync_tree(staged_policies)
        (folder / PORTFOLIO_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / POLICIES_FOLDER, ignore_errors=True)
        staged_policies.rename(folder / POLICIES_FOLDER)
        sync_directory(folder)
    data = record.model_dump()
    text = json.dumps({CHECKSUM: _checksum(data), **data}, indent=2, allow_nan=False)
    write_atomically(folder / PORTFOLIO_FILE, (text + "\n").encode())


def _checksum(data: dict[str, Any]) -> str:
    return sha256(canonical_json(data).encode())


def stage(folder: Path) -> Path:
    """A new, empty folder inside ``folder`` for policies to be written to before they are put in place."""
    with explained_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".policies.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        return Path(tempfile.mkdtemp(dir=folder, prefix=".policies."))


def discard(staged: Path) -> None:
    """Remove a staging folder after a failure."""
    with contextlib.suppress(OSError):
        shutil.rmtree(staged)


def read_artifact(folder: Path) -> PortfolioRecord:
    """portfolio.json, validated, with every policy's files checked against their digests.

    Raises ArtifactError where the folder is missing, unfinished, corrupt, or of a newer schema.
    """
    path = folder / PORTFOLIO_FILE
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        hint = "an interrupted build? run it again" if (folder / "journal.jsonl").exists() else "not a portfolio"
        raise ArtifactError(f"{folder} has no {PORTFOLIO_FILE} ({hint})") from None
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ArtifactError(f"{path} is corrupt: {error}") from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ArtifactError(
            f"{path} has schema version {version}, newer than this program's {SCHEMA_VERSION}; upgrade palm-theory"
        )
    if not isinstance(data, dict) or data.pop(CHECKSUM, None) != _checksum(data):
        raise ArtifactError(f"{path} is corrupt: its checksum does not match its content")
    try:
        record = PortfolioRecord.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ArtifactError(f"{path} is not a valid portfolio: {where}: {first['msg']}") from None
    for policy in record.policies:
        where = folder / POLICIES_FOLDER / policy.name
        if not where.is_dir() or folder_digests(where) != policy.files:
            raise ArtifactError(f"the files of policy {policy.name} in {where} are not those that were saved")
    return record
