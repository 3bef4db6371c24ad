"""Backends by name: the entry points that packages install."""

from __future__ import annotations

import importlib.metadata

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
    found = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP, name=name)
    if not found:
        raise InputError(f"no backend named {name!r}; installed: {', '.join(backend_names()) or 'none'}")
    entry = next(iter(found))
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise InputError(f"backend {name!r} cannot be imported ({error}); install its extra") from error
