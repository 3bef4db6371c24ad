"""Problems whose arrays are in an .npz file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from palm_theory.errors import InputError

Made = TypeVar("Made")


def from_arrays(make: Callable[..., Made], what: str, path: Path, **options: Any) -> Made:
    """``make`` of the arrays of an .npz file, by the names of its arguments, and of ``options``.

    Raises InputError where the file is none, or does not hold the arrays of ``what``.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays: dict[str, Any] = {key: stored[key] for key in stored.files}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is no .npz file of numeric arrays (numpy.savez makes one); a CSV is for palm build table"
        ) from error
    if "objectives" in arrays:
        arrays["objectives"] = [str(name) for name in arrays["objectives"]]
    try:
        return make(**arrays, **options)
    except TypeError as error:
        raise InputError(f"{path} does not hold the arrays of {what}: {error}") from error
