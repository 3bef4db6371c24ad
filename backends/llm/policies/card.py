"""Model cards: the README of an adapter, as people and model hubs read it."""

from __future__ import annotations

from pathlib import Path

from backends.llm.policies.adapter import CARD_FILE, Adapter
from backends.llm.problem import Problem
from palm_theory.contract.value import Value
from palm_theory.files import write_atomically
from palm_theory.geometry.simplex import Array


def model_card(policy: Adapter, problem: Problem, weights: Array, value: Value) -> str:
    """The README of one adapter: what weights (d,) it was trained for and what was measured, with standard errors."""
    errors = value.rewards_stderr if value.rewards_stderr is not None else [0.0] * len(value.rewards)
    rows = [
        f"| {reward.name} | {w:.3f} | {r:.4f} ± {e:.4f} | "
        f"{reward.normalizer.scale:g}·x + {reward.normalizer.offset:g} |"
        for reward, w, r, e in zip(problem.rewards, weights, value.rewards, errors, strict=True)
    ]
    training = problem.training
    rows_a_step = training.prompts_per_step * training.generations
    return "\n".join(
        [
            "---",
            f"base_model: {policy.chat.model}",
            "library_name: peft",
            "pipeline_tag: text-generation",
            "tags: [lora, multi-objective, policy-portfolio, palm-theory]",
            "---",
            "",
            f"# {policy.name or 'Adapter'}",
            "",
            f"A LoRA adapter trained by {training.algorithm.upper()} to maximise ⟨w, r⟩ − β·KL from the base model, "
            f"with β = {problem.beta:g} and the weights below; one policy of a portfolio made by palm_theory.",
            "",
            "| reward | weight w | measured, held-out | reward = normaliser(x) |",
            "|---|---|---|---|",
            *rows,
            "",
            f"β·KL(π‖π_ref) = {value.regularizer:.4f} ± {value.regularizer_stderr or 0.0:.4f}, over whole replies. "
            f"Means ± standard errors over {len(problem.held_out)} held-out prompts, {problem.evaluation.generations} "
            "replies each, at temperature 1. These are estimates on those prompts, not bounds.",
            "",
            f"Training: {training.steps} steps of {rows_a_step} replies of at most {problem.chat.max_new_tokens} "
            f"tokens, learning rate {training.learning_rate:g}, LoRA rank {training.lora_rank}. System prompt: "
            f"{problem.chat.system_prompt!r}.",
            "",
        ]
    )


def write_card(policy: Adapter, problem: Problem, weights: Array, value: Value) -> None:
    """Put the model card beside the adapter trained for weights (d,)."""
    write_atomically(Path(policy.folder) / CARD_FILE, model_card(policy, problem, weights, value).encode())
