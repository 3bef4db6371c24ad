"""TRL's trainers, set up so that the expected update is along the exact gradient of J_w.

J_w(π) = E_x E_{y∼π} [⟨w, r(x, y)⟩ − β·log π(y|x)/π_ref(y|x)], the KL taken over whole sequences.

RLOO (Ahmadian et al. 2024) is that as it stands: its return holds −β·Σ_t log-ratio and its leave-one-out baseline is
unbiased. GRPO in TRL is not: its KL term differentiates KL(π(·|x, y_<t)‖π_ref) at each position but not how earlier
tokens change which positions are reached, and subtracting a group mean that contains the completion itself shrinks the
reward's gradient by (G−1)/G. ``SequenceKLGRPOTrainer`` adds what is missing. tests/llm/test_gradients.py enumerates a
tiny model and checks both against the exact gradient.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer
from trl.trainer.utils import split_tensor_dict

from backends.llm.model.decoding import Sampled, sample_completions
from backends.llm.model.packing import can_pack, pack, packed_logits, shared_prompts
from backends.llm.settings import Training

# The class is mixed into either of TRL's trainers, which share these methods by name and not by a common base.
if TYPE_CHECKING:
    from typing import Any as _BaseTrainer
else:
    _BaseTrainer = object


class SharedPromptTrainer(_BaseTrainer):
    """What GRPO and RLOO share here: a prompt is read once for all its completions, in sampling and in scoring.

    The numbers are TRL's own (tests/llm/test_trainers.py); only the arithmetic spent on them is less. A step's rows
    stay in order, so that the completions of a prompt go through the model together.
    """

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        every = self.args.steps_per_generation
        if not self.model.training:
            return super()._prepare_inputs(generation_batch)
        if self._step % every == 0 or self._buffered_inputs is None:
            self._buffered_inputs = split_tensor_dict(self._generate_and_score_completions(generation_batch), every)
        return self._buffered_inputs[self._step % every]

    def _sampled(self, prompt_ids: list[list[int]]) -> list[Sampled]:
        """One completion a row of ``prompt_ids``, in which the rows of a prompt stand together."""
        runs = [(list(prompt), len(list(rows))) for prompt, rows in itertools.groupby(prompt_ids)]
        sampled: list[Sampled] = []
        with unwrap_model_for_generation(
            self.model_wrapped,
            self.accelerator,
            gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
        ) as model:
            for _, group in itertools.groupby(runs, key=lambda run: run[1]):
                same = list(group)
                found = sample_completions(
                    model,
                    [prompt for prompt, _ in same],
                    same[0][1],
                    ends=self.eos_token_ids,
                    pad=self._tokenizer.pad_token_id,
                    max_new_tokens=self.args.max_completion_length,
                    batch_size=len(prompt_ids),
                )
                sampled.extend(row for rows in found for row in rows)
        return sampled

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **extra: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        start = input_ids.size(1) - logits_to_keep
        prompts, answers = (
            [row[seen.bool()].tolist() for row, seen in zip(ids, mask, strict=True)]
            for ids, mask in (
                (input_ids[:, :start], attention_mask[:, :start]),
                (input_ids[:, start:], attention_mask[:, start:]),
            )
        )
        packable = can_pack(self.accelerator.unwrap_model(model)) and not any(extra.values()) and all(answers)
        if not (packable and shared_prompts(prompts)):
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **extra
            )
        size = batch_size or len(prompts)
        logprobs, entropies = [], []
        for first in range(0, len(prompts), size):
            rows = slice(first, first + size)
            packed = pack(prompts[rows], answers[rows], self._tokenizer.pad_token_id, input_ids.device)
            with self.accelerator.autocast():
                logits = packed_logits(model, packed).float()
            total = logits.logsumexp(-1)
            width = logits.size(1)
            tokens = input_ids[rows, start : start + width]
            logprobs.append(_widened(logits.gather(-1, tokens[..., None])[..., 0] - total, logits_to_keep))
            if compute_entropy:
                with torch.no_grad():
                    mean = (logits.softmax(-1) * logits).sum(-1)
                    entropies.append(_widened(total.detach() - mean, logits_to_keep))
        return torch.cat(logprobs), torch.cat(entropies) if compute_entropy else None, None


def _widened(values: torch.Tensor, width: int) -> torch.Tensor:
    """(B, T) padded with zeros to (B, width): columns past every completion's end."""
    return torch.nn.functional.pad(values, (0, width - values.size(1)))


class SharedPromptRLOOTrainer(SharedPromptTrainer, RLOOTrainer):
    """RLOO: its expected gradient is that of J_w as it stands."""

    def _generate_single_turn(self, prompt_ids: Any, images: Any, multimodal_fields: Any) -> Any:
        if self.use_vllm:
            return super()._generate_single_turn(prompt_ids, images, multimodal_fields)
        return [row.tokens for row in self._sampled(prompt_ids)]


class SequenceKLGRPOTrainer(SharedPromptTrainer, GRPOTrainer):
    """GRPO with per-token advantages

        A_it = G/(G−1) · [ (r_i − β·Σ_{s>t} u_is) − mean over the group of the same ],   u = log π/π_ref a token,

    beside TRL's own per-position KL term. The expected gradient is that of J_w over max_completion_length.
    """

    def _generate_single_turn(
        self, prompt_ids: Any, images: Any, multimodal_fields: Any, num_generations: Any, has_tool_images: bool = False
    ) -> Any:
        if self.use_vllm:
            return super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, has_tool_images
            )
        sampled = self._sampled(prompt_ids)
        return [row.tokens for row in sampled], [row.logprobs for row in sampled]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        mask = output["completion_mask"]
        logprobs = output.get("sampling_per_token_logps")
        if logprobs is None or self.use_vllm:
            logprobs = self._own_logprobs(output)
        ratios = (logprobs - output["ref_per_token_logps"]) * mask
        to_go = ratios.flip(1).cumsum(1).flip(1) - ratios
        generations = int(self.num_generations or 0)  # TRL declares it optional, its settings always set it
        groups = to_go.view(-1, generations, to_go.size(1))
        centred = (groups - groups.mean(1, keepdim=True)).view_as(to_go)
        correction = generations / (generations - 1)
        output["advantages"] = correction * (output["advantages"][:, None] - self.beta * centred)
        return output

    def _own_logprobs(self, output: dict[str, Any]) -> torch.Tensor:
        mask = output["completion_mask"]
        with torch.no_grad():
            return self._get_per_token_logps_and_entropies(
                self.model,
                torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
                torch.cat([output["prompt_mask"], mask], dim=1),
                mask.size(1),
                batch_size=self.args.per_device_train_batch_size,
            )[0]


def trainer_class(training: Training) -> type[GRPOTrainer] | type[RLOOTrainer]:
    """The trainer of an algorithm."""
    return SequenceKLGRPOTrainer if training.algorithm == "grpo" else SharedPromptRLOOTrainer


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
        "lr_scheduler_type": training.schedule,
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
        **_vllm_settings(training),
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


def _vllm_settings(training: Training) -> dict[str, Any]:
    """TRL's options for sampling in vLLM; its defaults correct, by importance weights, for an engine whose
    probabilities differ from the model's."""
    if training.vllm == "off":
        return {}
    if training.vllm == "colocate":
        return {
            "use_vllm": True,
            "vllm_mode": "colocate",
            "vllm_gpu_memory_utilization": training.vllm_memory,
            "vllm_enable_sleep_mode": True,
        }
    address = os.environ.get("PALM_VLLM_SERVER", "http://localhost:8000")
    return {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": address}
