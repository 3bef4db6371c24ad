"""Multi-objective decoding: experts mixed at every token, nothing trained anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backends.llm.policies.adapter import attach_adapters
from backends.llm.policies.base import LLMPolicy, TokenSession
from backends.llm.sampling import Tokens, cut_at_end, next_token_logprobs, padded_batch
from backends.llm.settings import Chat
from palm_theory.errors import InputError


@dataclass(frozen=True)
class DecodingMixture(LLMPolicy):
    """π(y_t | x, y_<t) ∝ Π_k π_k(y_t | x, y_<t)^c_k over K adapters of one base model.

    The optimum of ⟨c, r⟩ − β·KL where each π_k is the optimum of its own r_k and a completion is one token; a
    heuristic for longer ones (Shi et al. 2024, "Decoding-Time Language Model Alignment with Multiple Objectives").
    ``folders`` are the experts' PEFT folders, ``coefficients`` c ≥ 0, one an expert, Σc = 1.
    """

    folders: tuple[str, ...]
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        check_coefficients(self.folders, self.coefficients)

    def open(self) -> TokenSession:
        return MixtureSession(self.chat, self.folders, self.coefficients)


def check_coefficients(folders: Sequence[str], coefficients: Sequence[float]) -> None:
    """Raise InputError unless there is one coefficient ≥ 0 for each of one or more experts, and they sum to 1."""
    if not folders or len(folders) != len(coefficients):
        raise InputError(f"one coefficient an expert is needed, got {len(coefficients)} for {len(folders)} experts")
    if not all(math.isfinite(c) and c >= 0 for c in coefficients) or abs(sum(coefficients) - 1) > 1e-6:
        raise InputError(f"coefficients must be >= 0 and sum to 1, got {list(coefficients)}")


class MixtureSession(TokenSession):
    """K adapters in memory; each forward pass holds every row once an expert."""

    def __init__(self, chat: Chat, folders: Sequence[str], coefficients: Sequence[float]) -> None:
        super().__init__(chat)
        used = [(folder, c) for folder, c in zip(folders, coefficients, strict=True) if c > 0]
        self.experts = [f"expert{k}" for k in range(len(used))]
        self.coefficients = [c for _, c in used]
        paths = [folder for folder, _ in used]
        self.model = attach_adapters(self.model, chat, dict(zip(self.experts, paths, strict=True)))

    def sample(self, prompts: Sequence[Tokens], generations: int, seed: int) -> list[list[Tokens]]:
        import torch

        order = sorted((i for i in range(len(prompts)) for _ in range(generations)), key=lambda i: len(prompts[i]))
        answers: list[list[Tokens]] = [[] for _ in prompts]
        devices = [] if self.model.device.type == "cpu" else [self.model.device]
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            torch.manual_seed(seed)
            size = max(1, self.chat.batch_size // len(self.experts))
            for start in range(0, len(order), size):
                rows = order[start : start + size]
                for i, row in zip(rows, self._decode([prompts[i] for i in rows]), strict=True):
                    answers[i].append(cut_at_end(row, self.ends))
        return answers

    def logprobs(self, prompts: Sequence[Tokens], answers: Sequence[Tokens]) -> Any:
        pad = self.tokenizer.pad_token_id
        total: Any = 0.0
        for expert, coefficient in zip(self.experts, self.coefficients, strict=True):
            self.model.set_adapter(expert)
            total = total + coefficient * next_token_logprobs(self.model, prompts, answers, pad)
        return total.log_softmax(-1)

    def reference_logprobs(self, prompts: Sequence[Tokens], answers: Sequence[Tokens]) -> Any:
        with self.model.disable_adapter():
            return next_token_logprobs(self.model, prompts, answers, self.tokenizer.pad_token_id)

    def _decode(self, prompts: Sequence[Tokens]) -> list[Tokens]:
        """Sample one batch, a cached forward pass of K·B rows a token."""
        import torch

        k, b = len(self.experts), len(prompts)
        names = [expert for expert in self.experts for _ in range(b)]
        mixing = torch.tensor(self.coefficients, device=self.model.device)[:, None, None]
        ids, mask = padded_batch(list(prompts) * k, self.tokenizer.pad_token_id, self.model.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        ends = torch.tensor(self.ends, device=self.model.device)
        done = torch.zeros(b, dtype=torch.bool, device=self.model.device)
        cache, drawn = None, []
        for _ in range(self.chat.max_new_tokens):
            output = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
                adapter_names=names,
            )
            cache = output.past_key_values
            each = output.logits[:, -1].float().log_softmax(-1).view(k, b, -1)
            token = torch.multinomial((mixing * each).sum(0).softmax(-1), 1)[:, 0]
            token = torch.where(done, torch.full_like(token, self.ends[0]), token)
            drawn.append(token)
            done |= torch.isin(token, ends)
            if done.all():
                break
            ids = token.repeat(k)[:, None]
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
            positions = positions[:, -1:] + 1
        return torch.stack(drawn, dim=1).tolist()
