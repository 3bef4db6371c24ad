"""Whether exported adapters load without this package: run with the Python of an environment that has only peft.

    palm export runs/llm/portfolio adapters --base-model BASE
    OTHER_PYTHON benchmarks/llm/load_export.py adapters BASE

Loads every adapter by stock peft and by transformers alone, and prints what each and the base model say, greedily.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

MESSAGES = [
    {"role": "system", "content": "Answer in one short sentence."},
    {"role": "user", "content": "Why do we yawn?"},
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapters", type=Path)
    parser.add_argument("base", help="the base model: a folder or a Hugging Face id")
    options = parser.parse_args()
    if importlib.util.find_spec("palm_theory") is not None:
        parser.error("palm_theory is importable here; use an environment without it")
    tokenizer: Any = AutoTokenizer.from_pretrained(options.base)
    prompt = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=True)

    def say(name: str, model: Any) -> None:
        answer = model.generate(**prompt, max_new_tokens=16, do_sample=False)[0, prompt["input_ids"].shape[1] :]
        print(f"{name}: {tokenizer.decode(answer, skip_special_tokens=True)}")

    def base() -> Any:
        return AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.float32)

    say("base model", base())
    for folder in sorted(options.adapters.iterdir()):
        say(f"{folder.name} by peft", PeftModel.from_pretrained(base(), str(folder)))
        say(f"{folder.name} by transformers", AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32))


if __name__ == "__main__":
    main()
