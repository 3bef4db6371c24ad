"""The generated reference: what is public has a place on it, and what is not has none."""

from __future__ import annotations

import importlib.metadata
import re

import palm_theory
from tools import reference
from tools.rooms import modules


def test_the_first_page_leads_to_every_public_name_and_every_backend():
    index = reference.index()
    for name in palm_theory.__all__:
        assert name == "__version__" or f"[`{name}`](" in index, name
    for point in importlib.metadata.entry_points(group="palm_theory.backends"):
        assert f"| `{point.name}` |" in index, point.name


def test_every_page_is_in_the_navigation_and_shows_a_module_that_is():
    pages = reference.pages()
    assert set(re.findall(r"reference/[\w.]+\.md", str(reference.navigation()))) == set(pages)
    for path, text in pages.items():
        if path != "reference/index.md":
            assert re.search(r"^::: (.+)$", text, flags=re.MULTILINE)[1] in modules()


def test_a_package_that_lists_names_is_one_page_of_them():
    pages = reference.pages()
    assert "        - policy_regions\n" in pages["reference/palm_theory.plots.md"]
    assert "reference/palm_theory.plots.regions.md" not in pages
    assert "reference/backends.llm.md" in pages
    assert "reference/backends.llm.settings.md" not in pages
    assert not any("palm_theory.cli" in path for path in pages)
