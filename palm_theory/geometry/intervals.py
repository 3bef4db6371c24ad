"""Confidence intervals for measured values (docs/theory/statistics.md)."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np

from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array

Method = Literal["empirical-bernstein", "normal"]


def empirical_bernstein_halfwidth(stderr: Array, samples: int, value_range: float, failure: float) -> Array:
    """Half-width of a two-sided interval that fails with probability at most ``failure``, for a mean of ``samples``
    independent values in an interval of length ``value_range`` whose estimated standard error is ``stderr``.

    √(2V·log(4/p)/N) + 7·range·log(4/p)/(3(N−1)) with V = N·stderr² the sample variance and p = ``failure``
    (Maurer & Pontil 2009, Theorem 4, on both sides). Shape as ``stderr``. Infinite for N = 1.
    """
    if samples < 2:
        return np.full(np.shape(stderr), math.inf)
    log_term = math.log(4 / failure)
    return np.asarray(stderr) * math.sqrt(2 * log_term) + 7 * value_range * log_term / (3 * (samples - 1))


def normal_halfwidth(stderr: Array, failure: float) -> Array:
    """Half-width of the two-sided normal interval, shape as ``stderr``: an approximation for large N, not a bound."""
    return np.asarray(stderr) * -NormalDist().inv_cdf(failure / 2)


def widest(*ranges: float | None) -> float | None:
    """The range that single evaluations of several backends have in common: the largest, None where one is unknown."""
    known = [length for length in ranges if length is not None]
    return max(known) if len(known) == len(ranges) else None


def split_failure(confidence: float, intervals: int) -> float:
    """The failure probability each of ``intervals`` may have so that all hold with ``confidence`` (Bonferroni).

    Raises InputError unless 0 < confidence < 1.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie in (0, 1), got {confidence}")
    return (1 - confidence) / intervals
