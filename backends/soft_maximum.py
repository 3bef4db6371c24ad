"""The soft maximum β·log Σ_a p(a)·exp(q(a)/β), its policy and the KL divergence, without cancellation at any β."""

from __future__ import annotations

import numpy as np

from backends.exact_sums import UNIT
from palm_theory.geometry.simplex import Array

EXTREME = 1e-290
"""Probabilities below this are multiplied in log space."""

ALMOST_NOTHING = -1 + UNIT
"""π/p − 1 where π(a) is less than p(a) by more than float64 tells apart: then π·log(π/p) is next to nothing."""

CLOSE = 8.0
"""Where β and the largest value are at most this times the soft maximum, the shortest formula is as good as any."""


def greedy(values: Array) -> Array:
    """Deterministic policy on the last axis: probability 1 on the largest value, ties to the lowest index."""
    policy = np.zeros_like(values)
    np.put_along_axis(policy, values.argmax(axis=-1)[..., None], 1.0, axis=-1)
    return policy


def normalized(probabilities: Array) -> Array:
    """Probability vectors along the last axis, divided by their sums unless these are 1 to rounding."""
    sums = probabilities.sum(axis=-1, keepdims=True)
    rounding = np.abs(sums - 1) <= (probabilities.shape[-1] + 8) * UNIT
    return probabilities if rounding.all() else probabilities / np.where(rounding, 1.0, sums)


class SoftMaximum:
    """max over π of ⟨π, q⟩ − β·KL(π‖p) = β·log Σ_a p(a)·exp(q(a)/β), and the π that attains it, ∝ p·exp(q/β).

    Parameters
    ----------
    reference : p, shape (…, A), each row a distribution but for its rounding, which is divided out: at β = 1e12 a sum
        of 1 − 1e-16 would cost 1e-4.
    beta : β ≥ 0. At β = 0 it is the maximum of q, and the policy is greedy, ties to the lowest index.
    support_only : at β = 0, whether actions with p(a) = 0 are left out too, as they always are at β > 0.

    ``units``·u bounds relative errors of what is summed here.
    """

    def __init__(self, reference: Array, beta: float, *, support_only: bool = True) -> None:
        self.beta = beta
        self.reference = normalized(reference)
        with np.errstate(divide="ignore"):
            # Not of the quotients: the smallest numbers are too coarse for them.
            self._log_reference = np.log(reference)
        if self.reference is not reference:
            self._log_reference -= np.log(reference.sum(axis=-1, keepdims=True))
        support = reference > 0
        self._support = None if support.all() or (beta == 0 and not support_only) else support
        self._is_extreme = bool(self.reference[support].min() < EXTREME)
        self._is_plain = self._support is None and not self._is_extreme
        self.units = 0 if beta == 0 else reference.shape[-1] + 8

    @property
    def largest_divergence(self) -> Array:
        """max KL(π‖p) over the policies on p's support: max_a log 1/p(a), shape (…,)."""
        return np.where(self.reference > 0, -self._log_reference, 0.0).max(axis=-1)

    def attained(self, values: Array) -> tuple[Array, Array, Array]:
        """Policy (…, A), soft maximum (…,) and the scale (…,) of its error, ``units``·u times that, for q = ``values``
        (…, A), ≥ 0.

        t + β·log Σ p·exp((q−t)/β), t the largest value, errs relative to t + β. Where that is much, the mean
        m = ⟨p, q⟩ takes the place of t: m + β·log1p(Σ p·expm1((q−m)/β)) has no difference of large numbers, so its
        error is relative to ⟨π, q⟩, however large β is.
        """
        values = self._supported(values, -np.inf)
        top = values.max(axis=-1)
        if self.beta == 0:
            return greedy(values), top, top
        policy, log_sums = self._tilt(values, top)
        best, scale = top + self.beta * log_sums, top + self.beta
        if (scale > CLOSE * best).any():
            accurate, reached = self._from_the_mean(self._supported(values, 0.0), policy)
            usable = np.isfinite(accurate)
            best, scale = np.where(usable, accurate, best), np.where(usable, reached, scale)
        return policy, best, scale

    def _from_the_mean(self, values: Array, policy: Array) -> tuple[Array, Array]:
        """m + β·log1p(Σ p·expm1((q−m)/β)), inf where exp overflows, and ⟨π, q⟩."""
        mean = (self.reference * values).sum(axis=-1)
        with np.errstate(over="ignore"):
            terms = self.reference * np.expm1((values - mean[..., None]) / self.beta)
        best = mean + self.beta * np.log1p(self._supported(terms, 0.0).sum(axis=-1))
        return best, (policy * values).sum(axis=-1)

    def gained(self, values: Array) -> tuple[Array, Array, Array]:
        """The same for q = ``values`` (…, A) of either sign whose soft maximum is near their largest: advantages.

        t + β·log1p Σ p·expm1((q−t)/β), or log Σ p·exp((q−t)/β) where that is far below 0: it errs relative to how far
        it lies below t.
        """
        values = self._supported(values, -np.inf)
        top = values.max(axis=-1)
        if self.beta == 0:
            return greedy(values), top, np.zeros_like(top)
        policy, log_sums = self._tilt(values, top)
        with np.errstate(over="ignore"):
            excess = (self.reference * np.expm1((values - top[..., None]) / self.beta)).sum(axis=-1)
        drop = self.beta * np.where(excess > -0.5, np.log1p(np.maximum(excess, -0.5)), log_sums)
        return policy, top + drop, -2 * drop

    def divergence(self, policy: Array) -> Array:
        """KL(π‖p) along the last axis, (…,), 0·log 0 = 0; inf where π leaves the support of p.

        Σ p·φ(π/p) with φ(x) = x·log x − x + 1 ≥ 0: no cancellation where π is close to p, and blind to first order to
        sums that are 1 only to rounding.
        """
        difference = policy - self.reference
        if self._is_plain:
            terms = policy * np.log1p(np.maximum(difference / self.reference, ALMOST_NOTHING)) - difference
        else:
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                ratios = np.log1p(np.maximum(difference / self.reference, ALMOST_NOTHING))
                ratios = np.where(self.reference < EXTREME, np.log(policy) - self._log_reference, ratios)
                terms = np.where(policy > 0, policy * ratios, 0.0) - difference
        return np.maximum(terms.sum(axis=-1), 0.0)

    def _supported(self, values: Array, otherwise: float) -> Array:
        return values if self._support is None else np.where(self._support, values, otherwise)

    def _tilt(self, values: Array, top: Array) -> tuple[Array, Array]:
        """p·exp((q−t)/β) normalised, and log of its sum, t the largest q. Where all q are equal it is p itself.

        (SciPy's logsumexp and softmax take ten times as long on arrays of this size.)
        """
        with np.errstate(over="ignore"):
            shifts = (values - top[..., None]) / self.beta
        weights = self.reference * np.exp(shifts)
        totals = weights.sum(axis=-1)
        if not self._is_extreme or totals.min() > EXTREME:
            return normalized(weights), np.log(totals)
        # Here the largest q lie 667·β and more above the soft maximum; errors of logarithms are relative to that.
        logits = self._log_reference + shifts
        most = logits.max(axis=-1)
        weights = np.exp(logits - most[..., None])
        return normalized(weights), most + np.log(weights.sum(axis=-1))
