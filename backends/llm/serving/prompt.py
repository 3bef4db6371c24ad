"""From a conversation to the tokens that stand before the answer, as in training."""

from __future__ import annotations

from typing import Any

from backends.llm.model.tokens import Tokens, conversation_tokens, text_tokens
from palm_theory.serving.errors import bad_request


def question_tokens(tokenizer: Any, messages: tuple[dict[str, str], ...] | str, system_prompt: str | None) -> Tokens:
    """Tokens of a conversation, or of a plain text as it is.

    A conversation without a system message gets the policies' own, under which they were trained and measured. One turn
    then gives the same tokens as ``tokens.prompt_tokens``. Raises ApiError 400 where the model's chat template does
    not take the conversation, or it has no tokens.
    """
    if isinstance(messages, str):
        tokens = text_tokens(tokenizer, messages)
    else:
        turns = list(messages)
        if system_prompt is not None and all(turn["role"] != "system" for turn in turns):
            turns.insert(0, {"role": "system", "content": system_prompt})
        try:
            tokens = conversation_tokens(tokenizer, turns)
        except Exception as error:  # whatever a template of someone else's raises
            message = f"the model's chat template does not take this conversation: {error}"
            raise bad_request(message, "messages") from None
    if not tokens:
        raise bad_request("the prompt has no tokens", "prompt")
    return tokens
