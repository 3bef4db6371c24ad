"""Random-weight models small enough to test everything on, made by this script: ``python -m tests.llm.tiny FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END = "<end>"
WORDS = ["good", "bad", "happy", "sad", "short", "long", "yes", "no", "the", "a", "cat", "dog", "sun", "rain"]
WORDS += ["is", "was", "I", "you", "like", "hate", "tea", "bread"]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant{% endif %}"
)


def make_tiny_model(
    folder: Path, words: list[str] = WORDS, *, chat: bool = True, hidden: int = 32, layers: int = 2, seed: int = 0
) -> Path:
    """A word-level Llama with random weights that are far from uniform, saved as any model is. pad is eos."""
    roles = ["system", "user", "assistant", "<unknown>"] if chat else []
    vocabulary = {word: i for i, word in enumerate([END, *words, *roles])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>" if chat else words[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)
    wrapped.chat_template = CHAT_TEMPLATE if chat else None
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
        initializer_range=0.3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    print(make_tiny_model(Path(sys.argv[1])))
