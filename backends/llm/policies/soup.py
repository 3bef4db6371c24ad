"""Soups: a linear combination of adapters' weight updates, as one adapter."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from backends.llm.model.loading import load_model
from backends.llm.policies.adapter import CONFIG_FILE, WEIGHTS_FILE, Adapter, attach_adapters
from backends.llm.policies.mixture import check_coefficients
from backends.llm.settings import Chat
from palm_theory.errors import InputError
from palm_theory.files import explained_disk_errors, write_atomically


def make_soup(
    adapters: Sequence[Adapter], coefficients: Sequence[float], folder: str | Path, *, rank: int | None = None
) -> Adapter:
    """The adapter with ΔW = Σ_k c_k·ΔW_k in every layer, written to ``folder``.

    c ≥ 0, Σc = 1, one an adapter; all adapters on one base model. Without ``rank`` the sum is exact and its rank is the
    sum of the ranks; with it, the best approximation of that rank (SVD) is kept, which vLLM's rank limit may ask for.
    Averaging the A and B factors separately is not this sum, and is not offered. Raises InputError where the
    adapters do not go together.
    """
    check_coefficients([adapter.folder for adapter in adapters], coefficients)
    chat: Chat = adapters[0].chat
    if any(adapter.chat != chat for adapter in adapters):
        raise InputError("a soup needs adapters of one base model with the same chat settings")
    used = {f"part{k}": (a.folder, c) for k, (a, c) in enumerate(zip(adapters, coefficients, strict=True)) if c > 0}
    model = attach_adapters(load_model(chat), chat, {name: path for name, (path, _) in used.items()})
    kind = {"combination_type": "cat"} if rank is None else {"combination_type": "svd", "svd_rank": rank}
    model.add_weighted_adapter(list(used), [c for _, c in used.values()], "soup", **kind)
    target = Path(folder)
    with explained_disk_errors(target), tempfile.TemporaryDirectory() as temporary:
        model.peft_config["soup"].base_model_name_or_path = chat.model
        model.save_pretrained(temporary, selected_adapters=["soup"], save_embedding_layers=False)
        target.mkdir(parents=True, exist_ok=True)
        for name in (WEIGHTS_FILE, CONFIG_FILE):
            write_atomically(target / name, (Path(temporary) / "soup" / name).read_bytes())
    return Adapter(chat, str(target), "soup")
