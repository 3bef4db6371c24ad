"""The reference of the site, one page a public module, from what the code says of itself.

Public is every module of the core and the backends but these: what lies below a package that lists names in
``__all__``, which is one page of those names; packages that only hold others; and the rooms in ``INTERNAL``, which are
reached in other ways. Read from the source, so that no heavy library is imported.
"""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from typing import Any

from tools.rooms import ROOT, modules, places, room, tree

INTERNAL = ("palm_theory", "palm_theory.cli", "palm_theory.serving", "palm_theory.version")
"""The names of the first page, the command line, the server behind it, and the version."""

PAGE = """# {name}

::: {name}
    options:
      show_root_heading: false
      show_root_toc_entry: false
      heading_level: 2
"""


@cache
def given_out(package: str) -> dict[str, str]:
    """Name in ``__all__`` of a package → dotted name of what it is; empty where nothing is listed."""
    origin: dict[str, str] = {}
    listed: list[str] = []
    # A package that loads its names when they are used imports them for type checkers only, under an ``if``.
    body = [inner for node in tree(package).body for inner in (node.body if isinstance(node, ast.If) else [node])]
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module in modules():
            origin |= {alias.name: defined(f"{node.module}.{alias.name}") for alias in node.names}
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = ast.literal_eval(node.value)
    return {name: origin[name] for name in listed if name in origin and name != "__version__"}


def defined(dotted: str) -> str:
    """A name as it is called where it is defined, not where a package gives it out."""
    package, _, name = dotted.rpartition(".")
    return dotted if dotted in modules() else given_out(package).get(name, dotted)


def is_public(module: str) -> bool:
    """Whether a module has a page."""
    if room(module) in INTERNAL:
        return False
    parts = module.split(".")
    above = [".".join(parts[:length]) for length in range(2, len(parts))]
    if any(given_out(package) for package in above):
        return False
    return modules()[module].stem != "__init__" or bool(given_out(module))


def summary(dotted: str) -> str:
    """The first sentence of the docstring of a module, or of a class or function in one."""
    if dotted in modules():
        found: ast.AST = tree(dotted)
    else:
        module, _, name = dotted.rpartition(".")
        found = next(node for node in tree(module).body if getattr(node, "name", None) == name)
    assert isinstance(found, ast.Module | ast.ClassDef | ast.FunctionDef)
    text = ast.get_docstring(found) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


def link(text: str, dotted: str) -> str:
    """A link, from a page of the reference, to where something public is documented."""
    if dotted in modules():
        return f"[{text}]({dotted}.md)"
    module, _, name = dotted.rpartition(".")
    while not is_public(module):
        module = module.rpartition(".")[0]
    return f"[{text}]({module}.md#{module}.{name})"


def index() -> str:
    """The first page: the public names, the backends by name, and every public module in its room."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    backends = {name: at.replace(":", ".") for name, at in project["entry-points"]["palm_theory.backends"].items()}
    text = ["# Reference", "", "What is importable from `palm_theory`:", "", "| name | what it is |", "|---|---|"]
    text += [f"| {link(f'`{name}`', at)} | {summary(at)} |" for name, at in given_out("palm_theory").items()]
    text += ["", "The backends that are known by name:", "", "| name | class | what it is |", "|---|---|---|"]
    text += [f"| `{name}` | {link(f'`{at}`', at)} | {summary(defined(at))} |" for name, at in backends.items()]
    text += ["", "## Modules", "", "By [room](../architecture.md), each ladder from the top."]
    for name, modules_of_room in by_room().items():
        text += ["", f"### {name}", "", summary(name), ""]
        text += [f"- {link(f'`{module}`', module)}: {summary(module)}" for module in modules_of_room if module != name]
        text += [f"{link('All of it', name)}"] if name in modules_of_room else []
    return "\n".join(text) + "\n"


@cache
def by_room() -> dict[str, list[str]]:
    """Room → its public modules, ladder by ladder, from the top floor down; rooms without any are left out."""
    ladder_and_floor = places()
    found: dict[str, list[str]] = {}
    for name in sorted(places(), key=lambda name: (ladder_and_floor[name][0], -ladder_and_floor[name][1])):
        pages = [module for module in modules() if room(module) == name and is_public(module)]
        if pages:
            found[name] = pages
    return found


def pages() -> dict[str, str]:
    """Path in docs → Markdown, for every generated page of the reference."""
    found = {"reference/index.md": index()}
    for name in (page for pages in by_room().values() for page in pages):
        text = PAGE.format(name=name)
        if given_out(name):
            text += "      members:\n" + "".join(f"        - {member}\n" for member in given_out(name))
        found[f"reference/{name}.md"] = text
    return found


def navigation() -> list[Any]:
    """The reference's part of the site's navigation."""
    found: list[Any] = ["reference/index.md"]
    for name, pages in by_room().items():
        entries = [{page: f"reference/{page}.md"} for page in pages]
        found += entries if pages == [name] else [{name: entries}]
    return found


def table_of_rooms() -> str:
    """Every room, each ladder from the top floor down, with the first sentence it says of itself."""
    lines = ["| room | what it is about |", "|---|---|"]
    for name in sorted(places(), key=lambda name: (places()[name][0], -places()[name][1])):
        pages = by_room().get(name, [])
        lines.append(f"| {f'[`{name}`](reference/{pages[0]}.md)' if pages else f'`{name}`'} | {summary(name)} |")
    return "\n".join(lines)
