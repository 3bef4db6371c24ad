"""How good a portfolio is: exact worst gaps, what sampling would have said, and the usual indicators."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.certify.audit import audit
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.value import Value
from palm_theory.errors import InputError
from palm_theory.geometry.corners import AdditiveGap, MultiplicativeGap, without_rounding
from palm_theory.geometry.envelope import lower_envelope, rounding_at
from palm_theory.geometry.simplex import Array, as_float_array, sample_dirichlet, validate_weights
from palm_theory.portfolio import Portfolio

USAGE_SAMPLES = 1000
"""N of the paper's perplexity."""


def worst_multiplicative_gap(portfolio: Portfolio, backend: PolicyBackend) -> float:
    """max_w 1 − L(w)/J*_w over the whole simplex: the least ε at δ = 0 (Theorem 3). Raises as ``audit`` does."""
    return audit(portfolio, backend).epsilon


def worst_additive_gap(portfolio: Portfolio, backend: PolicyBackend) -> float:
    """max_w J*_w − L(w) over the whole simplex: the least δ at ε = 0 (Theorem 3). Raises as ``audit`` does."""
    return audit(portfolio, backend, epsilon=0.0).delta


def sampled_gaps(portfolio: Portfolio, weights: ArrayLike, optimal_values: ArrayLike) -> tuple[float, float]:
    """(max 1 − L/J*, max J* − L) over given weights (n, d) with J* (n,) there. Not a bound.

    Raises InputError where the shapes differ or a weight is not on the simplex.
    """
    rows = np.atleast_2d(validate_weights(weights, len(portfolio.objectives)))
    optimum = as_float_array(optimal_values, "optimal_values")
    if optimum.shape != (len(rows),):
        raise InputError(f"optimal_values must have shape ({len(rows)},), got {optimum.shape}")
    values = portfolio.vertex_values
    lower = lower_envelope(values, rows).best
    optimum = without_rounding(optimum, lower, rounding_at(values, rows))
    multiplicative = MultiplicativeGap().measure(optimum, lower)
    return float(multiplicative.max()), float(AdditiveGap().measure(optimum, lower).max())


def usage(portfolio: Portfolio, *, samples: int = USAGE_SAMPLES, seed: int = 0) -> Array:
    """The share of users each policy serves, (K,), over ``samples`` weights uniform on the simplex. An estimate."""
    weights = sample_dirichlet(len(portfolio.objectives), samples, seed=seed)
    chosen = lower_envelope(portfolio.vertex_values, weights).policy
    return np.bincount(chosen, minlength=len(portfolio)) / samples


def usage_perplexity(portfolio: Portfolio, *, samples: int = USAGE_SAMPLES, seed: int = 0) -> float:
    """exp(entropy) of ``usage``: how many policies are in effective use, in [1, K] (the paper's measure, N = 1000)."""
    shares = usage(portfolio, samples=samples, seed=seed)
    used = shares[shares > 0]
    return math.exp(float(-(used * np.log(used)).sum()))


def expected_utility(portfolio: Portfolio, *, samples: int = 10_000, seed: int = 0) -> float:
    """E_w L(w) for w uniform on the simplex, by sampling (Zintgraf et al. 2015). An estimate, in the rewards' unit."""
    weights = sample_dirichlet(len(portfolio.objectives), samples, seed=seed)
    return float(lower_envelope(portfolio.vertex_values, weights).best.mean())


def hypervolume(portfolio: Portfolio, *, reference: ArrayLike | None = None) -> float:
    """The volume dominated by the reward vectors R_k above ``reference`` (d,), the origin by default (moocore).

    The regulariser plays no part. Rewards are maximised. Raises InputError on a reference of another shape.
    """
    import moocore

    d = len(portfolio.objectives)
    point = np.zeros(d) if reference is None else as_float_array(reference, "reference")
    if point.shape != (d,):
        raise InputError(f"reference must have shape ({d},), got {point.shape}")
    if d == 1:
        return float(max(portfolio.rewards.max() - point[0], 0.0))
    return float(moocore.hypervolume(portfolio.rewards, ref=point, maximise=True))


def additive_epsilon(portfolio: Portfolio, front: Portfolio | list[Value] | ArrayLike) -> float:
    """The least c such that every point of ``front``, (n, d), is dominated by some R_k + c·1 (Zitzler et al. 2003)."""
    import moocore

    return float(moocore.epsilon_additive(portfolio.rewards, ref=_points(front, portfolio), maximise=True))


def multiplicative_epsilon(portfolio: Portfolio, front: Portfolio | list[Value] | ArrayLike) -> float:
    """The least c such that every point of ``front``, (n, d), is dominated by some c·R_k (Zitzler et al. 2003).

    Raises InputError unless all rewards are positive.
    """
    import moocore

    points = _points(front, portfolio)
    if portfolio.rewards.min() <= 0 or points.min() <= 0:
        raise InputError("the multiplicative epsilon indicator needs rewards > 0")
    return float(moocore.epsilon_mult(portfolio.rewards, ref=points, maximise=True))


def _points(front: Portfolio | list[Value] | ArrayLike, portfolio: Portfolio) -> Array:
    if isinstance(front, Portfolio):
        points = front.rewards
    elif isinstance(front, list) and front and isinstance(front[0], Value):
        points = np.stack([value.rewards for value in front if isinstance(value, Value)])
    else:
        points = as_float_array(front, "front")  # type: ignore[arg-type]
    if points.ndim != 2 or points.shape[1] != len(portfolio.objectives):
        raise InputError(f"the front must have shape (n, {len(portfolio.objectives)}), got {points.shape}")
    return points
