"""The folder of a portfolio: its schema, and reading and writing it. Loading runs no code from the folder."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.calls import read_policy, write_policy
from palm_theory.contract.declarations import KEPT_FACTS, Declarations
from palm_theory.errors import ArtifactError
from palm_theory.files import (
    canonical_json,
    explained_disk_errors,
    folder_digests,
    load_plain_data,
    sha256,
    sync,
    sync_tree,
)

PORTFOLIO_FILE = "portfolio.json"
POLICIES_FOLDER = "policies"
SCHEMA_VERSION = 1
CHECKSUM = "sha256"
STAGING = ".portfolio."


class StrictModel(BaseModel):
    """A record whose unknown fields and non-finite numbers are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ValueRecord(StrictModel):
    """A ``Value``: rewards, regulariser, standard errors."""

    rewards: list[float]
    regularizer: float
    rewards_stderr: list[float] | None = None
    regularizer_stderr: float | None = None
    samples: int | None = None


class PolicyRecord(StrictModel):
    """One policy: where it is, what it was trained for, what it is worth."""

    name: str = Field(pattern=r"^p\d+$")
    label: str
    weights: list[float] | None
    value: ValueRecord
    files: dict[str, str]


class PortfolioRecord(StrictModel):
    """The whole of portfolio.json, where each fact of ``declarations`` has a key of its own."""

    schema_version: int
    created_by: str
    declarations: Declarations
    problem: dict[str, Any]
    fingerprint: str
    strategy: dict[str, Any]
    seed: int
    solves: int = Field(ge=0)
    certificate: dict[str, Any]
    policies: list[PolicyRecord] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, data: dict[str, Any]) -> dict[str, Any]:
        declared = {name: data[name] for name in KEPT_FACTS if name in data}
        return {"declarations": declared, **{key: data[key] for key in data if key not in declared}}

    @model_serializer(mode="wrap")
    def _spread(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, value in plain(self).items():
            data |= {name: value[name] for name in KEPT_FACTS} if key == "declarations" else {key: value}
        return data


def refuse_foreign_folder(folder: Path, markers: Collection[str], leftovers: Collection[str] = ()) -> None:
    """Raise ArtifactError where a folder is not ours to write into: it holds something, but none of the files named
    ``markers``, and more than ``leftovers`` and what an interrupted save leaves."""
    with explained_disk_errors(folder):
        if not folder.is_dir():
            return
        names = {path.name for path in folder.iterdir() if not path.name.startswith(STAGING)}
    if names.isdisjoint(markers) and not names <= set(leftovers):
        raise ArtifactError(f"{folder} is not empty and holds no portfolio; choose another folder")


def save_artifact(folder: Path, record: PortfolioRecord, policies: Sequence[Any], backend: PolicyBackend) -> None:
    """Write a portfolio into a folder, whole or not at all, in place of one that is there.

    ``backend`` writes the ``policies``, one an entry of the record, which gets the digests of their files. Raises
    ArtifactError where the disk is full or read-only.
    """
    staged = _stage(folder)
    try:
        for entry, policy in zip(record.policies, policies, strict=True):
            where = staged / POLICIES_FOLDER / entry.name
            with explained_disk_errors(where):
                where.mkdir()
                write_policy(backend, policy, where)
                entry.files = folder_digests(where)
        _put_in_place(staged, record)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(staged)


def _stage(folder: Path) -> Path:
    """A new folder inside ``folder`` to write a portfolio into before it is put in place: "policies", empty."""
    with explained_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"{STAGING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        staged = Path(tempfile.mkdtemp(dir=folder, prefix=STAGING))
        (staged / POLICIES_FOLDER).mkdir()
        return staged


def _put_in_place(staged: Path, record: PortfolioRecord) -> None:
    """Add portfolio.json to the staged policies, and move both to where they belong.

    Everything is durable before the first rename, so a full disk leaves the old portfolio as it was. portfolio.json
    names the digest of every file, so a kill between the renames leaves a folder that does not load, never a mixture.
    """
    data = record.model_dump()
    text = json.dumps({CHECKSUM: _checksum(data), **data}, indent=2, allow_nan=False)
    folder = staged.parent
    policies = folder / POLICIES_FOLDER
    with explained_disk_errors(folder):
        (staged / PORTFOLIO_FILE).write_text(text + "\n", encoding="ascii")
        sync_tree(staged)
        if policies.exists():
            policies.rename(staged / "replaced")
        (staged / PORTFOLIO_FILE).replace(folder / PORTFOLIO_FILE)
        (staged / POLICIES_FOLDER).rename(policies)
        sync(folder)


def _checksum(data: dict[str, Any]) -> str:
    return sha256(canonical_json(data).encode())


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
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is corrupt: {error}") from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ArtifactError(
            f"{path} has schema version {version}, newer than this program's {SCHEMA_VERSION}; upgrade palm-theory"
        )
    if not isinstance(data, dict) or not _is_intact(data):
        raise ArtifactError(f"{path} is corrupt: its checksum does not match its content")
    try:
        record = PortfolioRecord.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])).removeprefix("declarations.") or "the file"
        raise ArtifactError(f"{path} is not a valid portfolio: {where}: {first['msg']}") from None
    for policy in record.policies:
        where = folder / POLICIES_FOLDER / policy.name
        try:
            intact = where.is_dir() and folder_digests(where) == policy.files
        except OSError as error:
            raise ArtifactError(f"cannot read {where}: {error.strerror or error}") from error
        if not intact:
            raise ArtifactError(
                f"the files of policy {policy.name} in {where} are not those that were saved "
                "(an interrupted save? save it or build it again)"
            )
    return record


def _is_intact(data: dict[str, Any]) -> bool:
    try:
        return data.pop(CHECKSUM, None) == _checksum(data)
    except ValueError:
        # NaN and infinity, which this package never writes.
        return False


def load_policies(folder: Path, record: PortfolioRecord, backend: PolicyBackend | None) -> list[Any]:
    """The policies of a portfolio in ``folder``, as ``backend`` reads them.

    Without a backend those that are plain data, and for any other the path of its folder.
    """
    return [_load_policy(folder / POLICIES_FOLDER / entry.name, backend) for entry in record.policies]


def _load_policy(folder: Path, backend: PolicyBackend | None) -> Any:
    if backend is not None:
        return read_policy(backend, folder)
    try:
        return load_plain_data(folder)
    except ArtifactError:
        # Its files are intact, so it is in a backend's own format.
        return folder
