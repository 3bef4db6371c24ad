"""Offline steps: the log-ratios of the planning samples are fitted to their rewards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy.special import softmax

from backends.llm import Planning, Reference, Training
from backends.llm.measure.pools import TEXTS_FILE, load_answers
from backends.llm.model.decoding import Sampled
from backends.llm.model.tokens import prompt_tokens
from backends.llm.policies.adapter import WEIGHTS_FILE
from backends.llm.train.offline import _totals, contrast, pick, take_offline_steps
from backends.llm.train.training import OFFLINE_FOLDER, make_trainer, train
from palm_theory.errors import ArtifactError, InputError

from .conftest import PROMPTS, happiness
from .tolerance import DEVIATIONS, assert_equal_but_for_rounding, rounding_error

PLANNED = Training(steps=2, prompts_per_step=2, generations=4, checkpoint_every=2, lora_rank=4, plan_steps=3)
HAPPY = np.array([0.0, 1.0])


def answered(model, prompt: list[int], rows: list[list[int]]) -> list[Sampled]:
    """Answers with the base model's log-probabilities, one pass each."""
    answers = []
    with torch.no_grad(), model.disable_adapter():
        for row in rows:
            logits = model(input_ids=torch.tensor([prompt + row])).logits[0, len(prompt) - 1 : -1]
            own = logits.log_softmax(-1).gather(-1, torch.tensor(row)[:, None])[:, 0]
            answers.append(Sampled(row, own.tolist()))
    return answers


@pytest.fixture
def model(make_backend, tmp_path: Path):
    trainer = make_trainer(make_backend(training=PLANNED).problem, HAPPY, tmp_path, seed=0)
    torch.manual_seed(1)
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.3)
    return trainer.model


ROWS = [[1, 2, 0], [3, 0], [4, 5, 6], [7, 8, 0]]
TOKENS = 4 * (2 + 3)  # a prompt of two and an answer of three, four times


def with_gradient(model, loss: torch.Tensor) -> list[torch.Tensor]:
    """A loss, and its gradients by the adapter's weights."""
    wanted = [p for p in model.parameters() if p.requires_grad]
    return [loss.detach(), *torch.autograd.grad(loss, wanted)]


def test_the_loss_is_the_cross_entropy_of_log_ratios_to_rewards(model):
    prompt, scores = [4, 5], np.array([0.3, -1.0, 2.0, 0.5])
    answers = answered(model, prompt, ROWS)
    ratios = []
    for answer in answers:
        logits = model(input_ids=torch.tensor([prompt + answer.tokens])).logits[0, 1:-1]
        own = logits.log_softmax(-1).gather(-1, torch.tensor(answer.tokens)[:, None]).sum()
        ratios.append(own - sum(answer.logprobs))
    expected = -(torch.tensor(scores).softmax(-1) * torch.stack(ratios).log_softmax(-1)).sum()

    def ours() -> list[torch.Tensor]:
        return with_gradient(model, contrast(model, prompt, answers, scores, 0))

    error = rounding_error(model, ours, TOKENS)
    assert_equal_but_for_rounding(ours(), with_gradient(model, expected), error)


def test_the_loss_is_least_where_log_ratios_are_rewards_up_to_a_constant(model):
    prompt = [4, 5]
    answers = answered(model, prompt, ROWS)
    own = _totals(model, prompt, ROWS, 0).detach()
    ratios = (own - torch.tensor([sum(answer.logprobs) for answer in answers])).double().numpy()
    scores = ratios + 3.0
    entropy = -float((softmax(scores) * np.log(softmax(scores))).sum())

    def least() -> list[torch.Tensor]:
        return with_gradient(model, contrast(model, prompt, answers, scores, 0))

    found = least()
    expected = [torch.tensor(entropy), *(torch.zeros_like(gradient) for gradient in found[1:])]
    assert_equal_but_for_rounding(found, expected, rounding_error(model, least, TOKENS))


def test_a_coarser_type_is_scored_anew(model):
    prompt, scores = [4, 5], np.array([0.3, -1.0, 2.0, 0.5])
    answers = answered(model, prompt, ROWS)

    def fine() -> list[torch.Tensor]:
        return [contrast(model, prompt, answers, scores, 0)]

    with torch.no_grad():
        expected, error = fine(), rounding_error(model, fine, dtype=torch.bfloat16)
        unscored = [Sampled(answer.tokens, []) for answer in answers]
        coarse = contrast(model.to(torch.bfloat16), prompt, unscored, scores, 0)
    assert_equal_but_for_rounding([coarse], expected, error)


