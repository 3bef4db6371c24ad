"""Every way to realise a policy, against what it is by definition."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from backends.llm import Adapter, Chat, DecodingMixture, GibbsResampling, Reference, make_soup
from backends.llm.model.loading import load_model
from backends.llm.model.scoring import gather_logprobs, next_token_logprobs
from backends.llm.model.tokens import prompt_tokens
from backends.llm.policies import load_policy, policy_digest, save_policy
from backends.llm.policies.base import in_float32
from backends.llm.rewards import resolve_rewards
from palm_theory.errors import ArtifactError, InputError

from .tolerance import assert_equal_but_for_rounding, gamma, rounding_error

PROMPTS = ["I like tea", "the cat"]


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> Chat:
    return Chat(str(tiny_model), None, 6, "float32", batch_size=8)


@pytest.fixture(scope="module")
def adapters(chat: Chat, tmp_path_factory: pytest.TempPathFactory) -> list[Adapter]:
    """Three adapters with random weights far from zero."""
    made = []
    for k in range(3):
        torch.manual_seed(k)
        model = get_peft_model(load_model(chat), LoraConfig(r=2 + k, lora_alpha=8, target_modules="all-linear"))
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(std=0.3)
        folder = tmp_path_factory.mktemp(f"adapter{k}")
        model.save_pretrained(folder)
        made.append(Adapter(chat, str(folder)))
    return made


def test_sampling_is_reproducible_and_stops_at_the_end_token(chat: Chat):
    loaded = Reference(chat).open()
    first, again = loaded.generate(PROMPTS, 20, seed=5), loaded.generate(PROMPTS, 20, seed=5)
    assert first == again != loaded.generate(PROMPTS, 20, seed=6)
    assert all("<end>" not in text and text.tokens <= 6 for row in first for text in row)
    assert {text.finished for row in first for text in row} == {True, False}
    assert all(text.tokens == 6 for row in first for text in row if not text.finished)


def test_sampled_frequencies_are_the_models_probabilities(chat: Chat):
    loaded = Reference(chat).open()
    tokens = prompt_tokens(loaded.tokenizer, PROMPTS[0], None)
    exact = next_token_logprobs(loaded.model, [tokens], [[0]], 0)[0, 0].exp().detach().numpy()
    first = [row.tokens[0] for row in loaded.sample([tokens], 1000, seed=0)[0]]
    counts = np.bincount(first, minlength=len(exact)) / 1000
    assert np.abs(counts - exact).max() < 5 * math.sqrt(0.25 / 1000)


def test_logprobs_do_not_depend_on_padding(chat: Chat):
    loaded = Reference(chat).open()
    prompts = [prompt_tokens(loaded.tokenizer, prompt, None) for prompt in PROMPTS]
    answers = [[3, 4, 0], [5]]

    def scored(rows: slice) -> list[torch.Tensor]:
        return gather_logprobs(next_token_logprobs(loaded.model, prompts[rows], answers[rows], 0), answers[rows])

    with torch.no_grad():
        together, alone = scored(slice(2)), [*scored(slice(0, 1)), *scored(slice(1, 2))]
        error = rounding_error(loaded.model, lambda: scored(slice(2)))
    assert_equal_but_for_rounding(together, alone, error)


def test_the_reference_has_no_divergence(chat: Chat):
    replies = Reference(chat).open().replies(PROMPTS, 3, seed=0)
    assert replies.divergence.tolist() == [0, 0]
    assert np.allclose(replies.probabilities, 1 / 3)


def test_an_adapters_divergence_is_its_sequence_level_kl(chat: Chat, adapters: list[Adapter]):
    """k1 and k3 agree, on many samples, with each other: both are unbiased for the same KL."""
    replies = adapters[0].open().replies(PROMPTS[:1], 600, seed=1)
    assert replies.divergence_check is not None
    assert replies.divergence[0] > 0.1
    assert replies.divergence[0] == pytest.approx(replies.divergence_check[0], rel=0.35)


def test_in_float32_restores_types_exactly(tiny_model: Path):
    model = load_model(Chat(str(tiny_model), dtype="bfloat16"))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with in_float32(model):
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.bfloat16
        assert torch.equal(parameter, before[name])


def delta_weights(chat: Chat, folder: str, *, absolute: bool = False) -> dict[str, torch.Tensor]:
    """ΔW = s·BA of every layer, or s·|B||A|, the size of the products that are summed."""
    model = PeftModel.from_pretrained(load_model(chat), folder)
    if absolute:
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data.abs_()
    return {n: m.get_delta_weight("default") for n, m in model.named_modules() if hasattr(m, "get_delta_weight")}


def test_a_soup_is_the_weighted_sum_of_weight_updates(chat: Chat, adapters: list[Adapter], tmp_path: Path):
    coefficients = [0.5, 0.2, 0.3]
    soup = make_soup(adapters, coefficients, tmp_path / "soup")
    parts, sizes = (
        [delta_weights(chat, adapter.folder, absolute=absolute) for adapter in adapters] for absolute in (False, True)
    )
    mixed = delta_weights(chat, soup.folder)
    config = json.loads((tmp_path / "soup" / "adapter_config.json").read_text())
    assert config["r"] == 2 + 3 + 4
    # A product is scaled by c and s, summed with r others, in the soup and in the parts: a chain of r + 2 round-offs.
    bound = 2 * gamma(config["r"] + 2)
    for name, found in mixed.items():
        expected, size = (
            sum(c * part[name] for c, part in zip(coefficients, which, strict=True)) for which in (parts, sizes)
        )
        assert ((found - expected).abs() <= bound * size).all(), name


def test_a_soup_of_full_rank_by_svd_is_the_same_and_a_low_rank_one_is_not(chat, adapters, tmp_path: Path):
    """An SVD's error is a modest multiple of the matrix's norm and of u: at most as many of them as it has elements."""
    parts = [delta_weights(chat, adapter.folder) for adapter in adapters[:2]]
    for rank, close in ((5, True), (1, False)):
        mixed = delta_weights(chat, make_soup(adapters[:2], [0.5, 0.5], tmp_path / str(rank), rank=rank).folder)
        errors = [float((mixed[n] - (parts[0][n] + parts[1][n]) / 2).norm() / mixed[n].norm()) for n in mixed]
        assert (max(errors) < gamma(max(mixed[n].numel() for n in mixed))) is close


def test_a_decoding_mixture_multiplies_the_experts_probabilities(chat: Chat, adapters: list[Adapter]):
    coefficients = (0.25, 0.0, 0.75)
    folders = tuple(adapter.folder for adapter in adapters)
    mixture = DecodingMixture(chat, folders, coefficients).open()
    tokens, answers = [prompt_tokens(mixture.tokenizer, PROMPTS[0], None)], [[3, 4, 0]]
    with torch.no_grad():
        each = [adapter.open().logprobs(tokens, answers) for adapter in adapters]
        expected = sum(c * logprobs for c, logprobs in zip(coefficients, each, strict=True)).log_softmax(-1)
        error = rounding_error(mixture.model, lambda: [mixture.logprobs(tokens, answers)])
        assert_equal_but_for_rounding([mixture.logprobs(tokens, answers)], [expected], error)
    first = [row.tokens[0] for row in mixture.sample(tokens, 800, seed=0)[0]]
    counts = np.bincount(first, minlength=expected.shape[-1]) / 800
    assert np.abs(counts - expected[0, 0].exp().detach().numpy()).max() < 5 * math.sqrt(0.25 / 800)


def test_decoding_with_a_cache_follows_the_scored_distribution(chat: Chat, adapters: list[Adapter]):
    """Second tokens, whose forward pass uses the cache, have the frequencies that scoring without a cache gives."""
    mixture = DecodingMixture(chat, (adapters[0].folder, adapters[1].folder), (0.5, 0.5)).open()
    tokens = prompt_tokens(mixture.tokenizer, PROMPTS[1], None)
    rows = [row.tokens for row in mixture.sample([tokens], 1000, seed=0)[0] if len(row.tokens) > 1]
    first = max({row[0] for row in rows}, key=lambda t: sum(row[0] == t for row in rows))
    seconds = [row[1] for row in rows if row[0] == first]
    exact = mixture.logprobs([tokens], [[first, 0]])[0, 1].exp().detach().numpy()
    counts = np.bincount(seconds, minlength=len(exact)) / len(seconds)
    assert np.abs(counts - exact).max() < 5 * math.sqrt(0.25 / len(seconds))


@pytest.mark.parametrize("coefficients", [(0.5, 0.6), (1.5, -0.5), (1.0,), (math.nan, 1.0)])
def test_wrong_coefficients_are_refused(chat: Chat, adapters: list[Adapter], coefficients: tuple[float, ...]):
    with pytest.raises(InputError, match="coefficient"):
        DecodingMixture(chat, (adapters[0].folder, adapters[1].folder), coefficients)


def test_gibbs_resampling_tilts_its_pool(chat: Chat):
    rewards = resolve_rewards(["brevity"], 6)
    hard = GibbsResampling(chat, rewards, (1.0,), 0.0, samples=6).open().replies(PROMPTS, 1, seed=0)
    soft = GibbsResampling(chat, rewards, (1.0,), 0.2, samples=6).open().replies(PROMPTS, 1, seed=0)
    assert hard.completions == soft.completions
    assert np.allclose(hard.divergence, math.log(6))
    scores = np.array(
        [
            [rewards[0].normalizer.apply([c.tokens if c.finished and c else 6])[0] for c in row]
            for row in soft.completions
        ]
    )
    weights = np.exp(scores / 0.2)
    assert np.allclose(soft.probabilities, weights / weights.sum(axis=1, keepdims=True))
    value = (soft.probabilities * scores).sum(axis=1) - 0.2 * soft.divergence
    assert np.allclose(value, 0.2 * np.log(weights.mean(axis=1)))


def test_policies_save_and_load(chat: Chat, adapters: list[Adapter], tmp_path: Path):
    rewards = resolve_rewards(["brevity"], 6)
    policies = [
        Reference(chat),
        adapters[0],
        DecodingMixture(chat, (adapters[0].folder, adapters[1].folder), (0.5, 0.5)),
        GibbsResampling(chat, rewards, (1.0,), 0.1),
    ]
    for k, policy in enumerate(policies):
        folder = tmp_path / str(k)
        folder.mkdir()
        save_policy(policy, folder)
        loaded = load_policy(folder, chat.model, rewards)
        assert type(loaded) is type(policy)
        assert policy_digest(loaded) == policy_digest(policy)
        assert loaded.generate(PROMPTS, 2, seed=3) == policy.generate(PROMPTS, 2, seed=3)
        assert not list(folder.rglob("*.bin")) + list(folder.rglob("*.pkl"))


def test_an_adapter_of_another_base_model_is_refused(chat: Chat, adapters: list[Adapter], tmp_path: Path):
    save_policy(adapters[0], tmp_path)
    with pytest.raises(ArtifactError, match=r"is of the base model .* not 'another'"):
        load_policy(tmp_path, "another")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "someone/else"}))
    with pytest.raises(ArtifactError, match="was trained on 'someone/else'"):
        load_policy(tmp_path, chat.model)


def test_a_corrupt_adapter_is_refused(chat: Chat, adapters: list[Adapter], tmp_path: Path):
    save_policy(adapters[0], tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ArtifactError, match="does not fit the model"):
        load_policy(tmp_path, chat.model).generate(PROMPTS)
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"has no adapter_model\.safetensors"):
        load_policy(tmp_path, chat.model)
