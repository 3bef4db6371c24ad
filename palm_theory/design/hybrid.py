"""Inverse design by Theorems 1 and 1′: any μ and α, the smallest cover for a target or the best for a budget."""

from __future__ import annotations

import math
from collections.abc import Callable

from palm_theory.bounds import (
    EXACT,
    Bound,
    OracleError,
    non_negative,
    positive,
    regularizer_reach,
    theorem1,
    theorem1_prime,
)
from palm_theory.errors import InputError
from palm_theory.geometry.hybrid import SMALLEST_ALPHA
from palm_theory.geometry.simplex import validate_dimension


def cheapest_theorem1(
    objectives: int,
    *,
    epsilon: float,
    delta: float,
    reward_max: float,
    regularizer_max: float,
    oracle: OracleError = EXACT,
) -> Bound:
    """The smallest cover, over all (μ, α), for which Theorem 1 promises the target (ε, δ). Exact; no search grid.

    Raises InputError where no (μ, α) reaches the target.
    """
    d = validate_dimension(objectives)
    oracle = OracleError(*oracle).validated()
    reward = positive(reward_max, "reward_max")
    regularizer = non_negative(regularizer_max, "regularizer_max")
    room = delta - oracle.delta
    # delta_0 + 2(d alpha R + mu f) <= delta is alpha <= a + b mu.
    a, b = room / (2 * d * reward), -regularizer / (d * reward)
    mu_max = min(1.0, (epsilon - oracle.epsilon) / 4)

    def evaluate(mu: float, alpha: float) -> Bound:
        return theorem1(d, mu, alpha, reward_max=reward, regularizer_max=regularizer, oracle=oracle)

    return _cheapest_cover(d, a, b, mu_max, epsilon, delta, evaluate)


def cheapest_theorem1_prime(
    objectives: int,
    *,
    epsilon: float,
    delta: float,
    reward_max: float,
    regularizer_max: float | None,
    has_reference: bool = False,
    oracle: OracleError = EXACT,
) -> Bound:
    """The smallest cover, over all (μ, α), for which Theorem 1′ promises the target (ε, δ). Exact; no search grid.

    Raises InputError where no (μ, α) reaches the target.
    """
    d = validate_dimension(objectives)
    oracle = OracleError(*oracle).validated()
    reward = positive(reward_max, "reward_max")
    reach = regularizer_reach(reward, regularizer_max, has_reference=has_reference)
    room = delta - oracle.delta
    # (d-1) alpha (R + min(F,R)) + mu F <= room (1+mu) is alpha <= a + b mu; with d = 1, alpha is free.
    scale = max(d - 1, 1) * (reward + min(reach, reward))
    a, b = room / scale, (room - reach) / scale
    mu_max = _mu_limit(epsilon, oracle)

    def evaluate(mu: float, alpha: float) -> Bound:
        return theorem1_prime(
            d,
            mu,
            alpha,
            reward_max=reward,
            regularizer_max=regularizer_max,
            has_reference=has_reference,
            oracle=oracle,
        )

    return _cheapest_cover(d, a, b, mu_max, epsilon, delta, evaluate)


def _mu_limit(epsilon: float, oracle: OracleError) -> float:
    """The largest μ ≤ 1 with 1 − (1−ε₀)/(1+μ) ≤ ε."""
    if epsilon >= 1:
        return 1.0
    return min(1.0, (1 - oracle.epsilon) / (1 - epsilon) - 1)


def _cheapest_cover(
    d: int,
    a: float,
    b: float,
    mu_max: float,
    epsilon: float,
    delta: float,
    evaluate: Callable[[float, float], Bound],
) -> Bound:
    """Least K = ⌊log(1/α)/log(1+μ)⌋ subject to 0 < μ ≤ mu_max, 0 < α ≤ a + bμ.

    K is enough iff max over μ of g_K(μ) = log(a + bμ) + (K+1)·log(1+μ) is > 0. g_K is concave, so its maximum is at
    the ends of the interval or where g_K' = 0, and it grows with K: bisection on K. Size grows with K, so the least K
    is the smallest cover (a top value of exactly 1 needs one K more, and (L+1)^d − L^d ≥ d·L^(d−1)).
    """
    if math.isnan(epsilon) or not math.isfinite(delta):
        raise InputError(f"the target needs a number epsilon and a finite delta, got ({epsilon}, {delta})")
    if mu_max <= 0:
        raise InputError(f"no cover reaches (epsilon={epsilon}, delta={delta}): epsilon is too small for the oracle")
    if a + b * mu_max > 0:
        high = mu_max
    elif a > 0 and b < 0:
        high = -a / b
    else:
        raise InputError(f"no cover reaches (epsilon={epsilon}, delta={delta}): delta is too small")

    def best_mu(k: int) -> float:
        stationary = -(b + (k + 1) * a) / (b * (k + 2)) if b != 0 else math.inf
        candidates = [mu for mu in (high, stationary) if 0 < mu <= high]
        return max(candidates, key=lambda mu: excess(k, mu))

    def excess(k: int, mu: float) -> float:
        alpha = a + b * mu
        return math.log(alpha) + (k + 1) * math.log1p(mu) if alpha > 0 else -math.inf

    if excess(0, best_mu(0)) > 0:
        k = 0
    else:
        low, k = 0, 1
        while excess(k, best_mu(k)) <= 0:
            low, k = k, 2 * k
            if k > 2**62:
                raise InputError(f"no cover reaches (epsilon={epsilon}, delta={delta}): the target is too small")
        while k - low > 1:
            middle = (low + k) // 2
            if excess(middle, best_mu(middle)) > 0:
                k = middle
            else:
                low = middle
    mu = best_mu(k)
    # Shrink both by a few ulps until the promise, as computed, meets the target.
    alpha = min(a + b * mu, math.nextafter(1.0, 0.0))
    for step in range(40):
        factor = 1 - 2.0 ** (step - 52) if step else 1.0
        bound = evaluate(mu * factor, alpha * factor)
        if bound.epsilon <= epsilon and bound.delta <= delta:
            return bound
    raise InputError(f"no cover reaches (epsilon={epsilon}, delta={delta})")


