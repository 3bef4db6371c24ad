"""Inverse design by Theorems 2 and 2′: the coarsest lattice for a δ, or the finest that a budget allows."""

from __future__ import annotations

import math

from palm_theory.bounds import EXACT, Bound, OracleError, positive, theorem2, theorem2_prime
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import lattice_size, validate_dimension


def theorem2_resolution(
    objectives: int, *, delta: float, beta: float, reward_max: float, oracle: OracleError = EXACT
) -> int:
    """The smallest n for which Theorem 2 says that the lattice {k/n} is a (0, δ)-portfolio.

    Never above ⌈d·R_max/(2√(8βδ))⌉, the closed form from ρ ≤ d/(2n); below it for odd d, where ρ is smaller.
    Raises InputError where δ cannot be reached because the oracle's own error is as large.
    """
    d = validate_dimension(objectives)
    slope = positive(reward_max, "reward_max") / math.sqrt(8 * positive(beta, "beta"))
    oracle = OracleError(*oracle).validated()
    room = math.sqrt(_above_the_oracle(delta, reward_max, oracle)) - math.sqrt(_error(reward_max, oracle))
    n = max(1, math.ceil(slope * 2 * (d // 2) * ((d + 1) // 2) / (d * room)))

    def reached(n: int) -> bool:
        return theorem2(d, n, beta=beta, reward_max=reward_max, oracle=oracle).delta <= delta

    # The ceiling is off by one where the quotient is an integer up to rounding.
    while n > 1 and reached(n - 1):
        n -= 1
    while not reached(n):
        n += 1
    return n


def theorem2_prime_resolution(
    objectives: int, *, delta: float, beta: float, reward_max: float, oracle: OracleError = EXACT
) -> int:
    """The smallest n for which Theorem 2′ says that the lattice {k/n} is a (0, δ)-portfolio; at most Theorem 2's.

    Raises InputError where δ cannot be reached because the oracle's own error is as large.
    """
    d = validate_dimension(objectives)
    oracle = OracleError(*oracle).validated()
    _above_the_oracle(delta, positive(reward_max, "reward_max"), oracle)

    def reached(n: int) -> bool:
        return theorem2_prime(d, n, beta=beta, reward_max=reward_max, oracle=oracle).delta <= delta

    # The radius, and δ with it, falls as n grows.
    low, n = 0, 1
    while not reached(n):
        low, n = n, 2 * n
    while n - low > 1:
        middle = (low + n) // 2
        low, n = (low, middle) if reached(middle) else (middle, n)
    return n


def _error(reward_max: float, oracle: OracleError) -> float:
    return oracle.delta + oracle.epsilon * reward_max


def _above_the_oracle(delta: float, reward_max: float, oracle: OracleError) -> float:
    """δ; InputError unless it is clearly above what the oracle itself may lose."""
    if positive(delta, "delta") * (1 - 1e-9) <= _error(reward_max, oracle):
        raise InputError(f"delta={delta} is not above the oracle's own error; no lattice reaches it")
    return delta


def cheapest_theorem2(
    objectives: int, *, delta: float, beta: float, reward_max: float, oracle: OracleError = EXACT
) -> Bound:
    """The coarsest lattice for which Theorem 2 promises (0, δ). Raises InputError as ``theorem2_resolution`` does."""
    n = theorem2_resolution(objectives, delta=delta, beta=beta, reward_max=reward_max, oracle=oracle)
    return theorem2(objectives, n, beta=beta, reward_max=reward_max, oracle=oracle)


def cheapest_theorem2_prime(
    objectives: int, *, delta: float, beta: float, reward_max: float, oracle: OracleError = EXACT
) -> Bound:
    """The coarsest lattice for which Theorem 2′ promises (0, δ). Raises InputError as its resolution does."""
    n = theorem2_prime_resolution(objectives, delta=delta, beta=beta, reward_max=reward_max, oracle=oracle)
    return theorem2_prime(objectives, n, beta=beta, reward_max=reward_max, oracle=oracle)


def best_theorem2(
    objectives: int, budget: int, *, beta: float, reward_max: float, oracle: OracleError = EXACT
) -> Bound:
    """Theorem 2's least δ with at most ``budget`` policies: the finest lattice that fits.

    Raises InputError where the budget is below d, the coarsest lattice.
    """
    n = _finest(objectives, budget)
    return theorem2(objectives, n, beta=beta, reward_max=reward_max, oracle=oracle)


def best_theorem2_prime(
    objectives: int, budget: int, *, beta: float, reward_max: float, oracle: OracleError = EXACT
) -> Bound:
    """Theorem 2′'s least δ with at most ``budget`` policies: the finest lattice that fits.

    Raises InputError where the budget is below d, the coarsest lattice.
    """
    n = _finest(objectives, budget)
    return theorem2_prime(objectives, n, beta=beta, reward_max=reward_max, oracle=oracle)


def _finest(objectives: int, budget: int) -> int:
    """The largest n with C(n+d−1, d−1) ≤ budget; 1 for d = 1, where every lattice has one point."""
    d = validate_dimension(objectives)
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < d:
        raise InputError(f"the coarsest lattice for d={d} has {d} points; got a budget of {budget!r}")
    if d == 1:
        return 1
    n = 1
    while lattice_size(d, 2 * n) <= budget:
        n *= 2
    low, high = n, 2 * n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if lattice_size(d, middle) <= budget else (low, middle)
    return low
