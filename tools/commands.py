"""The page of the site with every command and option of ``palm``, from what the command line says of itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from palm_theory.cli.app import app

AS_IT_IS = "\b\n"
"""What stands before lines of a command's help that are not to be filled."""

INTRODUCTION = """# Command line

Every command says the same of itself: `palm --help`, `palm build --help`, `palm build table --help`."""


def page() -> str:
    """The page, in Markdown: a section a command, in the order of ``palm --help``."""
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="palm")
    return "\n".join([INTRODUCTION, *_help(root), *_sections(context, 2)]) + "\n"


def _sections(above: typer.Context, level: int) -> Iterator[str]:
    group: Any = above.command
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        context = typer.Context(command, info_name=name, parent=above)
        yield from ["", f"{'#' * level} {context.command_path}", *_help(command)]
        if hasattr(command, "list_commands"):
            yield from _sections(context, level + 1)
        else:
            yield from ["", "```text", command.get_usage(context).removeprefix("Usage: "), "```"]
            yield from ["", "| | |", "|---|---|", *_parameters(command, context)]


def _help(command: Any) -> Iterator[str]:
    """What a command says of itself: sentences, and examples in fences."""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        words, _, lines = paragraph.partition(AS_IT_IS)
        if words.strip():
            yield from ["", _escaped(" ".join(words.split()))]
        if lines.strip():
            yield from ["", "```text", inspect.cleandoc(lines), "```"]


def _parameters(command: Any, context: typer.Context) -> Iterator[str]:
    """A row an argument or option: how it is written, and what it does."""
    for parameter in command.params:
        written, does = parameter.get_help_record(context)
        yield f"| `{written}` | {_escaped(' '.join(does.split()))} |"


def _escaped(text: str) -> str:
    """Text without meaning to Markdown."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)