@given(st.integers(1, 40), st.integers(2, 12), st.integers(0, 99))
def test_picked_answers_are_distinct_and_come_from_both_ends(available: int, count: int, seed: int):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=available)
    chosen = pick(scores, count, rng)
    assert len(set(chosen.tolist())) == len(chosen) == min(available, count)
    if 3 * count <= available:
        ranks = np.argsort(np.argsort(-scores))[chosen]
        assert np.count_nonzero(ranks < available // 3) == -(-count // 2)
        assert np.count_nonzero(ranks >= available - available // 3) == count // 2


def test_offline_steps_lower_the_loss(make_backend, tmp_path: Path):
    """Every step sees all answers to all prompts: what is lowered is one function, whatever was sampled."""
    every = Training(steps=1, prompts_per_step=3, generations=24, plan_steps=40, plan_learning_rate=5e-3)
    backend = make_backend(training=every, planning=Planning(3, 24))
    backend.runs.planning_samples()
    trainer = make_trainer(backend.problem, HAPPY, tmp_path, seed=0)
    prompts = [prompt_tokens(trainer.processing_class, p, None) for p in backend.problem.planning_prompts]
    folder = backend.runs.planning_pool.folder
    answers, _ = load_answers(folder)

    def totals() -> list[torch.Tensor]:
        rows = [[answer.tokens for answer in asked] for asked in answers]
        return [_totals(trainer.model, *pair, 0) for pair in zip(prompts, rows, strict=True)]

    with torch.no_grad():
        error = max(rounding_error(trainer.model, totals))
    losses = take_offline_steps(backend.problem, HAPPY, folder, prompts, trainer.model, 0, seed=0)
    # Before the first step all log-ratios are 0; the loss moves by at most twice what one of them is off.
    assert losses[0] == pytest.approx(np.log(24), abs=2 * DEVIATIONS * error)
    assert losses[-1] < losses[0] - 0.1  # 1.4 ± 0.5 over seeds, which sample other answers


def test_a_policy_is_planned_then_trained(make_backend):
    steps = Training(
        steps=2, prompts_per_step=4, generations=8, plan_steps=40, plan_learning_rate=1e-2, checkpoint_every=9
    )
    backend = make_backend(training=steps, planning=Planning(2, 256), prompts=PROMPTS[:2], held_out=PROMPTS[2:])
    trained, base = (
        np.mean([happiness([], texts) for texts in policy.generate(PROMPTS[:2], 200)])
        for policy in (backend.optimize(HAPPY).policy, Reference(backend.problem.chat))
    )
    assert trained > base + 0.1  # 0.30 ± 0.05 over seeds


def test_killed_between_offline_steps_and_training_is_the_same_as_undisturbed(
    make_backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    backend = make_backend(training=PLANNED)
    backend.runs.planning_samples()
    samples = backend.runs.planning_pool.folder

    def run(folder: Path) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        train(backend.problem, HAPPY, folder, 7, lambda done, total: seen.append((done, total)), samples=samples)
        return seen

    assert run(tmp_path / "whole")[-1] == (5, 5)
    assert not (tmp_path / "whole" / OFFLINE_FOLDER).exists()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("transformers.Trainer.train", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut")
    assert (tmp_path / "cut" / OFFLINE_FOLDER / WEIGHTS_FILE).is_file()
    monkeypatch.setattr("backends.llm.train.training.take_offline_steps", killed)
    run(tmp_path / "cut")
    whole, cut = (load_file(tmp_path / name / "adapter" / WEIGHTS_FILE) for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_offline_steps_without_samples_are_refused(make_backend, tmp_path: Path):
    with pytest.raises(InputError, match="planning samples"):
        train(make_backend(training=PLANNED).problem, HAPPY, tmp_path, 0, lambda done, total: None)


def test_corrupt_samples_are_refused(make_backend, tmp_path: Path):
    backend = make_backend(training=PLANNED)
    backend.runs.planning_samples()
    folder = tmp_path / "copy"
    shutil.copytree(backend.runs.planning_pool.folder, folder)
    lines = (folder / TEXTS_FILE).read_text().splitlines()
    for spoilt in (lines[:-1], [*lines[:-1], "{"], [*lines[:-1], json.dumps({"prompt": "x"})]):
        (folder / TEXTS_FILE).write_text("\n".join(spoilt))
        with pytest.raises(ArtifactError, match="the samples in"):
            load_answers(folder)
