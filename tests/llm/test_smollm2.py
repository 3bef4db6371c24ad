"""The embedded model for real. Slow: run by hand with ``pytest -m slow tests/llm``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backends.llm import LLMBackend, Reference, Workers, paired_difference
from backends.llm.model.loading import BUNDLED_PACKAGE, load_model, load_tokenizer, model_source, package_file
from backends.llm.settings import DEFAULT_MODEL, Chat
from palm_theory import Planned

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(package_file(BUNDLED_PACKAGE, ".gguf") is None, reason=f"{BUNDLED_PACKAGE} is not installed"),
]


def test_the_converted_model_is_the_gguf_file_exactly():
    from transformers import AutoModelForCausalLM

    source = package_file(BUNDLED_PACKAGE, ".gguf")
    assert source is not None
    original = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    converted = load_model(Chat(dtype="float32")).state_dict()
    for name, tensor in original.state_dict().items():
        assert torch.equal(tensor, converted[name]), name
    settings = load_model(Chat()).generation_config
    assert settings.eos_token_id == settings.pad_token_id == load_tokenizer(DEFAULT_MODEL).eos_token_id
    assert (Path(model_source(DEFAULT_MODEL)) / "source.json").exists()


def test_it_answers_and_learns_to_be_brief(tmp_path: Path):
    backend = LLMBackend(folder=tmp_path, workers=Workers(count=2))
    brief = np.array([1.0, 0.0, 0.0])
    trained = backend.runs.measured(backend.optimize(brief).policy)
    base = backend.runs.measured(Reference(backend.problem.chat))
    assert all(base.replies)
    lead, error = paired_difference(trained, base, brief)
    assert lead > 2 * error
    gain = trained.rewards[:, 0].mean() - base.rewards[:, 0].mean()
    assert gain > 0.2


def test_the_forecast_orders_the_same_samples_the_same_way(tmp_path: Path):
    backend = LLMBackend(preset_name="tiny", folder=tmp_path, workers=Workers())
    first = Planned().forecast(backend.surrogate(), 4)
    again = Planned().forecast(backend.surrogate(), 4)
    assert np.array_equal(first.weights, again.weights)
    assert (first.epsilon[0], first.epsilon[-1]) == (first.epsilon.max(), first.epsilon.min())
