"""Policies as folders: PEFT's own layout for an adapter, a small JSON file beside or instead of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backends.llm.files import copy_files, write_atomically
from backends.llm.model.loading import model_identity
from backends.llm.policies.adapter import CONFIG_FILE, WEIGHTS_FILE, Adapter, Reference, check_adapter
from backends.llm.policies.base import LLMPolicy
from backends.llm.policies.gibbs import GibbsResampling
from backends.llm.policies.mixture import DecodingMixture
from backends.llm.rewards import Reward, reward_parameters
from backends.llm.settings import Chat, chat_from_plain, to_plain
from palm_theory.errors import ArtifactError, InputError
from palm_theory.files import canonical_json, folder_digests, sha256

POLICY_FILE = "palm_policy.json"
CARD_FILE = "README.md"


def save_policy(policy: LLMPolicy, folder: Path) -> None:
    """Write a policy into an existing folder: safetensors and JSON, nothing that runs on load.

    Raises InputError where it is no LLM policy.
    """
    record: dict[str, Any] = {"chat": to_plain(policy.chat)}
    if isinstance(policy, Adapter):
        record |= {"kind": "adapter", "name": policy.name}
        _copy_adapter(Path(policy.folder), folder)
    elif isinstance(policy, Reference):
        record["kind"] = "reference"
    elif isinstance(policy, DecodingMixture):
        record |= {"kind": "decoding mixture", "coefficients": list(policy.coefficients)}
        for k, source in enumerate(policy.folders):
            (folder / f"expert{k}").mkdir(exist_ok=True)
            _copy_adapter(Path(source), folder / f"expert{k}")
    elif isinstance(policy, GibbsResampling):
        record |= {"kind": "gibbs resampling", **_gibbs_record(policy)}
    else:
        raise InputError(f"a policy of type {type(policy).__name__} is not one of this backend's")
    write_atomically(folder / POLICY_FILE, canonical_json(record).encode())


def load_policy(folder: Path, model: str | None = None, rewards: tuple[Reward, ...] = ()) -> LLMPolicy:
    """Read a policy that ``save_policy`` wrote, of the base model ``model`` if one is given; resampling uses
    ``rewards``.

    Raises ArtifactError where the folder is corrupt, of another base model, or of other rewards.
    """
    try:
        record = json.loads((folder / POLICY_FILE).read_text())
        chat = chat_from_plain(record["chat"])
        build = _LOADERS[record["kind"]]
        if model is not None and chat.model != model:
            raise ArtifactError(f"the policy in {folder} is of the base model {chat.model!r}, not {model!r}")
        return build(record, folder, chat, rewards)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"the policy in {folder} cannot be read: {error}") from error


def policy_digest(policy: LLMPolicy) -> str:
    """SHA-256 of everything that decides what a policy says, adapter weights included.

    Raises ArtifactError where an adapter's folder is missing, corrupt, or of another base model.
    """
    chat = policy.chat
    record: dict[str, Any] = {
        "kind": type(policy).__name__,
        "chat": to_plain(chat),
        "model": model_identity(chat.model),
    }
    if isinstance(policy, Adapter):
        record["adapter"] = _adapter_digest(policy.folder, chat.model)
    elif isinstance(policy, DecodingMixture):
        record["experts"] = [_adapter_digest(folder, chat.model) for folder in policy.folders]
        record["coefficients"] = list(policy.coefficients)
    elif isinstance(policy, GibbsResampling):
        record |= _gibbs_record(policy)
    return sha256(canonical_json(record).encode())


def _adapter_digest(folder: str, model: str) -> list[Any]:
    """The weights, and the settings that say how they are applied: lists in them have no order."""
    check_adapter(folder, model)
    path = Path(folder)
    settings = json.loads((path / CONFIG_FILE).read_text())
    applied = {
        key: sorted(value) if isinstance(value, list) else value
        for key, value in settings.items()
        if key not in ("base_model_name_or_path", "peft_version")
    }
    return [folder_digests(path)[WEIGHTS_FILE], applied]


def _gibbs_record(policy: GibbsResampling) -> dict[str, Any]:
    return {
        "rewards": [dict(reward_parameters(reward)) for reward in policy.rewards],
        "weights": list(policy.weights),
        "beta": policy.beta,
        "samples": policy.samples,
        "reward_max": policy.reward_max,
    }


def _copy_adapter(source: Path, target: Path) -> None:
    copy_files(source, target, (WEIGHTS_FILE, CONFIG_FILE, CARD_FILE))


def _load_adapter(record: dict[str, Any], folder: Path, chat: Chat, rewards: tuple[Reward, ...]) -> LLMPolicy:
    check_adapter(folder, chat.model)
    return Adapter(chat, str(folder), record["name"])


def _load_mixture(record: dict[str, Any], folder: Path, chat: Chat, rewards: tuple[Reward, ...]) -> LLMPolicy:
    coefficients = tuple(record["coefficients"])
    folders = tuple(str(folder / f"expert{k}") for k in range(len(coefficients)))
    for expert in folders:
        check_adapter(expert, chat.model)
    return DecodingMixture(chat, folders, coefficients)


def _load_gibbs(record: dict[str, Any], folder: Path, chat: Chat, rewards: tuple[Reward, ...]) -> LLMPolicy:
    known = [dict(reward_parameters(reward)) for reward in rewards]
    if json.loads(canonical_json(known)) != record["rewards"]:
        raise ArtifactError(f"the policy in {folder} chooses by other rewards than this backend's")
    weights = tuple(record["weights"])
    return GibbsResampling(chat, rewards, weights, record["beta"], record["samples"], record["reward_max"])


_LOADERS: dict[str, Callable[[dict[str, Any], Path, Chat, tuple[Reward, ...]], LLMPolicy]] = {
    "adapter": _load_adapter,
    "reference": lambda record, folder, chat, rewards: Reference(chat),
    "decoding mixture": _load_mixture,
    "gibbs resampling": _load_gibbs,
}
