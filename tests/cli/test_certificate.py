"""``palm certificate``, and the checker run on what it writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.cli.test_cli import FRONT, palm
from tests.helpers import ROOT

CHECKER = ROOT / "tools" / "check_certificate.py"


def _checked(proof: Path) -> str:
    command = [sys.executable, "-I", str(CHECKER), str(proof)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_tables_portfolio_is_proven_against_all_its_rows(tmp_path):
    palm("build", "table", FRONT, "--epsilon", "0.05", "--out", tmp_path / "portfolio")
    said = palm("certificate", tmp_path / "portfolio", "--against", FRONT, "--out", tmp_path / "proof.json").stdout
    assert "for every w" in said
    assert "rivals are all there are" in said
    assert _checked(tmp_path / "proof.json").startswith("PROVEN")


def test_a_bandits_portfolio_is_proven_from_its_file(tmp_path):
    rewards = np.random.default_rng(0).random((3, 4, 2))
    np.savez(tmp_path / "bandit.npz", rewards=rewards)
    palm("build", "bandit", tmp_path / "bandit.npz", "--beta", "0.1", "--epsilon", "0.05", "--out", tmp_path / "b")
    palm("certificate", tmp_path / "b", "--against", tmp_path / "bandit.npz", "--out", tmp_path / "proof.json")
    assert _checked(tmp_path / "proof.json").startswith("PROVEN")


def test_a_folder_in_place_of_the_file_is_an_error_in_words(tmp_path):
    palm("build", "table", FRONT, "--epsilon", "0.05", "--out", tmp_path / "portfolio")
    failed = palm("certificate", tmp_path / "portfolio", "--against", FRONT, "--out", tmp_path, expect=2)
    assert str(tmp_path) in failed.stderr
