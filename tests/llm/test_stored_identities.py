"""What stored runs of language models know their parts by, as it was when the first of them were written.

A value here changes only together with every adapter, evaluation and sample that people have, so never because code
moves. No model is loaded: a folder is known by its files, whatever they hold.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.llm import (
    Adapter,
    Chat,
    DecodingMixture,
    Evaluation,
    GibbsResampling,
    LLMBackend,
    LLMPolicy,
    Planning,
    Reference,
    Reward,
    Training,
    bundled_held_out,
    bundled_prompts,
)
from backends.llm.policies import load_policy, policy_digest, save_policy
from backends.llm.rewards import built_in, resolve_reward, reward_parameters
from backends.llm.rewards.reward_model import RewardModel
from backends.llm.settings import to_plain
from palm_theory.contract.problem import problem_description, problem_fingerprint
from palm_theory.files import canonical_json, sha256

OWN_FILE = """\
from dataclasses import dataclass


def shortness(prompts, completions, scale=0.5):
    return [scale / (1 + len(text)) for text in completions]


@dataclass(frozen=True)
class Contains:
    word: str
    weight: float = 0.25

    def __call__(self, prompts, completions):
        return [self.weight * (self.word in text) for text in completions]


class Named:
    def identity(self):
        return {"version": 3}

    def __call__(self, prompts, completions):
        return [0.5] * len(completions)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with folders that stand for a model, a reward model and two adapters: paths, which are part
    of an identity, are relative to it."""
    monkeypatch.chdir(tmp_path)
    for name in ("model", "judge"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(f'{{"name": "{name}"}}')
    for number, name in enumerate(("first", "second")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_model.safetensors").write_bytes(b"weights" * (number + 1))
        config = {"base_model_name_or_path": "model", "r": 4, "target_modules": ["v", "q"], "peft_version": "any"}
        (tmp_path / name / "adapter_config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the user's own, with three rewards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "a_stored_reward", raising=False)
    (tmp_path / "a_stored_reward.py").write_text(OWN_FILE)
    return importlib.import_module("a_stored_reward")


def small_backend(folder: Path, **changes: Any) -> LLMBackend:
    arguments: dict[str, Any] = {
        "model": "model",
        "rewards": ["brevity", "positivity"],
        "beta": 0.125,
        "prompts": ["I like tea", "the cat is happy"],
        "held_out": ["the rain is bad", "is the sun good"],
        "training": Training(steps=4, prompts_per_step=2, generations=4),
        "evaluation": Evaluation(2, 4),
        "planning": Planning(2, 8),
        "system_prompt": None,
        "max_new_tokens": 8,
        "dtype": "float32",
        "batch_size": 16,
        "seed": 7,
        "folder": folder,
    }
    return LLMBackend(**{**arguments, **changes})


def one_of_each() -> dict[str, LLMPolicy]:
    chat = Chat("model", None, 8, "float32", 16)
    rewards = (resolve_reward("brevity", 8), resolve_reward("positivity", 8))
    return {
        "adapter": Adapter(chat, "first", "brevity 1.00"),
        "reference": Reference(chat),
        "decoding mixture": DecodingMixture(chat, ("first", "second"), (0.25, 0.75)),
        "gibbs resampling": GibbsResampling(chat, rewards, (0.5, 0.5), 0.125, 4),
    }


def installed(path: str) -> dict[str, str]:
    return {"function": f"backends.llm.rewards.{path}", "source": "installed"}


def reward_model(model: str, content: str | None, center: float = 0.0, spread: float = 1.0) -> dict[str, Any]:
    settings = [
        ['"batch_size"', 8],
        ['"center"', center],
        ['"content"', content],
        ['"max_tokens"', 1024],
        ['"model"', model],
        ['"spread"', spread],
    ]
    return {"class": "backends.llm.rewards.reward_model.RewardModel", "identity": {"mapping": settings}}


JUDGE = "ab1a443daeeb649273fc41d1cc255ccc754d127b93cb6a9c18172833203cc6a8"
OWN_SOURCE = "7edb39efc3b409d2dd250d0947944623744f21ccb62b78bf37c58061cdeda6fc"
BREVITY = {
    "class": "backends.llm.rewards.brevity.TokenCount",
    "source": "installed",
    "attributes": "574d000db5e37baa2d72c52d64ecf5a0153aed3e6111f045cf22e14b75252cd3",
}
POSITIVITY = installed("positivity.compound_sentiment")

NAMED_REWARDS: list[tuple[str, str, Any, float, float]] = [
    ("brevity", "brevity", BREVITY, -0.125, 1.0),
    ("relevance", "relevance", installed("relevance.cosine_similarity"), 1.0, 0.0),
    ("positivity", "positivity", POSITIVITY, 0.5, 0.5),
    ("safety", "safety", installed("safety.profanity_probability"), -1.0, 1.0),
    ("readability", "readability", installed("readability.grade_level"), -1 / 18, 1.0),
    ("correctness", "correctness", installed("correctness.is_correct"), 1.0, 0.0),
    ("helpful=judge", "helpful", reward_model("judge", JUDGE), 1.0, 0.0),
    ("helpful=some/model", "helpful", reward_model("some/model", None), 1.0, 0.0),
]


def known_as(reward: Reward) -> Any:
    """As it stands in a file."""
    return json.loads(canonical_json(dict(reward_parameters(reward))))


@pytest.mark.parametrize(
    ("word", "name", "measure", "scale", "offset"), NAMED_REWARDS, ids=lambda value: str(value)[:20]
)
def test_a_reward_by_name_is_known_the_same(
    word: str, name: str, measure: Any, scale: float, offset: float, here: Path
) -> None:
    expected = {"name": name, "measure": measure, "normalizer": {"scale": scale, "offset": offset}}
    assert known_as(resolve_reward(word, 8)) == expected


def test_every_built_in_reward_is_pinned() -> None:
    assert set(built_in(8)) == {word for word, *_ in NAMED_REWARDS if "=" not in word}


def test_a_reward_model_is_known_by_its_settings_and_files(here: Path) -> None:
    reward = Reward("judged", RewardModel("judge", 0.5, 2.0))
    assert known_as(reward)["measure"] == reward_model("judge", JUDGE, 0.5, 2.0)


def test_rewards_of_ones_own_are_known_the_same(own: Any) -> None:
    identity = {"scale": 1.0, "offset": 0.0}
    function = {"function": "a_stored_reward.shortness", "source": OWN_SOURCE, "defaults": [[0.5], None]}
    assert known_as(resolve_reward("a_stored_reward:shortness", 8)) == {
        "name": "shortness",
        "measure": function,
        "normalizer": identity,
    }
    contains = {
        "class": "a_stored_reward.Contains",
        "source": OWN_SOURCE,
        "attributes": "62a00d34224e7e8a571342d4014f992df57b12833cb748154bf5a09ecf8b3345",
    }
    assert known_as(resolve_reward(own.Contains("tea"), 8)) == {
        "name": "Contains",
        "measure": contains,
        "normalizer": identity,
    }
    named = {"class": "a_stored_reward.Named", "identity": {"mapping": [['"version"', 3]]}}
    assert known_as(Reward("named", own.Named()))["measure"] == named


CHAT = {"model": "model", "system_prompt": None, "max_new_tokens": 8, "dtype": "float32", "batch_size": 16}
TRAINING = {
    "algorithm": "grpo",
    "steps": 10,
    "learning_rate": 0.001,
    "schedule": "constant",
    "prompts_per_step": 4,
    "generations": 6,
    "micro_batch": None,
    "lora_rank": 16,
    "lora_alpha": 32,
    "checkpoint_every": 5,
    "gradient_checkpointing": False,
    "plan_steps": 0,
    "plan_learning_rate": 0.0005,
    "vllm": "off",
    "vllm_memory": 0.3,
}


def test_settings_are_written_the_same() -> None:
    assert to_plain(Chat("model", None, 8, "float32", 16)) == CHAT
    assert to_plain(Training()) == TRAINING
    assert to_plain(Evaluation()) == {"generations": 2, "base_generations": 6}
    assert to_plain(Planning()) == {"prompts": 20, "samples": 64}


def test_a_problem_is_described_the_same(here: Path) -> None:
    problem = small_backend(here).problem
    common = {
        "chat": CHAT,
        "model": "fa67ae8c13225b23df4d38baad08c7851b80231baef92f36dff03f8d5ed15dba",
        "rewards": [
            {"name": "brevity", "measure": BREVITY, "normalizer": {"scale": -0.125, "offset": 1.0}},
            {"name": "positivity", "measure": POSITIVITY, "normalizer": {"scale": 0.5, "offset": 0.5}},
        ],
        "reward_max": 1.0,
        "beta": 0.125,
        "seed": 7,
    }
    prompts = [["I like tea", None], ["the cat is happy", None]]
    held_out = [["the rain is bad", None], ["is the sun good", None]]
    training = {**TRAINING, "steps": 4, "prompts_per_step": 2, "generations": 4}
    evaluation = {"generations": 2, "base_generations": 4}
    assert problem.describe_policies() == {**common, "prompts": prompts, "training": training}
    assert problem.describe_evaluation() == {**common, "held_out": held_out, "evaluation": evaluation}
    assert problem.describe_planning() == {**common, "prompts": prompts, "samples": 8}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "2a8228228a1e55e402888080b3cf48cfeb193211ae48936d77c242e795b3c9f6"),
        ({"training": Training(plan_steps=2)}, "642536b1cefa4c8f90bcda40074b0f0d23ad237c24170512060ac14e52f7780c"),
    ],
    ids=["plain", "with planned steps"],
)
def test_a_backend_has_the_same_fingerprint(changes: dict[str, Any], expected: str, here: Path) -> None:
    backend = small_backend(here, **changes)
    assert problem_description(backend)["backend"] == "backends.llm.backend.LLMBackend"
    assert problem_fingerprint(backend) == expected


def test_all_other_rewards_give_the_same_fingerprint(here: Path, own: Any) -> None:
    named = ["relevance", "safety", "readability", "correctness", "helpful=judge"]
    backend = small_backend(here, rewards=[*named, own.shortness, own.Contains("tea")])
    assert problem_fingerprint(backend) == "148671b5ebe18605807ace90389ec26a63c943f29cd3b0cdc0c9cc27fbdde4ae"


@pytest.mark.parametrize(
    ("preset_name", "expected"),
    [
        ("default", "51fb6be2efd2eb17ac6ec08afb1fe1b18d1c81593657fff3b53717e9f5c2e4b2"),
        ("tiny", "46f8afbf8161fb80a6e2f2de1aacbf8f3c1b8cbee3ac42f57f82cb185b212d64"),
    ],
)
def test_the_defaults_have_the_same_fingerprint(preset_name: str, expected: str, here: Path) -> None:
    """But for the dtype, which is the machine's."""
    assert problem_fingerprint(LLMBackend(preset_name=preset_name, dtype="float32", folder=here)) == expected


