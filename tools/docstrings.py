"""Docstrings as they are, made into Markdown for the site: a Griffe extension named in mkdocs.yml.

The package writes ``name : meaning`` under "Parameters" and the like, with signatures for the types. Each entry
becomes an item of a list. Underscores and the stars of J* and π* are escaped, so that mathematics is not taken for
emphasis.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

SECTION = re.compile(r"^(Parameters|Attributes|Returns|Raises)\n-{3,}\n", re.MULTILINE)
CODE = re.compile(r"(``[^`]*``|`[^`]*`)")


def to_markdown(text: str) -> str:
    """A docstring's text as Markdown."""
    parts = SECTION.split(text)
    written = [escaped(parts[0])]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        entries, rest = _entries(body)
        written.append(f"**{title}**\n")
        written += entries
        written.append(f"\n{escaped(rest)}")
    return "\n".join(written)


def _entries(body: str) -> tuple[list[str], str]:
    """List items for the ``name : meaning`` entries of a section, and the text after it; or all of it as text."""
    lines = body.split("\n")
    items: list[list[str]] = []
    for number, line in enumerate(lines):
        if re.match(r"[\w*][\w*, ]* : ", line):
            name, meaning = line.split(" : ", 1)
            items.append([f"- `{name}`: {escaped(meaning)}"])
        elif items and line.startswith("    "):
            items[-1].append(f"  {escaped(line.strip())}")
        elif items and line.strip():
            return ["\n".join(item) for item in items], "\n".join(lines[number:])
        elif not items:
            return [], body
    return ["\n".join(item) for item in items], ""


def escaped(text: str) -> str:
    """Text with the underscores and stars of mathematics escaped, outside code."""
    lines = []
    for line in text.split("\n"):
        if line.startswith("    "):
            lines.append(line)
            continue
        pieces = CODE.split(line)
        for i in range(0, len(pieces), 2):
            piece = re.sub(r"(?<![A-Za-z0-9*])([A-Za-zπ])\*", r"\1\\*", pieces[i])
            pieces[i] = piece.replace("_", r"\_").replace("<", "&lt;")
        lines.append("".join(pieces))
    return "\n".join(lines)


class Docstrings(griffe.Extension):
    """Rewrites every docstring that Griffe loads."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called once for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
