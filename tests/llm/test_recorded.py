"""Recorded answers: found by the values they give, prompts from the portfolio itself."""

from __future__ import annotations

import math

import numpy as np

from backends.llm.app.recorded import recorded_answers
from backends.llm.measure.evaluation import Measured, save_measured
from palm_theory import Certificate, Kind, Member, Portfolio
from palm_theory.contract.declarations import Declarations
from palm_theory.explorer.data import page_data

PROMPTS = ["Why?", "Who are you?", "When?"]


def measured(seed: int, *, base: bool = False) -> Measured:
    rng = np.random.default_rng(seed)
    divergence = np.zeros(3) if base else rng.random(3)
    return Measured(rng.random((3, 2)), divergence, None, 0.05, tuple(f"{seed}: {prompt}" for prompt in PROMPTS))


def portfolio(policies: list[Measured]) -> Portfolio:
    parameters = {"held_out": [[prompt, None] for prompt in PROMPTS], "beta": 0.05}
    return Portfolio(
        declarations=Declarations(("brevity", "positivity"), reward_max=1.0, regularizer_max=None),
        members=tuple(Member(k, f"adapter {k}", None, m.value(), np.eye(2)[k % 2]) for k, m in enumerate(policies)),
        certificate=Certificate(math.inf, 0.0, None, Kind.UNKNOWN, confidence=0.0),
        problem={"backend": "backends.llm.backend.LLMBackend", "parameters": parameters},
        fingerprint="",
    )


def test_answers_are_those_of_the_policies_with_these_values(tmp_path):
    policies = [measured(0), measured(1), measured(2)]
    for name, one in {"b": policies[0], "a": policies[1], "other": measured(7), "base": measured(3, base=True)}.items():
        (tmp_path / "evaluations" / name).mkdir(parents=True)
        save_measured(one, tmp_path / "evaluations" / name / "measured.json")
    (tmp_path / "evaluations" / "torn").mkdir()
    (tmp_path / "evaluations" / "torn" / "measured.json").write_text("{")
    loaded = portfolio(policies)
    found = recorded_answers(loaded, tmp_path)
    assert found == {
        "prompts": PROMPTS,
        "replies": [list(policies[0].replies), list(policies[1].replies), None],
        "base": list(measured(3, base=True).replies),
    }
    data = page_data(loaded, answers=found, budget=0.1)
    assert data["beta"] == 0.05
    assert data["policies"][0]["rewards_stderr"] == loaded[0].value.rewards_stderr.tolist()
    assert data["answers"] == found


def test_where_nothing_was_recorded_there_are_no_answers(tmp_path):
    assert recorded_answers(portfolio([measured(0)]), tmp_path) is None
