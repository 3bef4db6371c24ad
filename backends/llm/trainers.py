"""TRL's trainers, set up so that the expected update is along the exact gradient of J_w.

J_w(π) = E_x E_{y∼π} [⟨w, r(x, y)⟩ − β·log π(y|x)/π_ref(y|x)], the KL taken over whole sequences.

RLOO (Ahmadian et al. 2024) is that as it stands: its return holds −β·Σ_t log-ratio and its leave-one-out baseline is
unbiased. GRPO in TRL is not: its KL term differentiates KL(π(·|x, y_<t)‖π_ref) at each position but not how earlier
tokens change which positions are reached, and subtracting a group mean that contains the completion itself shrinks the
reward's gradient by (G−1)/G. ``SequenceKLGRPOTrainer`` adds what is missing. tests/llm/test_gradients.py enumerates a
tiny model and checks both against the exact gradient.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer

from backends.llm.settings import Training


class SequenceKLGRPOTrainer(GRPOTrainer):
    """GRPO with per-token advantages

        A_it = G/(G−1) · [ (r_i − β·Σ_{s>t} u_is) − mean over the group of the same ],   u = log π/π_ref a token,

    beside TRL's own per-position KL term. The expected gradient is that of J_w over max_completion_length.
    """

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        mask = output["completion_mask"]
        with torch.no_grad():
            logprobs, _, _ = self._get_per_token_logps_and_entropies(
                self.model,
                torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
                torch.cat([output["prompt_mask"], mask], dim=1),
                mask.size(1),
                batch_size=self.args.per_device_train_batch_size,
            )
        ratios = (logprobs - output["ref_per_token_logps"]) * mask
        to_go = ratios.flip(1).cumsum(1).flip(1) - ratios
        generations = int(self.num_generations or 0)  # TRL declares it optional, its settings always set it
        groups = to_go.view(-1, generations, to_go.size(1))
        centred = (groups - groups.mean(1, keepdim=True)).view_as(to_go)
        correction = generations / (generations - 1)
        output["advantages"] = correction * (output["advantages"][:, None] - self.beta * centred)
        return output


def trainer_class(training: Training) -> type[GRPOTrainer] | type[RLOOTrainer]:
    """The trainer of an algorithm."""
    return SequenceKLGRPOTrainer if training.algorithm == "grpo" else RLOOTrainer


def trainer_config(
    training: Training, *, weights: list[float], beta: float, max_new_tokens: int, seed: int, folder: Path, bf16: bool
) -> GRPOConfig | RLOOConfig:
    """Settings under which the objective is ⟨w, r⟩ − β·KL and nothing else: no reward scaling, no length
    normalisation, no clipping or masking that acts on fresh samples, no weight decay, sampling from π itself."""
    rows = training.prompts_per_step * training.generations
    micro = training.micro_batch or rows
    common: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": rows // micro,
        "num_generations": training.generations,
        "num_iterations": 1,
        "max_completion_length": max_new_tokens,
        "max_steps": training.steps,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "beta": beta,
        "reward_weights": weights,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "disable_dropout": True,
        "shuffle_dataset": False,
        "mask_truncated_completions": False,
        "sync_ref_model": False,
        "gradient_checkpointing": training.gradient_checkpointing,
        "bf16": bf16,
        "use_cpu": not torch.cuda.is_available(),
        "seed": seed,
        "save_strategy": "steps",
        "save_steps": training.checkpoint_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    if training.algorithm == "rloo":
        return RLOOConfig(**common, normalize_advantages=False, reward_clip_range=None)
    return GRPOConfig(
        **common,
        loss_type="dr_grpo",
        scale_rewards="none",
        importance_sampling_level="token",
        multi_objective_aggregation="sum_then_normalize",
        use_bias_correction_kl=True,
    )
