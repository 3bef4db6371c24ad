"""Between texts and tokens: prompts as a model reads them, batches, completions as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backends.llm.texts import Completion

Tokens = list[int]


def conversation(prompt: str, system_prompt: str | None) -> list[dict[str, str]]:
    """The messages that ask ``prompt``."""
    system = [] if system_prompt is None else [{"role": "system", "content": system_prompt}]
    return [*system, {"role": "user", "content": str(prompt)}]


def training_prompt(tokenizer: Any, prompt: str, system_prompt: str | None) -> Any:
    """``prompt`` as TRL takes it: messages where the model has a chat template, else text after the system prompt."""
    if tokenizer.chat_template is not None:
        return conversation(prompt, system_prompt)
    return str(prompt) if system_prompt is None else f"{system_prompt}\n{prompt}"


def prompt_tokens(tokenizer: Any, prompt: str, system_prompt: str | None) -> Tokens:
    """The token ids that stand before the completion, the same in training and in evaluation."""
    return conversation_tokens(tokenizer, conversation(prompt, system_prompt))


def conversation_tokens(tokenizer: Any, messages: Sequence[dict[str, str]]) -> Tokens:
    """The token ids that stand before the next message; of the texts, a line each, where there is no chat template."""
    if tokenizer.chat_template is None:
        return text_tokens(tokenizer, "\n".join(message["content"] for message in messages))
    encoded = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=True, return_dict=True)
    return list(encoded["input_ids"])


def text_tokens(tokenizer: Any, text: str) -> Tokens:
    """The token ids of a text as it is."""
    return list(tokenizer(text=text)["input_ids"])


def padded_batch(rows: Sequence[Tokens], pad: int, device: Any) -> tuple[Any, Any]:
    """Rows padded on the left, and their attention mask, both (B, L)."""
    import torch

    width = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def to_completion(tokenizer: Any, row: Tokens, ends: Sequence[int]) -> Completion:
    """The text of generated tokens, with its length and whether it came to an end."""
    finished = bool(row) and row[-1] in ends
    text = tokenizer.decode(row, skip_special_tokens=True).strip()
    return Completion(text, len(row) - finished, finished)
