"""The explorer's data: the best subsets of every size, what is known of J*, the page as text, ``palm explore``."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from backends.bandit import BanditBackend
from backends.table import TableBackend
from palm_theory import Adaptive, Kind, Portfolio, Value, audit, build_portfolio
from palm_theory.cli.app import app
from palm_theory.errors import ArtifactError, InputError
from palm_theory.explorer import best_subsets, example, page_data, reference_of, write_page
from palm_theory.explorer.page import SCRIPTS, embedded_json, render
from palm_theory.explorer.references import through_portfolio
from palm_theory.geometry.simplex import sample_dirichlet
from tests.helpers import ROOT

FRONT = ROOT / "benchmarks" / "fronts" / "deep-sea-treasure.csv"


def front(policies: int, objectives: int, seed: int = 0) -> np.ndarray:
    """Reward vectors on the unit sphere: every one is optimal somewhere."""
    points = np.sqrt(np.random.default_rng(seed).dirichlet(np.ones(objectives), size=policies))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def values_of(rows: np.ndarray) -> list[Value]:
    return [Value(row) for row in rows]


@pytest.mark.parametrize(("policies", "objectives"), [(6, 2), (7, 3), (6, 4)])
def test_the_best_subset_of_every_size_is_the_best_of_all_subsets(policies, objectives):
    values = values_of(front(policies, objectives))
    found = best_subsets(values, reference_of(values, None, None, 1.0))
    assert [subset.size for subset in found] == list(range(1, policies + 1))
    for subset in found:
        smallest = min(
            audit([values[k] for k in members], reference=values).epsilon
            for members in itertools.combinations(range(policies), subset.size)
        )
        assert subset.is_best
        assert subset.gap == subset.certificate.epsilon == pytest.approx(smallest, abs=1e-12)
        assert subset.least_gap <= smallest + 1e-9


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(1, 7), st.booleans())
def test_subsets_are_audited_and_more_policies_are_never_worse(seed, objectives, policies, regularised):
    rng = np.random.default_rng(seed)
    costs = rng.random(policies) if regularised else np.zeros(policies)
    values = [Value(row, cost) for row, cost in zip(rng.random((policies, objectives)), costs, strict=True)]
    found = best_subsets(values, reference_of(values, None, None, 1.0), budget=0.5)
    gaps = [subset.gap for subset in found]
    assert gaps == sorted(gaps, reverse=True)
    for subset in found:
        fresh = audit([values[k] for k in subset.members], reference=values)
        assert (fresh.epsilon, fresh.additive_gap) == (subset.certificate.epsilon, subset.certificate.additive_gap)
        assert len(subset.members) <= subset.size
        assert subset.least_gap <= subset.gap + 1e-12
    assert found[-1].gap == 0


def test_without_time_for_proofs_subsets_are_certified_and_not_called_the_best():
    values = values_of(front(12, 3))
    found = best_subsets(values, reference_of(values, None, None, 1.0), budget=0.0)
    assert not any(subset.is_best for subset in found[:-1])
    assert all(subset.certificate.kind is Kind.EXACT for subset in found)


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_a_claim_through_the_portfolio_holds_against_the_optimum(seed):
    bandit = BanditBackend(np.random.default_rng(seed).random((3, 6, 3)), beta=0.1)
    portfolio = build_portfolio(bandit, Adaptive(0.05), progress=False)
    values = portfolio.policy_values
    for subset in best_subsets(values, reference_of(values, None, None, 1.0), budget=0.2):
        claim = through_portfolio(subset.certificate, portfolio.certificate)
        assert claim is not None
        true = audit([values[k] for k in subset.members], bandit)
        assert true.epsilon <= claim.epsilon + 1e-12
        assert true.additive_gap <= claim.additive_gap + 1e-12
        if subset.gap > 0:
            assert claim.kind is Kind.BOUNDED


def test_what_follows_from_no_proof_is_nothing():
    values = values_of(front(4, 2))
    own = audit(values[:2], reference=values)
    sampled = audit(values, TableBackend(front(9, 2)), kind="sampled", samples=5)
    assert through_portfolio(own, sampled) is None


def test_a_portfolio_alone_is_its_own_reference_beside_its_certificate():
    backend = TableBackend(front(12, 3))
    portfolio = build_portfolio(backend, Adaptive(0.05), progress=False)
    data = page_data(portfolio, budget=1.0)
    through, itself = data["references"]
    assert (through["optimum"], itself["optimum"], itself["itself"]) == (True, False, True)
    assert through["certificates"][-1]["epsilon"] == portfolio.certificate.epsilon
    assert itself["certificates"][-1]["epsilon"] == 0
    uncertified = page_data(portfolio.subset([0, 1]), budget=1.0)
    assert [reference["itself"] for reference in uncertified["references"]] == [True]


def test_a_certificate_over_a_reference_set_is_not_shown_as_one_against_the_optimum():
    portfolio = build_portfolio(TableBackend(front(12, 2)), Adaptive(0.05), progress=False).prune()
    data = page_data(portfolio, budget=1.0)
    through, _ = data["references"]
    assert through["text"] == portfolio.certificate.reference
    assert not through["optimum"]
    assert not data["certificate"]["optimum"]


def test_with_a_backend_the_page_holds_true_bounds_on_the_optimum():
    portfolio, bandit = example(3)
    (reference,) = page_data(portfolio, backend=bandit, budget=1.0)["references"]
    knows = reference["knows"]
    assert reference["certificates"][-1]["epsilon"] == pytest.approx(portfolio.certificate.epsilon, abs=1e-12)
    for w, upper in zip(knows["weights"], knows["upper"], strict=True):
        assert upper == pytest.approx(bandit.optimal_value(np.array(w)), abs=1e-12)
    found = np.array(knows["found"])
    for w in sample_dirichlet(3, 20):
        assert (found @ w).max() <= bandit.optimal_value(w) + 1e-12


@pytest.mark.parametrize("objectives", [2, 4, 6])
def test_the_example_is_certified_and_small(objectives):
    portfolio, _ = example(objectives)
    assert portfolio.certificate.kind is Kind.EXACT
    assert 3 <= len(portfolio) <= 30


def test_the_example_has_two_to_six_objectives():
    for objectives in (1, 7):
        with pytest.raises(InputError, match="2 to 6"):
            example(objectives)


HOSTILE = ["</script><img src=x onerror=alert(1)>", "<!--<script>", "&lt;b&gt;", "\u2028\u2029", "a\"b'c", "{{$title}}"]


@given(st.lists(st.text()))
def test_embedded_data_is_inert_and_comes_back_as_it_was(texts):
    data = {"names": [*HOSTILE, *texts]}
    text = embedded_json(data)
    assert json.loads(text) == data
    assert text.isascii()
    assert not set("<>&") & set(text)


def test_data_that_is_not_json_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        embedded_json({"x": float("nan")})


def test_the_page_is_one_file_that_lets_nothing_in(tmp_path):
    portfolio = build_portfolio(TableBackend(front(5, 3)), Adaptive(0.05), progress=False)
    page = write_page(portfolio, tmp_path / "page.html", title=HOSTILE[0], budget=0.5).read_text("utf-8")
    assert re.search(r"default-src &#x27;none&#x27;", page)
    assert page.count("</script>") == 2
    assert "<img" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*["']""", re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL))
    assert "unsafe-inline" not in page


