"""Plan steps: the log-ratios of the planning samples are fitted to their rewards."""

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

from backends.llm import Evaluation, Planning, Reference, Training
from backends.llm.measure.pools import TEXTS_FILE, load_answers
from backends.llm.model.decoding import Sampled
from backends.llm.model.tokens import prompt_tokens
from backends.llm.policies.adapter import WEIGHTS_FILE
from backends.llm.train.offline import _totals, contrast, pick, take_plan_steps
from backends.llm.train.training import PLAN_FOLDER, make_trainer, train
from palm_theory.errors import ArtifactError, InputError

from .conftest import PROMPTS

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


def test_the_loss_is_the_cross_entropy_of_log_ratios_to_rewards(model):
    prompt, scores = [4, 5], np.array([0.3, -1.0, 2.0, 0.5])
    answers = answered(model, prompt, ROWS)
    ratios = []
    for answer in answers:
        logits = model(input_ids=torch.tensor([prompt + answer.tokens])).logits[0, 1:-1]
        own = logits.log_softmax(-1).gather(-1, torch.tensor(answer.tokens)[:, None]).sum()
        ratios.append(own - sum(answer.logprobs))
    expected = -(torch.tensor(scores).softmax(-1) * torch.stack(ratios).log_softmax(-1)).sum()
    loss = contrast(model, prompt, answers, scores, 0)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    wanted = [p for p in model.parameters() if p.requires_grad]
    for ours, theirs in zip(torch.autograd.grad(loss, wanted), torch.autograd.grad(expected, wanted), strict=True):
        torch.testing.assert_close(ours, theirs.float(), rtol=1e-3, atol=1e-5)


def test_the_loss_is_least_where_log_ratios_are_rewards_up_to_a_constant(model):
    prompt = [4, 5]
    answers = answered(model, prompt, ROWS)
    own = _totals(model, prompt, ROWS, 0).detach()
    ratios = (own - torch.tensor([sum(answer.logprobs) for answer in answers])).double().numpy()
    scores = ratios + 3.0
    entropy = -float((softmax(scores) * np.log(softmax(scores))).sum())
    assert float(contrast(model, prompt, answers, scores, 0).detach()) == pytest.approx(entropy, abs=1e-4)
    wanted = [p for p in model.parameters() if p.requires_grad]
    gradient = torch.autograd.grad(contrast(model, prompt, answers, scores, 0), wanted)
    assert max(float(g.abs().max()) for g in gradient) < 1e-3


def test_a_coarser_type_is_scored_anew(model):
    prompt, scores = [4, 5], np.array([0.3, -1.0, 2.0, 0.5])
    answers = answered(model, prompt, ROWS)
    fine = float(contrast(model, prompt, answers, scores, 0).detach())
    unscored = [Sampled(answer.tokens, []) for answer in answers]
    coarse = float(contrast(model.to(torch.bfloat16), prompt, unscored, scores, 0).detach())
    assert coarse == pytest.approx(fine, abs=0.1)


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


def test_plan_steps_lower_the_loss(make_backend, tmp_path: Path):
    many = Training(steps=1, prompts_per_step=3, generations=8, plan_steps=40, plan_learning_rate=5e-3)
    backend = make_backend(training=many, planning=Planning(3, 24))
    backend.planning_samples()
    trainer = make_trainer(backend.problem, HAPPY, tmp_path, seed=0)
    prompts = [prompt_tokens(trainer.processing_class, p, None) for p in backend.problem.planning_prompts]
    folder = backend.planning_pool().folder
    losses = take_plan_steps(backend.problem, HAPPY, folder, prompts, trainer.model, 0, seed=0)
    assert losses[0] == pytest.approx(np.log(8), abs=1e-3)
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.1


def test_a_policy_is_planned_then_trained(make_backend):
    steps = Training(
        steps=2, prompts_per_step=4, generations=8, plan_steps=40, plan_learning_rate=5e-3, checkpoint_every=9
    )
    backend = make_backend(
        training=steps,
        planning=Planning(2, 32),
        prompts=PROMPTS[:2],
        held_out=PROMPTS[2:],
        evaluation=Evaluation(64),
    )
    trained, base = backend.evaluate(backend.optimize(HAPPY).policy), backend.evaluate(Reference(backend.problem.chat))
    assert trained.rewards[1] > base.rewards[1] + 0.02


def test_killed_between_plan_steps_and_training_is_the_same_as_undisturbed(
    make_backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    backend = make_backend(training=PLANNED)
    backend.planning_samples()
    samples = backend.planning_pool().folder

    def run(folder: Path) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        train(backend.problem, HAPPY, folder, 7, lambda done, total: seen.append((done, total)), samples=samples)
        return seen

    assert run(tmp_path / "whole")[-1] == (5, 5)
    assert not (tmp_path / "whole" / PLAN_FOLDER).exists()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("transformers.Trainer.train", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut")
    assert (tmp_path / "cut" / PLAN_FOLDER / WEIGHTS_FILE).is_file()
    monkeypatch.setattr("backends.llm.train.training.take_plan_steps", killed)
    run(tmp_path / "cut")
    whole, cut = (load_file(tmp_path / name / "adapter" / WEIGHTS_FILE) for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_plan_steps_without_samples_are_refused(make_backend, tmp_path: Path):
    with pytest.raises(InputError, match="planning samples"):
        train(make_backend(training=PLANNED).problem, HAPPY, tmp_path, 0, lambda done, total: None)


def test_corrupt_samples_are_refused(make_backend, tmp_path: Path):
    backend = make_backend(training=PLANNED)
    backend.planning_samples()
    folder = tmp_path / "copy"
    shutil.copytree(backend.planning_pool().folder, folder)
    lines = (folder / TEXTS_FILE).read_text().splitlines()
    for spoilt in (lines[:-1], [*lines[:-1], "{"], [*lines[:-1], json.dumps({"prompt": "x"})]):
        (folder / TEXTS_FILE).write_text("\n".join(spoilt))
        with pytest.raises(ArtifactError, match="the samples in"):
            load_answers(folder)