def test_the_bundled_prompts_are_the_same() -> None:
    texts = canonical_json([bundled_prompts(), bundled_held_out()])
    assert sha256(texts.encode()) == "28dc98f1392c721c664436fdfbd8b7609713a73e9f9f564926a2218607d6ead8"


def test_trainings_are_looked_for_at_the_same_place_with_the_same_seed(here: Path) -> None:
    backend = small_backend(here)
    jobs = [backend.runs.training(np.array(weights)) for weights in ([1.0, 0.0], [0.5, 0.5])]
    assert [(str(job.folder.relative_to(here)), job.seed) for job in jobs] == [
        ("policies/8261c97196ebcf85", 1699541910),
        ("policies/ba3eb78c15663f30", 201918357),
    ]
    planned = small_backend(here, training=Training(plan_steps=2)).runs.training(np.array([1.0, 0.0]))
    assert planned.folder == here / "policies" / "815c83df796e3da0"
    assert planned.samples == here / "plans" / "9bcf98fb28d56a65"


def test_pools_are_looked_for_at_the_same_place_with_the_same_seed(here: Path) -> None:
    backend = small_backend(here)
    planning, held_out = backend.runs.planning_pool, backend.runs.held_out_pool
    assert (planning.folder, planning.seed) == (here / "plans" / "9bcf98fb28d56a65", 7)
    assert (held_out.folder, held_out.seed) == (here / "held-out" / "8302e15d01dda1f4", 500_007)