def test_every_script_is_used_and_is_package_data():
    folder = files("palm_theory.explorer")
    assert sorted(SCRIPTS) == sorted(item.name for item in folder.iterdir() if item.name.endswith(".js"))
    for name in ("page.html", "page.css"):
        assert (folder / name).is_file()
    # What would end the script element early.
    assert all("</script" not in (folder / name).read_text("utf-8") for name in SCRIPTS)


def test_another_problem_s_backend_and_a_folder_that_is_not_there_are_refused(tmp_path):
    portfolio, _ = example(2)
    with pytest.raises(InputError, match="not the problem"):
        write_page(portfolio, tmp_path / "a.html", backend=TableBackend(front(5, 2)))
    with pytest.raises(ArtifactError, match="cannot write"):
        write_page(portfolio, tmp_path / "missing" / "a.html", budget=0.1)


def test_infinite_gaps_are_written_as_null():
    # A policy worth less than nothing somewhere: no epsilon <= 1 holds for it alone.
    values = [Value([1.0, 0.0], 0.5), Value([0.0, 1.0])]
    portfolio = Portfolio.of(
        TableBackend(front(2, 2)),
        [(k, value, None) for k, value in enumerate(values)],
        audit(values, reference=values),
    )
    data = page_data(portfolio, budget=0.5)
    assert data["references"][-1]["certificates"][0]["epsilon"] is not None
    render(data)


