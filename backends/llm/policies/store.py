"""Policies as folders: PEFT's own layout for an adapter, a small JSON file beside or instead of it."""

from __future__ import annotations

import json
from pathlib import Path

from backends.llm.model.loading import model_identity
from backends.llm.policies.adapter import Adapter, Reference
from backends.llm.policies.base import LLMPolicy
from backends.llm.policies.gibbs import GibbsResampling
from backends.llm.policies.mixture import DecodingMixture
from backends.llm.rewards import Reward
from backends.llm.settings import chat_from_plain, to_plain
from palm_theory.errors import ArtifactError, InputError
from palm_theory.files import canonical_json, sha256, write_atomically

POLICY_FILE = "palm_policy.json"

KINDS: dict[str, type[LLMPolicy]] = {
    policy.kind: policy for policy in (Adapter, Reference, DecodingMixture, GibbsResampling)
}


def save_policy(policy: LLMPolicy, folder: Path) -> None:
    """Write a policy into an existing folder: safetensors and JSON, nothing that runs on load.

    Raises InputError where it is no LLM policy.
    """
    if type(policy) not in KINDS.values():
        raise InputError(f"a policy of type {type(policy).__name__} is not one of this backend's")
    record = {"chat": to_plain(policy.chat), "kind": policy.kind, **policy.write(folder)}
    write_atomically(folder / POLICY_FILE, canonical_json(record).encode())


def load_policy(folder: Path, model: str | None = None, rewards: tuple[Reward, ...] = ()) -> LLMPolicy:
    """Read a policy that ``save_policy`` wrote, of the base model ``model`` if one is given; resampling uses
    ``rewards``.

    Raises ArtifactError where the folder is corrupt, of another base model, or of other rewards.
    """
    try:
        record = json.loads((folder / POLICY_FILE).read_text())
        chat = chat_from_plain(record["chat"])
        kind = KINDS[record["kind"]]
        if model is not None and chat.model != model:
            raise ArtifactError(f"the policy in {folder} is of the base model {chat.model!r}, not {model!r}")
        return kind.read(record, folder, chat, rewards)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"the policy in {folder} cannot be read: {error}") from error


def policy_digest(policy: LLMPolicy) -> str:
    """SHA-256 of everything that decides what a policy says, adapter weights included.

    Raises ArtifactError where an adapter's folder is missing, corrupt, or of another base model.
    """
    record = {
        "kind": policy_word(policy),
        "chat": to_plain(policy.chat),
        "model": model_identity(policy.chat.model),
        **policy.content(),
    }
    return sha256(canonical_json(record).encode())


def policy_word(policy: LLMPolicy) -> str:
    """A policy's kind as one word, as digests and people have it: DecodingMixture."""
    return policy.kind.title().replace(" ", "")
