"""What tilting a distribution by a bounded function can cost: the constant of Theorem 2′."""

from __future__ import annotations

import math

from palm_theory.errors import InputError


def tilt_loss(length: float) -> float:
    """Ψ(ℓ), the largest ln E e^{h − E h} for h in an interval of length ℓ: max over p of ln(1 − p + p·e^ℓ) − p·ℓ.

    Ψ(ℓ) = ln((e^ℓ − 1)/ℓ) − 1 + ℓ/(e^ℓ − 1), Ψ(0) = 0, attained at p = 1/ℓ − 1/(e^ℓ − 1). It does not fall, and is at
    most ℓ²/8 and at most ℓ. Computed to a few units in the last place for every ℓ, inf for ℓ = inf. Raises InputError
    unless ℓ ≥ 0.
    """
    if not length >= 0:
        raise InputError(f"the length of an interval must be >= 0, got {length}")
    if length == math.inf:
        return math.inf
    # With x = ℓ/2, Ψ = ln(sinh x / x) + (x·coth x − 1): two terms that are not negative, so nothing cancels.
    x = length / 2
    if x > 1:
        decayed = math.exp(-2 * x)
        return x + math.log1p(-decayed) - math.log(2 * x) + x * (1 + 2 * decayed / (1 - decayed)) - 1
    # sinh x / x − 1 = Σ x^2k/(2k+1)!  and  (x·cosh x − sinh x)/x = Σ 2k·x^2k/(2k+1)!, k ≥ 1.
    terms = [(2 * k, x ** (2 * k) / math.factorial(2 * k + 1)) for k in range(1, 12)]
    excess = math.fsum(term for _, term in terms)
    return math.log1p(excess) + math.fsum(k * term for k, term in terms) / (1 + excess)
