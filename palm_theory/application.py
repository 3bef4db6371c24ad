"""What a backend offers to people, at a terminal, in a server and in an elicitation, and how it is found.

A package that plugs in declares it as an entry point of the group ``palm_theory.applications``, named by the word under
which its problems are stored (``PolicyBackend.kind``). So a saved portfolio says which application opens it, no command
knows a backend by its class, and what is not needed is not imported.
"""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from rich.console import Console

from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.registry import load_entry
from palm_theory.errors import BackendError
from palm_theory.members import Member
from palm_theory.portfolio import Portfolio
from palm_theory.serving.engine import Engine
from palm_theory.strategies.base import Strategy
from palm_theory.users.elicitation import Candidate

ENTRY_POINT_GROUP = "palm_theory.applications"


class Application(ABC):
    """Policies that answer prompts: building them with a report, opening them again, their answers, their export."""

    @abstractmethod
    def workers(self, count: int, gpus: Sequence[str]) -> Any:
        """Where the backend's jobs run (its argument ``workers``): ``count`` processes of this machine, on ``gpus``."""

    @abstractmethod
    def remote_workers(self, executor: Executor) -> Any:
        """The same as tasks of ``executor``, on other machines."""

    @abstractmethod
    def affordable_policies(self, backend: PolicyBackend) -> int:
        """How many policies the backend's settings have time for."""

    @abstractmethod
    def build(self, backend: PolicyBackend, strategy: Strategy, path: Path, console: Console) -> Portfolio:
        """``build_portfolio`` into ``path``, with progress and a report on ``console``."""

    @abstractmethod
    def open(self, folder: Path) -> Portfolio:
        """A saved portfolio whose policies can answer; needs no backend. Raises InputError where it is of
        another kind, ArtifactError where it is corrupt."""

    @abstractmethod
    def print_answers(self, members: Sequence[Member], prompt: str, seed: int, console: Console) -> None:
        """Print what several policies of an opened portfolio answer to one prompt."""

    @abstractmethod
    def answers(
        self,
        folder: Path,
        prompts: Sequence[str],
        count: int,
        rewards: Sequence[str],
        seed: int,
        progress: Callable[[Iterable[Member]], Iterable[Member]],
    ) -> tuple[Candidate, ...]:
        """One answer of every policy of a saved portfolio to each prompt, with its rewards, to choose between.

        Without ``prompts``, to the first ``count`` that the policies were measured on. ``rewards`` names those that
        the portfolio's own names do not tell; ``progress`` wraps the sequence of policies.
        """

    @abstractmethod
    def engine(self, portfolio: Portfolio, *, rows: int, queue: int, prompt_tokens: int) -> Engine:
        """An engine that answers for all policies of an opened portfolio in this process: at most ``rows``
        completions together, ``queue`` questions waiting, prompts of ``prompt_tokens`` tokens."""

    @abstractmethod
    def export(self, folder: Path, target: Path, base_model: str | None) -> list[Path]:
        """Write the policies of a saved portfolio into ``target`` as folders that servers load; returns them."""

    @abstractmethod
    def vllm_script(self, folder: Path, target: Path, exported: Sequence[Path]) -> Path:
        """Write the command that serves the ``exported`` policies with vLLM into ``target``."""

    @abstractmethod
    def recorded_answers(self, portfolio: Portfolio, runs: Path) -> Mapping[str, Any] | None:
        """What the policies said when they were measured, out of the folder ``runs``: {prompts, replies, base}, or
        None where nothing is there."""


def application_of(kind: str) -> Application | None:
    """The application of problems stored under ``kind``, or None where none is installed for them.

    Raises InputError where it cannot be imported, BackendError where it is no ``Application``.
    """
    if kind not in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP).names:
        return None
    made: Any = load_entry(ENTRY_POINT_GROUP, kind, f"the application of {kind}")()
    if not isinstance(made, Application):
        raise BackendError(f"the application of {kind} must be a subclass of Application, got {type(made).__name__}")
    return made
