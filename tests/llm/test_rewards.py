"""Rewards: ranges, declared normalisers, and every way a reward function can be wrong."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.llm import Completion, Prompt, Reward, arithmetic_prompts
from backends.llm.model.loading import package_file
from backends.llm.rewards import built_in, resolve_reward, resolve_rewards, reward_parameters, score
from backends.llm.rewards.relevance import PACKAGE
from backends.llm.rewards.reward_model import _reward_model
from palm_theory.contract.normalizer import Normalizer
from palm_theory.errors import BackendError, InputError

from .tolerance import assert_equal_but_for_rounding, rounding_error

LIMIT = 10


def test_brevity_counts_tokens_and_gives_nothing_to_empty_or_cut_off_replies():
    replies = [Completion("one two", 2), Completion("", 0), Completion("a b", 10, finished=False), Completion("x", 10)]
    assert score(resolve_reward("brevity", LIMIT), ["p"] * 4, replies, 1.0).tolist() == [0.8, 0, 0, 0]


def test_positivity_orders_sentiment():
    scores = score(resolve_reward("positivity", LIMIT), ["p"] * 3, ["I love it!", "", "I hate it."], 1.0)
    assert scores[0] > scores[1] > scores[2]
    assert scores[1] == 0.5


def test_safety_sees_profanity():
    clean, rude = score(resolve_reward("safety", LIMIT), ["p"] * 2, ["have a nice day", "fuck you, you idiot"], 1.0)
    assert clean > 0.8 > 0.3 > rude


def test_readability_prefers_plain_words():
    hard = "Notwithstanding multidimensional epistemological considerations, interpretations proliferate."
    plain, difficult, empty = score(resolve_reward("readability", LIMIT), ["p"] * 3, ["The cat sat.", hard, ""], 1.0)
    assert plain > difficult >= empty == 0


def test_relevance_is_higher_on_the_subject_and_zero_for_nothing():
    if package_file(PACKAGE, "model.safetensors") is None:
        pytest.skip(f"{PACKAGE} is not installed")
    reward = resolve_reward("relevance", LIMIT)
    prompt = "How do I make a cup of tea?"
    on, off, empty = score(reward, [prompt] * 3, ["Pour hot water on tea leaves.", "Stars are far away.", " "], 1.0)
    assert on > 0.4 > off >= 0 == empty


def test_correctness_needs_an_answer_and_checks_it():
    reward = resolve_reward("correctness", LIMIT)
    prompt = Prompt("What is 2 + 2?", "4")
    assert score(reward, [prompt] * 2, ["It is 4.", "It is 5."], 1.0).tolist() == [1, 0]
    with pytest.raises(InputError, match="needs prompts with an answer"):
        score(reward, ["What is 2 + 2?"], ["4"], 1.0)


def test_generated_arithmetic_is_solved_by_its_own_answers():
    prompts = arithmetic_prompts(5, seed=3)
    assert arithmetic_prompts(5, seed=3) == prompts
    answers = [f"The answer is {prompt.answer}" for prompt in prompts]
    assert score(resolve_reward("correctness", LIMIT), prompts, answers, 1.0).tolist() == [1] * 5
    with pytest.raises(InputError, match="cannot make the task"):
        arithmetic_prompts(1, task="no such task")


@dataclass(frozen=True)
class Gives:
    """A measure that returns what it was given."""

    measured: tuple[Any, ...]

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[Any]:
        return list(self.measured)


def raises(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    return [1 / 0]


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (Gives((math.nan, math.nan)), "gave nan"),
        (Gives((math.inf, math.inf)), "gave inf"),
        (Gives((0.5,)), "returned 1 values for 2 completions"),
        (Gives((0.5, 1.5)), r"gave 1.5 .*must lie in \[0, 1.0\]; prompt: 'ask'; completion: 'second'"),
        (Gives((-0.1, 0.5)), "completion: 'first'"),
        (Gives((0.5, None)), "reward 'mine'"),
        (raises, "raised ZeroDivisionError"),
    ],
)
def test_a_wrong_reward_stops_with_its_name_and_the_text(measure, message: str):
    with pytest.raises(BackendError, match="reward 'mine'") as caught:
        score(Reward("mine", measure), ["ask", "ask"], ["first", "second"], 1.0)
    assert re.search(message, str(caught.value))


def test_normalisers_map_measurements_and_are_described():
    reward = Reward("stars", Gives((1.0, 5.0)), Normalizer(0.25, -0.25))
    assert score(reward, ["p"] * 2, ["a", "b"], 1.0).tolist() == [0, 1]
    assert reward_parameters(reward)["normalizer"] == {"scale": 0.25, "offset": -0.25}


def test_names_are_resolved_or_refused():
    assert set(built_in(LIMIT)) >= {"brevity", "relevance", "positivity", "safety", "readability", "correctness"}
    assert resolve_reward("math:hypot", LIMIT).name == "hypot"
    assert resolve_reward("judge=some/model", LIMIT).name == "judge"
    with pytest.raises(InputError, match="unknown reward 'kindness'; the built-in ones are brevity"):
        resolve_reward("kindness", LIMIT)
    with pytest.raises(InputError, match="cannot be imported"):
        resolve_reward("math:no_such_function", LIMIT)
    with pytest.raises(InputError, match="'brevity' occurs 2 times"):
        resolve_rewards(["brevity", "brevity"], LIMIT)
    with pytest.raises(InputError, match="one or more rewards"):
        resolve_rewards([], LIMIT)


def test_prompts_completions_and_built_in_rewards_pickle():
    completion, prompt = Completion("text", 3, finished=False), Prompt("ask", "7")
    again = pickle.loads(pickle.dumps([completion, prompt]))
    assert again == [completion, prompt]
    assert (again[0].tokens, again[0].finished, again[1].answer) == (3, False, "7")
    rewards = resolve_rewards(list(built_in(LIMIT)), LIMIT)
    assert pickle.loads(pickle.dumps(rewards)) == rewards


def test_a_reward_model_scores_in_the_unit_interval(tiny_model: Path, tmp_path: Path):
    import torch
    from transformers import AutoConfig, AutoTokenizer, LlamaForSequenceClassification

    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(tiny_model, num_labels=1)
    LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    reward = resolve_reward(f"helpful={tmp_path}", LIMIT)
    prompts, replies = ["I like tea"] * 3, ["good", "bad", "the cat is happy"]
    scores = score(reward, prompts, replies, 1.0)
    assert np.all((scores > 0) & (scores < 1))
    assert len(set(scores.tolist())) == 3
    alone = [score(reward, [p], [r], 1.0)[0] for p, r in zip(prompts, replies, strict=True)]
    _, classifier = _reward_model(str(tmp_path))
    error = rounding_error(classifier, lambda: [torch.tensor(score(reward, prompts, replies, 1.0))])
    assert_equal_but_for_rounding([torch.tensor(scores)], [torch.tensor(alone)], error)


def test_a_reward_model_that_does_not_load_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"reward model .* cannot be loaded"):
        score(resolve_reward(f"helpful={tmp_path}", LIMIT), ["p"], ["c"], 1.0)
