"""Commands whose options are declared elsewhere: a parameter that stands for several is replaced by them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

Command = Callable[..., None]

MakesBackend = Callable[[], Any]
"""The type of the parameter, in a command that works on any backend, that makes the backend out of its own options."""


def with_options(command: Callable[..., None]) -> Command:
    """``command`` as typer reads it: each parameter whose type is a dataclass replaced by the dataclass's fields."""
    return _command(command, command, None)


def on_backend(command: Callable[..., None]) -> Callable[[Callable[..., Any]], Command]:
    """What makes commands out of functions that make backends.

    ``command`` has one parameter of type ``MakesBackend``. The command of a function has that function's parameters in
    its place, and its name and documentation.
    """

    def of(make: Callable[..., Any]) -> Command:
        return _command(command, make, make)

    return of


def _command(command: Callable[..., None], named: Callable[..., Any], make: Callable[..., Any] | None) -> Command:
    parameters = _parameters(command, make)

    def run(**given: Any) -> None:
        _call(command, given, make)

    run.__name__, run.__doc__ = named.__name__, named.__doc__
    run.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    run.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    return run


def _parameters(function: Callable[..., Any], make: Callable[..., Any] | None = None) -> dict[str, inspect.Parameter]:
    """The parameters of ``function``, those that stand for several replaced; of two with one name the first."""
    found: dict[str, inspect.Parameter] = {}
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        if hint == MakesBackend:
            assert make is not None
            replaced = _parameters(make)
        elif dataclasses.is_dataclass(hint):
            assert isinstance(hint, type)
            replaced = _parameters(hint)
        else:
            replaced = {name: parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY)}
        for key, kept in replaced.items():
            found.setdefault(key, kept)
    return found


def _call(function: Callable[..., Any], given: dict[str, Any], make: Callable[..., Any] | None = None) -> Any:
    """``function`` called with what was given for its parameters."""
    arguments: dict[str, Any] = {}
    for name, hint in get_type_hints(function, include_extras=True).items():
        if name == "return":
            continue
        if hint == MakesBackend:
            assert make is not None
            arguments[name] = lambda: _call(make, given)
        elif dataclasses.is_dataclass(hint):
            assert isinstance(hint, type)
            arguments[name] = _call(hint, given)
        else:
            arguments[name] = given[name]
    return function(**arguments)
