"""Planning before training: the base model's own answers, scored, make an empirical bandit that is solved exactly.

π*_w on the samples is proportional to exp(⟨w, r⟩/β), J*_w = β·mean_x log mean_y exp(⟨w, r⟩/β). It is a forecast: on
average over the samples it lies below the true optimum over all distributions (log is concave), by more the smaller β
is, and says nothing of how close training comes to it. It is also what resampling with m answers reaches
(``GibbsResampling``), without any training.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backends.bandit import BanditBackend
from backends.llm.files import write_atomically
from backends.llm.policies import Reference
from backends.llm.problem import Problem
from backends.llm.rewards import score
from backends.llm.tokens import Tokens
from palm_theory.errors import ArtifactError
from palm_theory.simplex import Array, simplex_lattice

Progress = Callable[[int, int], None]

SAMPLES_FILE = "samples.npz"
TEXTS_FILE = "samples.jsonl"
CHUNK = 4
WORTHLESS_BELOW = 4.0
"""A forecast whose median effective sample size is below this rests on a few lucky answers a prompt."""


def sample_base_model(problem: Problem, folder: Path, progress: Progress) -> None:
    """Sample and score m completions of each planning prompt; texts and rewards (X, m, d) are kept in ``folder``.

    A few prompts at a time, so that an interrupted run loses little.
    """
    prompts, m = problem.planning_prompts, problem.planning.samples
    session = None
    parts: list[Array] = []
    lines: list[str] = []
    for start in range(0, len(prompts), CHUNK):
        progress(start, len(prompts))
        part = folder / f"part{start:06d}.json"
        asked = prompts[start : start + CHUNK]
        if not part.exists():
            session = session or Reference(problem.chat).open()
            pools = session.sample(session.prompts(asked), m, problem.seed + start)
            flat = [prompt for prompt in asked for _ in range(m)]
            texts = [text for pool in session.texts(pools) for text in pool]
            scores = np.stack([score(reward, flat, texts, problem.reward_max) for reward in problem.rewards], axis=-1)
            tokens = [row.tokens for pool in pools for row in pool]
            record = {"texts": texts, "tokens": tokens, "scores": scores.tolist()}
            write_atomically(part, json.dumps(record).encode())
        record = json.loads(part.read_text())
        parts.append(np.array(record["scores"]).reshape(len(asked), m, -1))
        lines.extend(
            json.dumps({"prompt": str(asked[i // m]), "completion": text, "tokens": tokens, "rewards": rewards})
            for i, (text, tokens, rewards) in enumerate(
                zip(record["texts"], record["tokens"], record["scores"], strict=True)
            )
        )
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, rewards=np.concatenate(parts))
    write_atomically(folder / TEXTS_FILE, ("\n".join(lines) + "\n").encode())
    write_atomically(folder / SAMPLES_FILE, buffer.getvalue())
    for part in folder.glob("part*.json"):
        part.unlink()
    progress(len(prompts), len(prompts))


def load_samples(folder: Path) -> Array:
    """Rewards (X, m, d) of the kept samples. Raises ArtifactError where they cannot be read."""
    try:
        with np.load(folder / SAMPLES_FILE, allow_pickle=False) as stored:
            return stored["rewards"]
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"the planning samples in {folder} cannot be read: {error}") from error


def load_answers(folder: Path) -> tuple[list[list[Tokens]], Array]:
    """The kept samples in tokens, [x][i], and their rewards (X, m, d). Raises ArtifactError where they are corrupt."""
    rewards = load_samples(folder)
    try:
        lines = (folder / TEXTS_FILE).read_text(encoding="utf-8").splitlines()
        rows = [[int(token) for token in json.loads(line)["tokens"]] for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"the planning samples in {folder} cannot be read: {error}") from error
    if len(rows) != rewards.shape[0] * rewards.shape[1]:
        raise ArtifactError(f"the planning samples in {folder} are incomplete: {len(rows)} answers")
    m = rewards.shape[1]
    return [rows[start : start + m] for start in range(0, len(rows), m)], rewards


def empirical_bandit(problem: Problem, rewards: Array) -> BanditBackend:
    """The surrogate of ``problem``: the bandit of the scored samples."""
    return BanditBackend.from_samples(
        rewards, beta=problem.beta, objectives=problem.objectives, reward_max=problem.reward_max
    )


@dataclass(frozen=True)
class ForecastQuality:
    """How much the samples are worth: the effective sample size (Σp)²/Σp² of π*_w on them, out of ``samples``.

    ``median`` and ``worst`` are over prompts and over a lattice of weights.
    """

    samples: int
    median: float
    worst: float

    @property
    def is_worthless(self) -> bool:
        """Whether the forecast rests on so few answers that it should not be used."""
        return self.median < WORTHLESS_BELOW

    def __str__(self) -> str:
        text = f"effective sample size {self.median:.1f} (worst {self.worst:.1f}) of {self.samples} answers a prompt"
        advice = "; the forecast is worthless: raise beta or the number of samples" if self.is_worthless else ""
        return text + advice


def forecast_quality(bandit: BanditBackend, samples: int, lattice: int = 6) -> ForecastQuality:
    """The effective sample sizes over the simplex lattice {k/lattice}."""
    weights = simplex_lattice(len(bandit.objectives), lattice)
    sizes = np.array([bandit.effective_sample_size(w) for w in weights])
    return ForecastQuality(samples, float(np.median(sizes)), float(sizes.min()))
