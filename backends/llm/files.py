"""Files that are whole or absent, one at a time: what a killed worker leaves behind is never half a result."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from palm_theory.files import explained_disk_errors, sync


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file by temporary file, fsync and rename. Raises ArtifactError where the disk refuses."""
    with explained_disk_errors(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        sync(path.parent)


def copy_files(source: Path, target: Path, names: tuple[str, ...]) -> None:
    """Copy those of the named files that exist. Raises ArtifactError where the disk refuses."""
    with explained_disk_errors(target):
        for name in names:
            if (source / name).exists():
                shutil.copyfile(source / name, target / name)
