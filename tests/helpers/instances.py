"""Instances for the theory tests, and reference answers computed without the code under test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from backends.bandit import BanditBackend
from backends.mdp import MDPBackend
from backends.table import TableBackend
from palm_theory.contract.backend import PolicyBackend
from palm_theory.contract.value import Value
from palm_theory.portfolio import Portfolio

seeds = st.integers(0, 2**32 - 1)
dimensions = st.integers(1, 4)


def declaring(portfolio: Portfolio, **facts: Any) -> Portfolio:
    """The same portfolio from a backend that declares something else."""
    return replace(portfolio, declarations=replace(portfolio.declarations, **facts))


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def simplex_points(d: int, n: int, seed: int) -> np.ndarray:
    """Vertices, points on random faces, near-vertex points and uniform points of the simplex, at least ``n`` rows."""
    rng = rng_of(seed)
    uniform = rng.dirichlet(np.ones(d), n)
    sparse = rng.dirichlet(np.full(d, 0.2), n)
    faces = sparse * (rng.random((n, d)) < 0.6)
    faces = faces[faces.sum(axis=1) > 1e-9]
    faces = faces / faces.sum(axis=1, keepdims=True)
    return np.vstack([np.eye(d), uniform, sparse, faces])


def brute_lattice(d: int, n: int) -> set[tuple[int, ...]]:
    """All k in N^d with sum n, by filtering the full product."""
    return {k for k in itertools.product(range(n + 1), repeat=d) if sum(k) == n}


def brute_grid(mu: float, alpha: float) -> list[float]:
    """{0} and alpha(1+mu)^k <= 1, by repeated multiplication; a value within rounding of 1 is 1."""
    values, v = [0.0], alpha
    while v <= 1 + 1e-12:
        values.append(1.0 if abs(v - 1) <= 1e-12 else v)
        v *= 1 + mu
    return values


def brute_hybrid_cover(d: int, mu: float, alpha: float) -> np.ndarray:
    """Theorem 1's cover by its definition: every face, every combination, duplicates dropped."""
    grid = brute_grid(mu, alpha)
    rows = {}
    for i in range(d):
        for others in itertools.product(grid, repeat=d - 1):
            v = [*others[:i], 1.0, *others[i:]]
            w = tuple(x / sum(v) for x in v)
            rows[tuple(round(x, 12) + 0.0 for x in w)] = w
    return np.array([rows[key] for key in sorted(rows)])


def random_bandit(
    seed: int, *, d: int, beta: float, contexts: int = 3, actions: int = 6, sparse_reference: bool = False
) -> BanditBackend:
    """Uniform rewards in [0, 1]; a random reference, on request with actions it never takes."""
    rng = rng_of(seed)
    reference = rng.dirichlet(np.ones(actions), contexts)
    if sparse_reference:
        reference = reference * (rng.random((contexts, actions)) < 0.7)
        reference[:, 0] += 1e-3
        reference /= reference.sum(axis=1, keepdims=True)
    return BanditBackend(
        rng.random((contexts, actions, d)),
        beta=beta,
        reference=reference,
        context_probabilities=rng.dirichlet(np.ones(contexts)),
    )


def random_mdp(
    seed: int,
    *,
    d: int,
    beta: float = 0.0,
    discount: float = 0.8,
    horizon: int | None = None,
    states: int = 4,
    actions: int = 3,
    method: str = "policy-iteration",
) -> MDPBackend:
    transitions, rewards, initial, reference = random_mdp_arrays(seed, d=d, states=states, actions=actions)
    return MDPBackend(
        transitions,
        rewards,
        initial,
        discount=discount,
        horizon=horizon,
        beta=beta,
        reference=reference,
        method=method,  # type: ignore[arg-type]
    )


