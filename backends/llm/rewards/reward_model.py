"""Any sequence-classification reward model, squashed into [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from backends.llm.identity import known_as
from backends.llm.model.loading import device, model_identity
from palm_theory.errors import InputError


@lru_cache(maxsize=4)
def _reward_model(model: str) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        classifier = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"the reward model {model!r} cannot be loaded ({reason}); name a sequence-classification model with one "
            "output, by Hugging Face id or folder"
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    classifier.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, classifier.to(device()).eval()


@known_as("backends.llm.rewards.reward_model.RewardModel")
@dataclass(frozen=True)
class RewardModel:
    """σ((logit − center)/spread) of a reward model's single output on the conversation (prompt, reply), in (0, 1).

    ``center`` and ``spread`` belong to the model: its median and spread over replies of the base model, say.
    """

    model: str
    center: float = 0.0
    spread: float = 1.0
    batch_size: int = 8
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        if not (math.isfinite(self.center) and math.isfinite(self.spread) and self.spread > 0):
            raise InputError(f"a reward model needs a finite center and a spread > 0, got {self.center}, {self.spread}")

    def identity(self) -> dict[str, Any]:
        """The settings, and the content of the model where it is a folder."""
        return {**asdict(self), "content": model_identity(self.model)}

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        import torch

        tokenizer, classifier = _reward_model(self.model)
        texts = [_conversation_text(tokenizer, *pair) for pair in zip(prompts, completions, strict=True)]
        scores: list[float] = []
        with torch.no_grad():
            for start in range(0, len(texts), self.batch_size):
                batch = tokenizer(
                    texts[start : start + self.batch_size],
                    padding=True,
                    truncation=True,
                    max_length=self.max_tokens,
                    add_special_tokens=tokenizer.chat_template is None,
                    return_tensors="pt",
                ).to(classifier.device)
                logits = classifier(**batch).logits[:, 0].double()
                scores.extend(torch.sigmoid((logits - self.center) / self.spread).tolist())
        return scores


def _conversation_text(tokenizer: Any, prompt: str, completion: str) -> str:
    if tokenizer.chat_template is None:
        return f"{prompt}\n{completion}"
    messages = [{"role": "user", "content": str(prompt)}, {"role": "assistant", "content": str(completion)}]
    return tokenizer.apply_chat_template(messages, tokenize=False)
