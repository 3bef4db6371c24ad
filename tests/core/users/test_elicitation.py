"""Elicitation: the choice it makes, the questions it asks, when it stops, its command."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from backends.bandit import BanditBackend
from backends.table import TableBackend
from palm_theory import Adaptive, Portfolio, build_portfolio
from palm_theory.cli.app import app
from palm_theory.contract.normalizer import Normalizer
from palm_theory.errors import InputError
from palm_theory.users.candidates import read_candidates, write_candidates
from palm_theory.users.elicitation import Candidate, Elicitation, Reason, decide
from palm_theory.users.preference import Comparison, logistic
from tests.helpers.instances import rng_of, seeds


def made(d: int = 3, seed: int = 0, epsilon: float = 0.02) -> Portfolio:
    return build_portfolio(BanditBackend(rng_of(seed).random((4, 8, d)), beta=0.05), Adaptive(epsilon), progress=False)


@pytest.fixture(scope="module")
def portfolio() -> Portfolio:
    return made()


@given(seed=seeds, d=st.integers(1, 4), n=st.integers(0, 6))
@settings(max_examples=20)
def test_the_policy_chosen_is_the_bayes_choice_and_regret_its_expected_loss(seed, d, n):
    rng = rng_of(seed)
    portfolio = build_portfolio(TableBackend(rng.random((6, d))), Adaptive(0.0), progress=False)
    elicitation = Elicitation.of(portfolio, samples=256)
    comparisons = [Comparison(*rng.random((2, d)), preferred=float(rng.integers(2))) for _ in range(n)]
    belief = elicitation.belief(comparisons)
    decision = decide(portfolio.vertex_values, belief)
    table = belief.weights @ portfolio.vertex_values.T
    losses = belief.masses @ (table.max(axis=1, keepdims=True) - table)
    assert losses[decision.policy] == pytest.approx(losses.min(), abs=1e-12)
    assert decision.regret == pytest.approx(losses.min(), abs=1e-12)
    assert decision.policy == portfolio.select(decision.weights.tolist()).index
    # The Jensen gap of the envelope.
    gap = belief.masses @ table.max(axis=1) - (portfolio.vertex_values @ decision.weights).max()
    assert decision.regret == pytest.approx(gap, abs=1e-12)


def test_the_expected_reduction_is_that_of_asking(portfolio):
    elicitation = Elicitation.of(portfolio, samples=1024)
    belief = elicitation.belief([])
    pairs = elicitation.pairs()[:5]
    scores = elicitation.scores(belief, pairs)
    before = elicitation.decide(belief).regret
    rewards = portfolio.rewards
    for (i, j), (reduction, information) in zip(pairs, scores, strict=True):
        p = logistic(belief.weights @ (rewards[i] - rewards[j]) / elicitation.model.temperature)
        after = 0.0
        for likelihood in (p, 1 - p):
            masses = belief.masses * likelihood
            share = masses.sum()
            table = belief.weights @ portfolio.vertex_values.T
            after += share * ((masses / share) @ table.max(axis=1) - ((masses / share) @ table).max())
        assert reduction == pytest.approx(before - after, abs=1.2e-2 * portfolio.reward_max)
        assert 0 <= information <= math.log(2) + 1e-12


def test_state_is_a_function_of_the_comparisons_and_json(portfolio):
    comparisons = [Comparison(portfolio.rewards[0], portfolio.rewards[1], 1)]
    states = [Elicitation.of(portfolio, samples=512).state(comparisons) for _ in range(2)]
    assert json.dumps(states[0], allow_nan=False) == json.dumps(states[1], allow_nan=False)


def test_it_ends_with_a_good_policy_in_fewer_answers_than_resolving_the_weights(portfolio):
    elicitation = Elicitation.of(portfolio, samples=1024, epsilon=0.02, temperature=0.02)
    regrets = []
    for seed in range(4):
        rng = rng_of(seed)
        weights = rng.dirichlet(np.ones(3))
        comparisons: list[Comparison] = []
        while True:
            belief = elicitation.belief(comparisons)
            reason = elicitation.reason_to_stop(comparisons, elicitation.decide(belief))
            pair = elicitation.next_pair(comparisons, belief)
            if reason is not None or pair is None:
                break
            difference = np.subtract(elicitation.candidates[pair[0]].rewards, elicitation.candidates[pair[1]].rewards)
            comparisons.append(elicitation.comparison(pair, "first" if difference @ weights > 0 else "second"))
        assert reason is Reason.REGRET
        chosen = elicitation.decide(belief)
        best = (portfolio.vertex_values @ weights).max()
        regrets.append(1 - portfolio.vertex_values[chosen.policy] @ weights / best)
        # The weights themselves are still wide open.
        assert belief.masses @ np.abs(belief.weights - belief.mean).sum(axis=1) > 0.02
    assert np.mean(regrets) < 0.04


def test_only_different_answers_to_one_prompt_are_compared_and_none_twice(portfolio):
    shown = [
        Candidate("a", (0.1, 0.2, 0.3), prompt="x"),
        Candidate("b", (0.3, 0.2, 0.1), prompt="x"),
        Candidate("a again", (0.1, 0.2, 0.3), prompt="x"),
        Candidate("c", (0.9, 0.2, 0.3), prompt="y"),
    ]
    elicitation = Elicitation.of(portfolio, shown, samples=256, epsilon=1e-9)
    assert elicitation.pairs() == [(0, 1)]
    comparison = elicitation.answer([], 1, "equal")
    assert comparison.prompt == "x"
    state = elicitation.state([comparison])
    assert (state["done"], state["question"], state["reason"]) == (True, None, Reason.PAIRS.value)
    with pytest.raises(InputError, match="no question is open"):
        elicitation.answer([comparison], 2, "first")


def test_a_limit_of_questions_is_kept(portfolio):
    elicitation = Elicitation.of(portfolio, max_questions=0, epsilon=1e-9, samples=256)
    assert elicitation.state([])["reason"] == Reason.QUESTIONS.value


def test_one_policy_needs_no_question():
    portfolio = build_portfolio(TableBackend([[0.5, 0.5]]), Adaptive(0.0), progress=False)
    state = Elicitation.of(portfolio, samples=64).state([])
    assert state["reason"] == Reason.REGRET.value
    assert state["result"]["expected_regret"] == 0


def test_measurements_are_shown_and_taken_in_their_own_unit(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"quality": [0.9, 0.5, 0.2], "latency": [300.0, 120.0, 40.0]})
    portfolio = build_portfolio(
        TableBackend(frame, objectives=["quality"], minimize=["latency"], normalization="minmax"),
        Adaptive(0.0),
        progress=False,
    )
    question = Elicitation.of(portfolio, samples=256, epsilon=1e-9).state([])["question"]
    for side in (question["first"], question["second"]):
        row = portfolio[int(side["name"][1:])].policy
        assert side["measurements"]["latency"] == pytest.approx(frame["latency"][row])
    candidate = Candidate.measured("x", [0.9, 40.0], portfolio.normalizers)
    assert candidate.rewards == pytest.approx((1.0, 1.0))
    path = tmp_path / "answers.jsonl"
    line = {"name": "x", "text": "t", "measurements": {"quality": 0.9, "latency": 40.0}}
    path.write_text(json.dumps(line) + "\n")
    (read,) = read_candidates(path, portfolio)
    assert read.rewards == candidate.rewards
    write_candidates(path, [read], portfolio.objectives)
    assert read_candidates(path, portfolio) == (read,)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", 'line 1: needs an object with a "name"'),
        ("nonsense", "line 1"),
        ('{"name": "x", "rewards": {"r1": 1}}', "needs a number for each of r1, r2, r3"),
        ('{"name": "x"}', "needs either"),
        ("", "holds no answer"),
    ],
)
def test_bad_answers_files_are_refused(portfolio, tmp_path, line, message):
    (tmp_path / "a.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=message):
        read_candidates(tmp_path / "a.jsonl", portfolio)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0}, "epsilon must lie"),
        ({"max_questions": -1}, "max_questions must be"),
        ({"temperature": 0}, "temperature must be"),
        ({"candidates": [Candidate("x", (1.0,))]}, "'x' needs 3 finite rewards"),
        ({"candidates": [Candidate("x", (1.0, 2.0, math.inf))]}, "'x' needs 3 finite rewards"),
    ],
)
def test_bad_options_are_refused(portfolio, options, message):
    with pytest.raises(InputError, match=message):
        Elicitation.of(portfolio, **options)


def test_candidates_need_all_measurements():
    with pytest.raises(InputError, match="needs 2 measurements"):
        Candidate.measured("x", [1.0], [Normalizer(), Normalizer()])


def palm(*arguments: str, answers: str = "", expect: int = 0) -> Result:
    """The command in this process: as ``palm_theory.cli.app.main`` runs it, but for how errors are printed."""
    result = CliRunner().invoke(app, list(arguments), input=answers)
    refused = isinstance(result.exception, InputError)
    assert (2 if refused else result.exit_code) == expect, (result.output, result.exception)
    return result


def test_the_command_says_where_no_question_was_needed(tmp_path):
    (tmp_path / "scores.csv").write_text("name,speed,quality\na,1,0.0\nb,0.0,1\nc,0.999,0.999\n")
    folder, store = str(tmp_path / "portfolio"), tmp_path / "profiles.sqlite"
    palm("build", "table", str(tmp_path / "scores.csv"), "--name", "name", "--out", folder)
    said = palm("elicit", folder, "--user", "ada", "--profiles", str(store)).stdout
    assert "no question was needed" in said
    assert "no profiles" in palm("profile", "list", str(store)).stdout
    assert store.stat().st_mode & 0o077 == 0


def test_the_command_asks_takes_back_quits_and_goes_on(tmp_path):
    scores = tmp_path / "scores.csv"
    scores.write_text("name,speed,quality\n" + "".join(f"m{k},{k},{round(10 - 0.1 * k * k, 3)}\n" for k in range(11)))
    folder, store = str(tmp_path / "portfolio"), str(tmp_path / "profiles.sqlite")
    palm("build", "table", str(scores), "--name", "name", "--epsilon", "0.001", "--out", folder)
    common = ("elicit", folder, "--user", "ada", "--profiles", store, "--epsilon", "0.0001")
    first = palm(*common, answers="1\nwhat\nu\n2\n=\nq\n")
    assert "1 the left one" in first.stdout
    assert "after 2 answers: stopped" in first.stdout
    second = json.loads(palm(*common, "--json", answers="1\n").stdout)
    assert second["answered"] == 3
    exported = json.loads(palm("profile", "export", store, "ada").stdout)
    assert [c["preferred"] for c in exported["comparisons"]] == [0.0, 0.5, 1.0]
    assert exported["weights"] == list(second["result"]["weights"].values())
    assert [p["user"] for p in json.loads(palm("profile", "list", store, "--json").stdout)] == ["ada"]
    assert "deleted ada" in palm("profile", "delete", store, "ada").stdout
    assert "no profile of 'ada'" in str(palm("profile", "export", store, "ada", expect=2).exception)
    assert "does not exist" in str(palm("profile", "list", store + "x", expect=2).exception)