POLICIES = {
    "adapter": (
        "213e14efdf919d169ff63173129ee1221483f9c067e28bb28475c074e4157ec5",
        "9f6ff47a67f9cace",
        {"kind": "adapter", "name": "brevity 1.00"},
        ["adapter_config.json", "adapter_model.safetensors"],
    ),
    "reference": (
        "1b540010fb99a82a69297fb1d7b366dff3753ad09361559b4bc59103117b1531",
        "e725017749bb8fea",
        {"kind": "reference"},
        [],
    ),
    "decoding mixture": (
        "b008d678bab6528a459e5c04100c21cc6ded5b1efd0bd262510e658d2b8fd3ba",
        "13885941e4b7aee5",
        {"kind": "decoding mixture", "coefficients": [0.25, 0.75]},
        [
            "expert0/adapter_config.json",
            "expert0/adapter_model.safetensors",
            "expert1/adapter_config.json",
            "expert1/adapter_model.safetensors",
        ],
    ),
    "gibbs resampling": (
        "6d5d99fb248414d6673e3ddc4df38362ed16838292cf93be75aa2c1b30bedb6d",
        "abbce34587de52b9",
        {
            "kind": "gibbs resampling",
            "rewards": [
                {"name": "brevity", "measure": BREVITY, "normalizer": {"scale": -0.125, "offset": 1.0}},
                {"name": "positivity", "measure": POSITIVITY, "normalizer": {"scale": 0.5, "offset": 0.5}},
            ],
            "weights": [0.5, 0.5],
            "beta": 0.125,
            "samples": 4,
            "reward_max": 1.0,
        },
        [],
    ),
}


@pytest.mark.parametrize("kind", POLICIES)
def test_a_policy_is_saved_under_the_same_kind_and_known_by_the_same_digest(kind: str, here: Path) -> None:
    digest, evaluation, record, files = POLICIES[kind]
    policy = one_of_each()[kind]
    assert policy_digest(policy) == digest
    assert small_backend(here).runs.evaluation(policy).folder == here / "evaluations" / evaluation
    folder = here / "saved"
    folder.mkdir()
    save_policy(policy, folder)
    assert json.loads((folder / "palm_policy.json").read_text()) == {"chat": CHAT, **record}
    saved = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert saved == [*files, "palm_policy.json"]
    rewards = policy.rewards if isinstance(policy, GibbsResampling) else ()
    assert policy_digest(load_policy(folder, "model", rewards)) == digest
