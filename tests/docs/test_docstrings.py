"""Docstring coverage of the public API: every module, class, function and member says what it is.

A member that overrides a documented one of its base says nothing new unless it wants to; the base's text counts. Read
from the source, so that no heavy library is imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.helpers import ROOT

Function = ast.FunctionDef | ast.AsyncFunctionDef
ARRAY = re.compile(r"\b(Array|ArrayLike|NDArray|ndarray|WeightsLike)\b")
# "(n, d)", "(K,)", "shape as given", "all of shape ...": how docstrings here give a shape.
SHAPE = re.compile(r"\([^()\s]{1,8},(?: [^()]{1,20})?\)|[Ss]hape|[Ee]lementwise|last axis|vector|scalar|each row")
RAISES = re.compile(r"[Rr]aises|[Ee]rror|[Rr]efuse")


@dataclass(frozen=True)
class Item:
    """One public thing: where it is, its node, and the texts that may document it, its own first."""

    name: str
    node: ast.AST
    own: str
    texts: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


@cache
def _trees() -> dict[Path, ast.Module]:
    return {
        path: ast.parse(path.read_text("utf-8"))
        for package in ("palm_theory", "backends")
        for path in sorted((ROOT / package).rglob("*.py"))
    }


@cache
def _classes() -> dict[str, list[ast.ClassDef]]:
    """Every class by its name, which two modules may share."""
    found: dict[str, list[ast.ClassDef]] = {}
    for tree in _trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(node)
    return found


def _bases(node: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """The classes of this repository that a class descends from, nearest first."""
    for base in node.bases:
        name = ast.unparse(base).split("[")[0].split(".")[-1]
        for found in _classes().get(name, []):
            if found.name != node.name:  # a library's class may have the name of ours
                yield found
                yield from _bases(found)


def _is_overload(node: Function) -> bool:
    return any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)


def _items(path: Path, tree: ast.Module) -> Iterator[Item]:
    where = path.relative_to(ROOT).as_posix()
    text = ast.get_docstring(tree) or ""
    yield Item(where, tree, text, (text,))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            text = ast.get_docstring(node) or ""
            yield Item(f"{where}: {node.name}", node, text, (text,))
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        for member in node.body:
            if not isinstance(member, Function) or _is_overload(member):
                continue
            if member.name.startswith("_") and member.name != "__init__":
                continue
            own = ast.get_docstring(member) or ""
            texts = [own] + [
                ast.get_docstring(other) or ""
                for base in _bases(node)
                for other in base.body
                if isinstance(other, Function) and other.name == member.name
            ]
            # A class documents what makes it.
            texts += [ast.get_docstring(node) or ""] if member.name == "__init__" else []
            yield Item(f"{where}: {node.name}.{member.name}", member, own, tuple(texts))


def _public() -> list[Item]:
    return [
        item
        for path, tree in _trees().items()
        for item in _items(path, tree)
        # A command documents itself in its help: what is refused, and with which exit code.
        if path.stem != "version" and path.parent.name != "cli"
    ]


def test_everything_public_has_a_docstring():
    missing = [item.name for item in _public() if not item.text.strip()]
    assert not missing, "no docstring:\n" + "\n".join(missing)


def test_functions_of_arrays_give_their_shapes():
    def takes_or_gives_arrays(node: ast.AST) -> bool:
        if not isinstance(node, Function):
            return False
        annotations = [arg.annotation for arg in [*node.args.args, *node.args.kwonlyargs]] + [node.returns]
        return any(a is not None and ARRAY.search(ast.unparse(a)) for a in annotations)

    missing = [item.name for item in _public() if takes_or_gives_arrays(item.node) and not SHAPE.search(item.text)]
    assert not missing, "arrays, but no shapes:\n" + "\n".join(missing)


def test_functions_that_raise_say_so():
    def raises(node: ast.AST) -> bool:
        return isinstance(node, Function) and any(
            isinstance(inner, ast.Raise)
            and inner.exc is not None
            and re.match(r"\w+Error\b", ast.unparse(inner.exc))
            and not ast.unparse(inner.exc).startswith("NotImplementedError")
            for inner in ast.walk(node)
        )

    missing = [item.name for item in _public() if raises(item.node) and not RAISES.search(item.text)]
    assert not missing, "raises, but does not say what:\n" + "\n".join(missing)


@pytest.mark.parametrize(
    "module",
    [
        "bounds",
        "covers",
        "design/__init__",
        "design/hybrid",
        "design/aligned",
        "design/lattice",
        "geometry/hybrid",
        "geometry/tilt",
        "geometry/envelope",
        "geometry/corners",
        "certify/audit",
        "mixture",
    ],
)
def test_what_rests_on_a_theorem_names_it(module):
    path = ROOT / "palm_theory" / f"{module}.py"
    text = (ast.get_docstring(_trees()[path]) or "") + "".join(item.text for item in _items(path, _trees()[path]))
    assert re.search(r"Theorem [1-4]|docs/theory|arXiv", text), f"{module} names no source"
