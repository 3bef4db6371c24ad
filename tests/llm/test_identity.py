"""Results are kept by what made them: two things that may differ never share a name."""

from __future__ import annotations

import functools
import importlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.llm.identity import folder_identity, identity, known_as
from backends.llm.policies import Adapter
from backends.llm.policies.store import policy_digest
from backends.llm.rewards import Reward, resolve_reward, reward_parameters
from backends.llm.settings import Chat
from palm_theory.errors import ArtifactError, InputError


def scaled(prompts: Sequence[str], completions: Sequence[str], k: float = 1.0) -> list[float]:
    return [k / 10] * len(completions)


def holding(data: Any, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    return [0.5] * len(completions)


def times(k: float) -> Callable[..., Any]:
    """A decorator with a setting."""

    def decorate(measure: Callable[..., list[float]]) -> Callable[..., list[float]]:
        @functools.wraps(measure)
        def changed(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
            return [k * x for x in measure(prompts, completions)]

        return changed

    return decorate


class Judge:
    """A measure with state, which loads something when it is first called."""

    def __init__(self, k: float) -> None:
        self.k = k
        self.loaded: Any = None

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        self.loaded = threading.Lock()
        return scaled(prompts, completions, self.k)

    def judge(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        return self(prompts, completions)


@dataclass(frozen=True)
class Named:
    k: float

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        return scaled(prompts, completions, self.k)


class Lexicon(dict[str, float]):
    pass


KINDS: dict[str, Callable[[float], Any]] = {
    "partial": lambda k: functools.partial(scaled, k=k),
    "decorated": lambda k: times(k)(scaled),
    "instance": Judge,
    "bound method": lambda k: Judge(k).judge,
    "dataclass": Named,
    "partial of an instance": lambda k: functools.partial(holding, Judge(k)),
    "partial of an array": lambda k: functools.partial(holding, np.full(3, k)),
    "partial of a mapping": lambda k: functools.partial(holding, Lexicon(a=k)),
    "partial of what is pickled": lambda k: functools.partial(holding, range(int(k))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_measures_with_other_settings_are_told_apart(kind: str):
    make = KINDS[kind]
    one, same, other = (reward_parameters(Reward("r", make(k))) for k in (1.0, 1.0, 9.0))
    assert json.dumps(one) == json.dumps(same)
    assert json.dumps(one) != json.dumps(other)


def test_what_holds_itself_is_told_by_the_rest():
    def recursive(k: float) -> Judge:
        judge = Judge(k)
        judge.loaded = [judge]
        return judge

    assert identity(recursive(1.0)) == identity(recursive(1.0))
    assert identity(recursive(1.0)) != identity(recursive(2.0))


def test_a_function_that_is_not_at_the_top_of_a_file_is_refused():
    """Its path does not tell it from others, and another process cannot import it."""

    def inner(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        return [0.5] * len(completions)

    typed: dict[str, Any] = {"__name__": "__console__"}
    exec("def mine(prompts, completions): return [0.5] * len(completions)", typed)
    for measure, path in (
        (lambda p, c: [0.1] * len(c), r"test_identity\..*<lambda>"),
        (inner, r"test_identity\..*inner"),
        (functools.partial(holding, inner), "inner"),
        (typed["mine"], "__console__.mine"),
    ):
        with pytest.raises(InputError, match=rf"'r' holds the function .*{path}, which is not at the top of a file"):
            Reward("r", measure)


def test_a_declared_word_stands_for_the_path():
    @known_as("where.it.was.Judge")
    class Moved(Judge):
        pass

    assert identity(Moved(1.0))["class"] == "where.it.was.Judge"
    assert identity(Judge(1.0))["class"].endswith("test_identity.Judge")


def test_tensors_are_told_apart_by_their_content():
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(2, 2)
    before = identity(layer)
    assert identity(layer) == before
    with torch.no_grad():
        layer.weight += 1
    assert identity(layer) != before
    assert identity(torch.zeros(2, dtype=torch.bfloat16)) != identity(torch.zeros(3, dtype=torch.bfloat16))


def test_a_measure_is_told_by_what_it_was_before_its_first_call():
    reward = Reward("r", Judge(1.0))
    before = json.dumps(reward_parameters(reward))
    reward.measure(["p"], ["c"])
    assert json.dumps(reward_parameters(reward)) == before


def test_an_edited_file_is_another_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "a_reward_of_mine.py"
    file.write_text("def mine(prompts, completions):\n    return [0.1] * len(completions)\n")
    before = reward_parameters(resolve_reward("a_reward_of_mine:mine", 8))
    file.write_text("def mine(prompts, completions):\n    return [0.95] * len(completions)\n")
    module = importlib.import_module("a_reward_of_mine")
    importlib.reload(module)
    assert reward_parameters(resolve_reward("a_reward_of_mine:mine", 8)) != before


def test_built_in_measures_do_not_depend_on_where_the_package_is():
    assert "installed" in json.dumps(reward_parameters(resolve_reward("positivity", 8)))


def test_what_cannot_be_told_apart_is_refused_with_a_way_out():
    judge = Judge(1.0)
    judge.loaded = threading.Lock()
    with pytest.raises(InputError, match=r"the reward 'r' holds a _thread.lock.*identity\(\)"):
        Reward("r", judge)
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(InputError, match="nested too deep"):
        identity(deep)

    class Saying(Judge):
        def identity(self) -> float:
            return self.k

    saying = Saying(2.0)
    saying.loaded = threading.Lock()
    assert Reward("r", saying).measured["identity"] == 2.0


def test_what_is_held_many_times_is_looked_at_once():
    held: Any = Judge(1.0)
    for _ in range(8):
        judge = Judge(2.0)
        judge.loaded = [held] * 10
        held = judge
    assert len(json.dumps(identity(held))) < 1000


def test_a_model_folder_is_told_by_its_content(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    before = folder_identity(tmp_path)
    (tmp_path / "config.json").write_text('{"a": 1}')
    assert folder_identity(tmp_path) != before


def test_adapters_with_equal_weights_and_other_settings_differ(tmp_path: Path):
    digests = []
    for number, (alpha, modules) in enumerate(((32, ["q", "k"]), (3200, ["q", "k"]), (32, ["k", "q"]))):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(b"weights")
        (folder / "adapter_config.json").write_text(
            json.dumps({"base_model_name_or_path": Chat().model, "lora_alpha": alpha, "target_modules": modules})
        )
        digests.append(policy_digest(Adapter(Chat(), str(folder), "one")))
    assert digests[0] != digests[1]
    assert digests[0] == digests[2]
    with pytest.raises(ArtifactError, match="has no adapter_config"):
        policy_digest(Adapter(Chat(), str(tmp_path / "nowhere"), "one"))
