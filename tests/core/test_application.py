"""Applications: found by the word that a portfolio's problem is stored under, which an entry point names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from backends.bandit import BanditBackend
from backends.llm import LLMBackend
from palm_theory import UniformGrid, build_portfolio
from palm_theory.application import Application, application_of
from tests.helpers import ROOT


def test_a_kind_has_the_application_declared_for_it(tmp_path: Path) -> None:
    portfolio = build_portfolio(BanditBackend([[[0.0, 1.0], [1.0, 0.0]]]), UniformGrid(1), path=tmp_path)
    assert application_of(portfolio.kind) is None
    assert isinstance(application_of(LLMBackend.kind), Application)
    # A path that begins alike is another kind.
    assert application_of(LLMBackend.kind + "OfMine") is None


OTHERS = """\
from pathlib import Path

from palm_theory.application import Application, application_of
from palm_theory.errors import PalmError


class Parrot(Application):
    def answer(self, *_, **__):
        raise NotImplementedError

    workers = remote_workers = affordable_policies = build = print_answers = answers = engine = answer
    export = vllm_script = recorded_answers = answer

    def open(self, folder: Path):
        return "opened"


class Stone:
    pass


if __name__ == "__main__":
    print(application_of("parrots.Parrot").open(Path()))
    try:
        application_of("parrots.Stone")
    except PalmError as error:
        print(error)
"""


def test_another_package_s_application_serves_its_kind(tmp_path: Path) -> None:
    (tmp_path / "parrots.py").write_text(OTHERS)
    metadata = tmp_path / "parrots-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: parrots\nVersion: 1.0\n")
    lines = "[palm_theory.applications]\nparrots.Parrot = parrots:Parrot\nparrots.Stone = parrots:Stone\n"
    (metadata / "entry_points.txt").write_text(lines)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-m", "parrots"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "opened",
        "the application of parrots.Stone must be a subclass of Application, got Stone",
    ]
