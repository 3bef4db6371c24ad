"""Fenced blocks of Markdown pages: reading, running and rewriting them.

``python -m tests.docs.doc_blocks --write [PAGE …]`` reruns pages (all of the docs, but not README.md, by default) and
writes what their examples print into the blocks that show it.

A ``python`` block is executed, all of a page in one namespace and one temporary folder; an ``output`` or ``text`` block
right after it holds exactly what it prints. A ``console`` block holds lines ``$ palm …``, each followed by exactly what
it prints, or by nothing where the output is not shown. ``<!-- not run: why -->`` on the line before a block leaves it
out. A ``bash`` block is run as a script, without comparison, where the line before it is ``<!-- run -->``; any other
must say why it is not run. Other languages are not run.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers import ROOT

FENCE = re.compile(r"^(?P<indent>[ ]*)```(?P<language>[^\n`]*)$")
PALM = [sys.executable, "-c", "from palm_theory.cli.app import main; main()"]


@dataclass
class Block:
    """One fenced block: its language, its text, the line of its first line of text (0-based), the line before, and the
    blanks before each of its lines on the page."""

    language: str
    text: str
    start: int
    before: str
    indent: str = ""


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found: list[Block] = []
    lines = page.splitlines()
    opened: tuple[int, str, str] | None = None
    for number, line in enumerate(lines):
        match = FENCE.match(line)
        if match is None:
            continue
        if opened is None:
            opened = (number, match["language"].strip(), match["indent"])
        elif match["language"] == "":
            first, language, indent = opened
            text = "\n".join(row[len(indent) :] for row in lines[first + 1 : number])
            found.append(Block(language, text, first + 1, lines[first - 1].strip() if first else "", indent))
            opened = None
    assert opened is None, f"line {opened[0] + 1}: a fence is not closed" if opened else ""
    return found


def output_of(found: list[Block], number: int, lines: list[str]) -> Block | None:
    """The block that shows what the python block ``found[number]`` prints: the next, with only blank lines between."""
    if number + 1 == len(found) or found[number + 1].language not in ("output", "text"):
        return None
    block, following = found[number], found[number + 1]
    between = lines[block.start + len(block.text.splitlines()) + 1 : following.start - 1]
    return None if any(line.strip() for line in between) else following


def pages() -> list[Path]:
    """What stands at the root, README.md first, every page of the docs, and what is said of benchmarks and proofs."""
    others = [page for folder in ("docs", "benchmarks", "proofs") for page in sorted((ROOT / folder).rglob("*.md"))]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *others]


def environment() -> dict[str, str]:
    """The environment commands run in: a fixed width, no colours, the repository importable."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": path, "PYTHONUTF8": "1"}


def run_command(line: str, folder: Path) -> str:
    """What a command prints, standard output and error together. A ``palm`` command may exit with 1 (not certified)."""
    words = shlex.split(line)
    assert words[0] == "palm", f"only palm commands are run, not {line!r}"
    result = subprocess.run(
        PALM + words[1:], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300
    )
    text = result.stdout.decode()
    assert result.returncode in (0, 1), f"{line!r} exited with {result.returncode}: {text}"
    assert "Traceback" not in text, f"{line!r}: {text}"
    return clean(text)


def run_script(script: str, folder: Path) -> None:
    """Run a bash script in ``folder``; every command must succeed."""
    palm = f'palm() {{ {shlex.join(PALM)} "$@"; }}\n'
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", palm + script],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert result.returncode == 0, f"{script}\nexited with {result.returncode}: {result.stdout.decode()}"


def clean(text: str) -> str:
    """Text without blanks at the ends of lines and blank lines at its ends."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def console(text: str) -> list[tuple[str, str]]:
    """(command, shown output) pairs of a console block; a backslash at the end continues a command."""
    pairs: list[tuple[str, list[str]]] = []
    continued = False
    for line in text.splitlines():
        if line.startswith("$ ") or continued:
            part = line[2:] if line.startswith("$ ") else line.strip()
            command = part.removesuffix("\\").rstrip()
            if continued:
                pairs[-1] = (f"{pairs[-1][0]} {command}", [])
            else:
                pairs.append((command, []))
            continued = part.endswith("\\")
        else:
            assert pairs, f"a console block starts with '$ ', not {line!r}"
            pairs[-1][1].append(line)
    return [(command, clean("\n".join(shown))) for command, shown in pairs]


def run_python(code: str, namespace: dict[str, Any], name: str, line: int) -> str:
    """What a block prints. Errors carry the page's own line numbers."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * line + code, name, "exec"), namespace)
    return clean(printed.getvalue())


@dataclass
class Outcome:
    """One example: where it is, what the page shows (None: nothing), what it printed."""

    page: str
    line: int
    shown: str | None
    printed: str


def run_page(path: Path, folder: Path) -> list[Outcome]:
    """Run every example of a page in ``folder``, in order."""
    outcomes: list[Outcome] = []
    namespace: dict[str, Any] = {"__name__": "__docs__"}
    text = path.read_text(encoding="utf-8")
    found, lines = blocks(text), text.splitlines()
    name = str(path.relative_to(ROOT))
    for number, block in enumerate(found):
        if block.before.startswith("<!-- not run"):
            continue
        if block.language == "python":
            output = output_of(found, number, lines)
            printed = run_python(block.text, namespace, name, block.start)
            outcomes.append(Outcome(name, block.start + 1, None if output is None else output.text, printed))
        elif block.language == "console":
            for command, shown in console(block.text):
                printed = run_command(command, folder)
                outcomes.append(Outcome(name, block.start + 1, shown or None, printed))
        elif block.language == "bash" and block.before == "<!-- run -->":
            run_script(block.text, folder)
    return outcomes


def rewrite(path: Path, folder: Path) -> None:
    """Run a page and write what its python blocks print into their output blocks, and palm's into console blocks."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    namespace: dict[str, Any] = {"__name__": "__docs__"}
    found = blocks(text)
    replaced: list[tuple[int, int, list[str]]] = []
    for number, block in enumerate(found):
        if block.before.startswith("<!-- not run"):
            continue
        end = block.start + len(block.text.splitlines())
        if block.language == "python":
            printed = run_python(block.text, namespace, str(path), block.start)
            output = output_of(found, number, lines)
            if output is not None:
                last = output.start + len(output.text.splitlines())
                replaced.append((output.start, last, [output.indent + row for row in printed.splitlines()]))
        elif block.language == "console":
            new: list[str] = []
            raw = block.text.splitlines()
            for command, shown in console(block.text):
                at = next(i for i, row in enumerate(raw) if row.startswith("$ "))
                stop = at
                while raw[stop].endswith("\\"):
                    stop += 1
                new += raw[at : stop + 1]
                raw = raw[stop + 1 :]
                printed = run_command(command, folder)
                new += printed.splitlines() if shown else []
            replaced.append((block.start, end, new))
    for start, end, new in reversed(replaced):
        lines[start:end] = new
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    import tempfile

    assert "--write" in sys.argv, __doc__
    chosen = [Path(arg).resolve() for arg in sys.argv[1:] if not arg.startswith("--")]
    chosen = chosen or [page for page in pages() if page.name != "README.md"]
    os.environ.update(environment())
    for page in chosen:
        with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
            rewrite(page, Path(name))
        print(page.relative_to(ROOT))
