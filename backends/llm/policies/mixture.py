"""Multi-objective decoding: experts mixed at every token, nothing trained anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from backends.llm.model.decoding import Experts
from backends.llm.model.scoring import next_token_logprobs
from backends.llm.model.tokens import Tokens
from backends.llm.policies.adapter import adapter_digest, attach_adapters, check_adapter, copy_adapter
from backends.llm.policies.base import LLMPolicy, TokenSampler
from backends.llm.rewards import Reward
from backends.llm.settings import Chat
from palm_theory.errors import InputError


@dataclass(frozen=True)
class DecodingMixture(LLMPolicy):
    """π(y_t | x, y_<t) ∝ Π_k π_k(y_t | x, y_<t)^c_k over K adapters of one base model.

    The optimum of ⟨c, r⟩ − β·KL where each π_k is the optimum of its own r_k and a completion is one token; a
    heuristic for longer ones (Shi et al. 2024, "Decoding-Time Language Model Alignment with Multiple Objectives").
    ``folders`` are the experts' PEFT folders, ``coefficients`` c ≥ 0, one an expert, Σc = 1.
    """

    kind: ClassVar[str] = "decoding mixture"

    folders: tuple[str, ...]
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        check_coefficients(self.folders, self.coefficients)

    def open(self) -> TokenSampler:
        return MixtureSampler(self.chat, self.folders, self.coefficients)

    def write(self, folder: Path) -> dict[str, Any]:
        for source, target in zip(self.folders, _expert_folders(folder, len(self.folders)), strict=True):
            target.mkdir(exist_ok=True)
            copy_adapter(Path(source), target)
        return {"coefficients": list(self.coefficients)}

    @classmethod
    def read(cls, record: dict[str, Any], folder: Path, chat: Chat, rewards: tuple[Reward, ...]) -> DecodingMixture:
        coefficients = tuple(record["coefficients"])
        folders = _expert_folders(folder, len(coefficients))
        for expert in folders:
            check_adapter(expert, chat.model)
        return DecodingMixture(chat, tuple(map(str, folders)), coefficients)

    def content(self) -> dict[str, Any]:
        experts = [adapter_digest(folder, self.chat.model) for folder in self.folders]
        return {"experts": experts, "coefficients": list(self.coefficients)}


def _expert_folders(folder: Path, count: int) -> list[Path]:
    return [folder / f"expert{k}" for k in range(count)]


def check_coefficients(folders: Sequence[str], coefficients: Sequence[float]) -> None:
    """Raise InputError unless there is one coefficient ≥ 0 for each of one or more experts, and they sum to 1."""
    if not folders or len(folders) != len(coefficients):
        raise InputError(f"one coefficient an expert is needed, got {len(coefficients)} for {len(folders)} experts")
    if not all(math.isfinite(c) and c >= 0 for c in coefficients) or abs(sum(coefficients) - 1) > 1e-6:
        raise InputError(f"coefficients must be >= 0 and sum to 1, got {list(coefficients)}")


class MixtureSampler(TokenSampler):
    """K adapters in memory; each forward pass holds every row once an expert."""

    def __init__(self, chat: Chat, folders: Sequence[str], coefficients: Sequence[float]) -> None:
        super().__init__(chat)
        used = [(folder, c) for folder, c in zip(folders, coefficients, strict=True) if c > 0]
        names = tuple(f"expert{k}" for k in range(len(used)))
        self.experts = self._mixed = Experts(names, tuple(c for _, c in used))
        paths = [folder for folder, _ in used]
        self.model = attach_adapters(self.model, chat, dict(zip(names, paths, strict=True)))

    def logprobs(self, prompts: Sequence[Tokens], answers: Sequence[Tokens]) -> Any:
        pad = self.tokenizer.pad_token_id
        total: Any = 0.0
        for expert, coefficient in zip(self._mixed.adapters, self._mixed.coefficients, strict=True):
            self.model.set_adapter(expert)
            total = total + coefficient * next_token_logprobs(self.model, prompts, answers, pad)
        return total.log_softmax(-1)

    def reference_logprobs(self, prompts: Sequence[Tokens], answers: Sequence[Tokens]) -> Any:
        with self.model.disable_adapter():
            return next_token_logprobs(self.model, prompts, answers, self.tokenizer.pad_token_id)
