"""The trainers' shared prompts change the work, not the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backends.llm import Training
from backends.llm.train.training import make_trainer

from .tolerance import assert_equal_but_for_rounding, rounding_error


@pytest.fixture(params=["grpo", "rloo"])
def trainer(request: pytest.FixtureRequest, make_backend, tmp_path: Path):
    training = Training(request.param, steps=4, prompts_per_step=2, generations=4, lora_rank=2)
    made = make_trainer(make_backend(training=training).problem, np.array([0.4, 0.6]), tmp_path, seed=0)
    torch.manual_seed(1)
    for name, parameter in made.model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.3)
    made.model.train()
    made.current_gradient_accumulation_steps = 1
    return made


def rows_of(trainer) -> list[dict]:
    data = [trainer.train_dataset[i] for i in range(2)]
    return [row for row in data for _ in range(trainer.num_generations)]


def test_packed_scores_are_trls(trainer):
    batch = trainer._generate_and_score_completions(rows_of(trainer))
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    width = batch["completion_ids"].size(1)
    seen = batch["completion_mask"].bool()
    plain = super(type(trainer).__mro__[1], trainer)._get_per_token_logps_and_entropies

    def scored(method, size: int | None) -> list[torch.Tensor]:
        logprobs, entropies, _ = method(trainer.model, ids, mask, width, size, True)
        return [logprobs[seen], entropies[seen]]

    with torch.no_grad():
        error = rounding_error(trainer.model, lambda: scored(plain, None))
        for size in (None, 3):
            ours = scored(trainer._get_per_token_logps_and_entropies, size)
            assert_equal_but_for_rounding(ours, scored(plain, size), error)


def test_a_steps_gradient_is_that_without_sharing(trainer, monkeypatch: pytest.MonkeyPatch):
    batch = trainer._generate_and_score_completions(rows_of(trainer))
    wanted = [p for p in trainer.model.parameters() if p.requires_grad]

    def gradient() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(trainer.compute_loss(trainer.model, batch), wanted)

    shared = gradient()
    monkeypatch.setattr("backends.llm.train.trainers.can_pack", lambda model: False)
    tokens = batch["prompt_ids"].numel() + batch["completion_ids"].numel()
    assert_equal_but_for_rounding(shared, gradient(), rounding_error(trainer.model, gradient, tokens))


def test_the_samples_come_in_the_order_of_their_prompts(trainer):
    prompts, *_ = trainer._tokenize_prompts([row["prompt"] for row in rows_of(trainer)])
    sampled = trainer._sampled(prompts)
    assert len(sampled) == len(prompts)

    def alone() -> list[torch.Tensor]:
        found = []
        for prompt, row in zip(prompts, sampled, strict=True):
            logits = trainer.model(input_ids=torch.tensor([prompt + row.tokens])).logits[0, len(prompt) - 1 : -1]
            found.append(logits.log_softmax(-1).gather(-1, torch.tensor(row.tokens)[:, None])[:, 0])
        return found

    with torch.no_grad():
        own = [torch.tensor(row.logprobs) for row in sampled]
        assert_equal_but_for_rounding(own, alone(), rounding_error(trainer.model, alone))
