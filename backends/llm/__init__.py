"""A portfolio of LLM adapters: rewards, planning, training, evaluation, decoding and export.

Importing this package loads neither torch nor transformers; the functions that need them do.
"""

from backends.llm.backend import LLMBackend
from backends.llm.measure.evaluation import Measured, paired_difference
from backends.llm.policies import Adapter, DecodingMixture, GibbsResampling, LLMPolicy, Reference, make_soup
from backends.llm.prompts import arithmetic_prompts, bundled_held_out, bundled_prompts, read_prompts
from backends.llm.rewards import Reward
from backends.llm.settings import Chat, Evaluation, Planning, Training
from backends.llm.texts import Completion, Prompt
from backends.llm.work.remote import RemoteWorkers
from backends.llm.work.worker import Workers

__all__ = [
    "Adapter",
    "Chat",
    "Completion",
    "DecodingMixture",
    "Evaluation",
    "GibbsResampling",
    "LLMBackend",
    "LLMPolicy",
    "Measured",
    "Planning",
    "Prompt",
    "Reference",
    "RemoteWorkers",
    "Reward",
    "Training",
    "Workers",
    "arithmetic_prompts",
    "bundled_held_out",
    "bundled_prompts",
    "make_soup",
    "paired_difference",
    "read_prompts",
]
