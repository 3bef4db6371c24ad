"""A run of the last commit before modules moved (``tests/stored/make.py``) is a run of today: nothing is trained or
sampled again."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.llm.app.chat import load_portfolio
from palm_theory import Portfolio, build_portfolio
from palm_theory.errors import BackendError
from tests.stored import make

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json", "palm_policy.json")


class Finished:
    """Workers that find every job done."""

    count = 1

    def run(self, job: Any, slots: Path) -> None:
        assert job.is_done, f"asked to {job.title} in {job.folder}"

    def stop(self) -> None:
        """Nothing runs."""


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The stored portfolio.json; the working folder is a copy of the stored one. Paths in it are relative."""
    folder = shutil.copytree(make.HERE / "llm", tmp_path / "llm")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "a_stored_reward", raising=False)
    return json.loads(Path("portfolio/portfolio.json").read_text())


def check_same(portfolio: Portfolio, folder: Path, stored: dict[str, Any]) -> None:
    written = json.loads((folder / "portfolio.json").read_text())
    assert (written["fingerprint"], written["problem"]) == (stored["fingerprint"], stored["problem"])
    assert len(portfolio) == 3
    for member, entry, old in zip(portfolio, written["policies"], stored["policies"], strict=True):
        assert (member.label, list(member.weights)) == (old["label"], old["weights"])
        assert [entry["files"][name] for name in ADAPTER_FILES] == [old["files"][name] for name in ADAPTER_FILES]
        np.testing.assert_allclose(member.value.rewards, old["value"]["rewards"], rtol=1e-12)
        np.testing.assert_allclose(member.value.regularizer, old["value"]["regularizer"], rtol=1e-12)
    for name, number in stored["certificate"].items():
        if isinstance(number, float):
            assert written["certificate"][name] == pytest.approx(number, rel=1e-9), name
        elif name != "worst_weight":
            assert written["certificate"][name] == number, name


def test_a_stored_portfolio_of_adapters_loads_and_answers(stored: dict[str, Any]) -> None:
    backend = make.language_model(workers=Finished())
    portfolio = Portfolio.load("portfolio", backend)
    check_same(portfolio, Path("portfolio"), stored)
    for member in load_portfolio("portfolio"):
        assert member.policy.generate(["I like tea"], seed=0)[0][0].tokens > 0


def test_building_again_trains_and_samples_nothing(stored: dict[str, Any]) -> None:
    backend = make.language_model(workers=Finished())
    check_same(build_portfolio(backend, make.LLM_STRATEGY, path="portfolio"), Path("portfolio"), stored)


def test_a_killed_build_goes_on_from_its_journal(stored: dict[str, Any]) -> None:
    Path("portfolio/portfolio.json").unlink()
    shutil.rmtree("portfolio/policies")
    backend = make.language_model(workers=Finished())
    check_same(build_portfolio(backend, make.LLM_STRATEGY, path="portfolio"), Path("portfolio"), stored)


def test_a_new_portfolio_is_built_of_the_run_alone(stored: dict[str, Any]) -> None:
    shutil.rmtree("portfolio")
    backend = make.language_model(workers=Finished())
    check_same(build_portfolio(backend, make.LLM_STRATEGY, path="another"), Path("another"), stored)


def test_without_the_run_there_is_work_to_do(stored: dict[str, Any]) -> None:
    """Or the tests above would prove nothing."""
    shutil.rmtree("run")
    backend = make.language_model(workers=Finished())
    with pytest.raises(BackendError, match="asked to sample the base model"):
        build_portfolio(backend, make.LLM_STRATEGY, path="another")
