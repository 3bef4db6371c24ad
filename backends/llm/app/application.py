"""The language models' ``Application``: the modules of this room, as the command line and the server call them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from rich.console import Console

from backends.llm.app.answers import held_out_prompts, scored_answers
from backends.llm.app.chat import load_portfolio, print_answers
from backends.llm.app.export import check_servable, export_portfolio
from backends.llm.app.recorded import recorded_answers
from backends.llm.app.report import build_with_report
from backends.llm.app.vllm import write_script
from backends.llm.backend import LLMBackend
from backends.llm.policies import load_policy
from backends.llm.prompts import as_prompts
from backends.llm.serving.engine import AdapterEngine, EngineSettings
from backends.llm.work.remote import RemoteWorkers
from backends.llm.work.worker import Workers
from palm_theory.application import Application
from palm_theory.contract.backend import PolicyBackend
from palm_theory.errors import InputError
from palm_theory.members import Member
from palm_theory.portfolio import Portfolio
from palm_theory.store.artifact import POLICIES_FOLDER
from palm_theory.strategies.base import Strategy
from palm_theory.users.elicitation import Candidate


class LLMApplication(Application):
    """Portfolios of ``LLMBackend``."""

    def workers(self, count: int, gpus: Sequence[str]) -> Workers:
        return Workers(count=count, gpus=tuple(gpus))

    def remote_workers(self, executor: Executor) -> RemoteWorkers:
        return RemoteWorkers(executor)

    def affordable_policies(self, backend: PolicyBackend) -> int:
        return _ours(backend).affordable_policies

    def build(self, backend: PolicyBackend, strategy: Strategy, path: Path, console: Console) -> Portfolio:
        return build_with_report(_ours(backend), strategy, path, console)

    def open(self, folder: Path) -> Portfolio:
        return load_portfolio(folder)

    def print_answers(self, members: Sequence[Member], prompt: str, seed: int, console: Console) -> None:
        print_answers(members, prompt, seed, console)

    def answers(
        self,
        folder: Path,
        prompts: Sequence[str],
        count: int,
        rewards: Sequence[str],
        seed: int,
        progress: Callable[[Iterable[Member]], Iterable[Member]],
    ) -> tuple[Candidate, ...]:
        portfolio = load_portfolio(folder)
        asked = as_prompts(prompts, ()) if prompts else held_out_prompts(portfolio, count)
        return scored_answers(portfolio, asked, rewards=rewards, seed=seed, progress=progress)

    def engine(self, portfolio: Portfolio, *, rows: int, queue: int, prompt_tokens: int) -> AdapterEngine:
        settings = EngineSettings(rows=rows, queue=queue, prompt_tokens=prompt_tokens)
        return AdapterEngine([member.policy for member in portfolio], settings)

    def export(self, folder: Path, target: Path, base_model: str | None) -> list[Path]:
        return export_portfolio(folder, target, base_model)

    def vllm_script(self, folder: Path, target: Path, exported: Sequence[Path]) -> Path:
        base_model = check_servable(exported[0])["base_model_name_or_path"]
        dtype = load_policy(folder / POLICIES_FOLDER / exported[0].name).chat.dtype
        return write_script(target, exported, base_model, dtype)

    def recorded_answers(self, portfolio: Portfolio, runs: Path) -> Mapping[str, Any] | None:
        return recorded_answers(portfolio, runs)


def _ours(backend: PolicyBackend) -> LLMBackend:
    if not isinstance(backend, LLMBackend):
        raise InputError(f"an LLMBackend is needed, got {type(backend).__name__}")
    return backend
