"""Planning before training: the base model's own answers, scored, make an empirical bandit that is solved exactly.

π*_w on the samples is proportional to exp(⟨w, r⟩/β), J*_w = β·mean_x log mean_y exp(⟨w, r⟩/β). It is a forecast: on
average over the samples it lies below the true optimum over all distributions (log is concave), by more the smaller β
is, and says nothing of how close training comes to it. It is also what resampling with m answers reaches
(``GibbsResampling``), without any training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backends.bandit import BanditBackend
from backends.llm.problem import Problem
from palm_theory.geometry.simplex import Array, simplex_lattice

WORTHLESS_BELOW = 4.0
"""A forecast whose median effective sample size is below this rests on a few lucky answers a prompt."""

LATTICE = 6


def empirical_bandit(problem: Problem, rewards: Array) -> BanditBackend:
    """The surrogate of ``problem``: the bandit of the scored samples (prompts, samples, d)."""
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


def forecast_quality(bandit: BanditBackend, samples: int) -> ForecastQuality:
    """The effective sample sizes over the simplex lattice {k/6}."""
    weights = simplex_lattice(len(bandit.objectives), LATTICE)
    sizes = np.array([bandit.effective_sample_size(w) for w in weights])
    return ForecastQuality(samples, float(np.median(sizes)), float(sizes.min()))
