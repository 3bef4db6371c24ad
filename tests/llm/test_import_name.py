"""The package's name ``backends`` in a folder where a user has something of that name, and modules of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

HAPPY = "def happy(prompts, completions):\n    return [0.25] * len(completions)\n"
COMMAND = "from palm_theory.cli.app import main; main()"
SAMPLES = """\
import os
from pathlib import Path

from backends.llm import Evaluation, LLMBackend, Planning, Training

if Path("elsewhere").is_dir():
    os.chdir("elsewhere")
backend = LLMBackend(
    model=MODEL, rewards=["brevity", "mine:happy"], prompts=["I like tea"], held_out=["the cat", "the sun"],
    planning=Planning(1, 2), training=Training(), evaluation=Evaluation(1, 2), max_new_tokens=2, system_prompt=None,
    dtype="float32", folder="runs",
)
print(backend.runs.planning_samples()[..., 1].tolist())
"""


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python with this package on its path; ``-P`` keeps the current folder off it, as the palm command does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def users(tmp_path: Path, tiny_model: Path) -> Path:
    """A folder with a reward, a package ``backends`` that is not ours, and a script that samples with the reward."""
    (tmp_path / "mine.py").write_text(HAPPY)
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "__init__.py").write_text("")
    (tmp_path / "sample.py").write_text(SAMPLES.replace("MODEL", repr(str(tiny_model))))
    return tmp_path


def test_workers_find_the_package_and_the_user_s_reward_beside_a_folder_of_its_name(users: Path) -> None:
    done = python("-P", "sample.py", cwd=users)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[0.25, 0.25]]


def test_a_folder_of_that_name_entered_later_hides_nothing_from_workers(users: Path) -> None:
    """Ours is imported where there is no other; the script then changes into a folder that comes first on its path."""
    (users / "elsewhere").mkdir()
    for name in ("backends", "mine.py"):
        (users / name).rename(users / "elsewhere" / name)
    script = f"import sys; sys.path.insert(0, ''); exec({(users / 'sample.py').read_text()!r})"
    done = python("-P", "-c", script, cwd=users)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[0.25, 0.25]]


def test_rewards_of_the_current_folder_are_found_by_the_command(users: Path, tiny_model: Path) -> None:
    (users / "prompts.txt").write_text("")
    command = ["build", "llm", "--model", str(tiny_model), "--reward", "mine:happy", "--prompts", "prompts.txt"]
    done = python("-P", "-c", COMMAND, *command, cwd=users)
    assert "holds no prompt" in done.stderr


@pytest.mark.parametrize("command", [["build", "llm"], ["build", "bandit", "problem.npz"]], ids=" ".join)
def test_where_the_package_is_hidden_the_error_names_the_folder(users: Path, command: list[str]) -> None:
    (users / "backends" / "bandit.py").write_text("")
    script = f"import sys; sys.path.insert(0, ''); {COMMAND}"
    done = python("-P", "-c", script, *command, cwd=users)
    assert done.returncode == 2, done.stderr
    assert f"Python takes 'backends' from {users / 'backends'}" in done.stderr
    assert "rename it or run elsewhere" in done.stderr
