"""Where the pools, trainings and evaluations of a problem lie, and making those that are missing.

    FOLDER/plans/KEY          scored answers of the base model to the planning prompts
    FOLDER/held-out/KEY       the same to the held-out prompts
    FOLDER/policies/KEY       a training: checkpoints, then adapter/ and trained.json
    FOLDER/evaluations/KEY    measured.json of one policy
    FOLDER/slots              what processes of one machine share their places by

KEY is a digest of all that decides the result, so that a folder is found again by whoever wants the same, and by
nobody else.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from backends.llm.measure.evaluation import Measured, base_measured, load_measured
from backends.llm.measure.pools import Pool, gather, load_scores, load_texts
from backends.llm.policies import Adapter, LLMPolicy, Reference, policy_digest
from backends.llm.problem import Problem, fingerprint
from backends.llm.train.training import ADAPTER_FOLDER
from backends.llm.work.jobs import MEASURED_FILE, EvaluateJob, Job, SampleJob, TrainJob, weights_label
from backends.llm.work.worker import Runner
from palm_theory.contract.backend import seed_for
from palm_theory.errors import InputError
from palm_theory.files import explained_disk_errors
from palm_theory.geometry.simplex import Array, validate_weights

TORCH_SEEDS = 2**31
HELD_OUT_SEED = 500_000
"""Added to the seed of the held-out pool: no random number of planning is used twice."""


@dataclass(frozen=True)
class Runs:
    """Everything made for ``problem``, in ``folder`` (absolute); what is missing is made by ``workers``."""

    problem: Problem
    folder: Path
    workers: Runner

    @property
    def planning_pool(self) -> Pool:
        """The base model's answers to the planning prompts, which may be still to be sampled."""
        problem = self.problem
        folder = self.folder / "plans" / fingerprint(problem.describe_planning())
        return Pool(folder, problem.planning_prompts, problem.planning.samples, problem.seed)

    @property
    def held_out_pool(self) -> Pool:
        """The base model's answers to the held-out prompts, which may be still to be sampled."""
        problem = self.problem
        folder = self.folder / "held-out" / fingerprint(problem.describe_evaluation())
        return Pool(folder, problem.held_out, problem.evaluation.base_generations, problem.seed + HELD_OUT_SEED)

    def training(self, weights: Array) -> TrainJob:
        """The training for ``weights`` (d,), which may be still to be run. Raises InputError on bad weights."""
        w = validate_weights(weights, len(self.problem.objectives))
        seed = seed_for(self.problem.seed, w) % TORCH_SEEDS
        # "warm_start" was once an option, and is part of every key that people have.
        key = {**self.problem.describe_policies(), "weights": w.tolist(), "warm_start": ""}
        samples = self.planning_pool.folder if self.problem.training.plan_steps else None
        return TrainJob(self.problem, self.folder / "policies" / fingerprint(key), tuple(w.tolist()), seed, samples)

    def evaluation(self, policy: LLMPolicy) -> EvaluateJob:
        """The measurement of a policy, which may be still to be made."""
        key = {**self.problem.describe_evaluation(), "policy": policy_digest(policy)}
        return EvaluateJob(self.problem, self.folder / "evaluations" / fingerprint(key), policy)

    def planning_samples(self) -> Array:
        """Scored answers of the base model to the planning prompts, rewards (X, m, d)."""
        return load_scores(self._filled(self.planning_pool).folder)

    def held_out_answers(self) -> Array:
        """Scored answers of the base model to the held-out prompts, rewards (N, m, d)."""
        return load_scores(self._filled(self.held_out_pool).folder)

    def trained(self, weights: Array) -> Adapter:
        """The adapter for ``weights`` (d,)."""
        job = self.training(weights)
        if job.samples is not None and not job.is_done:
            self._filled(self.planning_pool)
        self._run(job)
        return adapter_of(job)

    def measured(self, policy: LLMPolicy) -> Measured:
        """Per-prompt measurements of a policy. Raises InputError where it is no LLM policy."""
        if not isinstance(policy, LLMPolicy):
            raise InputError(f"an LLM policy is needed, got {type(policy).__name__}")
        if isinstance(policy, Reference) and policy.chat == self.problem.chat:
            answers = self.held_out_answers()
            return base_measured(answers, load_texts(self.held_out_pool.folder), self.problem.beta)
        job = self.evaluation(policy)
        self._run(job)
        return load_measured(job.folder / MEASURED_FILE)

    def _filled(self, pool: Pool) -> Pool:
        """Sample what is missing of a pool, in as many processes as there are."""
        if not pool.is_done:
            with explained_disk_errors(pool.folder):
                pool.folder.mkdir(parents=True, exist_ok=True)
            shares = min(self.workers.count, len(pool.chunks))
            jobs = [SampleJob(self.problem, pool.folder / f"share{i}", pool, i, shares) for i in range(shares)]
            with ThreadPoolExecutor(shares) as threads:
                for _ in threads.map(self._run, jobs):
                    pass
            gather(pool)
        return pool

    def _run(self, job: Job) -> None:
        self.workers.run(job, self.folder / "slots")


def adapter_of(job: TrainJob) -> Adapter:
    """The policy that a finished training left."""
    label = weights_label(job.problem.objectives, job.weights)
    return Adapter(job.problem.chat, str(job.folder / ADAPTER_FOLDER), label)
