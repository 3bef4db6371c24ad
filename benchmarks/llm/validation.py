"""The paper's validation: how much a portfolio of K policies loses to a policy made freshly for each user.

For every held-out weight v ∈ V a fresh policy is made, and the portfolio's best policy is compared with it:

    multiplicative gap 1 − max_k J_v(π_k) / J_v(π_v),   additive gap J_v(π_v) − max_k J_v(π_k).

Both sides are measured on the same held-out prompts. These are gaps at sampled weights: no bound on any other weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from palm_theory.geometry.simplex import Array, sample_dirichlet

Evaluate = Callable[[Array], Array]
"""Weights w (d,) ↦ the vertex values R − f·1 (d,) of the policy made for w, measured on held-out prompts."""

USERS = 1000


@dataclass(frozen=True)
class Gaps:
    """One way to choose K weights, validated over V. A gap below 0 means the portfolio beat the fresh policy."""

    method: str
    policies: int
    worst_multiplicative: float
    mean_multiplicative: float
    worst_additive: float
    mean_additive: float
    usage_perplexity: float

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)


def held_out_weights(d: int, count: int, seed: int = 1) -> Array:
    """V: ``count`` weights uniform on the simplex, (count, d)."""
    return sample_dirichlet(d, count, seed=seed)


def validate(portfolios: Mapping[str, Array], fresh: Array, evaluate: Evaluate) -> list[Gaps]:
    """Gaps of every portfolio, given by the weights (K, d) its policies are made for, over V = ``fresh`` (n, d)."""
    own = np.array([evaluate(v) @ v for v in fresh])
    users = sample_dirichlet(fresh.shape[1], USERS, seed=0)
    rows = []
    for method, weights in portfolios.items():
        values = np.stack([evaluate(w) for w in weights])
        best = (fresh @ values.T).max(axis=1)
        shares = np.bincount((users @ values.T).argmax(axis=1), minlength=len(values)) / USERS
        entropy = -sum(float(s) * math.log(float(s)) for s in shares if s > 0)
        multiplicative, additive = 1 - best / own, own - best
        rows.append(
            Gaps(
                method,
                len(weights),
                float(multiplicative.max()),
                float(multiplicative.mean()),
                float(additive.max()),
                float(additive.mean()),
                math.exp(entropy),
            )
        )
    return rows
