"""Backends by name: the entry points that packages install."""

from __future__ import annotations

import importlib.metadata
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.calls import check_backend
from palm_theory.errors import InputError

ENTRY_POINT_GROUP = "palm_theory.backends"


def resolve_backend(backend: PolicyBackend | type[PolicyBackend] | str) -> PolicyBackend:
    """An instance from an instance, a class (built with its defaults) or an entry-point name.

    Names come from the entry-point group ``palm_theory.backends``. Raises InputError on an unknown name, on anything
    that is not a backend, and where a class cannot be built without arguments; BackendError if ``check_backend`` fails.
    """
    if isinstance(backend, str):
        backend = backend_class(backend)
    if isinstance(backend, type) and issubclass(backend, PolicyBackend):
        try:
            backend = backend()
        except TypeError as error:
            raise InputError(f"{backend.__name__} needs arguments ({error}); pass an instance instead") from error
    if not isinstance(backend, PolicyBackend):
        raise InputError(f"backend must be a PolicyBackend, a subclass or a name, got {type(backend).__name__}")
    check_backend(backend)
    return backend


def backend_names() -> list[str]:
    """The names of all installed backends, sorted."""
    return sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP).names)


def backend_class(name: str) -> type[PolicyBackend]:
    """The class behind an entry-point name, not yet built. Raises InputError on an unknown or broken one."""
    if name not in backend_names():
        raise InputError(f"no backend named {name!r}; {_choice()}")
    return load_entry(ENTRY_POINT_GROUP, name, f"backend {name!r}")


def load_entry(group: str, name: str, what: str) -> Any:
    """What the entry point ``name`` of ``group`` stands for. Raises InputError, naming it ``what``, on a broken one."""
    entry = importlib.metadata.entry_points(group=group)[name]
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise InputError(f"{what} cannot be imported ({error}); {_remedy(entry.module, error)}") from error


def _remedy(module: str, error: ImportError | AttributeError) -> str:
    package = module.partition(".")[0]
    missing = error.name if isinstance(error, ImportError) else module
    taken = sys.modules.get(package)
    if taken is None or not (missing or "").startswith(package):
        return "install its extra"
    where = next(iter(getattr(taken, "__path__", ())), None) or getattr(taken, "__file__", None)
    return f"Python takes {package!r} from {where}: where that hides what is installed, rename it or run elsewhere"


def _choice() -> str:
    return f"installed: {', '.join(backend_names()) or 'none'}"


def class_of(problem: Mapping[str, Any]) -> type[PolicyBackend] | None:
    """The installed backend whose ``kind`` a stored problem names, or None where there is none."""
    kind = str(problem.get("backend"))
    return next((made for made in _installed(kind) if made.kind == kind), None)


def _installed(kind: str) -> Iterator[type[PolicyBackend]]:
    """Every installed backend that can be imported. Words that began as import paths are looked for there first, so
    that the others need not be imported."""
    entries = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    for entry in sorted(entries, key=lambda entry: entry.value.replace(":", ".") != kind):
        try:
            yield entry.load()
        except Exception:
            # A package that is broken here is none of this problem's business.
            continue


def reads_files(made: type[PolicyBackend]) -> bool:
    """Whether a backend has a ``from_file`` of its own."""
    return inspect.getattr_static(made, "from_file") is not vars(PolicyBackend)["from_file"]


def read_again(problem: Mapping[str, Any], path: Path, **options: Any) -> PolicyBackend:
    """The stored ``problem`` out of its file: ``options``, and those of ``from_file`` that the problem stores itself.

    Raises InputError where its backend is not installed or reads no files, and on files as ``from_file`` does.
    """
    made = class_of(problem)
    if made is None:
        raise InputError(f"no installed backend makes problems of {problem.get('backend')}; {_choice()}")
    stored = problem.get("parameters") or {}
    names = [name for name in inspect.signature(made.from_file).parameters if name in stored]
    return made.from_file(path, **{name: stored[name] for name in names} | options)
