"""A trained LoRA adapter on the base model, and the base model itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from backends.llm.model.decoding import Sampled
from backends.llm.model.scoring import next_token_logprobs
from backends.llm.model.tokens import Tokens
from backends.llm.policies.base import LLMPolicy, TokenSampler
from backends.llm.rewards import Reward
from backends.llm.settings import Chat
from palm_theory.errors import ArtifactError
from palm_theory.files import explained_disk_errors, folder_digests
from palm_theory.geometry.simplex import Array

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
CARD_FILE = "README.md"


@dataclass(frozen=True)
class Reference(LLMPolicy):
    """π_ref: the base model without an adapter; f(π_ref) = 0."""

    kind: ClassVar[str] = "reference"

    def open(self) -> TokenSampler:
        return ReferenceSampler(self.chat)

    def write(self, folder: Path) -> dict[str, Any]:
        return {}

    @classmethod
    def read(cls, record: dict[str, Any], folder: Path, chat: Chat, rewards: tuple[Reward, ...]) -> Reference:
        return Reference(chat)

    def content(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Adapter(LLMPolicy):
    """The base model with the PEFT adapter in ``folder`` (adapter_config.json, adapter_model.safetensors).

    ``name`` is for people: the weights it was trained for, say.
    """

    kind: ClassVar[str] = "adapter"

    folder: str
    name: str = ""

    def open(self) -> TokenSampler:
        return AdapterSampler(self.chat, self.folder)

    def write(self, folder: Path) -> dict[str, Any]:
        copy_adapter(Path(self.folder), folder)
        return {"name": self.name}

    @classmethod
    def read(cls, record: dict[str, Any], folder: Path, chat: Chat, rewards: tuple[Reward, ...]) -> Adapter:
        check_adapter(folder, chat.model)
        return Adapter(chat, str(folder), record["name"])

    def content(self) -> dict[str, Any]:
        return {"adapter": adapter_digest(self.folder, self.chat.model)}


class PlainSampler(TokenSampler):
    """One causal model in memory, sampled and scored as it is."""

    def logprobs(self, prompts: Sequence[Tokens], answers: Sequence[Tokens]) -> Any:
        return next_token_logprobs(self.model, prompts, answers, self.tokenizer.pad_token_id)


class ReferenceSampler(PlainSampler):
    """The base model in memory."""

    def divergences(self, prompts: Sequence[Tokens], answers: Sequence[Sequence[Sampled]]) -> tuple[Array, Array]:
        """Zero: π is π_ref."""
        nothing = np.zeros((len(prompts), len(answers[0])))
        return nothing, nothing

    def reference_logprobs(self, prompts: Sequence[Tokens], answers: Sequence[Tokens]) -> Any:
        return self.logprobs(prompts, answers)


class AdapterSampler(PlainSampler):
    """The base model with one adapter in memory; the reference is the same model with the adapter off."""

    def __init__(self, chat: Chat, folder: str) -> None:
        super().__init__(chat)
        self.model = attach_adapters(self.model, chat, {"default": folder})

    def reference_logprobs(self, prompts: Sequence[Tokens], answers: Sequence[Tokens]) -> Any:
        with self.model.disable_adapter():
            return self.logprobs(prompts, answers)


def attach_adapters(model: Any, chat: Chat, folders: dict[str, str]) -> Any:
    """The base model with one or more named adapters, the first active. Raises ArtifactError where one does not fit."""
    from peft import PeftModel

    wrapped = None
    for name, folder in folders.items():
        check_adapter(folder, chat.model)
        try:
            if wrapped is None:
                wrapped = PeftModel.from_pretrained(model, folder, adapter_name=name)
            else:
                wrapped.load_adapter(folder, adapter_name=name)
        except Exception as error:  # safetensors, torch and peft each have their own types
            reason = str(error).strip().splitlines()[0]
            raise ArtifactError(f"the adapter in {folder} does not fit the model {chat.model!r}: {reason}") from error
    assert wrapped is not None
    return wrapped.eval()


def check_adapter(folder: str | Path, model: str) -> None:
    """Raise ArtifactError unless ``folder`` holds a LoRA adapter trained on ``model``."""
    folder = Path(folder)
    missing = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not (folder / name).is_file()]
    if missing:
        raise ArtifactError(f"the adapter folder {folder} has no {missing[0]}")
    try:
        base = json.loads((folder / CONFIG_FILE).read_text())["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder / CONFIG_FILE} is corrupt: {error}") from error
    if base != model:
        raise ArtifactError(
            f"the adapter in {folder} was trained on {base!r}, not on {model!r}; open it with that model"
        )


def adapter_digest(folder: str, model: str) -> list[Any]:
    """The weights, and the settings that say how they are applied: lists in them have no order."""
    check_adapter(folder, model)
    path = Path(folder)
    settings = json.loads((path / CONFIG_FILE).read_text())
    applied = {
        key: sorted(value) if isinstance(value, list) else value
        for key, value in settings.items()
        if key not in ("base_model_name_or_path", "peft_version")
    }
    return [folder_digests(path)[WEIGHTS_FILE], applied]


def copy_adapter(source: Path, target: Path) -> None:
    """Copy an adapter's files, and its model card where it has one. Raises ArtifactError where the disk refuses."""
    with explained_disk_errors(target):
        for name in (WEIGHTS_FILE, CONFIG_FILE, CARD_FILE):
            if (source / name).exists():
                shutil.copyfile(source / name, target / name)
