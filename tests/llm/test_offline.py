"""Plan steps: maximum likelihood on the planning samples as π*_w weighs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from backends.llm import Evaluation, Planning, Reference, Training
from backends.llm.distillation import _accumulate, distil, draw_step
from backends.llm.policies.adapter import WEIGHTS_FILE
from backends.llm.pools import TEXTS_FILE, load_answers
from backends.llm.tokens import prompt_tokens
from backends.llm.training import PLAN_FOLDER, make_trainer, train
from palm_theory.errors import ArtifactError, InputError

from .conftest import PROMPTS

PLANNED = Training(steps=2, prompts_per_step=2, generations=4, checkpoint_every=2, lora_rank=4, plan_steps=3)
HAPPY = np.array([0.0, 1.0])


@settings(max_examples=50, deadline=None)
@given(
    generations=st.integers(1, 8), asked=st.lists(st.integers(0, 2), min_size=1, max_size=4), seed=st.integers(0, 99)
)
def test_shares_sum_to_one_and_only_possible_answers_are_drawn(generations: int, asked: list[int], seed: int):
    answers = [[[x, i] for i in range(4)] for x in range(3)]
    tilt = np.array([[0.5, 0.5, 0, 0], [0, 1, 0, 0], [0.25, 0.25, 0.25, 0.25]])
    rows = draw_step(answers, tilt, [[x] for x in range(3)], asked, generations, np.random.default_rng(seed))
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert all(row.prompt == row.answer[:1] and tilt[row.answer[0], row.answer[1]] > 0 for row in rows)


def test_draws_follow_the_tilt():
    tilt = np.array([[0.7, 0.2, 0.1]])
    rows = draw_step([[[0], [1], [2]]], tilt, [[9]], [0], 20000, np.random.default_rng(0))
    np.testing.assert_allclose([row.share for row in rows], tilt[0], atol=0.01)


def test_the_gradient_is_that_of_the_weighted_likelihood(make_backend, tmp_path: Path):
    trainer = make_trainer(make_backend(training=PLANNED).problem, HAPPY, tmp_path, seed=0)
    model, wanted = trainer.model, [p for p in trainer.model.parameters() if p.requires_grad]
    rows = draw_step([[[1, 2, 0], [3, 0]]], np.array([[0.6, 0.4]]), [[4, 5]], [0], 50, np.random.default_rng(0))
    whole = torch.tensor(0.0)
    for row in rows:
        logits = model(input_ids=torch.tensor([row.prompt + row.answer])).logits[0, 1:-1]
        whole = whole - row.share * logits.log_softmax(-1).gather(-1, torch.tensor(row.answer)[:, None]).sum()
    expected = torch.autograd.grad(whole / 8, wanted)
    for size in (1, 2):
        model.zero_grad()
        assert _accumulate(model, rows, size, 0, limit=8) == pytest.approx(float(whole), rel=1e-4)
        for parameter, gradient in zip(wanted, expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)


def test_plan_steps_raise_the_likelihood_of_what_the_reward_likes(make_backend, tmp_path: Path):
    many = Training(steps=1, prompts_per_step=3, generations=8, plan_steps=40, learning_rate=5e-3)
    backend = make_backend(training=many, planning=Planning(3, 24))
    backend.planning_samples()
    trainer = make_trainer(backend.problem, HAPPY, tmp_path, seed=0)
    prompts = [prompt_tokens(trainer.processing_class, p, None) for p in backend.problem.planning_prompts]
    losses = distil(backend.problem, HAPPY, backend.planning_pool().folder, prompts, trainer.model, 0, seed=0)
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.5


def test_a_policy_is_planned_then_trained(make_backend):
    steps = Training(steps=2, prompts_per_step=4, generations=8, plan_steps=40, learning_rate=5e-3, checkpoint_every=9)
    backend = make_backend(
        training=steps,
        planning=Planning(2, 32),
        prompts=PROMPTS[:2],
        held_out=PROMPTS[2:],
        evaluation=Evaluation(64),
    )
    trained, base = backend.evaluate(backend.optimize(HAPPY).policy), backend.evaluate(Reference(backend.problem.chat))
    assert trained.rewards[1] > base.rewards[1] + 0.05


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
    monkeypatch.setattr("backends.llm.training.distil", killed)
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
