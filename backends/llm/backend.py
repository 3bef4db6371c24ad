"""LLMBackend: LoRA adapters of one base model, trained by GRPO or RLOO, as policies of the core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from backends.bandit import BanditBackend
from backends.llm.app.export import write_card
from backends.llm.measure.evaluation import Measured, base_measured, load_measured
from backends.llm.measure.planning import ForecastQuality, empirical_bandit, forecast_quality
from backends.llm.measure.pools import Pool, gather, load_scores, load_texts
from backends.llm.measure.sensitivity import Rescaled, sensitivity
from backends.llm.model.loading import fastest_dtype
from backends.llm.policies import Adapter, LLMPolicy, Reference, load_policy, policy_digest, save_policy
from backends.llm.policies.gibbs import resampled_values
from backends.llm.problem import Problem, fingerprint
from backends.llm.prompts import bundled_held_out, bundled_prompts, read_prompts
from backends.llm.rewards import resolve_rewards
from backends.llm.settings import DEFAULT_MODEL, Chat, Evaluation, Planning, Training, preset
from backends.llm.texts import Prompt
from backends.llm.train.training import ADAPTER_FOLDER
from backends.llm.work.jobs import MEASURED_FILE, EvaluateJob, SampleJob, TrainJob, weights_label
from backends.llm.work.remote import RemoteWorkers
from backends.llm.work.worker import Runner, Workers, solving_threads
from palm_theory.build import build_portfolio
from palm_theory.contract.backend import PolicyBackend, Power, Solution, Status, seed_for
from palm_theory.contract.normalizer import Normalizer
from palm_theory.contract.value import Value
from palm_theory.errors import InputError
from palm_theory.files import explained_disk_errors
from palm_theory.geometry.simplex import Array, simplex_lattice, validate_weights
from palm_theory.portfolio import Member, Portfolio
from palm_theory.store.artifact import POLICIES_FOLDER
from palm_theory.strategies.base import Strategy
from palm_theory.strategies.planned import Planned
from palm_theory.users.elicitation import Candidate

DEFAULT_REWARDS = ("brevity", "relevance", "positivity")
DEFAULT_FOLDER = Path("runs") / "llm"
TORCH_SEEDS = 2**31
HELD_OUT_SEED = 500_000
"""Added to the seed of the held-out pool: no random number of planning is used twice."""

Prompts = Sequence[str] | str | Path


class LLMBackend(PolicyBackend, kind="backends.llm.backend.LLMBackend"):
    """maximise J_w(π) = E_x E_{y∼π(·|x)} ⟨w, r(x, y)⟩ − β·E_x KL(π(·|x)‖π_ref(·|x)) over LoRA adapters of a base model.

    R(π) ∈ [0, R_max]^d and f(π) = β·KL, at sequence level, are estimated on held-out prompts and carry standard
    errors. Training is no exact oracle: it declares no (ε₀, δ₀), and no upper bound on J*_w follows from it.

    Parameters
    ----------
    model : π_ref, a Hugging Face id or a folder; by default the embedded SmolLM2-135M-Instruct.
    rewards : d rewards: built-in names, ``name=MODEL`` for a reward model, ``module:function``, callables, or Rewards.
    beta : β > 0, the price of one nat of KL, in the unit of the rewards.
    prompts, held_out : training and evaluation prompts: a file (see ``read_prompts``) or a sequence; the bundled ones
        by default.
    preset : "tiny" or "default": the sizes of everything below that is not given.
    training, evaluation, planning : see ``backends.llm.settings``.
    system_prompt, max_new_tokens, dtype, batch_size : see ``Chat``; without a dtype the fastest on this machine.
    folder : where training, evaluations and samples are kept and resumed from.
    workers : where jobs run: ``Workers`` of this machine (one process with one thread by default), or
        ``RemoteWorkers``, tasks of a cluster.

    A policy is an ``LLMPolicy``: an ``Adapter`` from ``optimize``, or a ``DecodingMixture``, ``GibbsResampling``,
    ``Reference`` that the caller makes. ``affordable_policies`` is how many fine-tunes the preset has time for. Raises
    InputError on any bad argument, before any model is loaded.
    """

    def __init__(
        self,
        *,
        model: str = DEFAULT_MODEL,
        rewards: Sequence[Any] = DEFAULT_REWARDS,
        beta: float = 0.05,
        reward_max: float = 1.0,
        prompts: Prompts | None = None,
        held_out: Prompts | None = None,
        preset_name: str = "default",
        training: Training | None = None,
        evaluation: Evaluation | None = None,
        planning: Planning | None = None,
        system_prompt: str | None = "Answer in one short sentence.",
        max_new_tokens: int | None = None,
        dtype: str | None = None,
        batch_size: int = 64,
        seed: int = 0,
        folder: str | Path = DEFAULT_FOLDER,
        workers: Runner | None = None,
    ) -> None:
        sizes = preset(preset_name)
        limit = max_new_tokens or sizes.max_new_tokens
        self.problem = Problem(
            chat=Chat(model, system_prompt, limit, dtype or fastest_dtype(), batch_size),
            rewards=resolve_rewards(rewards, limit),
            beta=float(beta),
            reward_max=float(reward_max),
            prompts=_prompts(prompts, bundled_prompts()),
            held_out=_prompts(held_out, bundled_held_out()[: sizes.held_out]),
            training=training or sizes.training,
            evaluation=evaluation or sizes.evaluation,
            planning=planning or sizes.planning,
            seed=int(seed),
        )
        self.affordable_policies = len(self.objectives) + sizes.mixed
        self.folder = Path(folder).absolute()
        self.workers: Runner = workers or Workers()

    @property
    def objectives(self) -> tuple[str, ...]:
        return self.problem.objectives

    @property
    def reward_max(self) -> float:
        return self.problem.reward_max

    @property
    def regularizer_max(self) -> None:
        """None: the KL of a trained adapter has no bound known beforehand."""

    @property
    def has_reference(self) -> bool:
        """True: the base model itself has f = 0."""
        return True

    @property
    def powers(self) -> frozenset[Power]:
        return frozenset({Power.SURROGATE, Power.PAIRED_VALUES})

    @property
    def normalizers(self) -> tuple[Normalizer, ...]:
        return tuple(reward.normalizer for reward in self.problem.rewards)

    def describe(self) -> Mapping[str, Any]:
        return {**self.problem.describe_policies(), **self.problem.describe_evaluation()}

    def optimize(self, weights: Array) -> Solution:
        """Train the adapter for ``weights``, or take it from the folder where it is finished, and measure it."""
        job = self.training_job(weights)
        if job.samples is not None and not job.is_done:
            self._fill(self.planning_pool())
        self.workers.run(job, self._slots)
        policy = self.trained_policy(job)
        value = self.measure(policy).value()
        write_card(Path(policy.folder), policy, self.problem, weights, value)
        return Solution(policy, value, status=Status.TRAINED)

    def training_job(self, weights: Array, warm_start: Path | None = None) -> TrainJob:
        """The training run for ``weights`` (d,), where its files are and how it starts."""
        w = validate_weights(weights, len(self.objectives))
        seed = seed_for(self.problem.seed, w) % TORCH_SEEDS
        run = {**self.problem.describe_policies(), "weights": w.tolist(), "warm_start": str(warm_start or "")}
        folder = self.folder / "policies" / fingerprint(run)
        samples = self.planning_pool().folder if self.problem.training.plan_steps else None
        return TrainJob(self.problem, folder, tuple(w.tolist()), seed, warm_start, samples)

    def trained_policy(self, job: TrainJob) -> Adapter:
        """The policy that a finished training run left."""
        return Adapter(self.problem.chat, str(job.folder / ADAPTER_FOLDER), weights_label(self.objectives, job.weights))

    def evaluate(self, policy: Any) -> Value:
        return self.measure(policy).value()

    def measure(self, policy: LLMPolicy) -> Measured:
        """Per-prompt measurements of a policy; kept on disk, so that asking again costs nothing.

        Raises InputError where it is no LLM policy.
        """
        if not isinstance(policy, LLMPolicy):
            raise InputError(f"an LLM policy is needed, got {type(policy).__name__}")
        if isinstance(policy, Reference) and policy.chat == self.problem.chat:
            answers = self.held_out_answers()
            return base_measured(answers, load_texts(self.held_out_pool().folder), self.problem.beta)
        job = self.evaluation_job(policy)
        self.workers.run(job, self._slots)
        return load_measured(job.folder / MEASURED_FILE)

    def evaluation_job(self, policy: LLMPolicy) -> EvaluateJob:
        """The measurement of a policy, and where its result is."""
        key = {**self.problem.describe_evaluation(), "policy": policy_digest(policy)}
        return EvaluateJob(self.problem, self.folder / "evaluations" / fingerprint(key), policy)

    def planning_samples(self) -> Array:
        """Scored answers of the base model, rewards (X, m, d); sampled on the first call, kept in the folder."""
        return load_scores(self._fill(self.planning_pool()).folder)

    def planning_pool(self) -> Pool:
        """The base model's answers to the planning prompts."""
        problem = self.problem
        folder = self.folder / "plans" / fingerprint(problem.describe_planning())
        return Pool(folder, problem.planning_prompts, problem.planning.samples, problem.seed)

    def held_out_answers(self) -> Array:
        """Scored answers of the base model to the held-out prompts, rewards (N, m, d); kept like those of planning."""
        return load_scores(self._fill(self.held_out_pool()).folder)

    def held_out_pool(self) -> Pool:
        """The base model's answers to the held-out prompts."""
        problem = self.problem
        folder = self.folder / "held-out" / fingerprint(problem.describe_evaluation())
        return Pool(folder, problem.held_out, problem.evaluation.base_generations, problem.seed + HELD_OUT_SEED)

    def _fill(self, pool: Pool) -> Pool:
        """Sample what is missing of a pool, in as many processes as there are."""
        if not pool.is_done:
            with explained_disk_errors(pool.folder):
                pool.folder.mkdir(parents=True, exist_ok=True)
            shares = min(self.workers.count, len(pool.chunks))
            jobs = [SampleJob(self.problem, pool.folder / f"share{i}", pool, i, shares) for i in range(shares)]
            with ThreadPoolExecutor(shares) as threads:
                for _ in threads.map(lambda job: self.workers.run(job, self._slots), jobs):
                    pass
            gather(pool)
        return pool

    def paired_values(self, policy: Any) -> Array:
        """r − β·KL·1 of every held-out prompt, (N, d)."""
        return self.measure(policy).vertex_values

    def paired_reference(self) -> dict[str, list[Array]]:
        """The base model, and the resampling of its held-out answers at a few weights: what takes no training.

        The KL divergence of resampling is only bounded from above (``resampled_values``), so it stands here with less
        than it is worth, and is called so.
        """
        answers = self.held_out_answers()
        d = len(self.objectives)
        weights = np.unique(np.vstack([simplex_lattice(d, 2), np.full((1, d), 1 / d)]), axis=0)
        resampled = [resampled_values(answers, row, self.problem.beta) for row in weights]
        return {
            "the base model": [answers.mean(axis=1)],
            f"a lower bound of what resampling {answers.shape[1]} of its answers at {len(weights)} weights is worth": (
                resampled
            ),
        }

    def surrogate(self) -> BanditBackend:
        """The empirical bandit of the base model's answers: it forecasts ε and δ, and costs no training."""
        return empirical_bandit(self.problem, self.planning_samples())

    def forecast_quality(self) -> ForecastQuality:
        """How far the surrogate can be trusted."""
        return forecast_quality(self.surrogate(), self.problem.planning.samples)

    def sensitivity(self, strategy: Planned | None = None) -> list[Rescaled]:
        """How the planned portfolio changes when one reward is halved or doubled. See ``sensitivity.sensitivity``."""
        return sensitivity(self.planning_samples(), self.problem.beta, self.objectives, strategy or Planned())

    def save_policy(self, policy: Any, folder: Path) -> None:
        save_policy(policy, folder)

    def load_policy(self, folder: Path) -> LLMPolicy:
        return load_policy(folder, self.problem.chat.model, self.problem.rewards)

    def build(self, strategy: Strategy | None, path: Path, console: Console) -> Portfolio:
        """``build_portfolio`` with a progress bar over planning, training and evaluation, and a report on ``console``:
        forecast, policies, who beats whom, certificate, and one prompt answered by every policy."""
        from backends.llm.app.report import print_run, run

        if strategy is not None and not isinstance(strategy, Planned):
            with solving_threads(self.workers) as executor:
                return build_portfolio(self, strategy, path=path, executor=executor)
        planned = strategy or Planned(max_policies=self.affordable_policies)
        result = run(self, planned, path, console)
        print_run(result, self, planned, console)
        return result.portfolio

    @staticmethod
    def workers_for(count: int, gpus: tuple[str, ...] = ()) -> Workers:
        """``count`` worker processes with one thread each, on ``gpus`` where there are."""
        return Workers(count=count, gpus=gpus)

    @staticmethod
    def remote_workers(executor: Executor, threads: int = 1) -> RemoteWorkers:
        """Jobs as tasks of ``executor``, with ``threads`` CPU threads each. See ``remote.RemoteWorkers``."""
        return RemoteWorkers(executor, threads=threads)

    @staticmethod
    def open_portfolio(folder: Path) -> Portfolio:
        """A saved portfolio whose policies can generate; needs no backend. See ``chat.load_portfolio``."""
        from backends.llm.app.chat import load_portfolio

        return load_portfolio(folder)

    @staticmethod
    def answer(members: Sequence[Member], prompt: str, seed: int, console: Console) -> None:
        """Print the answers of several policies to one prompt, side by side."""
        from backends.llm.app.chat import answers_table, side_by_side

        policies = {f"{member.name} {member.label}": member.policy for member in members}
        answers = side_by_side(policies, [prompt], seed)
        console.print(answers_table(prompt, {name: texts[0] for name, texts in answers.items()}))

    @staticmethod
    def answers(
        folder: Path, prompts: Sequence[str], count: int, rewards: Sequence[Any], seed: int, progress: Any
    ) -> tuple[Candidate, ...]:
        """Real answers of a saved portfolio's policies, to compare; see ``answers.scored_answers``. Without ``prompts``
        the first ``count`` held-out ones; ``progress`` wraps the sequence of policies."""
        from backends.llm.app.answers import held_out_prompts, scored_answers
        from backends.llm.app.chat import load_portfolio

        portfolio = load_portfolio(folder)
        asked = _prompts(prompts, ()) if prompts else held_out_prompts(portfolio, count)
        return scored_answers(portfolio, asked, rewards=rewards, seed=seed, progress=progress)

    @staticmethod
    def engine(portfolio: Portfolio, *, rows: int, queue: int, prompt_tokens: int) -> Any:
        """An engine that answers for all policies of an opened portfolio. See ``serving.engine.AdapterEngine``."""
        from backends.llm.serving.engine import AdapterEngine, EngineSettings

        settings = EngineSettings(rows=rows, queue=queue, prompt_tokens=prompt_tokens)
        return AdapterEngine([member.policy for member in portfolio], settings)

    @staticmethod
    def export(portfolio: Path, target: Path, base_model: str | None) -> list[Path]:
        """Adapters of a saved portfolio as folders that servers load. See ``export.export_portfolio``."""
        from backends.llm.app.export import export_portfolio

        return export_portfolio(portfolio, target, base_model)

    @staticmethod
    def recorded_answers(portfolio: Portfolio, runs: Path) -> dict[str, Any] | None:
        """What the policies said when they were measured. See ``recorded.recorded_answers``."""
        from backends.llm.app.recorded import recorded_answers

        return recorded_answers(portfolio, runs)

    @staticmethod
    def vllm_script(portfolio: Path, target: Path, folders: Sequence[Path]) -> Path:
        """The command that serves the exported adapters with vLLM, as a script beside them: ``vllm.write_script``."""
        from backends.llm.app.export import check_servable
        from backends.llm.app.vllm import write_script

        base_model = check_servable(folders[0])["base_model_name_or_path"]
        dtype = load_policy(portfolio / POLICIES_FOLDER / folders[0].name).chat.dtype
        return write_script(target, folders, base_model, dtype)

    def label(self, policy: Any) -> str | None:
        return policy.name or None if isinstance(policy, Adapter) else type(policy).__name__

    @property
    def _slots(self) -> Path:
        return self.folder / "slots"


def _prompts(given: Prompts | None, default: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
    if given is None:
        return default
    if isinstance(given, str | Path):
        return read_prompts(given)
    prompts = tuple(text if isinstance(text, Prompt) else Prompt(text) for text in given)
    if not all(prompt.strip() for prompt in prompts):
        raise InputError("every prompt must be non-empty text")
    return prompts
