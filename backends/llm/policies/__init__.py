"""Ways to realise a policy. To the core all are alike: the same evaluation, the same audit, the same select."""

from backends.llm.policies.adapter import Adapter, Reference
from backends.llm.policies.base import LLMPolicy, LoadedPolicy, Replies
from backends.llm.policies.gibbs import GibbsResampling
from backends.llm.policies.mixture import DecodingMixture
from backends.llm.policies.soup import make_soup
from backends.llm.policies.store import load_policy, policy_digest, policy_word, save_policy

__all__ = [
    "Adapter",
    "DecodingMixture",
    "GibbsResampling",
    "LLMPolicy",
    "LoadedPolicy",
    "Reference",
    "Replies",
    "load_policy",
    "make_soup",
    "policy_digest",
    "policy_word",
    "save_policy",
]
