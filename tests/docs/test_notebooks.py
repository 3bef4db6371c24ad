"""The notebooks run from end to end without a browser, and what they show is what they say."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.helpers import ROOT

# Not imported here: where marimo is loaded, transformers takes the process for a notebook and asks for IPython.
pytestmark = pytest.mark.skipif(importlib.util.find_spec("marimo") is None, reason="the docs extra is not installed")
FOLDER = ROOT / "notebooks"


@pytest.fixture
def run(monkeypatch):
    """Run a notebook's cells and return what they define; keyword arguments set its sliders."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("MPLBACKEND", "agg")

    def run_notebook(name: str, **sliders: float) -> dict[str, Any]:
        app = runpy.run_path(str(FOLDER / f"{name}.py"))["app"]
        _, defined = app.run(defs={key: SimpleNamespace(value=value) for key, value in sliders.items()})
        return dict(defined)

    yield run_notebook
    sys.modules.pop("drawing", None)
    import matplotlib.pyplot as plt

    plt.close("all")


def test_every_notebook_is_named_in_the_docs():
    page = (ROOT / "docs" / "notebooks.md").read_text("utf-8")
    for path in FOLDER.glob("*.py"):
        if path.stem != "drawing":
            assert f"`notebooks/{path.name}`" in page


@pytest.mark.parametrize(("mu", "alpha"), [(0.5, 0.1), (1.0, 0.25)])
def test_covering_keeps_the_promise_it_shows(run, mu, alpha):
    shown = run("covering", mu=mu, alpha=alpha)
    assert shown["shown"] == len(shown["cover"]) == shown["grid"].size(3)
    assert shown["promised"] <= shown["served"] <= shown["optimum"] + 1e-12


@pytest.mark.parametrize("beta", [0.02, 1.0])
def test_tradeoffs_show_no_loss_above_the_certificate(run, beta):
    shown = run("tradeoffs", mu=0.5, alpha=0.05, beta=beta)
    for loss, portfolio in ((shown["loss_grid"], shown["grid"]), (shown["loss_adaptive"], shown["adaptive"])):
        assert loss.min() > -1e-12
        assert loss.max() <= portfolio.certificate.additive_gap + 1e-12
    sharper = shown["sharper"]
    assert (shown["loss_grid"] <= sharper.epsilon * shown["optimum"] + sharper.delta).all()
    assert shown["paper"].delta > sharper.delta


def test_adaptive_is_the_construction_and_its_bound_never_rises(run):
    shown = run("adaptive")
    for frames, backend, target in (
        (shown["frames_two"], shown["two"], 0.002),
        (shown["frames_three"], shown["three"], 0.02),
    ):
        gaps = np.array([frame["gap"] for frame in frames])
        assert (np.diff(gaps) <= 1e-12).all()
        assert gaps[-1] <= target < gaps[-2]
        weights = np.random.default_rng(0).dirichlet(np.ones(len(backend.objectives)), 100)
        reached = (weights @ frames[-1]["policies"].T).max(axis=1)
        optimum = np.array([backend.optimal_value(row) for row in weights])
        assert (reached >= (1 - target) * optimum - 1e-12).all()
    last = len(shown["frames_three"]) - 1
    assert len(shown["draw_two"](last).axes) == len(shown["draw_three"](last).axes) == 1


def test_broken_breaks_what_it_says(run):
    shown = run("broken", stop=0.2, scale=4.0)
    assert shown["liar"].certificate.epsilon < shown["truth"].epsilon <= shown["honest"].certificate.epsilon
    assert shown["wrong"] < shown["measured"] <= shown["right"]
    assert all(seen <= known for seen, known in zip(shown["seen"], shown["known"], strict=True))


def test_nothing_is_broken_where_the_hypotheses_hold(run):
    shown = run("broken", stop=0.0, scale=1.0)
    assert shown["truth"].epsilon <= shown["liar"].certificate.epsilon
    assert shown["measured"] <= shown["wrong"] == shown["right"]
