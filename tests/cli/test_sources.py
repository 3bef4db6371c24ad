"""Files that commands take: a portfolio's problem, candidates beside it, and what backends of other packages read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from palm_theory import Portfolio
from tests.cli.test_cli import palm
from tests.helpers.packages import install, python

KNAPSACK = "2 3 5\n4 1 3\n1 5 3\n2 3 4\n"

PACKAGE = '''
from typing import Annotated

import numpy as np
from palm_theory import PolicyBackend, Power, Solution, Value
from palm_theory.bounds import EXACT
from palm_theory.contract.declarations import Declarations


class Points(PolicyBackend, kind="my-points/points"):
    """The best of the points in a file, one a line."""

    powers = frozenset({Power.OPTIMAL_VALUE})

    def __init__(self, points, scale):
        self.scale, self.points = scale, scale * np.array(points)
        names = tuple(f"r{i}" for i in range(self.points.shape[1]))
        top = float(self.points.max())
        self.declared = Declarations(objectives=names, reward_max=top, regularizer_max=0.0, oracle_error=EXACT)

    @classmethod
    def from_file(cls, path, *, scale: Annotated[float, "What a point is worth."] = 1.0, shift=0.0):
        """Points, one a line."""
        return cls(np.loadtxt(path) + shift, scale)

    def describe(self):
        return {"points": self.points.tolist(), "scale": self.scale}

    def optimize(self, weights):
        best = int((self.points @ weights).argmax())
        return Solution(best, self.evaluate(best))

    def optimal_value(self, weights):
        return float((self.points @ weights).max())

    def evaluate(self, policy):
        return Value(self.points[policy])
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the path with an installed package, and a file that its backend reads."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "my_points", PACKAGE, {"points": "my_points:Points"})
    (folder / "points.txt").write_text("3 0\n2 2\n0 3\n")
    return folder


def in_site(site: Path, *arguments: str, expect: int = 0) -> str:
    done = python(site, site, "-c", "from palm_theory.cli.app import main; main()", *arguments)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_backend_that_reads_a_file_has_its_commands(site: Path) -> None:
    told = in_site(site, "build", "points", "--help")
    assert "Points, one a line." in told
    assert "What a point is worth." in told
    given = ("--scale", "2", "--shift", "0.5")
    in_site(site, "build", "points", "points.txt", *given, "--epsilon", "0", "--out", "built")
    built = Portfolio.load(site / "built")
    assert sorted(member.value.rewards.tolist() for member in built) == [[1, 7], [5, 5], [7, 1]]
    assert "PALM grid" in in_site(site, "compare", "points", "points.txt", "--policies", "2", "--json")
    in_site(site, "extend", "points", "built", "points.txt", *given, "--weights", "0.5,0.5", "--out", "more")


def test_what_a_portfolio_stores_is_not_asked_for_again(site: Path) -> None:
    in_site(site, "build", "points", "points.txt", "--scale", "3", "--epsilon", "0", "--out", "stored")
    in_site(site, "audit", "stored", "--against", "points.txt", "--epsilon", "0")
    (site / "other.txt").write_text("3 0\n0 3\n")
    assert "other.txt is not the problem" in in_site(site, "audit", "stored", "--against", "other.txt", expect=2)


def test_a_backend_that_reads_no_file_has_no_command(site: Path) -> None:
    assert "No such command" in in_site(site, "build", "convex", "points.txt", expect=2)


def test_a_problem_file_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "kp.dat").write_text(KNAPSACK)
    palm("build", "knapsack", tmp_path / "kp.dat", "--epsilon", "0", "--out", tmp_path / "kp")
    fresh = json.loads(palm("audit", tmp_path / "kp", "--against", tmp_path / "kp.dat", "--json").stdout)["certificate"]
    assert (fresh["kind"], fresh["epsilon"]) == ("exact", 0.0)
    palm("points", tmp_path / "kp", "--out", tmp_path / "points.csv")
    beside = palm("audit", tmp_path / "kp", "--against", tmp_path / "points.csv").stdout
    assert "policies of a reference set" in beside


def test_drift_knows_the_optimum_of_any_problem_that_is_read_again(tmp_path: Path) -> None:
    np.savez(tmp_path / "bandit.npz", rewards=np.random.default_rng(0).random((2, 3, 2)))
    palm("build", "bandit", tmp_path / "bandit.npz", "--beta", "0.1", "--out", tmp_path / "built")
    line = {"time": 0.0, "user": None, "weights": {"r1": 0.5, "r2": 0.5}, "policy": "p00", "predicted_regret": None}
    (tmp_path / "log.jsonl").write_text(json.dumps(line) + "\n")
    told = json.loads(
        palm("drift", tmp_path / "log.jsonl", tmp_path / "built", "--against", tmp_path / "bandit.npz", "--json").stdout
    )
    assert told["optimum"]["kind"] == "exact"
