"""Real answers to show a user: one of every policy to every prompt, with the rewards of exactly that answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from backends.llm.policies import LLMPolicy
from backends.llm.rewards import resolve_reward, score
from backends.llm.texts import Prompt
from palm_theory.errors import InputError
from palm_theory.members import Member
from palm_theory.portfolio import Portfolio
from palm_theory.users.elicitation import Candidate


def held_out_prompts(portfolio: Portfolio, count: int) -> tuple[Prompt, ...]:
    """The first ``count`` prompts that the portfolio's policies were measured on."""
    return tuple(Prompt(text, answer) for text, answer in portfolio.problem["parameters"]["held_out"][:count])


def scored_answers(
    portfolio: Portfolio,
    prompts: Sequence[Prompt],
    *,
    rewards: Sequence[Any] = (),
    seed: int = 0,
    progress: Callable[[Iterable[Member]], Iterable[Member]] = iter,
) -> tuple[Candidate, ...]:
    """One answer of each policy to each prompt, to be compared. ``progress`` wraps the sequence of policies.

    ``rewards`` are the objectives' own, for those whose name alone does not say what they are: see
    ``resolve_reward``. Raises InputError where one is unknown, before any model is loaded.
    """
    parameters = portfolio.problem["parameters"]
    limit = parameters["chat"]["max_new_tokens"]
    given = {reward.name: reward for reward in (resolve_reward(entry, limit) for entry in rewards)}
    used = [given.get(name) or resolve_reward(name, limit) for name in portfolio.objectives]
    for objective, normalizer in zip(used, portfolio.normalizers, strict=True):
        if objective.normalizer != normalizer:
            raise InputError(f"the reward {objective.name!r} is not normalised as the portfolio's was")
    candidates: list[Candidate] = []
    for member in progress(portfolio.members):
        policy = member.policy
        if not isinstance(policy, LLMPolicy):
            raise InputError(f"policy {member.name} is not loaded; use load_portfolio")
        answers = [row[0] for row in policy.generate(prompts, 1, seed)]
        scores = np.stack([score(reward, prompts, answers, portfolio.reward_max) for reward in used], axis=-1)
        for prompt, answer, row in zip(prompts, answers, scores, strict=True):
            candidates.append(Candidate(member.name, tuple(map(float, row)), str(answer), str(prompt)))
    return tuple(candidates)