def palm(*arguments: str | Path) -> str:
    """What the command prints, run in this process; errors are raised."""
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def embedded(page: Path) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture
def no_screen(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)


def test_palm_explore(no_screen, tmp_path):
    printed = palm("explore", "--out", "page.html", "--objectives", "2")
    assert "wrote page.html" in printed
    assert "no browser here" in printed
    assert embedded(tmp_path / "page.html")["objectives"] == ["helpful", "brief"]

    palm("build", "table", FRONT, "--epsilon", "0.05", "--out", "portfolio")
    palm("explore", "portfolio", "--out", "alone.html", "--no-open")
    assert len(embedded(tmp_path / "alone.html")["references"]) == 2
    palm("explore", "portfolio", "--out", "table.html", "--no-open", "--against", FRONT)
    (reference,) = embedded(tmp_path / "table.html")["references"]
    assert reference["text"] == "the best of 10 candidate policies"
    stored = Portfolio.load(tmp_path / "portfolio").certificate
    assert reference["certificates"][-1]["epsilon"] == pytest.approx(stored.epsilon, abs=1e-12)


def test_palm_explore_with_a_bandit(no_screen, tmp_path):
    np.savez(tmp_path / "rewards.npz", rewards=np.random.default_rng(0).random((3, 5, 2)))
    palm("build", "bandit", "rewards.npz", "--beta", "0.1", "--out", "portfolio")
    palm("explore", "portfolio", "--no-open", "--against", "rewards.npz")
    assert embedded(tmp_path / "explorer.html")["references"][0]["knows"]["type"] == "solved"
    np.savez(tmp_path / "other.npz", rewards=np.random.default_rng(1).random((3, 5, 2)))
    with pytest.raises(InputError, match="not the problem"):
        palm("explore", "portfolio", "--no-open", "--against", "other.npz")


def test_a_browser_is_opened_where_there_is_one(no_screen, tmp_path, monkeypatch):
    marker = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {marker}\n')
    browser.chmod(0o755)
    # A fresh process: webbrowser reads $BROWSER once.
    command = [sys.executable, "-c", "from palm_theory.cli.app import main; main()", "explore", "-d", "2"]
    environment = {**os.environ, "BROWSER": str(browser), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    assert "no browser" not in done.stdout
    assert marker.read_text().strip() == (tmp_path / "explorer.html").as_uri()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "has no portfolio.json"),
        (["--against", str(FRONT)], "--against needs a portfolio"),
        (["--objectives", "1"], "2 to 6"),
        (["--seconds", "-1"], "--seconds"),
    ],
)
def test_palm_explore_refuses(no_screen, tmp_path, arguments, message):
    with pytest.raises((InputError, ArtifactError), match=message):
        palm("explore", "--no-open", *arguments)
    assert not list(tmp_path.iterdir())
