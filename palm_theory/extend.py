"""A portfolio for one objective more: what is solved already is not solved again.

An optimum of J_w over the old objectives is an optimum at (w, 0) over the new ones, since the new reward has weight 0
there and policies and regulariser are the same. So the old policies need only be evaluated on the new reward; the face
w_new = 0 of the larger simplex is as well covered as before, and solves are spent on the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np

from palm_theory.build import build_portfolio
from palm_theory.contract.backend import PolicyBackend, Solution, Status
from palm_theory.contract.calls import evaluate
from palm_theory.contract.registry import resolve_backend
from palm_theory.contract.value import Value
from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array
from palm_theory.members import Member
from palm_theory.portfolio import Portfolio
from palm_theory.strategies.adaptive import Adaptive

SAME = 1e-9
SAME_IN_ERRORS = 5.0


def add_objective(
    portfolio: Portfolio,
    backend: PolicyBackend,
    *,
    epsilon: float = 0.01,
    delta: float = 0.0,
    max_policies: int | None = None,
    path: str | Path | None = None,
    executor: Executor | None = None,
    progress: bool | None = None,
    seed: int = 0,
) -> Portfolio:
    """A certified portfolio of ``backend``, whose objectives are the portfolio's and at least one more.

    Every old policy is evaluated on the new backend once (``backend.evaluate``) and stands for the solve at its old
    weights with 0 for the new objectives; ``Adaptive(epsilon, delta, max_policies)`` goes on from there. ``solves`` of
    the result counts new solves only. Arguments as for ``build_portfolio``.

    The two backends must have the same policies and regulariser, and the portfolio's policies must be as good, at the
    weights they were solved for, as the new backend's declared ``oracle_error`` says of its own. A policy without
    weights, or met twice, is not reused.

    Raises InputError where an old objective is missing or an old policy's rewards or regulariser are not what they
    were; otherwise as ``build_portfolio``.
    """
    backend = resolve_backend(backend)
    missing = [name for name in portfolio.objectives if name not in backend.objectives]
    if missing:
        raise InputError(f"the new backend has no objective {missing[0]!r}: {', '.join(backend.objectives)}")
    if len(backend.objectives) == len(portfolio.objectives):
        raise InputError("the new backend has no new objective; extend the portfolio instead")
    positions = [backend.objectives.index(name) for name in portfolio.objectives]
    known = [
        (_lifted(member.weights, positions, len(backend.objectives)), _reevaluated(member, backend, positions))
        for member in portfolio
        if member.weights is not None
    ]
    start = tuple(tuple(row.tolist()) for row, _ in known)
    return build_portfolio(
        backend,
        Adaptive(epsilon, delta, max_policies, start=start),
        path=path,
        executor=executor,
        progress=progress,
        seed=seed,
        known=known,
    )


def _lifted(weights: Array, positions: Sequence[int], d: int) -> Array:
    lifted = np.zeros(d)
    lifted[list(positions)] = weights
    return lifted


def _reevaluated(member: Member, backend: PolicyBackend, positions: Sequence[int]) -> Solution:
    value = evaluate(backend, member.policy, member.name)
    _check_unchanged(member, value, list(positions), backend.reward_max)
    return Solution(member.policy, value, status=Status.OPTIMAL)


def _check_unchanged(member: Member, value: Value, positions: list[int], reward_max: float) -> None:
    old = np.append(member.value.rewards, member.value.regularizer)
    new = np.append(value.rewards[positions], value.regularizer)
    tolerance = np.full(len(old), SAME * reward_max)
    for errors, part in (
        (member.value.rewards_stderr, slice(0, -1)),
        (member.value.regularizer_stderr, slice(-1, None)),
    ):
        if errors is not None:
            tolerance[part] += SAME_IN_ERRORS * np.asarray(errors)
    wrong = np.flatnonzero(np.abs(new - old) > tolerance)
    if wrong.size:
        raise InputError(
            f"policy {member.name} had rewards and regulariser {old.tolist()}, the new backend says {new.tolist()}: "
            "the old part of the problem has changed, so nothing carries over"
        )
