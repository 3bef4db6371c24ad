"""Inverse design: the cheapest cover for a target (ε, δ), or the best promise for a budget of K policies.

``cheapest_…`` and ``best_…`` for each of Theorem 1, 1′, 1″, 1‴, 2 and 2′ in ``bounds``.
"""

from palm_theory.design.aligned import (
    best_theorem1_double_prime,
    best_theorem1_triple_prime,
    cheapest_theorem1_double_prime,
    cheapest_theorem1_triple_prime,
)
from palm_theory.design.hybrid import best_theorem1, best_theorem1_prime, cheapest_theorem1, cheapest_theorem1_prime
from palm_theory.design.lattice import (
    best_theorem2,
    best_theorem2_prime,
    cheapest_theorem2,
    cheapest_theorem2_prime,
    theorem2_prime_resolution,
    theorem2_resolution,
)

__all__ = [
    "best_theorem1",
    "best_theorem1_double_prime",
    "best_theorem1_prime",
    "best_theorem1_triple_prime",
    "best_theorem2",
    "best_theorem2_prime",
    "cheapest_theorem1",
    "cheapest_theorem1_double_prime",
    "cheapest_theorem1_prime",
    "cheapest_theorem1_triple_prime",
    "cheapest_theorem2",
    "cheapest_theorem2_prime",
    "theorem2_prime_resolution",
    "theorem2_resolution",
]
