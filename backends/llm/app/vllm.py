"""What vLLM needs to serve a portfolio's adapters: checked settings and the exact command.

Read off vLLM's sources (vllm/lora/peft_helper.py and vllm/config/lora.py, version 0.22): an adapter's configuration is
reduced to r, lora_alpha, target_modules, bias, modules_to_save, use_rslora and use_dora, so anything else that changes
what the adapter computes would be dropped in silence; and --max-lora-rank takes a few values only.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from palm_theory.errors import ArtifactError
from palm_theory.files import write_atomically

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What --max-lora-rank takes."""

REQUIRED = ("r", "lora_alpha", "target_modules")
DROPPED = (
    "rank_pattern",
    "alpha_pattern",
    "lora_bias",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "use_qalora",
)
"""Settings of peft that change what an adapter computes and that vLLM does not read."""

SCRIPT = "serve.sh"
PORT = 8001


def check_settings(config: Mapping[str, Any], folder: Path) -> int:
    """The rank of an adapter. Raises ArtifactError where vLLM would refuse it, or compute something else."""
    for name in REQUIRED:
        if not config.get(name):
            raise ArtifactError(f"{folder} cannot be served by vLLM: its configuration has no {name}")
    for name in DROPPED:
        if config.get(name):
            raise ArtifactError(f"{folder} cannot be served by vLLM, which ignores {name} ({config[name]!r})")
    rank = int(config["r"])
    if rank > RANKS[-1]:
        raise ArtifactError(
            f"{folder} has rank {rank}, above vLLM's largest, {RANKS[-1]}; for a soup, give make_soup a rank"
        )
    return rank


def write_script(target: Path, folders: Sequence[Path], base_model: str, dtype: str) -> Path:
    """``target``/serve.sh: the command that serves ``folders``, which lie in ``target``, under their names.

    Sampling defaults are vLLM's neutral ones (temperature 1), under which the policies were measured, not those of the
    base model's generation_config.json.
    """
    ranks = [check_settings(json.loads((folder / "adapter_config.json").read_text()), folder) for folder in folders]
    rank = next(value for value in RANKS if value >= max(ranks))
    modules = [{"name": f.name, "path": f.name, "base_model_name": base_model} for f in folders]
    count = str(len(folders))
    command = ["vllm", "serve", base_model, "--host", "127.0.0.1", "--port", str(PORT), "--dtype", dtype]
    command += ["--generation-config", "vllm", "--enable-lora", "--max-lora-rank", str(rank)]
    command += ["--max-loras", count, "--max-cpu-loras", count, "--lora-modules"]
    command += [json.dumps(module) for module in modules]
    lines = [
        "#!/usr/bin/env bash",
        f"# {count} adapters of {' '.join(base_model.split())} with vLLM. Then:",
        f"# palm serve PORTFOLIO --upstream http://127.0.0.1:{PORT}",
        "set -euo pipefail",
        'cd "$(dirname "$0")"',
        f'exec {shlex.join(command)} "$@"',
        "",
    ]
    script = target / SCRIPT
    write_atomically(script, "\n".join(lines).encode())
    script.chmod(0o755)
    return script
