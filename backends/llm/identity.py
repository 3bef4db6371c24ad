"""What tells one function, object or model folder from another, as plain data: results are kept under it.

Results of one thing are never taken for those of another. What cannot be told apart is refused.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import pickle
import sys
import sysconfig
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, TypeVar

import numpy as np

from palm_theory.errors import InputError
from palm_theory.files import array_digest, canonical_json, folder_digests, sha256

OWN_PACKAGES = ("backends", "palm_theory")
DEPTH = 100
"""Values nested deeper than this are refused."""

T = TypeVar("T")
_WORDS: dict[Any, str] = {}
"""Function or class → the word it is ``known_as``."""


def identity(value: Any) -> Any:
    """JSON-able data that differs between values that may behave differently.

    Plain values stand for themselves, arrays and tensors for their bytes. A function is its import path, the content
    of the file that defines it, its defaults and what its decorators enclose. Any other object is its class and its
    attributes, or how it is pickled where it has none. Files of this package, the standard library and installed
    packages are told by name only; what a file imports is not looked into. A function or class may declare another
    word than its import path (``known_as``), and an object may say itself what it is, by a method ``identity()``.

    Raises InputError on what has no such data: an open file, a lock, a generator, and a function that is not at the
    top of a file: a lambda, an inner function, one typed at a prompt. Those cannot be sent to another process either.
    """
    return _Walk().identity(value, DEPTH)


def known_as(word: str) -> Callable[[T], T]:
    """A decorator: the function or class is known by ``word``, which stays where its file is moved or it is renamed."""

    def declared(value: T) -> T:
        _WORDS[value] = word
        return value

    return declared


def folder_identity(folder: Path) -> str:
    """A digest of the names and contents of all files below a folder."""
    return _digest_of(folder, tuple(_state(path) for path in sorted(folder.rglob("*")) if path.is_file()))


def _state(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


@lru_cache(maxsize=64)
def _digest_of(folder: Path, state: tuple[tuple[str, int, int], ...]) -> str:
    """Files of equal size and time of change are not read again: a model has gigabytes."""
    return sha256(canonical_json(folder_digests(folder)).encode())


class _Walk:
    """One walk through everything a value holds; what is held several times is looked at once."""

    def __init__(self) -> None:
        self._objects: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._open: set[int] = set()

    def identity(self, value: Any, depth: int) -> Any:
        if depth == 0:
            raise InputError("is nested too deep")
        if id(value) in self._open:
            # What holds itself: its content is told where it was entered.
            return {"circle": _path(type(value))}
        plain = value is None or isinstance(value, (bool, int, float, str))
        if not plain:
            self._open.add(id(value))
        found = self._identity(value, depth - 1)
        self._open.discard(id(value))
        return found

    def _identity(self, value: Any, inner: int) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": repr(value)}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (bytes, complex, PurePath)):
            return {type(value).__name__: repr(value)}
        if isinstance(value, (np.ndarray, np.generic)):
            return {
                "array": self.identity(value.tolist(), inner)
                if value.dtype.hasobject
                else array_digest(np.asarray(value))
            }
        if type(value).__module__.split(".")[0] == "torch" and hasattr(value, "untyped_storage"):
            return {"tensor": [str(value.dtype), list(value.shape), _tensor_digest(value)]}
        if isinstance(value, (list, tuple)):
            return [self.identity(item, inner) for item in value]
        if isinstance(value, (set, frozenset)):
            return {"set": sorted(canonical_json(self.identity(item, inner)) for item in value)}
        if isinstance(value, Mapping):
            items = ([canonical_json(self.identity(k, inner)), self.identity(v, inner)] for k, v in value.items())
            return {"mapping": sorted(items, key=lambda item: item[0])}
        if isinstance(value, ModuleType):
            return {"module": value.__name__}
        if isinstance(value, type):
            return {"class": _path(value), "source": _source(value)}
        if isinstance(value, functools.partial):
            return {"partial": [self.identity(part, inner) for part in (value.func, value.args, value.keywords)]}
        if isinstance(value, MethodType):
            return {"method": value.__func__.__qualname__, "of": self.identity(value.__self__, inner)}
        if isinstance(value, FunctionType):
            return self._function(value, inner)
        if isinstance(value, BuiltinFunctionType):
            return {"function": _path(value)}
        return self._object(value, inner)

    def _function(self, function: FunctionType, depth: int) -> dict[str, Any]:
        source = _source(function)
        # Several of them may share a path; and what was typed at a prompt has no file.
        if "<" in function.__qualname__ or source is None:
            raise InputError(f"holds the function {_path(function)}, which is not at the top of a file; move it there")
        found: dict[str, Any] = {"function": _path(function), "source": source}
        wrapped = getattr(function, "__wrapped__", None)
        enclosed = {"wrapped": wrapped} if wrapped is not None else {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            enclosed[name] = cell.cell_contents
        if enclosed:
            found["enclosed"] = self.identity(enclosed, depth)
        if function.__defaults__ or function.__kwdefaults__:
            found["defaults"] = self.identity([function.__defaults__, function.__kwdefaults__], depth)
        return found

    def _object(self, value: Any, depth: int) -> dict[str, Any]:
        known = self._objects.get(id(value))
        if known is None:
            # The object is kept beside its identity, so that nothing else gets its id meanwhile.
            known = self._objects[id(value)] = (value, self._new_object(value, depth))
        return known[1]

    def _new_object(self, value: Any, depth: int) -> dict[str, Any]:
        kind = type(value)
        own = getattr(value, "identity", None)
        if callable(own):
            return {"class": _path(kind), "identity": self.identity(own(), depth)}
        if dataclasses.is_dataclass(kind):
            attributes = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        elif hasattr(value, "__dict__"):
            attributes = dict(vars(value))
        else:
            return {"class": _path(kind), "pickled": _pickled(value)}
        # A digest: written out, what many objects hold would be there many times.
        held = sha256(canonical_json(self.identity(attributes, depth)).encode())
        return {"class": _path(kind), "source": _source(kind), "attributes": held}


def _tensor_digest(tensor: Any) -> str:
    import torch

    return sha256(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())


def _pickled(value: Any) -> str:
    try:
        return sha256(pickle.dumps(value, protocol=5))
    except Exception as error:
        kind = type(value)
        raise InputError(f"holds a {kind.__module__}.{kind.__qualname__}, which cannot be told from another") from error


def _path(value: Any) -> str:
    return _WORDS.get(value) or f"{getattr(value, '__module__', None)}.{value.__qualname__}"


def _source(value: Any) -> str | None:
    """A digest of the file that defines a function or class; "installed" for what comes with a version; None where
    there is no file."""
    module = getattr(value, "__module__", None)
    if module is None or module.split(".")[0] in {*OWN_PACKAGES, *sys.stdlib_module_names}:
        return "installed"
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    if any(path.is_relative_to(folder) for folder in _installed()):
        return "installed"
    return sha256(path.read_bytes()) if path.is_file() else None


@lru_cache(maxsize=1)
def _installed() -> tuple[Path, ...]:
    return tuple({Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")})
