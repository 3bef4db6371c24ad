"""Talking to a portfolio: the policy for one's weights, or several policies side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from backends.llm.backend import LLMBackend
from backends.llm.policies import LLMPolicy, load_policy
from backends.llm.rewards import resolve_reward
from palm_theory.errors import InputError
from palm_theory.members import Member
from palm_theory.portfolio import Portfolio
from palm_theory.store.artifact import POLICIES_FOLDER


def load_portfolio(folder: str | Path) -> Portfolio:
    """A saved LLM portfolio with its policies ready to generate; needs no backend.

    Raises ArtifactError on a corrupt folder, InputError where the portfolio is not of LLM policies or resamples by a
    reward that is not built in.
    """
    root = Path(folder)
    portfolio = Portfolio.load(root)
    if portfolio.kind != LLMBackend.kind:
        raise InputError(f"{root} is not a portfolio of LLM policies")
    members = []
    for member in portfolio.members:
        where = root / POLICIES_FOLDER / member.name
        members.append(replace(member, policy=load_policy(where, rewards=_rewards(portfolio))))
    return replace(portfolio, members=tuple(members))


def _rewards(portfolio: Portfolio) -> tuple[Any, ...]:
    limit = portfolio.problem["parameters"]["chat"]["max_new_tokens"]
    found = []
    for name in portfolio.objectives:
        try:
            found.append(resolve_reward(name, limit))
        except InputError:
            return ()
    return tuple(found)


def side_by_side(policies: Mapping[str, LLMPolicy], prompts: Sequence[str], seed: int = 0) -> dict[str, list[str]]:
    """One answer of each named policy to each prompt, (name → answers); models are opened one after the other."""
    return {name: [str(row[0]) for row in policy.generate(prompts, 1, seed)] for name, policy in policies.items()}


def print_answers(members: Sequence[Member], prompt: str, seed: int, console: Console) -> None:
    """Print the answers of several policies of a loaded portfolio to one prompt, side by side."""
    answers = side_by_side({f"{member.name} {member.label}": member.policy for member in members}, [prompt], seed)
    console.print(answers_table(prompt, {name: texts[0] for name, texts in answers.items()}))


def answers_table(prompt: str, answers: Mapping[str, str]) -> Table:
    """A table of several policies' answers to one prompt."""
    table = Table(title=prompt, title_justify="left", show_lines=True)
    table.add_column("policy")
    table.add_column("answer")
    for name, answer in answers.items():
        table.add_row(name, answer or "[dim](empty)[/dim]")
    return table
