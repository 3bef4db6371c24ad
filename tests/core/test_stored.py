"""Folders of the last commit before modules moved (``tests/stored/make.py``) are the folders of today."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.table import TableBackend
from palm_theory import PolicyBackend, Portfolio, build_portfolio
from tests.stored import make

KINDS = {"table": make.table, "bandit": make.bandit, "mdp": make.mdp}
ALL_SOLVES = 15


def solves_of(backend: PolicyBackend, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list that grows by the weights of every solve from now on."""
    asked: list[Any] = []
    kind, optimize = type(backend), type(backend).optimize

    def counted(self: Any, weights: Any) -> Any:
        asked.append(tuple(weights))
        return optimize(self, weights)

    monkeypatch.setattr(kind, "optimize", counted)
    return asked


def record(folder: Path) -> dict[str, Any]:
    """portfolio.json, but for which version wrote it."""
    data = json.loads((folder / "portfolio.json").read_text())
    del data["created_by"], data["sha256"]
    return data


@pytest.fixture
def copy(tmp_path: Path) -> Any:
    """A function that copies a stored folder, which is not to be changed."""
    return lambda name: Path(shutil.copytree(make.HERE / name, tmp_path / name))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_portfolio_loads(kind: str) -> None:
    backend = KINDS[kind]()
    portfolio = Portfolio.load(make.HERE / kind, backend)
    stored = record(make.HERE / kind)
    assert len(portfolio) == len(stored["policies"]) > 1
    assert portfolio.certificate.to_dict() == stored["certificate"]
    for member, entry in zip(portfolio, stored["policies"], strict=True):
        assert (member.name, member.label, list(member.weights)) == (entry["name"], entry["label"], entry["weights"])
        # The policy itself was read: it is worth what was written beside it.
        value = backend.evaluate(member.policy)
        np.testing.assert_allclose(value.rewards, entry["value"]["rewards"], rtol=1e-12)
        np.testing.assert_allclose(value.regularizer, entry["value"]["regularizer"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_portfolio_loads_without_its_backend_and_saves_the_same(kind: str, tmp_path: Path) -> None:
    portfolio = Portfolio.load(make.HERE / kind)
    portfolio.save(tmp_path / "saved", KINDS[kind]())
    again, stored = record(tmp_path / "saved"), record(make.HERE / kind)
    for data in (again, stored):
        for policy in data["policies"]:
            # Another zlib packs the same arrays into other bytes.
            policy["files"].pop("policy.npz", None)
    assert again == stored


@pytest.mark.parametrize("kind", KINDS)
def test_building_where_a_stored_journal_lies_solves_nothing(
    kind: str, copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, folder = KINDS[kind](), copy(kind)
    before = (folder / "journal.jsonl").read_bytes()
    asked = solves_of(backend, monkeypatch)
    portfolio = build_portfolio(backend, make.STRATEGY, path=folder)
    # An audit may solve corner weights by ``optimize`` too.
    assert set(asked).isdisjoint(tuple(json.loads(line)["entry"]["weights"]) for line in before.splitlines()[1:])
    assert (folder / "journal.jsonl").read_bytes() == before
    stored = record(make.HERE / kind)["policies"]
    assert [value.rewards.tolist() for value in portfolio.policy_values] == [p["value"]["rewards"] for p in stored]


def test_a_killed_build_is_resumed_and_gives_what_an_uninterrupted_one_gives(
    copy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy("killed")
    assert not (folder / "portfolio.json").exists()
    asked = solves_of(make.table(), monkeypatch)
    build_portfolio(make.table(), make.STRATEGY, path=folder)
    assert len(asked) == len(set(asked)) == ALL_SOLVES - make.KILLED_AFTER
    build_portfolio(make.table(), make.STRATEGY, path=tmp_path / "whole")
    assert len(asked) == ALL_SOLVES - make.KILLED_AFTER + ALL_SOLVES
    resumed, whole = ((path / "portfolio.json").read_bytes() for path in (folder, tmp_path / "whole"))
    assert resumed == whole
    # The stored one was not interrupted either, and a table's numbers are the same bits everywhere.
    assert record(folder) == record(make.HERE / "table")
    journals = [(path / "journal.jsonl").read_bytes() for path in (folder, make.HERE / "table")]
    assert journals[0] == journals[1]


def test_the_journal_of_another_table_is_refused(copy: Any) -> None:
    from palm_theory.errors import OtherProblemError

    other = TableBackend(np.eye(3), objectives=["speed", "price", "quality"])
    with pytest.raises(OtherProblemError, match="rewards"):
        build_portfolio(other, make.STRATEGY, path=copy("killed"))
