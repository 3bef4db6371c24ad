"""LLMBackend: LoRA adapters of one base model, trained by GRPO or RLOO, as policies of the core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backends.bandit import BanditBackend
from backends.llm.measure.planning import empirical_bandit
from backends.llm.model.loading import fastest_dtype
from backends.llm.policies import Adapter, LLMPolicy, load_policy, policy_word, save_policy
from backends.llm.policies.card import write_card
from backends.llm.policies.gibbs import resampled_values
from backends.llm.problem import Problem
from backends.llm.prompts import Prompts, as_prompts, bundled_held_out, bundled_prompts
from backends.llm.rewards import resolve_rewards
from backends.llm.runs import Runs
from backends.llm.settings import DEFAULT_MODEL, Chat, Evaluation, Planning, Training, preset
from backends.llm.work.worker import Runner, Workers
from palm_theory.contract.backend import PolicyBackend, Power, Solution, Status
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.value import Value
from palm_theory.geometry.simplex import Array, simplex_lattice

DEFAULT_REWARDS = ("brevity", "relevance", "positivity")
DEFAULT_FOLDER = Path("runs") / "llm"


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
        problem = Problem(
            chat=Chat(model, system_prompt, limit, dtype or fastest_dtype(), batch_size),
            rewards=resolve_rewards(rewards, limit),
            beta=float(beta),
            reward_max=float(reward_max),
            prompts=as_prompts(prompts, bundled_prompts()),
            held_out=as_prompts(held_out, bundled_held_out()[: sizes.held_out]),
            training=training or sizes.training,
            evaluation=evaluation or sizes.evaluation,
            planning=planning or sizes.planning,
            seed=int(seed),
        )
        self.runs = Runs(problem, Path(folder).absolute(), workers or Workers())
        self.affordable_policies = len(problem.objectives) + sizes.mixed
        self.declared = Declarations(
            objectives=problem.objectives,
            reward_max=problem.reward_max,
            # The KL of a trained adapter has no bound known beforehand; the base model itself has KL 0.
            regularizer_max=None,
            has_reference=True,
            normalizers=tuple(reward.normalizer for reward in problem.rewards),
        )

    @property
    def problem(self) -> Problem:
        """Model, rewards, prompts and sizes."""
        return self.runs.problem

    @property
    def powers(self) -> frozenset[Power]:
        return frozenset({Power.SURROGATE, Power.PAIRED_VALUES})

    def describe(self) -> Mapping[str, Any]:
        return {**self.problem.describe_policies(), **self.problem.describe_evaluation()}

    def optimize(self, weights: Array) -> Solution:
        """Train the adapter for ``weights``, or take it from the folder where it is finished, and measure it."""
        policy = self.runs.trained(weights)
        value = self.evaluate(policy)
        write_card(policy, self.problem, weights, value)
        return Solution(policy, value, status=Status.TRAINED)

    def evaluate(self, policy: Any) -> Value:
        """R ± s.e. and f ± s.e. on the held-out prompts; kept on disk, so that asking again costs nothing."""
        return self.runs.measured(policy).value()

    def paired_values(self, policy: Any) -> Array:
        """r − β·KL·1 of every held-out prompt, (N, d)."""
        return self.runs.measured(policy).vertex_values

    def paired_reference(self) -> dict[str, list[Array]]:
        """The base model, and the resampling of its held-out answers at a few weights: what takes no training.

        The KL divergence of resampling is only bounded from above (``resampled_values``), so it stands here with less
        than it is worth, and is called so.
        """
        answers = self.runs.held_out_answers()
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
        return empirical_bandit(self.problem, self.runs.planning_samples())

    def label(self, policy: Any) -> str | None:
        return policy.name or None if isinstance(policy, Adapter) else policy_word(policy)

    def save_policy(self, policy: Any, folder: Path) -> None:
        save_policy(policy, folder)

    def load_policy(self, folder: Path) -> LLMPolicy:
        return load_policy(folder, self.problem.chat.model, self.problem.rewards)
