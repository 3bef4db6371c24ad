"""Inverse design by Theorems 1″ and 1‴: covers with α = (1+μ)^−K, μ ∈ (0, 1] and K ≥ 1, for a target or a budget.

In both theorems what is lost with a given K is, up to a constant,

    φ(μ) = g·(1 − 1/V_d) + t·(1+μ)^−K/V_d,   1/V_d = (1/d)·Σ_{j<d} (1+μ)^(−j/d),

with numbers g and t ≥ 0, and it falls as K grows. With x = log(1+μ), dφ/dx has the sign of

    g·Σ_j (j/d)·e^(−jx/d) − t·e^(−Kx)·Σ_j (K + j/d)·e^(−jx/d),

which changes at most once, from − to +: divided by the first sum it is g − t·e^(−Kx)·(1 + K/m(x)), m the mean of j/d
with weights e^(−jx/d), and log(e^(−Kx)/m) has the slope −K + Var/m ≤ 0, since a variance on [0, 1] is at most the mean.
So φ has one valley, which bisection finds, and bisection on K finds the smallest cover.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from palm_theory.bounds import (
    EXACT,
    Bound,
    OracleError,
    positive,
    regularizer_reach,
    theorem1_double_prime,
    theorem1_triple_prime,
)
from palm_theory.errors import InputError
from palm_theory.geometry.hybrid import HybridGrid
from palm_theory.geometry.simplex import validate_dimension

MU_MIN = 1e-9
"""No smaller μ is tried: neighbouring values of a grid must differ by far more than float64's rounding."""

LOG_RANGE = 690.0
"""The largest log(1/α): α must not underflow."""

Condition = Callable[[float], bool]


@dataclass(frozen=True)
class Family:
    """A theorem's promises over all (μ, K) for d objectives, with the g and t of the φ of this module's text."""

    objectives: int
    promise: Callable[[float, float], Bound]
    gain: float
    tail: float

    def at(self, mu: float, k: int) -> Bound:
        """What is promised for α = (1+μ)^−k."""
        return self.promise(mu, HybridGrid.aligned(mu, k).alpha)

    def valley(self, k: int, mu_max: float = 1.0) -> float:
        """The μ in [``MU_MIN``, ``mu_max``] with the least φ."""
        d = self.objectives

        def rises(mu: float) -> bool:
            x = math.log1p(mu)
            powers = [math.exp(-j * x / d) for j in range(d)]
            grows = self.gain * sum(j / d * power for j, power in enumerate(powers))
            falls = self.tail * math.exp(-k * x) * sum((k + j / d) * power for j, power in enumerate(powers))
            return grows > falls

        return last_true(lambda mu: not rises(mu), _mu_limit(k, mu_max))


def last_true(condition: Condition, high: float) -> float:
    """The largest μ in [``MU_MIN``, ``high``] where ``condition`` holds, which holds up to some μ; else ``MU_MIN``."""
    if condition(high):
        return high
    low = MU_MIN
    while high > low * (1 + 2.0**-51):
        middle = (low + high) / 2
        low, high = (middle, high) if condition(middle) else (low, middle)
    return low


def _mu_limit(k: int, mu_max: float = 1.0) -> float:
    return max(MU_MIN, min(mu_max, math.expm1(LOG_RANGE / k)))


def double_prime(
    objectives: int,
    reward_max: float,
    regularizer_max: float | None,
    *,
    has_reference: bool,
    oracle: OracleError,
) -> Family:
    """Theorem 1″; φ is its δ. Raises InputError as the theorem does."""
    d = validate_dimension(objectives)
    oracle = OracleError(*oracle).validated()
    reward = positive(reward_max, "reward_max")
    reach = regularizer_reach(reward + oracle.delta, regularizer_max, has_reference=has_reference)

    def promise(mu: float, alpha: float) -> Bound:
        return theorem1_double_prime(
            d,
            mu,
            alpha,
            reward_max=reward,
            regularizer_max=regularizer_max,
            has_reference=has_reference,
            oracle=oracle,
        )

    spread = reward + min(reach, reward + oracle.delta)
    return Family(d, promise, reach - oracle.delta, (d - 1) * spread / 4)


def triple_prime(objectives: int, oracle: OracleError) -> Family:
    """Theorem 1‴; φ is its ε. Raises InputError as the theorem does."""
    d = validate_dimension(objectives)
    oracle = OracleError(*oracle).validated()

    def promise(mu: float, alpha: float) -> Bound:
        return theorem1_triple_prime(d, mu, alpha, oracle=oracle)

    kept = 1 - oracle.epsilon
    return Family(d, promise, kept, (d - 1) / (4 * kept))


