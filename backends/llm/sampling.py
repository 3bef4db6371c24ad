"""Sampling completions at temperature 1, and their log-probabilities in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backends.llm.models import end_tokens
from backends.llm.settings import Chat
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
    rendered = training_prompt(tokenizer, prompt, system_prompt)
    if isinstance(rendered, str):
        return list(tokenizer(text=rendered)["input_ids"])
    encoded = tokenizer.apply_chat_template(rendered, add_generation_prompt=True, tokenize=True, return_dict=True)
    return list(encoded["input_ids"])


def padded_batch(rows: Sequence[Tokens], pad: int, device: Any) -> tuple[Any, Any]:
    """Rows padded on the left, and their attention mask, both (B, L)."""
    import torch

    width = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def cut_at_end(row: Tokens, ends: Sequence[int]) -> Tokens:
    """``row`` up to and with its first end token: a pad token may be an end token too, so only the first counts."""
    for position, token in enumerate(row):
        if token in ends:
            return row[: position + 1]
    return row


def to_completion(tokenizer: Any, row: Tokens, ends: Sequence[int]) -> Completion:
    """The text of generated tokens, with its length and whether it came to an end."""
    finished = bool(row) and row[-1] in ends
    text = tokenizer.decode(row, skip_special_tokens=True).strip()
    return Completion(text, len(row) - finished, finished)


def sample_tokens(
    model: Any, tokenizer: Any, prompts: Sequence[Tokens], generations: int, chat: Chat, seed: int
) -> list[list[Tokens]]:
    """``generations`` sampled rows of completion tokens for each prompt, each ending at its first end token.

    Rows are batched in order of prompt length, which saves padding; equal seeds and settings give equal samples.
    """
    import torch

    ends = end_tokens(model, tokenizer)
    settings = _generation_config(chat.max_new_tokens, ends, tokenizer.pad_token_id)
    order = sorted((i for i in range(len(prompts)) for _ in range(generations)), key=lambda i: len(prompts[i]))
    answers: list[list[Tokens]] = [[] for _ in prompts]
    devices = [] if model.device.type == "cpu" else [model.device]
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(seed)
        for start in range(0, len(order), chat.batch_size):
            rows = order[start : start + chat.batch_size]
            ids, mask = padded_batch([prompts[i] for i in rows], tokenizer.pad_token_id, model.device)
            output = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
            for i, row in zip(rows, output[:, ids.shape[1] :].tolist(), strict=True):
                answers[i].append(cut_at_end(row, ends))
    return answers


def _generation_config(max_new_tokens: int, ends: list[int], pad: int) -> Any:
    from transformers import GenerationConfig

    return GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        max_new_tokens=max_new_tokens,
        eos_token_id=ends,
        pad_token_id=pad,
    )


def next_token_logprobs(model: Any, prompt: Sequence[Tokens], answers: Sequence[Tokens], pad: int, **extra: Any) -> Any:
    """Log-probabilities of the whole vocabulary at every completion position, float32 (B, T, V).

    Positions past a row's end hold numbers without a meaning.
    """
    import torch

    width = max(len(answer) for answer in answers)
    rows = [before + answer for before, answer in zip(prompt, answers, strict=True)]
    # Completions are padded on the right so that every row's completion starts at the same column.
    left = max(len(before) for before in prompt)
    ids = torch.full((len(rows), left + width), pad, device=model.device)
    mask = torch.zeros_like(ids)
    for i, (before, row) in enumerate(zip(prompt, rows, strict=True)):
        start = left - len(before)
        ids[i, start : start + len(row)] = torch.tensor(row, device=model.device)
        mask[i, start : start + len(row)] = 1
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        logits_to_keep=width + 1,
        use_cache=False,
        **extra,
    )
    return output.logits[:, :-1].float().log_softmax(-1)


def gather_logprobs(logprobs: Any, answers: Sequence[Tokens]) -> list[Any]:
    """For each row the log-probabilities of its own tokens, (len(row),), out of (B, T, V)."""
    import torch

    return [
        logprobs[i, : len(row)].gather(-1, torch.tensor(row, device=logprobs.device)[:, None])[:, 0]
        for i, row in enumerate(answers)
    ]
