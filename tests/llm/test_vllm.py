"""The command for vLLM: its arguments as a shell hands them over, and what it would refuse or drop in silence."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backends.llm.app.vllm import check_settings, write_script
from palm_theory import Certificate, Portfolio, Value
from palm_theory.certify.certificate import Kind
from palm_theory.cli.app import app
from palm_theory.errors import ArtifactError

from .tiny_portfolio import tiny_backend, tiny_policies


def given_arguments(script: Path, tmp_path: Path, *extra: str) -> tuple[list[str], str]:
    """What a program named vllm is called with, and where."""
    fake = tmp_path / "bin" / "vllm"
    fake.parent.mkdir()
    fake.write_text("#!/usr/bin/env bash\npwd\nprintf '%s\\n' \"$@\"\n")
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"}
    output = subprocess.run([script, *extra], env=environment, capture_output=True, text=True, check=True, cwd="/")
    folder, *arguments = output.stdout.splitlines()
    return arguments, folder


def test_the_script_calls_vllm_with_every_adapter(tiny_model: Path, tmp_path: Path):
    first, _, last = tiny_policies(tiny_model, tmp_path)
    backend = tiny_backend(tiny_model, tmp_path / "runs")
    unknown = Certificate(float("inf"), 0.0, None, Kind.UNKNOWN, confidence=0.0, size=2)
    entries = [(policy, Value(np.array(r)), None) for policy, r in ((first, [0.9, 0.1]), (last, [0.1, 0.9]))]
    saved = Portfolio.of(backend, entries, unknown).save(tmp_path / "portfolio", backend)
    out = tmp_path / "with space" / "served"
    base = "org/base's model"
    done = CliRunner().invoke(app, ["export", str(saved), str(out), "--base-model", base, "--serve", "vllm"])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == str(out / "serve.sh")
    arguments, folder = given_arguments(out / "serve.sh", tmp_path, "--port", "9000")
    assert Path(folder) == out
    assert arguments[:2] == ["serve", base]
    options = dict(itertools.pairwise(arguments[2:]))
    # Ranks are 4 and 2; 8 is the least that vLLM takes above.
    assert (options["--max-lora-rank"], options["--max-loras"], options["--max-cpu-loras"]) == ("8", "2", "2")
    assert (options["--dtype"], options["--generation-config"]) == ("float32", "vllm")
    assert arguments[-2:] == ["--port", "9000"]
    modules = [json.loads(text) for text in arguments[arguments.index("--lora-modules") + 1 : -2]]
    assert [(m["name"], m["path"], m["base_model_name"]) for m in modules] == [
        ("p00", "p00", base),
        ("p01", "p01", base),
    ]
    assert all((out / module["path"] / "adapter_config.json").is_file() for module in modules)


GOOD = {"r": 16, "lora_alpha": 32, "target_modules": ["q_proj"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 513}, "rank 513, above vLLM's largest, 512"),
        ({"r": None}, "no r"),
        ({"target_modules": None}, "no target_modules"),
        ({"alpha_pattern": {"q_proj": 8}}, "ignores alpha_pattern"),
        ({"rank_pattern": {"q_proj": 8}}, "ignores rank_pattern"),
        ({"lora_bias": True}, "ignores lora_bias"),
        ({"layer_replication": [[0, 1]]}, "ignores layer_replication"),
    ],
)
def test_what_vllm_would_refuse_or_ignore_is_refused_here(changes: dict, message: str, tmp_path: Path):
    assert check_settings(GOOD, tmp_path) == 16
    (tmp_path / "p00").mkdir()
    (tmp_path / "p00" / "adapter_config.json").write_text(json.dumps({**GOOD, **changes}))
    with pytest.raises(ArtifactError, match=message):
        write_script(tmp_path, [tmp_path / "p00"], "org/base", "bfloat16")