def cheapest_theorem1_double_prime(
    objectives: int,
    *,
    epsilon: float,
    delta: float,
    reward_max: float,
    regularizer_max: float | None,
    has_reference: bool = False,
    oracle: OracleError = EXACT,
) -> Bound:
    """The smallest cover, over all μ ∈ (0, 1] and K ≥ 1, for which Theorem 1″ promises the target (ε, δ).

    Raises InputError where no such cover reaches the target.
    """
    family = double_prime(objectives, reward_max, regularizer_max, has_reference=has_reference, oracle=oracle)

    def best(k: int) -> Bound:
        allowed = last_true(lambda mu: family.at(mu, k).epsilon <= epsilon, _mu_limit(k))
        return family.at(family.valley(k, allowed), k)

    return _cheapest(best, epsilon, delta)


def cheapest_theorem1_triple_prime(objectives: int, *, epsilon: float, oracle: OracleError = EXACT) -> Bound:
    """The smallest cover, over all μ ∈ (0, 1] and K ≥ 1, for which Theorem 1‴ promises (ε, 0).

    Raises InputError where no such cover reaches ε.
    """
    family = triple_prime(objectives, oracle)
    return _cheapest(lambda k: family.at(family.valley(k), k), epsilon, 0.0)


def _cheapest(best: Callable[[int], Bound], epsilon: float, delta: float) -> Bound:
    """The promise of the least K that reaches the target; ``best(k)`` is the one to judge k by."""
    if math.isnan(epsilon) or not math.isfinite(delta):
        raise InputError(f"the target needs a number epsilon and a finite delta, got ({epsilon}, {delta})")

    def reached(bound: Bound) -> bool:
        return bound.epsilon <= epsilon and bound.delta <= delta

    low, high, found = 0, 1, best(1)
    while not reached(found):
        low, high = high, 2 * high
        if LOG_RANGE / high < MU_MIN:
            raise InputError(f"no cover reaches (epsilon={epsilon}, delta={delta})")
        found = best(high)
    while high - low > 1:
        middle = (low + high) // 2
        bound = best(middle)
        low, high, found = (low, middle, bound) if reached(bound) else (middle, high, found)
    return found


def best_theorem1_double_prime(
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
    """The best promise of Theorem 1″ with at most ``budget`` policies.

    Best means: the least δ for a given ε, the least ε for a given δ, and with neither the least ε·R_max + δ, the
    largest total loss the promise allows (J* ≤ R_max). Raises InputError where the budget is below 3^d − 2^d, the
    smallest cover with α = (1+μ)^−K and K ≥ 1, or the given ε or δ is out of reach.
    """
    if epsilon is not None and delta is not None:
        raise InputError("give epsilon or delta (or neither), not both: the budget fixes the other")
    oracle = OracleError(*oracle).validated()
    family = double_prime(objectives, reward_max, regularizer_max, has_reference=has_reference, oracle=oracle)
    k = _finest(family.objectives, budget)
    if epsilon is None and delta is None:
        # ε is a constant and (1 − ε₀)(1 − 1/V_d), so ε·R_max + δ is a φ too.
        total = replace(family, gain=family.gain + (1 - oracle.epsilon) * reward_max)
        return total.at(total.valley(k), k)
    if epsilon is not None:
        allowed = last_true(lambda mu: family.at(mu, k).epsilon <= epsilon, _mu_limit(k))
        found = family.at(family.valley(k, allowed), k)
        if found.epsilon > epsilon:
            raise InputError(f"{budget} policies do not reach the given epsilon")
        return found
    assert delta is not None
    # Down to the valley δ falls as ε grows: the least ε is at the first μ with the given δ.
    valley = family.valley(k)
    if family.at(valley, k).delta > delta:
        raise InputError(f"{budget} policies do not reach the given delta")
    short = last_true(lambda mu: family.at(mu, k).delta > delta, valley)
    first = min(short * (1 + 2.0**-51), valley)
    return family.at(MU_MIN if family.at(MU_MIN, k).delta <= delta else first, k)


def best_theorem1_triple_prime(objectives: int, budget: int, *, oracle: OracleError = EXACT) -> Bound:
    """The least ε of Theorem 1‴ with at most ``budget`` policies.

    Raises InputError where the budget is below 3^d − 2^d.
    """
    family = triple_prime(objectives, oracle)
    k = _finest(family.objectives, budget)
    return family.at(family.valley(k), k)


def _finest(d: int, budget: int) -> int:
    """The largest K with (K+2)^d − (K+1)^d ≤ budget; 1 for d = 1, where every cover has one point."""
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 3**d - 2**d:
        raise InputError(
            f"the smallest cover with alpha = (1 + mu)^-K for d={d} has {3**d - 2**d} points; "
            f"got a budget of {budget!r}"
        )
    if d == 1:
        return 1
    low, high = 1, 2
    while (high + 2) ** d - (high + 1) ** d <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if (middle + 2) ** d - (middle + 1) ** d <= budget else (low, middle)
    return low
