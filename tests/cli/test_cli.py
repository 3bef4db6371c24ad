"""The command line, as a shell sees it: output, JSON, exit codes, one-line errors."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backends.table import TableBackend
from palm_theory import Portfolio, bounds, covers
from tests.helpers import ROOT

FRONT = ROOT / "benchmarks" / "fronts" / "deep-sea-treasure.csv"


def palm(*arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from palm_theory.cli.app import main; main()", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def portfolio(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "portfolio"
    palm("build", "table", FRONT, "--epsilon", "0.01", "--out", folder)
    return folder


def test_bounds_agree_with_the_library():
    rows = json.loads(palm("bounds", "-d", "3", "--mu", "0.5", "--alpha", "0.05", "--json").stdout)
    expected = [
        bounds.theorem1(3, 0.5, 0.05, reward_max=1.0, regularizer_max=0.0),
        bounds.theorem1_prime(3, 0.5, 0.05, reward_max=1.0, regularizer_max=0.0),
    ]
    assert rows == [bound.to_dict() for bound in expected]


@pytest.mark.parametrize(
    ("arguments", "theorems"),
    [
        (["--mu", "1", "--alpha", "0.25"], ["1", "1'", "1''", "1'''"]),
        (["--mu", "1", "--alpha", "0.25", "--regularizer-max", "0.1"], ["1", "1'", "1''"]),
        (["--beta", "0.1", "--resolution", "12"], ["2", "2'"]),
        (["--epsilon", "0.1", "--delta", "0.05"], ["1", "1'", "1''"]),
        (["--epsilon", "0.1"], ["1'''"]),
        (["--beta", "0.1", "--delta", "0.01"], ["2", "2'"]),
        (["--budget", "100", "--beta", "0.1"], ["1", "1'", "1''", "1'''", "2", "2'"]),
        (["--budget", "12"], ["1", "1'"]),
    ],
)
def test_bounds_in_all_directions(arguments, theorems):
    rows = json.loads(palm("bounds", "-d", "3", *arguments, "--json").stdout)
    assert [row["theorem"] for row in rows] == theorems
    if "--budget" in arguments:
        assert all(row["size"] <= 100 for row in rows)


def test_cover_writes_the_library_s_weights(tmp_path):
    palm("cover", "hybrid", "-d", "3", "--mu", "0.5", "--alpha", "0.05", "--out", tmp_path / "cover.csv")
    with (tmp_path / "cover.csv").open() as file:
        rows = [[float(cell) for cell in row] for row in list(csv.reader(file))[1:]]
    np.testing.assert_array_equal(rows, covers.hybrid_cover(3, 0.5, 0.05))


def test_the_aligned_cover_by_steps_and_by_target():
    rows = json.loads(palm("cover", "aligned", "-d", "3", "--mu", "0.5", "--steps", "2", "--json").stdout)
    np.testing.assert_array_equal(rows, covers.hybrid_cover(3, 0.5, covers.aligned_alpha(0.5, 2)))
    for d, size in ((2, 7), (3, 127), (4, 2465)):
        arguments = ["-d", str(d), "--epsilon", "0.1", "--delta", "0.1", "--size"]
        assert palm("cover", "aligned", *arguments).stdout.strip() == str(size)
    assert "--steps" in palm("cover", "aligned", "-d", "3", "--mu", "0.5", "--alpha", "0.1", expect=2).stderr
    assert "--epsilon" in palm("cover", "aligned", "-d", "3", expect=2).stderr


def test_a_cover_too_large_to_print_is_refused_with_its_count_and_still_counted():
    size = covers.hybrid_size(9, 0.01, 0.001)
    done = palm("cover", "hybrid", "-d", "9", "--mu", "0.01", "--alpha", "0.001", expect=2)
    assert str(size) in done.stderr
    assert palm("cover", "hybrid", "-d", "9", "--mu", "0.01", "--alpha", "0.001", "--size").stdout.strip() == str(size)


def test_build_show_and_select(portfolio):
    shown = json.loads(palm("show", portfolio, "--json").stdout)
    assert shown["certificate"]["kind"] == "exact"
    assert shown["certificate"]["epsilon"] <= 0.01
    assert "share of 1,000 users" in palm("show", portfolio).stdout
    named = json.loads(palm("select", portfolio, "--weights", "time=1", "--json").stdout)
    numbered = json.loads(palm("select", portfolio, "--weights", "0,1", "--json").stdout)
    assert named == numbered
    assert shown["policies"][named["index"]]["rewards"][1] == max(p["rewards"][1] for p in shown["policies"])


def test_select_for_a_file_of_users(portfolio, tmp_path):
    users = tmp_path / "users.csv"
    users.write_text("time,treasure\n1,0\n0,1\n0.5,0.5\n")
    chosen = json.loads(palm("select", portfolio, "--file", users, "--json").stdout)
    for (time, treasure), row in zip([(1, 0), (0, 1), (0.5, 0.5)], chosen, strict=True):
        one = json.loads(palm("select", portfolio, "-w", f"treasure={treasure},time={time}", "--json").stdout)
        assert one["index"] == row["index"]


def test_audit_says_by_its_exit_code_whether_the_target_is_certified(portfolio):
    palm("audit", portfolio, "--epsilon", "0.01")
    palm("audit", portfolio, "--epsilon", "0.0001", expect=1)
    assert "is NOT certified" in palm("audit", portfolio, "--delta", "1e-6", expect=1).stdout
    assert "is certified" in palm("audit", portfolio, "--delta", "1000").stdout
    fresh = json.loads(palm("audit", portfolio, "--against", FRONT, "--json").stdout)["certificate"]
    stored = json.loads(palm("audit", portfolio, "--json").stdout)["certificate"]
    assert fresh["kind"] == stored["kind"] == "exact"
    assert fresh["epsilon"] == pytest.approx(stored["epsilon"], abs=1e-12)


def test_audit_s_exit_code_is_about_every_policy_unless_a_reference_is_asked_for(portfolio, tmp_path):
    Portfolio.load(portfolio).prune().save(tmp_path / "own", TableBackend(FRONT))
    done = palm("audit", tmp_path / "own", "--epsilon", "0.01", expect=1)
    assert "is NOT certified: it holds over the 6 policies of a reference set only" in done.stdout
    done = palm("audit", tmp_path / "own", "--epsilon", "0.01", "--within-reference")
    assert "is certified over the 6 policies of a reference set only, not against every policy" in done.stdout
    done = palm("audit", tmp_path / "own", "--epsilon", "0.01", "--against", FRONT)
    assert "only, not against every policy" in done.stdout
    palm("audit", tmp_path / "own", "--epsilon", "0.0001", "--against", FRONT, expect=1)


def test_compare_at_equal_size():
    rows = json.loads(palm("compare", "table", FRONT, "--policies", "4", "--json").stdout)
    by_name = {row["strategy"]: row for row in rows}
    assert {"PALM grid", "PALM reduced", "uniform", "random", "adaptive"} == set(by_name)
    assert all(row["kind"] == "exact" for row in rows)
    assert all(row["size"] <= 4 for name, row in by_name.items() if name != "PALM grid")
    assert all(row["sampled_epsilon"] <= row["epsilon"] + 1e-12 for row in rows)


def test_build_from_arrays(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "bandit.npz", rewards=rng.random((3, 6, 2)), objectives=np.array(["safe", "kind"]))
    built = json.loads(palm("build", "bandit", tmp_path / "bandit.npz", "--beta", "0.1", "--json").stdout)
    assert built["objectives"] == ["safe", "kind"]
    transitions = rng.dirichlet(np.ones(4), size=(4, 2))
    np.savez(tmp_path / "mdp.npz", transitions=transitions, rewards=rng.random((4, 2, 2)), initial=np.full(4, 0.25))
    built = json.loads(palm("build", "mdp", tmp_path / "mdp.npz", "--discount", "0.9", "--json").stdout)
    assert built["certificate"]["kind"] == "exact"


def test_strategies_by_name(tmp_path):
    for name, options in (("palm", ["--mu", "0.5"]), ("uniform", ["-n", "4"]), ("random", ["-n", "4", "--seed", "1"])):
        built = json.loads(palm("build", "table", FRONT, "--strategy", name, *options, "--json").stdout)
        assert built["strategy"]["strategy"].lower().startswith(name)
    asked = ["--mu", "0.5", "--alpha", str(covers.aligned_alpha(0.5, 9)), "--target-epsilon", "0.02"]
    pruned = json.loads(palm("build", "table", FRONT, "--strategy", "palm", *asked, "--json").stdout)
    assert pruned["strategy"]["epsilon"] == 0.02
    assert pruned["certificate"]["epsilon"] <= 0.02
    limited = json.loads(palm("build", "table", FRONT, "--max-policies", "3", "--json").stdout)
    assert len(limited["policies"]) <= 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "table", "missing.csv"], "cannot read missing.csv"),
        (["build", "table", FRONT, "--objective", "gold"], "unknown column 'gold'"),
        (["build", "table", FRONT, "--epsilon", "2"], "epsilon must lie in [0, 1)"),
        (["bounds", "-d", "0", "--mu", "0.5", "--alpha", "0.1"], "objectives must be an integer >= 1"),
        (["bounds", "-d", "3", "--mu", "1.5", "--alpha", "0.1"], "mu must lie in (0, 1]"),
        (["bounds", "-d", "3"], "say what to compute"),
        (["show", "nowhere"], "nowhere has no portfolio.json"),
        (["conformance", "nothing"], "no backend named 'nothing'"),
        (["build", "bandit", FRONT], "a CSV is for palm build table"),
        (
            ["build", "table", FRONT, "--strategy", "palm", "--epsilon", "0.1"],
            "--strategy palm, which takes --mu, --alpha",
        ),
        (["build", "table", FRONT, "--mu", "0.1"], "--mu is not for --strategy adaptive"),
        (["build", "table", FRONT, "--target-epsilon", "0.1"], "--target-epsilon is not for --strategy adaptive"),
        (["build", "table", FRONT, "--strategy", "palm", "--target-delta", "-1"], "delta must be None or finite"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, said):
    done = palm(*arguments, expect=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_ragged_row_is_named_by_its_line(tmp_path):
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n")
    assert "line 3" in palm("build", "table", tmp_path / "ragged.csv", expect=2).stderr


def test_the_folder_of_another_problem_is_bad_input(tmp_path):
    palm("build", "table", FRONT, "--out", tmp_path / "portfolio")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n3,1\n")
    refused = palm("build", "table", tmp_path / "other.csv", "--out", tmp_path / "portfolio", expect=2)
    assert "belongs to another problem" in refused.stderr


def test_a_column_of_names_that_was_not_named_is_met_with_the_remedy(tmp_path):
    (tmp_path / "named.csv").write_text("model,a,b\none,1,2\ntwo,3,1\n")
    assert "--name" in palm("build", "table", tmp_path / "named.csv", expect=2).stderr


def test_a_portfolio_of_arrays_is_audited_against_them(tmp_path):
    np.savez(tmp_path / "bandit.npz", rewards=np.random.default_rng(0).random((3, 6, 2)))
    palm("build", "bandit", tmp_path / "bandit.npz", "--beta", "0.1", "--out", tmp_path / "portfolio")
    fresh = json.loads(palm("audit", tmp_path / "portfolio", "--against", tmp_path / "bandit.npz", "--json").stdout)
    assert fresh["certificate"]["kind"] == "exact"
    np.savez(tmp_path / "other.npz", rewards=np.random.default_rng(1).random((3, 6, 2)))
    refused = palm("audit", tmp_path / "portfolio", "--against", tmp_path / "other.npz", expect=2)
    assert "is not the problem" in refused.stderr


def test_a_table_has_nobody_to_answer_without_an_upstream(portfolio):
    pytest.importorskip("fastapi")
    done = palm("serve", portfolio, expect=2)
    assert "give --upstream URL" in done.stderr


def test_points_are_not_written_under_another_kind_of_name(portfolio, tmp_path):
    assert ".csv or .json, not .xlsx" in palm("points", portfolio, "--out", tmp_path / "x.xlsx", expect=2).stderr
    done = palm("points", portfolio, "--out", tmp_path / "nowhere" / "x.csv", expect=2)
    assert "No such file or directory" in done.stderr
    assert "free the disk" not in done.stderr


def test_weights_that_miss_the_simplex_are_refused(portfolio):
    assert "sum to 1" in palm("select", portfolio, "-w", "treasure=0.5,time=0.4", expect=2).stderr
    assert "unknown objective 'gold'" in palm("select", portfolio, "-w", "gold=1", expect=2).stderr


def test_help_teaches():
    assert "Exit codes" in palm("--help").stdout
    for command in (["bounds"], ["cover"], ["build", "table"], ["audit"], ["select"], ["compare", "table"]):
        assert "palm " + " ".join(command) in palm(*command, "--help").stdout or command[0] == "compare"
