"""The package of docs/how-to/write-a-backend.md, made outside the repository and found by its entry point."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.helpers import ROOT

GUIDE = ROOT / "docs" / "how-to" / "write-a-backend.md"


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_guide_s_package_conforms_through_its_entry_point(tmp_path: Path) -> None:
    module, usage = code_blocks("python")
    (project,) = code_blocks("toml")
    assert len(module.strip().splitlines()) <= 30
    # What an installer does with a pure package: the module and its metadata in one folder of the path.
    site = tmp_path / "site"
    metadata = site / "my_backend-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "my_backend.py").write_text(module)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-backend\nVersion: 1.0\n")
    names = tomllib.loads(project)["project"]["entry-points"]["palm_theory.backends"]
    lines = "".join(f"{name} = {target}\n" for name, target in names.items())
    (metadata / "entry_points.txt").write_text("[palm_theory.backends]\n" + lines)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", usage], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "all laws hold" in done.stdout
    assert "exact" in done.stdout or "bounded" in done.stdout
    command = [sys.executable, "-c", "from palm_theory.cli.app import main; main()", "conformance", "van"]
    shell = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert shell.returncode == 0, shell.stderr