def random_mdp_arrays(
    seed: int, *, d: int, states: int = 4, actions: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(transitions, rewards, initial, reference)."""
    rng = rng_of(seed)
    return (
        rng.dirichlet(np.full(states, 0.5), (states, actions)),
        rng.random((states, actions, d)),
        rng.dirichlet(np.ones(states)),
        rng.dirichlet(np.ones(actions), states),
    )


def random_front(seed: int, *, d: int, n: int) -> np.ndarray:
    """Rewards (n, d) of mixed shape: concave or random, some rounded (ties), repeated, or dominated."""
    rng = rng_of(seed)
    rewards = rng.random((n, d))
    style = seed % 4
    if style == 0:
        rewards /= np.linalg.norm(rewards, axis=1, keepdims=True)
    elif style == 1:
        rewards = np.round(rewards * 4) / 4
    elif style == 2:
        rewards[n // 2 :] = rewards[: n - n // 2] * rng.random((n - n // 2, 1))
    return rewards


def table_backends(seed: int, *, d: int, n: int, regularized: bool) -> TableBackend:
    """A finite set with or without a regulariser column; with one, the last row is a reference of f = 0."""
    rewards = random_front(seed, d=d, n=n)
    if not regularized:
        return TableBackend(rewards, normalization="none")
    import pandas as pd

    f = rng_of(seed + 1).random(n)
    f[-1] = 0.0
    frame = pd.DataFrame(rewards, columns=[f"r{i}" for i in range(d)])
    frame["f"] = f
    return TableBackend(frame, regularizer="f", normalization="none")


@st.composite
def backends(draw: st.DrawFn, *, max_d: int = 3) -> PolicyBackend:
    """Exact backends of every kind, all with a policy of f = 0."""
    d, seed = draw(st.integers(1, max_d)), draw(seeds)
    kind = draw(st.sampled_from(["bandit", "plain bandit", "mdp", "soft mdp", "table", "regularized table"]))
    if kind == "bandit":
        return random_bandit(
            seed, d=d, beta=draw(st.sampled_from([0.02, 0.3, 3.0])), sparse_reference=draw(st.booleans())
        )
    if kind == "plain bandit":
        return random_bandit(seed, d=d, beta=0.0)
    if kind == "mdp":
        return random_mdp(seed, d=d)
    if kind == "soft mdp":
        return random_mdp(seed, d=d, beta=0.3)
    return table_backends(seed, d=d, n=draw(st.integers(1, 25)), regularized=kind == "regularized table")


def optima(backend: PolicyBackend, weights: np.ndarray) -> np.ndarray:
    """J* at each row, from the backend's own solver (tested against brute force elsewhere)."""
    return np.array([backend.optimal_value(row) for row in weights])


def envelope(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """L(w) = max_k <w, G_k>."""
    return (weights @ values.T).max(axis=1)


def stacked(values: list[Value]) -> np.ndarray:
    return np.array([value.rewards - value.regularizer for value in values])


def worst_additive(values: np.ndarray, optimum: Callable[[np.ndarray], np.ndarray], weights: np.ndarray) -> float:
    """The largest J* - L at the given weights."""
    return float((optimum(weights) - envelope(values, weights)).max())


def portfolio_values(backend: PolicyBackend, weights: np.ndarray) -> list[Value]:
    """What solving the given weights gives."""
    return [backend.optimize(row).value for row in weights]


def pairwise_corners(values: np.ndarray, tolerance: float = 1e-9) -> np.ndarray:
    """Corner weights by brute force: every d - 1 of the equations w_i = 0 and <w, G_j - G_k> = 0 that meet in one point
    of the simplex at which the policies involved are all best. For small K and d only."""
    count, d = values.shape
    rows = [np.eye(d)[i] for i in range(d)] + [
        values[j] - values[k] for j, k in itertools.combinations(range(count), 2)
    ]
    found = []
    for subset in itertools.combinations(range(len(rows)), d - 1):
        system = np.vstack([np.ones(d), *[rows[i] for i in subset]])
        if abs(np.linalg.det(system)) < 1e-12:
            continue
        w = np.linalg.solve(system, np.eye(d)[0])
        if w.min() < -tolerance:
            continue
        scores = values @ w
        best = scores.max()
        ok = True
        for i in subset:
            if i >= d:
                j, k = list(itertools.combinations(range(count), 2))[i - d]
                ok &= scores[j] >= best - tolerance and scores[k] >= best - tolerance
        if ok:
            found.append(np.clip(w, 0, None))
    return np.array(found)


def is_finite(*numbers: float) -> bool:
    return all(math.isfinite(x) for x in numbers)
