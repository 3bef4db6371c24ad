"""Adapters for servers: PEFT folders with model cards that peft, transformers and vLLM load as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backends.llm.policies import Adapter, load_policy
from backends.llm.policies.adapter import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE
from backends.llm.settings import DEFAULT_MODEL
from palm_theory.errors import ArtifactError, InputError
from palm_theory.files import explained_disk_errors, write_atomically
from palm_theory.portfolio import Portfolio
from palm_theory.store.artifact import POLICIES_FOLDER


def check_servable(folder: Path) -> dict[str, Any]:
    """The adapter's configuration. Raises ArtifactError where vLLM would refuse it."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder / CONFIG_FILE} cannot be read: {error}") from error
    refused = {
        "peft_type": config.get("peft_type") != "LORA",
        "modules_to_save": bool(config.get("modules_to_save")),
        "use_dora": bool(config.get("use_dora")),
        "bias": config.get("bias", "none") != "none",
    }
    for name, wrong in refused.items():
        if wrong:
            raise ArtifactError(f"{folder} cannot be served by vLLM: {name} is {config.get(name)!r}")
    if not (folder / WEIGHTS_FILE).is_file():
        raise ArtifactError(f"{folder} has no {WEIGHTS_FILE}")
    return config


def export_adapter(source: Path, target: Path, base_model: str | None = None) -> None:
    """Copy one adapter folder, naming ``base_model`` as its base where one is given."""
    config = check_servable(source)
    base = base_model or config["base_model_name_or_path"]
    config["base_model_name_or_path"] = base
    with explained_disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    write_atomically(target / WEIGHTS_FILE, (source / WEIGHTS_FILE).read_bytes())
    write_atomically(target / CONFIG_FILE, json.dumps(config, indent=2, sort_keys=True).encode())
    if (source / CARD_FILE).exists():
        old = f"base_model: {load_policy(source).chat.model}\n"
        card = (source / CARD_FILE).read_text(encoding="utf-8")
        write_atomically(target / CARD_FILE, card.replace(old, f"base_model: {base}\n", 1).encode())


def export_portfolio(portfolio: Path, target: Path, base_model: str | None = None) -> list[Path]:
    """Write every adapter of a saved portfolio to ``target``/p00, p01, …: the folders that servers load.

    ``base_model`` is the id or path that the server knows the base model by; it is needed for the embedded model,
    which no server knows. Raises InputError where it is missing, where ``target`` is not empty, or where a policy is
    not an adapter (resampling and decoding mixtures are not single adapters; make a soup instead).
    """
    members = Portfolio.load(portfolio).members
    if target.exists() and any(target.iterdir()):
        raise InputError(f"{target} is not empty; choose another folder")
    sources = [portfolio / POLICIES_FOLDER / member.name for member in members]
    for source in sources:
        policy = load_policy(source)
        if not isinstance(policy, Adapter):
            raise InputError(f"{source.name} is a {type(policy).__name__}, which no server loads as one adapter")
        if base_model is None and policy.chat.model == DEFAULT_MODEL:
            raise InputError(
                f"these adapters are for the embedded model {DEFAULT_MODEL!r}; name the base model for the server: its "
                "Hugging Face id is HuggingFaceTB/SmolLM2-135M-Instruct"
            )
    for source in sources:
        export_adapter(source, target / source.name, base_model)
    return [target / source.name for source in sources]
