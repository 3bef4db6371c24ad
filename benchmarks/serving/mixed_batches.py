"""Tokens a second on the embedded SmolLM2-135M: requests for four adapters together, and one at a time.

``python -m benchmarks.serving.mixed_batches``. Random LoRA adapters (rank 16, all linear layers, as trained ones are),
one thread. The same requests, greedy, go through the in-process engine (peft's ``adapter_names``, rows joining and
leaving token by token), one after the other through the same engine, and one after the other through transformers' own
``generate`` with the adapter switched in between. End tokens are ignored, so all do the same work.
"""

from __future__ import annotations

import json
import os
import queue
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from backends.llm import Adapter, Chat
from backends.llm.model.loading import load_model, load_tokenizer
from backends.llm.model.tokens import prompt_tokens
from backends.llm.policies.adapter import attach_adapters
from backends.llm.prompts import bundled_held_out
from backends.llm.serving.engine import AdapterEngine, EngineSettings
from benchmarks.common import machine
from palm_theory.serving.engine import Piece, Question, Sampling

RESULT = Path(__file__).parent / "results" / "mixed_batches.json"
ADAPTERS = 4
REQUESTS = 16
SHORTEST, LONGEST = 8, 32


def make_adapters(chat: Chat, folder: Path) -> list[Adapter]:
    """Random adapters, small enough to keep answers sane."""
    adapters = []
    for k in range(ADAPTERS):
        torch.manual_seed(k)
        config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")
        model = get_peft_model(load_model(chat), config)
        model.peft_config["default"].base_model_name_or_path = chat.model
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=1e-3)
        model.save_pretrained(str(folder / f"a{k}"), save_embedding_layers=False)
        adapters.append(Adapter(chat, str(folder / f"a{k}")))
    return adapters


def requests() -> list[tuple[int, str, int]]:
    """Adapter, prompt and completion length of every request; lengths differ."""
    prompts = bundled_held_out()
    lengths = [SHORTEST + (11 * i) % (LONGEST - SHORTEST + 1) for i in range(REQUESTS)]
    return [(i % ADAPTERS, str(prompts[i % len(prompts)]), lengths[i]) for i in range(REQUESTS)]


def engine_seconds(engine: AdapterEngine, asked: Sequence[tuple[int, str, int]], *, together: bool) -> dict[str, Any]:
    """Seconds, tokens, and when each request ended, through the engine."""
    events: queue.Queue[tuple[int, Any]] = queue.Queue()
    ends, tokens = [0.0] * len(asked), 0

    def put(i: int) -> Any:
        return lambda event: events.put((i, event))

    def wait(count: int) -> None:
        nonlocal tokens
        while count:
            i, event = events.get(timeout=600)
            if isinstance(event, Piece):
                tokens += event.tokens
                if event.finish:
                    ends[i] = time.perf_counter() - started
                    count -= 1

    started = time.perf_counter()
    for i, (policy, prompt, length) in enumerate(asked):
        messages = ({"role": "user", "content": prompt},)
        engine.ask(Question(policy, messages, Sampling(length, temperature=0.0)), put(i))
        if not together:
            wait(1)
    if together:
        wait(len(asked))
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "tokens": tokens, "tokens_a_second": tokens / seconds, "first_end": min(ends)}


def generate_seconds(adapters: list[Adapter], asked: Sequence[tuple[int, str, int]]) -> dict[str, Any]:
    """The same requests one by one through transformers' generate."""
    chat = adapters[0].chat
    tokenizer = load_tokenizer(chat.model)
    model = attach_adapters(load_model(chat), chat, {f"a{k}": adapter.folder for k, adapter in enumerate(adapters)})
    tokens = 0
    started = time.perf_counter()
    for policy, prompt, length in asked:
        model.set_adapter(f"a{policy}")
        ids = torch.tensor([prompt_tokens(tokenizer, prompt, chat.system_prompt)])
        with torch.no_grad():
            output = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=length,
                min_new_tokens=length,
                pad_token_id=tokenizer.pad_token_id,
            )
        tokens += output.shape[1] - ids.shape[1]
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "tokens": tokens, "tokens_a_second": tokens / seconds}


def main() -> None:
    """Measure and print tokens a second."""
    torch.set_num_threads(1)
    asked = requests()
    chat = Chat(max_new_tokens=LONGEST, dtype="float32")
    with tempfile.TemporaryDirectory() as folder:
        adapters = make_adapters(chat, Path(folder))
        engine = AdapterEngine(adapters, EngineSettings(rows=REQUESTS))
        engine.start()
        engine_seconds(engine, asked[:1], together=True)
        engine._ends = []
        figures = {
            "mixed": engine_seconds(engine, asked, together=True),
            "one at a time": engine_seconds(engine, asked, together=False),
            "generate, one at a time": generate_seconds(adapters, asked),
        }
        engine.stop()
    for name, row in figures.items():
        print(f"{name:24} {row['tokens']} tokens {row['seconds']:.1f} s {row['tokens_a_second']:.1f} tokens/s")
    result = {"machine": machine(), "requests": REQUESTS, "adapters": ADAPTERS, "threads": 1, "dtype": chat.dtype}
    result |= figures
    result["load_average"] = os.getloadavg()
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
