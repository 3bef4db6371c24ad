"""Importing costs nothing: libraries are loaded where they are used, and every public name is there all the same."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import palm_theory

HEAVY = ("numpy", "scipy", "pandas", "matplotlib", "cvxpy", "networkx", "highspy", "rich", "torch", "backends")
PALM = "import sys; sys.argv[0] = 'palm'; from palm_theory.cli.app import app; app(standalone_mode=False)"


@pytest.mark.parametrize(
    ("code", "arguments"),
    [("import palm_theory", []), (PALM, ["--version"]), (PALM, ["--help"]), (PALM, ["plot", "--help"])],
    ids=["import", "version", "help", "help of a command"],
)
def test_nothing_heavy_is_imported(code: str, arguments: list[str]) -> None:
    told = f"import atexit, sys; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); {code}"
    done = subprocess.run([sys.executable, "-c", told, *arguments], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "palm_theory" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("name", ["Portfolio", "build_portfolio", "plots"])
def test_only_numpy_and_small_libraries_are_imported_until_they_are_used(name: str) -> None:
    told = f"import sys; from palm_theory import {name}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"scipy", "pandas", "matplotlib", "cvxpy", "networkx", "moocore", "torch"}


def test_every_public_name_is_there() -> None:
    for name in palm_theory.__all__:
        assert name in dir(palm_theory)
        assert getattr(palm_theory, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = palm_theory.nothing


def test_type_checkers_and_python_find_each_name_in_the_same_place() -> None:
    tree = ast.parse(Path(palm_theory.__file__).read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {"__version__"}
    for node in checked.body:
        assert isinstance(node, ast.ImportFrom)
        assert node.module is not None
        home = importlib.import_module(node.module)
        for alias in node.names:
            assert getattr(palm_theory, alias.name) is getattr(home, alias.name)
            seen.add(alias.name)
    assert seen == set(palm_theory.__all__)
