"""The base model: loading it, tokens, sampling and scoring completions."""
