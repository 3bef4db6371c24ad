"""Artifacts: what a server, stock peft and the command line make of a saved portfolio."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from backends.bandit import BanditBackend
from backends.llm import Training
from backends.llm.app.chat import load_portfolio, side_by_side
from backends.llm.app.export import check_servable, export_portfolio
from palm_theory import Planned, build_portfolio
from palm_theory.cli.app import app
from palm_theory.errors import ArtifactError, InputError


@pytest.fixture
def saved(make_backend, tmp_path: Path) -> Path:
    training = Training(steps=1, prompts_per_step=2, generations=2, lora_rank=2)
    backend = make_backend(training=training, rewards=["brevity", "positivity"])
    build_portfolio(backend, Planned(max_policies=2), path=tmp_path / "portfolio")
    return tmp_path / "portfolio"


def test_a_portfolio_folder_holds_only_safetensors_and_json(saved: Path):
    files = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    for policy in ("p00", "p01"):
        for name in ("adapter_config.json", "adapter_model.safetensors", "README.md", "palm_policy.json"):
            assert f"policies/{policy}/{name}" in files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]


def test_exported_adapters_load_in_stock_peft_and_say_the_same(saved: Path, tiny_model: Path, tmp_path: Path):
    folders = export_portfolio(saved, tmp_path / "served", base_model=str(tiny_model))
    assert [folder.name for folder in folders] == ["p00", "p01"]
    stock = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), folders[0])
    ours = load_portfolio(saved)[0].policy.open().model
    theirs = {name: p for name, p in stock.named_parameters() if "lora_" in name}
    assert theirs
    for name, parameter in ours.named_parameters():
        if "lora_" in name:
            assert bool((theirs[name] == parameter).all())
    assert AutoPeftModelForCausalLM.from_pretrained(folders[1]) is not None


def test_exported_settings_are_those_that_vllm_takes(saved: Path, tmp_path: Path):
    (first, *_) = export_portfolio(saved, tmp_path / "served", base_model="org/base")
    config = json.loads((first / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "org/base"
    assert config["peft_type"] == "LORA"
    assert not config["modules_to_save"]
    assert not config["use_dora"]
    assert isinstance(config["target_modules"], list)
    card = (first / "README.md").read_text()
    assert card.startswith("---\nbase_model: org/base\n")
    assert "| brevity | 1.000 |" in card
    assert "not bounds" in card


def test_what_cannot_be_served_is_refused(saved: Path, tmp_path: Path):
    policy = saved / "policies" / "p00"
    config = json.loads((policy / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    with pytest.raises(ArtifactError, match="use_dora is True"):
        check_servable(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "something").touch()
    with pytest.raises(InputError, match="not empty"):
        export_portfolio(saved, tmp_path / "out", "org/base")


def test_policies_answer_side_by_side(saved: Path):
    portfolio = load_portfolio(saved)
    answers = side_by_side({m.name: m.policy for m in portfolio}, ["I like tea", "the cat"], seed=1)
    assert set(answers) == {"p00", "p01"}
    assert all(len(texts) == 2 for texts in answers.values())


def test_chat_and_export_on_the_command_line(saved: Path, tmp_path: Path):
    runner = CliRunner()
    asked = runner.invoke(app, ["chat", str(saved), "--weights", "brevity=.7,positivity=.3", "--prompt", "I like tea"])
    assert asked.exit_code == 0, asked.output
    assert "I like tea" in asked.output
    everyone = runner.invoke(app, ["chat", str(saved), "--prompt", "I like tea"])
    assert "p00" in everyone.output
    assert "p01" in everyone.output
    exported = runner.invoke(app, ["export", str(saved), str(tmp_path / "out"), "--base-model", "org/base"])
    assert exported.exit_code == 0, exported.output
    wrong = runner.invoke(app, ["chat", str(saved), "--weights", "kindness=1", "--prompt", "x"])
    assert isinstance(wrong.exception, InputError)
    assert "unknown objective 'kindness'" in str(wrong.exception)


def test_a_portfolio_of_something_else_is_refused(tmp_path: Path):
    build_portfolio(BanditBackend([[[0.0, 1.0], [1.0, 0.0]]]), path=tmp_path / "bandit")
    with pytest.raises(InputError, match="not a portfolio of LLM policies"):
        load_portfolio(tmp_path / "bandit")


def test_bad_input_of_build_is_named_on_the_command_line(tiny_model: Path, tmp_path: Path):
    (tmp_path / "bad.txt").write_text("")
    arguments = ["build", "llm", "--model", str(tiny_model), "--prompts", str(tmp_path / "bad.txt")]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, InputError)
    assert "holds no prompt" in str(result.exception)
