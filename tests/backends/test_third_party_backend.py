"""The package of docs/how-to/write-a-backend.md, made outside the repository and found by its entry point."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.helpers import ROOT
from tests.helpers.packages import install, python

GUIDE = ROOT / "docs" / "how-to" / "write-a-backend.md"


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_guide_s_package_conforms_through_its_entry_point(tmp_path: Path) -> None:
    module, usage, test, _ = code_blocks("python")
    project, _ = code_blocks("toml")
    assert len(module.strip().splitlines()) <= 30
    site = tmp_path / "site"
    install(site, "my_backend", module, tomllib.loads(project)["project"]["entry-points"]["palm_theory.backends"])
    done = python(site, tmp_path, "-c", usage)
    assert done.returncode == 0, done.stderr
    assert "all laws hold" in done.stdout
    assert "exact" in done.stdout or "bounded" in done.stdout
    shell = python(site, tmp_path, "-c", "from palm_theory.cli.app import main; main()", "conformance", "van")
    assert shell.returncode == 0, shell.stderr
    (tmp_path / "test_van.py").write_text(test)
    tests = python(site, tmp_path, "-m", "pytest", "-v", "-p", "no:cacheprovider", "test_van.py")
    assert tests.returncode == 0, tests.stdout
    assert "TestVan::test_optimize PASSED" in tests.stdout
    assert "TestVan::test_paired_values SKIPPED" in tests.stdout
