"""Commands of backends that other packages install: any that reads a file is a command under its entry point's name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperGroup

from palm_theory.cli.signatures import Command


def group(on: Callable[[Callable[..., Any]], Command], **settings: Any) -> typer.Typer:
    """A group of commands, one a backend; ``on`` makes the command of a function that makes a backend."""

    class Installed(TyperGroup):
        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            return super().get_command(ctx, cmd_name) or _command(cmd_name, on)

    return typer.Typer(cls=Installed, no_args_is_help=True, **settings)


def _command(name: str, on: Callable[[Callable[..., Any]], Command]) -> Any:
    """The command of an installed backend, or None where no such backend reads files."""
    from palm_theory.contract.registry import backend_class, backend_names, reads_files

    if name not in backend_names() or not reads_files(backend_class(name)):
        return None
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(name)(on(_from_file(backend_class(name))))
    return typer.main.get_command(app)


def _from_file(made: Any) -> Callable[..., Any]:
    """``made.from_file`` with its parameters as typer reads them: text beside a type is an option's help."""
    hints = get_type_hints(made.from_file, include_extras=True)
    parameters = []
    for position, parameter in enumerate(inspect.signature(made.from_file).parameters.values()):
        kind, words = hints.get(parameter.name, str), ""
        if get_origin(kind) is Annotated:
            kind, *notes = get_args(kind)
            words = next((note for note in notes if isinstance(note, str)), "")
        info = typer.Option(help=words) if position else typer.Argument(help=words or "The problem's file.")
        parameters.append(parameter.replace(annotation=Annotated[kind if position else Path, info]))

    def make(**given: Any) -> Any:
        path, *_ = parameters
        return made.from_file(given.pop(path.name), **given)

    make.__name__, make.__doc__ = made.__name__, made.from_file.__doc__
    make.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    make.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return make