def best_theorem1(
    objectives: int,
    budget: int,
    *,
    reward_max: float,
    regularizer_max: float,
    epsilon: float | None = None,
    delta: float | None = None,
    oracle: OracleError = EXACT,
) -> Bound:
    """The best promise of Theorem 1 with at most ``budget`` policies; see ``best_theorem1_prime`` for "best"."""
    d = validate_dimension(objectives)

    def evaluate(mu: float, alpha: float) -> Bound:
        return theorem1(d, mu, alpha, reward_max=reward_max, regularizer_max=regularizer_max, oracle=oracle)

    return _best_for_budget(d, budget, epsilon, delta, reward_max, evaluate)


def best_theorem1_prime(
    objectives: int,
    budget: int,
    *,
    reward_max: float,
    regularizer_max: float | None,
    has_reference: bool = False,
    epsilon: float | None = None,
    delta: float | None = None,
    oracle: OracleError = EXACT,
) -> Bound:
    """The best promise of Theorem 1′ with at most ``budget`` policies.

    Best means: the least δ for a given ε, the least ε for a given δ, and with neither the least ε·R_max + δ, the
    largest total loss the promise allows (J* ≤ R_max). Found numerically over μ for the largest L that fits.
    Raises InputError where the budget is below d·2^(d−1), the smallest hybrid cover, or the given ε or δ is out of
    reach.
    """
    d = validate_dimension(objectives)

    def evaluate(mu: float, alpha: float) -> Bound:
        return theorem1_prime(
            d,
            mu,
            alpha,
            reward_max=reward_max,
            regularizer_max=regularizer_max,
            has_reference=has_reference,
            oracle=oracle,
        )

    return _best_for_budget(d, budget, epsilon, delta, reward_max, evaluate)


def _best_for_budget(
    d: int,
    budget: int,
    epsilon: float | None,
    delta: float | None,
    reward_max: float,
    evaluate: Callable[[float, float], Bound],
) -> Bound:
    # Imported here because it alone would double the import time of the package.
    from scipy.optimize import minimize_scalar

    if epsilon is not None and delta is not None:
        raise InputError("give epsilon or delta (or neither), not both: the budget fixes the other")
    smallest = d * 2 ** (d - 1)
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < smallest:
        raise InputError(f"the smallest hybrid cover for d={d} has {smallest} points; got a budget of {budget!r}")
    levels = 2
    if d > 1:
        levels = math.floor((budget / d) ** (1 / (d - 1))) + 1
        while d * levels ** (d - 1) > budget:
            levels -= 1
    exponent = min(levels - 2, 10_000_000)

    def at(mu: float) -> Bound | None:
        # The least alpha whose K is still levels - 2: just above (1+mu)^-(K+1). With d = 1 any alpha costs one policy.
        alpha = math.exp(-(exponent + 1) * math.log1p(mu)) * (1 + 1e-9) if d > 1 else SMALLEST_ALPHA
        if not SMALLEST_ALPHA <= alpha < 1:
            return None
        bound = evaluate(mu, alpha)
        return bound if bound.size <= budget else None

    def cost(log_mu: float) -> float:
        bound = at(math.exp(log_mu))
        if bound is None or (epsilon is not None and bound.epsilon > epsilon):
            return math.inf
        if epsilon is not None:
            return bound.delta
        if delta is not None:
            return bound.epsilon if bound.delta <= delta else math.inf
        return bound.epsilon * reward_max + bound.delta

    grid = [math.log(1e-9) * (1 - i / 4000) for i in range(4001)]
    costs = [cost(x) for x in grid]
    best = min(range(len(grid)), key=costs.__getitem__)
    if not math.isfinite(costs[best]):
        raise InputError(f"{budget} policies do not reach the given {'epsilon' if epsilon is not None else 'delta'}")
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    refined = minimize_scalar(
        lambda x: min(cost(x), 1e300), bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    )
    x = min((float(refined["x"]), grid[best]), key=cost)
    found = at(math.exp(x))
    assert found is not None
    return found
