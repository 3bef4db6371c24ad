"""Elicitation from real answers of language-model policies, and one adapter more."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backends.llm import Training
from backends.llm.rewards import resolve_reward, score
from palm_theory import Portfolio, UniformGrid, build_portfolio
from palm_theory.cli.app import app
from palm_theory.errors import InputError
from palm_theory.users.candidates import read_candidates


def test_policies_answer_and_a_user_chooses_between_the_answers(make_backend, tmp_path: Path):
    training = Training(steps=1, prompts_per_step=2, generations=2, lora_rank=2)
    backend = make_backend(training=training, rewards=["brevity", "positivity"])
    folder, kept = tmp_path / "portfolio", tmp_path / "answers.jsonl"
    built = build_portfolio(backend, UniformGrid(1), path=folder)
    command = ["elicit", str(folder), "--answers", str(kept), "--prompts", "2", "--epsilon", "0.000001", "--json"]
    first = CliRunner().invoke(app, command, input="1\nq\n")
    assert first.exit_code == 0, first.output
    state = json.loads(first.stdout)
    answers = read_candidates(kept, built)
    assert len(answers) == 2 * len(built)
    assert {answer.prompt for answer in answers} == {"is the sun good", "I hate rain"}
    positivity = built.objectives.index("positivity")
    prompts, texts = [str(a.prompt) for a in answers], [str(a.text) for a in answers]
    expected = score(resolve_reward("positivity", 8), prompts, texts, built.reward_max)
    np.testing.assert_allclose([a.rewards[positivity] for a in answers], expected)
    # The second run reads the answers and asks the same.
    again = json.loads(CliRunner().invoke(app, command, input="1\nq\n").stdout)
    assert again == state

    extended = Portfolio.load(folder, backend).extend(backend, np.array([0.5, 0.5]))
    extended.save(folder, backend)
    assert len(Portfolio.load(folder, backend)) == len(extended)
    refused = CliRunner().invoke(app, ["extend", "llm", str(folder), "--weights", "0.5,0.5", "--beta", "0.7"])
    assert isinstance(refused.exception, InputError)
    assert "not the problem" in str(refused.exception)


def test_prompts_are_for_language_models(tmp_path: Path):
    scores = tmp_path / "scores.csv"
    scores.write_text("a,b\n1,0\n0,1\n")
    CliRunner().invoke(app, ["build", "table", str(scores), "--out", str(tmp_path / "p")])
    with pytest.raises(InputError, match="only language models answer prompts"):
        CliRunner().invoke(app, ["elicit", str(tmp_path / "p"), "--prompt", "why?"], catch_exceptions=False)
