"""Commands of backends that other packages install: any that reads a file is a command under its entry point's name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperGroup

from palm_theory.cli.signatures import Command

VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


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
    signature = inspect.signature(made.from_file)
    path, *options = (given for given in signature.parameters.values() if given.kind not in VARIABLE)
    _, words = _typed(path, hints)
    file = typer.Argument(help=words or "The problem's file.")
    parameters = [path.replace(annotation=Annotated[Path, file])]
    for option in options:
        kind, words = _typed(option, hints)
        parameters.append(option.replace(annotation=Annotated[kind, typer.Option(help=words)]))

    def make(**given: Any) -> Any:
        return made.from_file(given.pop(path.name), **given)

    make.__name__, make.__doc__ = made.__name__, made.from_file.__doc__
    make.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    make.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return make


def _typed(parameter: inspect.Parameter, hints: dict[str, Any]) -> tuple[Any, str]:
    """A parameter's type, that of its default where it says none, and the text beside it."""
    default = parameter.default
    kind = hints.get(parameter.name, str if default in (None, parameter.empty) else type(default))
    if get_origin(kind) is not Annotated:
        return kind, ""
    kind, *notes = get_args(kind)
    return kind, next((note for note in notes if isinstance(note, str)), "")
