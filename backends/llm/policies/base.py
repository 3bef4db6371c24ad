"""The one interface of all LLM policies: generate, and replies with what an evaluation needs."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from backends.llm.model.decoding import Experts, Sampled, sample_completions
from backends.llm.model.loading import end_tokens, load_model, load_tokenizer
from backends.llm.model.scoring import gather_logprobs
from backends.llm.model.tokens import Tokens, prompt_tokens, to_completion
from backends.llm.rewards import Reward
from backends.llm.settings import Chat
from backends.llm.texts import Completion
from palm_theory.geometry.simplex import Array

SCORING_BATCH = 8


@dataclass(frozen=True, eq=False)
class Replies:
    """A policy's replies to N prompts, n each, with what their expectation needs.

    ``probabilities`` (N, n), rows summing to 1, weigh each reply in the policy's expectation: 1/n where replies are
    samples of the policy. ``divergence`` (N,) estimates KL(π(·|x)‖π_ref(·|x)) at sequence level, in nats: the k1
    estimator Σ_t log π/π_ref, unbiased. ``divergence_check`` (N,) estimates the same number by k3 at every token,
    Σ_t (π_ref/π − 1 − log π_ref/π), unbiased too by the chain rule and never negative, or None where the policy has no
    density to compute.
    """

    completions: list[list[Completion]]
    probabilities: Array
    divergence: Array
    divergence_check: Array | None


class LoadedPolicy(ABC):
    """A policy with its model in memory: for many calls in a row."""

    @abstractmethod
    def generate(self, prompts: Sequence[str], generations: int = 1, seed: int = 0) -> list[list[Completion]]:
        """``generations`` completions of each prompt, drawn from the policy; equal seeds give equal texts."""

    @abstractmethod
    def replies(self, prompts: Sequence[str], generations: int, seed: int) -> Replies:
        """Completions with their weights and the policy's KL from the base model."""


@dataclass(frozen=True)
class LLMPolicy(ABC):
    """π(y|x) of one policy: plain data, picklable; models are loaded when it is opened."""

    kind: ClassVar[str]
    """The words it is stored under, which stay where the class is renamed or moved."""

    chat: Chat

    @abstractmethod
    def open(self) -> LoadedPolicy:
        """Load what the policy needs. Raises InputError or ArtifactError where that cannot be done."""

    @abstractmethod
    def write(self, folder: Path) -> dict[str, Any]:
        """Copy its files into an existing folder; what else is to be stored of it besides the chat, as plain data."""

    @classmethod
    @abstractmethod
    def read(cls, record: dict[str, Any], folder: Path, chat: Chat, rewards: tuple[Reward, ...]) -> LLMPolicy:
        """The inverse of ``write``. Raises ArtifactError where files are missing, corrupt or of another model."""

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """All that decides what it says besides kind, chat and base model, as plain data: digests of weights, say."""

    def generate(self, prompts: Sequence[str], generations: int = 1, seed: int = 0) -> list[list[Completion]]:
        """``generations`` completions of each prompt. To generate often, ``open()`` once."""
        return self.open().generate(prompts, generations, seed)


class TokenSampler(LoadedPolicy):
    """A loaded policy that samples token by token and can score what it sampled.

    Subclasses say how probable every next token is.
    """

    experts: Experts | None = None
    """The adapters that are mixed at every token, or None where one model speaks."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.tokenizer = load_tokenizer(chat.model)
        self.model: Any = load_model(chat)
        self.ends = end_tokens(self.model, self.tokenizer)

    def sample(self, prompts: Sequence[Tokens], generations: int, seed: int) -> list[list[Sampled]]:
        """``generations`` completions of each prompt; equal seeds and settings give equal samples."""
        import torch

        devices = [] if self.model.device.type == "cpu" else [self.model.device]
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            return sample_completions(
                self.model,
                prompts,
                generations,
                ends=self.ends,
                pad=self.tokenizer.pad_token_id,
                max_new_tokens=self.chat.max_new_tokens,
                batch_size=self.chat.batch_size,
                experts=self.experts,
            )

    @abstractmethod
    def logprobs(self, prompts: Sequence[Tokens], answers: Sequence[Tokens]) -> Any:
        """The policy's log-probabilities of every next token, float32 (B, T, V)."""

    @abstractmethod
    def reference_logprobs(self, prompts: Sequence[Tokens], answers: Sequence[Tokens]) -> Any:
        """The base model's log-probabilities of every next token, float32 (B, T, V)."""

    def generate(self, prompts: Sequence[str], generations: int = 1, seed: int = 0) -> list[list[Completion]]:
        return self.texts(self.sample(self.prompts(prompts), generations, seed))

    def replies(self, prompts: Sequence[str], generations: int, seed: int) -> Replies:
        tokens = self.prompts(prompts)
        answers = self.sample(tokens, generations, seed)
        first, third = self.divergences(tokens, answers)
        uniform = np.full(first.shape, 1 / generations)
        return Replies(self.texts(answers), uniform, first.mean(axis=1), third.mean(axis=1))

    def prompts(self, prompts: Sequence[str]) -> list[Tokens]:
        """Prompts as the model reads them."""
        return [prompt_tokens(self.tokenizer, prompt, self.chat.system_prompt) for prompt in prompts]

    def texts(self, answers: list[list[Sampled]]) -> list[list[Completion]]:
        """Completions as people read them."""
        return [[to_completion(self.tokenizer, row.tokens, self.ends) for row in rows] for rows in answers]

    def divergences(self, prompts: Sequence[Tokens], answers: Sequence[Sequence[Sampled]]) -> tuple[Array, Array]:
        """The k1 and k3 estimates of the KL that each completion gives, summed over its tokens, both (N, n)."""
        import torch

        pairs = [(prompt, row) for prompt, rows in zip(prompts, answers, strict=True) for row in rows]
        # A float32 model has scored what it says already; a coarser one is scored again in float32.
        is_scored = self.model.dtype == torch.float32
        totals: list[tuple[float, float]] = []
        with torch.no_grad(), in_float32(self.model):
            for start in range(0, len(pairs), SCORING_BATCH):
                before, sampled = zip(*pairs[start : start + SCORING_BATCH], strict=True)
                rows = [row.tokens for row in sampled]
                base = gather_logprobs(self.reference_logprobs(before, rows), rows)
                if is_scored:
                    ours = [torch.tensor(row.logprobs, device=self.model.device) for row in sampled]
                else:
                    ours = gather_logprobs(self.logprobs(before, rows), rows)
                ratios = [a.double() - b.double() for a, b in zip(ours, base, strict=True)]
                totals.extend((float(u.sum()), float((torch.expm1(-u) + u).sum())) for u in ratios)
        first, third = np.array(totals).reshape(len(prompts), -1, 2).transpose(2, 0, 1)
        return first, third


@contextlib.contextmanager
def in_float32(model: Any) -> Iterator[None]:
    """Hold a model's weights in float32, and put their own types back after: bfloat16 log-probabilities of a sequence
    depend on the batch they are computed in. The way there and back is exact."""
    import torch

    tensors = [t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point() and t.dtype != torch.float32]
    types = [tensor.dtype for tensor in tensors]
    for tensor in tensors:
        tensor.data = tensor.data.float()
    try:
        yield
    finally:
        for tensor, dtype in zip(tensors, types, strict=True):
            tensor.data = tensor.data.to(dtype)
