"""Reading text with its errors in words."""

from __future__ import annotations

import re
from pathlib import Path

from palm_theory.errors import InputError

LARGEST_COUNT = 10**9
"""No file holds more of anything; a larger count is damage."""


def read_text(path: str | Path) -> str:
    """The text of a file. Raises InputError where it cannot be read or is not text."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file") from error


def numbers_of(text: str, path: str | Path, comment: str = "#") -> list[float]:
    """All numbers of a text; brackets, commas, semicolons and white space separate them; ``comment`` ends a line.

    Raises InputError at the first thing that is no number.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for token in re.split(r"[\s,;\[\]()]+", line.split(comment)[0]):
            if token:
                try:
                    found.append(float(token))
                except ValueError:
                    raise InputError(f"{path}, line {number}: {token!r} is not a number") from None
    return found


def is_count(value: float) -> bool:
    """Whether ``value`` is an integer from 1 to ``LARGEST_COUNT``; not a number and infinity are none."""
    return 1 <= value <= LARGEST_COUNT and value == int(value)


def count_of(value: float, what: str, path: str | Path) -> int:
    """``value`` as an integer. Raises InputError unless ``is_count``."""
    if not is_count(value):
        raise InputError(f"{path}: the number of {what} must be an integer from 1 to {LARGEST_COUNT}, got {value:g}")
    return int(value)
