"""Training one policy: a LoRA adapter that maximises J_w, resumable from its last whole checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from backends.llm.measure.pools import Progress
from backends.llm.model.loading import end_tokens, load_model, load_tokenizer
from backends.llm.model.tokens import prompt_tokens, to_completion, training_prompt
from backends.llm.policies.adapter import CONFIG_FILE, WEIGHTS_FILE, check_adapter
from backends.llm.problem import Problem
from backends.llm.rewards import Reward, score
from backends.llm.train.offline import take_offline_steps
from palm_theory.errors import InputError
from palm_theory.files import write_atomically
from palm_theory.geometry.simplex import Array

ADAPTER_FOLDER = "adapter"
CHECKPOINT_FOLDER = "checkpoints"
OFFLINE_FOLDER = "plan-start"
REPORT_FILE = "trained.json"


def train(
    problem: Problem,
    weights: Array,
    folder: Path,
    seed: int,
    progress: Progress,
    samples: Path | None = None,
) -> None:
    """Train for weights (d,) to ``problem.training.steps`` updates, from the last checkpoint in ``folder`` if any,
    after ``plan_steps`` on the planning samples in ``samples``.

    Leaves ``folder``/adapter (PEFT layout) and trained.json, written last, with the training log; checkpoints of a
    finished run are deleted. Raises InputError where offline steps have no samples.
    """
    before = problem.training.plan_steps
    if before and samples is None:
        raise InputError("training with plan_steps > 0 needs the folder of the planning samples")
    trainer = make_trainer(problem, weights, folder / CHECKPOINT_FOLDER, seed)
    trainer.add_callback(_progress_callback(lambda done, total: progress(before + done, before + total)))
    checkpoint = last_checkpoint(folder / CHECKPOINT_FOLDER)
    if samples is not None and checkpoint is None:
        progress(0, before + problem.training.steps)
        _start_offline(problem, weights, trainer, folder / OFFLINE_FOLDER, samples, seed)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    save_adapter(trainer.model, problem.chat.model, folder / ADAPTER_FOLDER)
    report = {"weights": weights.tolist(), "seed": seed, "log": trainer.state.log_history}
    write_atomically(folder / REPORT_FILE, json.dumps(report).encode())
    for leftover in (CHECKPOINT_FOLDER, OFFLINE_FOLDER):
        shutil.rmtree(folder / leftover, ignore_errors=True)


def _start_offline(problem: Problem, weights: Array, trainer: Any, folder: Path, samples: Path, seed: int) -> None:
    """Take the offline steps on the trainer's adapter, or load what they left in ``folder`` before an interruption."""
    if problem.training.plan_steps == 0:
        return
    if not (folder / CONFIG_FILE).is_file():
        tokenizer = trainer.processing_class
        prompts = [prompt_tokens(tokenizer, p, problem.chat.system_prompt) for p in problem.planning_prompts]
        take_offline_steps(problem, weights, samples, prompts, trainer.model, tokenizer.pad_token_id, seed)
        save_adapter(trainer.model, problem.chat.model, folder)
    load_weights(trainer.model, folder, problem.chat.model)


def is_trained(folder: Path) -> bool:
    """Whether ``train`` finished in this folder."""
    return (folder / REPORT_FILE).is_file() and (folder / ADAPTER_FOLDER / WEIGHTS_FILE).is_file()


def make_trainer(problem: Problem, weights: Array, folder: Path, seed: int) -> Any:
    """The trainer of one policy, for weights (d,), ready to run. The base model is the KL reference in any case."""
    import transformers
    from datasets import Dataset
    from transformers import PrinterCallback

    from backends.llm.train.trainers import trainer_class, trainer_config

    transformers.logging.set_verbosity_error()
    chat = problem.chat
    tokenizer, model = load_tokenizer(chat.model), load_model(chat)
    used = [(reward, float(w)) for reward, w in zip(problem.rewards, weights, strict=True) if w > 0]
    ends = end_tokens(model, tokenizer)
    config = trainer_config(
        problem.training,
        weights=[w for _, w in used],
        beta=problem.beta,
        max_new_tokens=chat.max_new_tokens,
        seed=seed,
        folder=folder,
        bf16=chat.dtype == "bfloat16",
    )
    order = _prompt_order(len(problem.prompts), problem.training.steps * problem.training.prompts_per_step, seed)
    rendered = [training_prompt(tokenizer, prompt, chat.system_prompt) for prompt in problem.prompts]
    rows = {"prompt": [rendered[i] for i in order], "index": order}
    # A PeftModel with trained weights would be cloned by TRL as the reference, so the trainer gets the bare base model
    # and a fresh adapter, into which the offline start is loaded afterwards.
    trainer = trainer_class(problem.training)(
        model=model,
        args=config,  # type: ignore[arg-type]
        reward_funcs=[_for_trl(problem, reward, tokenizer, ends) for reward, _ in used],
        train_dataset=Dataset.from_dict(rows),
        processing_class=tokenizer,
        peft_config=_lora(problem),
    )
    trainer.remove_callback(PrinterCallback)  # every number it prints is in trained.json
    return trainer


def _prompt_order(count: int, needed: int, seed: int) -> list[int]:
    """Indices of prompts for the whole run, one shuffle after another. TRL's own shuffling starts anew when a run is
    resumed after its first pass, which would give other prompts than an uninterrupted run."""
    rng = np.random.default_rng(seed)
    passes = [rng.permutation(count) for _ in range(-(-needed // count))]
    return [int(i) for i in np.concatenate(passes)[:needed]]


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end: trainer_state.json is the last file of one."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        try:
            whole.append((json.loads((path / "trainer_state.json").read_text())["global_step"], path))
        except (OSError, ValueError, KeyError):
            continue
    return max(whole)[1] if whole else None


def _lora(problem: Problem) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=problem.training.lora_rank,
        lora_alpha=problem.training.lora_alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _for_trl(problem: Problem, reward: Reward, tokenizer: Any, ends: list[int]) -> Any:
    """A reward as TRL calls it, on the same texts and with the same checks as in evaluation."""

    def call(completion_ids: list[list[int]], index: list[int], **_: Any) -> list[float]:
        prompts = [problem.prompts[i] for i in index]
        completions = [to_completion(tokenizer, row, ends) for row in completion_ids]
        return score(reward, prompts, completions, problem.reward_max).tolist()

    call.__name__ = reward.name
    return call


def load_weights(model: Any, folder: Path, base: str) -> None:
    """Put the weights of the adapter in ``folder`` into the one that ``model`` has. Raises ArtifactError where that is
    no adapter of the model ``base``."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    check_adapter(folder, base)
    set_peft_model_state_dict(model, load_file(folder / WEIGHTS_FILE))


def save_adapter(model: Any, base: str, folder: Path) -> None:
    """Write the PEFT folder, the configuration last, naming the base model as the user named it."""
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(temporary, save_embedding_layers=False)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        write_atomically(folder / name, (temporary / name).read_bytes())
    shutil.rmtree(temporary)


def _progress_callback(progress: Progress) -> Any:
    from transformers import TrainerCallback

    class Report(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            progress(state.global_step, state.max_steps)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            progress(state.global_step, state.max_steps)

    return Report()
