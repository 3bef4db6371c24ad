"""The best mixture of a portfolio's policies for a concave utility (Theorem 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.simplex import Array
from palm_theory.utilities import Utility


@dataclass(frozen=True, eq=False)
class Mixture:
    """Play policy k with probability q_k, drawn once.

    ``probabilities`` q (K,) on the simplex; ``rewards`` R(q) = Σ q_k R_k (d,); ``regularizer`` f(q) = Σ q_k f_k;
    ``utility`` u(R(q)) − f(q).
    """

    probabilities: Array
    rewards: Array
    regularizer: float
    utility: float


def best_mixture(rewards: Array, regularizers: Array, utility: Utility) -> Mixture:
    """maximise u(Σ_k q_k R_k) − Σ_k q_k f_k over q on the simplex, a convex program solved by cvxpy.

    If P is a (0, δ)-portfolio and u(R + c·1) = u(R) + c (or f = 0 and u is 1-Lipschitz in ‖·‖_∞), the result is within
    δ of every policy's u(R(π)) − f(π) (Theorem 4). If P is an (ε, 0)-portfolio, f = 0 and u is positively homogeneous,
    it is at least 1−ε times every policy's u(R(π)) (Theorem 4′).

    ``rewards`` (K, d), ``regularizers`` (K,). The numbers returned are recomputed from q, not taken from the solver.
    Raises InputError where u is not concave by cvxpy's rules, CertificateError where the solver fails.
    """
    import cvxpy as cp

    unit = (float(np.abs(rewards).max()) or 1.0) if utility.is_homogeneous else 1.0
    shares = cp.Variable(len(rewards), nonneg=True)
    objective = utility.expression((rewards / unit).T @ shares) - (regularizers / unit) @ shares
    problem = cp.Problem(cp.Maximize(objective), [cp.Zero(cp.sum(shares) - 1)])
    if not problem.is_dcp():
        raise InputError("the utility is not concave and non-decreasing by cvxpy's rules, so no best mixture is found")
    try:
        problem.solve(solver=cp.CLARABEL)
    except (cp.SolverError, ValueError) as error:
        # ValueError: power means with p beside 0 make coefficients beyond float64.
        raise CertificateError(f"no mixture found: {error}") from error
    if problem.status != cp.OPTIMAL or shares.value is None:
        raise CertificateError(f"no mixture found: the solver says {problem.status}")
    q = np.maximum(shares.value, 0.0)
    q /= q.sum()
    # A single policy may beat the solver's point by its tolerance.
    candidates = [q, *np.eye(len(q))]
    scores = [utility(mix @ rewards) - float(mix @ regularizers) for mix in candidates]
    best = int(np.argmax(scores))
    mix = candidates[best]
    return Mixture(mix, mix @ rewards, float(mix @ regularizers), float(scores[best]))
