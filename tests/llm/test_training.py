"""Training on a tiny model: what moves, what stays, what a checkpoint is worth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from backends.llm import LLMPolicy, Reference, Training
from backends.llm.model.tokens import prompt_tokens, training_prompt
from backends.llm.policies.adapter import WEIGHTS_FILE
from backends.llm.settings import VLLM_MODES
from backends.llm.train.trainers import trainer_config
from backends.llm.train.training import (
    CHECKPOINT_FOLDER,
    is_trained,
    last_checkpoint,
    load_weights,
    make_trainer,
    train,
)
from palm_theory.errors import BackendError, InputError

from .conftest import PROMPTS, happiness

HALF = np.array([0.5, 0.5])


def adapter_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter" / WEIGHTS_FILE)


def run(backend, folder: Path, **changes: object) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    train(backend.problem, HALF, folder, 7, lambda done, total: seen.append((done, total)), **changes)  # type: ignore[arg-type]
    return seen


@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_every_adapter_parameter_moves_and_the_base_does_not(make_backend, tmp_path: Path, algorithm):
    training = Training(algorithm, steps=2, prompts_per_step=2, generations=4, lora_rank=2, learning_rate=1e-2)
    problem = make_backend(training=training).problem
    trainer = make_trainer(problem, HALF, tmp_path, seed=0)
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.train()
    for name, parameter in trainer.model.named_parameters():
        assert torch.equal(parameter, before[name]) is ("lora_" not in name), name


def test_training_raises_the_objective(make_backend):
    """On the prompts that it trains on: whether a model of random weights generalises from two prompts is chance."""
    backend = make_backend(
        training=Training(steps=40, prompts_per_step=4, generations=8, learning_rate=5e-3, checkpoint_every=100),
        prompts=PROMPTS[:2],
        held_out=PROMPTS[2:],
    )

    def objective(policy: LLMPolicy) -> float:
        replies = policy.open().replies(PROMPTS[:2], 200, seed=0)
        reward = np.mean([happiness([], texts) for texts in replies.completions])
        return float(reward - backend.problem.beta * replies.divergence.mean())

    trained = backend.optimize(np.array([0.0, 1.0])).policy
    assert objective(trained) > objective(Reference(backend.problem.chat)) + 0.1  # 0.45 ± 0.10 over seeds


def test_interrupted_and_resumed_is_the_same_as_uninterrupted(make_backend, tmp_path: Path):
    backend = make_backend()
    assert run(backend, tmp_path / "whole")[-1] == (4, 4)
    problem = backend.problem

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        train(problem, HALF, tmp_path / "parts", 7, kill)
    assert not is_trained(tmp_path / "parts")
    checkpoint = last_checkpoint(tmp_path / "parts" / CHECKPOINT_FOLDER)
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-2"
    assert run(backend, tmp_path / "parts")[0] == (2, 4)
    whole, parts = adapter_weights(tmp_path / "whole"), adapter_weights(tmp_path / "parts")
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name
    assert not (tmp_path / "parts" / CHECKPOINT_FOLDER).exists()


def test_a_checkpoint_cut_off_while_it_was_written_is_not_used(make_backend, tmp_path: Path):
    for step, state in ((2, '{"global_step": 2}'), (4, '{"global_st')):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-6").mkdir()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-2"


def test_loaded_weights_keep_the_base_model_as_the_reference(make_backend, tmp_path: Path):
    backend = make_backend(training=Training(steps=2, prompts_per_step=2, generations=4, learning_rate=1e-2))
    run(backend, tmp_path / "first")
    trainer = make_trainer(backend.problem, HALF, tmp_path / "next", 1)
    load_weights(trainer.model, tmp_path / "first" / "adapter", backend.problem.chat.model)
    state = {name.replace(".default", ""): p for name, p in trainer.model.named_parameters() if "lora_" in name}
    for name, tensor in adapter_weights(tmp_path / "first").items():
        torch.testing.assert_close(state[name].detach(), tensor)
    assert list(trainer.model.peft_config) == ["default"]

    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    rows = [trainer.train_dataset[0]] * 4
    batch = trainer._generate_and_score_completions(rows)
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    with torch.no_grad(), trainer.model.disable_adapter():
        base, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, batch["completion_ids"].size(1)
        )
    shown = batch["completion_mask"].bool()
    torch.testing.assert_close(batch["ref_per_token_logps"][shown], base[shown])
    with torch.no_grad():
        ours, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, batch["completion_ids"].size(1)
        )
    assert float((ours - base)[shown].abs().max()) > 1e-3


def test_trl_sees_the_same_prompt_tokens_as_evaluation(make_backend, tmp_path: Path):
    for system in (None, "you like tea"):
        problem = make_backend(system_prompt=system).problem
        trainer = make_trainer(problem, HALF, tmp_path / "t", 0)
        tokenizer = trainer.processing_class
        theirs, _, _ = trainer._tokenize_prompts([training_prompt(tokenizer, problem.prompts[0], system)])
        assert theirs[0] == prompt_tokens(tokenizer, problem.prompts[0], system)


def constant(prompts, completions) -> list[float]:
    return [0.25] * len(completions)


def test_a_constant_reward_is_logged_exactly(make_backend, tmp_path: Path):
    run(make_backend(rewards=["brevity", constant]), tmp_path)
    log = json.loads((tmp_path / "trained.json").read_text())["log"]
    steps = [entry for entry in log if "reward" in entry]
    assert len(steps) == 4
    assert all(entry["rewards/constant/mean"] == 0.25 for entry in steps)
    assert all(entry["rewards/constant/std"] == 0 for entry in steps)


def not_a_number(prompts, completions) -> list[float]:
    return [float("nan")] * len(completions)


def test_a_nan_reward_stops_training_with_its_name_and_text(make_backend, tmp_path: Path):
    with pytest.raises(BackendError, match=r"'not_a_number' gave nan .* completion: "):
        run(make_backend(rewards=["brevity", not_a_number]), tmp_path)


@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_sampling_in_vllm_is_passed_to_trl(tmp_path: Path, monkeypatch, algorithm):
    monkeypatch.setenv("PALM_VLLM_SERVER", "http://node7:9000")
    common = {"weights": [1.0], "beta": 0.1, "max_new_tokens": 8, "seed": 0, "folder": tmp_path, "bf16": False}
    off, colocate, server = (trainer_config(Training(algorithm, vllm=mode), **common) for mode in VLLM_MODES)
    assert not off.use_vllm
    assert (colocate.use_vllm, colocate.vllm_mode, colocate.vllm_gpu_memory_utilization) == (True, "colocate", 0.3)
    assert (server.use_vllm, server.vllm_mode, server.vllm_server_base_url) == (True, "server", "http://node7:9000")
    for wrong in ({"vllm": "on"}, {"vllm_memory": 1.0}):
        with pytest.raises(InputError, match="must"):
            Training(**wrong)
