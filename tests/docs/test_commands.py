"""The page of commands that is made from the command line (tools/commands.py)."""

from __future__ import annotations

import re

import typer

from palm_theory.cli.app import app
from tools.commands import page


def test_every_command_has_a_section_and_every_option_a_row() -> None:
    root = typer.main.get_command(app)
    sections = dict(re.findall(r"^##+ (palm .*?)\n(.*?)(?=^##+ |\Z)", page(), re.DOTALL | re.MULTILINE))
    leaves = 0
    waiting = [(typer.Context(root, info_name="palm"), root)]
    while waiting:
        above, group = waiting.pop()
        for name in group.list_commands(above):
            command = group.get_command(above, name)
            context = typer.Context(command, info_name=name, parent=above)
            text = sections[context.command_path]
            if hasattr(command, "list_commands"):
                waiting.append((context, command))
                continue
            leaves += 1
            assert f"{context.command_path} [OPTIONS]" in text
            for parameter in command.params:
                assert f"| `{parameter.get_help_record(context)[0]}` |" in text
    assert leaves > 25


def test_what_markdown_would_read_otherwise_is_escaped() -> None:
    text = page()
    assert r"J\* is the best of them" in text
    assert not re.search(r"^\| [^`].*J\*_w", text, re.MULTILINE)
