"""``palm plot``: every kind into every file type, and what is refused before work."""

from __future__ import annotations

import typing
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backends.bandit import BanditBackend
from palm_theory import Adaptive, build_portfolio
from palm_theory.cli.app import app
from palm_theory.cli.plot import Kind
from palm_theory.errors import ArtifactError, InputError
from tests.cli.test_cli import FRONT, palm

HEADS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a bandit of three objectives, rewards.npz, and its portfolio."""
    folder = tmp_path_factory.mktemp("plot")
    rewards = np.random.default_rng(0).random((3, 8, 3))
    np.savez(folder / "rewards.npz", rewards=rewards)
    build_portfolio(BanditBackend(rewards, beta=0.1), Adaptive(0.02), path=folder / "portfolio", progress=False)
    return folder


def run(*arguments: object) -> str:
    """What ``palm plot`` prints; its error is raised."""
    result = CliRunner().invoke(app, ["plot", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("kind", typing.get_args(Kind))
def test_every_kind_is_drawn(kind, made, tmp_path):
    options: list[object] = (
        ["--against", made / "rewards.npz"] if kind in ("regret", "growth", "front", "bounds") else []
    )
    if kind == "values":
        options = ["--vary", "r1", "--vary", "r2"]
    suffix = list(HEADS)[typing.get_args(Kind).index(kind) % 3]
    out = tmp_path / f"figure{suffix}"
    assert "saved in" in run(kind, made / "portfolio", "--out", out, "--width", 3.3, "--dpi", 60, *options)
    assert out.read_bytes().startswith(HEADS[suffix])


def test_users_and_sections_come_from_options(made, tmp_path):
    (tmp_path / "users.csv").write_text("r1,r2,r3\n0.2,0.3,0.5\n1,0,0\n")
    run("users", made / "portfolio", "--users", tmp_path / "users.csv", "--out", tmp_path / "a.png")
    run("regions", made / "portfolio", "--fix", "r3=0.2", "--out", tmp_path / "b.png")
    assert (tmp_path / "b.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["regions", "--out", "a.gif"], "must end in .png, .pdf, .svg"),
        (["regions", "--out", "nowhere/a.png"], "no such folder"),
        (["regions", "--width", "0.1"], "--width must lie"),
        (["regions", "--dpi", "9"], "--dpi must lie"),
        (["growth", "--vary", "r1"], "--vary and --fix are for"),
        (["regions", "--fix", "r1"], "--fix takes objective=weight"),
        (["front", "--fix", "r1=0.5"], "--fix is for weights"),
        (["growth", "--users", "users.csv"], "--users is for"),
    ],
)
def test_options_are_checked_before_the_portfolio_is_read(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        run(arguments[0], "no-portfolio", *arguments[1:])
    with pytest.raises(ArtifactError):
        run("regions", "no-portfolio")


def test_what_needs_the_optimum_asks_for_the_portfolio_s_own_problem(made, tmp_path):
    with pytest.raises(InputError, match="give --against"):
        run("regret", made / "portfolio", "--out", tmp_path / "a.png")
    np.savez(tmp_path / "other.npz", rewards=np.random.default_rng(1).random((3, 8, 3)))
    with pytest.raises(InputError, match="not the problem"):
        run("regret", made / "portfolio", "--against", tmp_path / "other.npz", "--out", tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_shell_sees_one_line_and_a_table_s_own_options(tmp_path):
    palm("build", "table", FRONT, "--out", tmp_path / "p")
    drawn = palm("plot", "regret", tmp_path / "p", "--against", FRONT, "--out", tmp_path / "a.png")
    assert drawn.stdout.startswith("saved in")
    refused = palm("plot", "regions", tmp_path / "p", "--out", tmp_path / "a.bmp", expect=2)
    assert refused.stderr.count("\n") == 1
    text = palm("plot", "--help").stdout
    assert all(f"  {kind} " in text for kind in typing.get_args(Kind))
