"""Pools: m scored answers of the base model to each of X prompts, sampled a few prompts at a time and kept.

Planning solves the bandit of the training prompts' pool; the pool of the held-out prompts measures the base model, and
what resampling its answers would reach. A pool is the same however many processes share the work.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from backends.llm.model.decoding import Sampled
from backends.llm.policies import Reference
from backends.llm.problem import Problem
from backends.llm.rewards import score
from backends.llm.texts import Prompt
from palm_theory.errors import ArtifactError
from palm_theory.files import write_atomically
from palm_theory.geometry.simplex import Array

SCORES_FILE = "samples.npz"
TEXTS_FILE = "samples.jsonl"
GATHER_LOCK = ".gather.lock"
CHUNK = 2
"""Prompts sampled between two writes: what a killed process may lose."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Pool:
    """Where a pool is, and what it holds: ``samples`` answers to each of ``prompts``, seeds from ``seed`` on."""

    folder: Path
    prompts: tuple[Prompt, ...]
    samples: int
    seed: int

    @property
    def is_done(self) -> bool:
        """Whether the whole pool is there."""
        return (self.folder / SCORES_FILE).is_file()

    @property
    def chunks(self) -> range:
        """The first prompt of every chunk."""
        return range(0, len(self.prompts), CHUNK)

    def part(self, start: int) -> Path:
        """The file of one chunk, while the pool is not whole."""
        return self.folder / f"part{start:06d}.json"

    def fraction(self) -> float:
        """How much of it is sampled, in [0, 1]."""
        if self.is_done:
            return 1.0
        return sum(self.part(start).is_file() for start in self.chunks) / len(self.chunks)


def sample_chunks(problem: Problem, pool: Pool, share: int, shares: int, progress: Progress) -> None:
    """Sample and score the chunks share, share + shares, share + 2·shares, … that are not there yet."""
    mine = list(pool.chunks)[share::shares]
    base = None
    for done, start in enumerate(mine):
        progress(done, len(mine))
        if pool.part(start).exists() or pool.is_done:
            continue
        base = base or Reference(problem.chat).open()
        asked = pool.prompts[start : start + CHUNK]
        sampled = base.sample(base.prompts(asked), pool.samples, pool.seed + start)
        flat = [prompt for prompt in asked for _ in range(pool.samples)]
        texts = [text for row in base.texts(sampled) for text in row]
        scores = np.stack([score(reward, flat, texts, problem.reward_max) for reward in problem.rewards], axis=-1)
        rows = [row for answers in sampled for row in answers]
        record = {
            "texts": texts,
            "tokens": [row.tokens for row in rows],
            "logprobs": [row.logprobs for row in rows],
            "scores": scores.tolist(),
        }
        write_atomically(pool.part(start), json.dumps(record).encode())
    progress(len(mine), len(mine))


def gather(pool: Pool) -> None:
    """Make one pool of its chunks, all of which are there. Safe when called by several at once."""
    with FileLock(pool.folder / GATHER_LOCK):
        if pool.is_done:
            return
        lines: list[str] = []
        parts: list[Array] = []
        for start in pool.chunks:
            record = json.loads(pool.part(start).read_text())
            asked = pool.prompts[start : start + CHUNK]
            parts.append(np.array(record["scores"]).reshape(len(asked), pool.samples, -1))
            columns = zip(record["texts"], record["tokens"], record["logprobs"], record["scores"], strict=True)
            lines.extend(
                json.dumps(
                    {
                        "prompt": str(asked[i // pool.samples]),
                        "completion": text,
                        "tokens": tokens,
                        "logprobs": logprobs,
                        "rewards": rewards,
                    }
                )
                for i, (text, tokens, logprobs, rewards) in enumerate(columns)
            )
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, rewards=np.concatenate(parts))
        write_atomically(pool.folder / TEXTS_FILE, ("\n".join(lines) + "\n").encode())
        write_atomically(pool.folder / SCORES_FILE, buffer.getvalue())
        for start in pool.chunks:
            pool.part(start).unlink()
        for leftover in pool.folder.glob("share*"):
            shutil.rmtree(leftover, ignore_errors=True)


def load_scores(folder: Path) -> Array:
    """Rewards (X, m, d) of a pool. Raises ArtifactError where they cannot be read."""
    try:
        with np.load(folder / SCORES_FILE, allow_pickle=False) as stored:
            return stored["rewards"]
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"the samples in {folder} cannot be read: {error}") from error


def load_answers(folder: Path) -> tuple[list[list[Sampled]], Array]:
    """The answers of a pool, [x][i], and their rewards (X, m, d). Raises ArtifactError where they are corrupt."""
    rewards = load_scores(folder)
    lines = _lines(folder, rewards, ("tokens", "logprobs"))
    rows = [Sampled([int(t) for t in line["tokens"]], [float(p) for p in line["logprobs"]]) for line in lines]
    m = rewards.shape[1]
    return [rows[start : start + m] for start in range(0, len(rows), m)], rewards


def load_texts(folder: Path) -> list[list[str]]:
    """The answers of a pool as texts, [x][i]. Raises ArtifactError where they are corrupt."""
    rewards = load_scores(folder)
    rows = [str(line["completion"]) for line in _lines(folder, rewards, ("completion",))]
    m = rewards.shape[1]
    return [rows[start : start + m] for start in range(0, len(rows), m)]


def _lines(folder: Path, rewards: Array, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in (folder / TEXTS_FILE).read_text(encoding="utf-8").splitlines()]
        whole = len(lines) == rewards.shape[0] * rewards.shape[1] and all(
            field in line for line in lines for field in fields
        )
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"the samples in {folder} cannot be read: {error}") from error
    if not whole:
        raise ArtifactError(f"the samples in {folder} are incomplete; delete the folder and run again")
    return lines
