"""How figures name policies: by number where a name does not fit, with a key where there is room for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palm_theory.members import Member
from palm_theory.portfolio import Portfolio

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_KEY = 12
"""More policies than this get no key: their numbers are those of ``palm show``."""

NUMBERS = "Numbers are those of palm show."


def has_name(member: Member) -> bool:
    """Whether a policy has a name of its own, other than p00, p01, …"""
    return member.label != member.name and member.label != str(member.index)


def title_of(member: Member) -> str:
    """A policy's number and its name, for where there is room for both."""
    if not has_name(member):
        return f"policy {member.index}"
    return f"policy {member.index} ({member.label})" if member.label.isdigit() else f"{member.index}  {member.label}"


def key_of(portfolio: Portfolio) -> bool:
    """Whether a key of names is of use and fits."""
    return len(portfolio) <= LONGEST_KEY and any(map(has_name, portfolio))


def key_lines(members: Sequence[Member]) -> list[str]:
    """Number and name of every policy; a name that is itself a number stands in brackets."""
    return [title_of(member).removeprefix("policy ") for member in members]
