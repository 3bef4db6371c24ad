"""How many solves a proof needs at least, whoever makes it: docs/theory/oracle-calls.md states and proves the bounds.

    OMP_NUM_THREADS=1 python -m benchmarks.fewest_solves [INSTANCE ...]

prints them beside what Adaptive spends. ``oracle_economy`` puts them into its tables.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from benchmarks.common import CountingBackend, show
from benchmarks.instances import INSTANCES
from benchmarks.targets import epsilon_of
from palm_theory import Adaptive, build_portfolio
from palm_theory.contract.backend import PolicyBackend
from palm_theory.geometry.envelope import corner_weights, lower_envelope, rounding_at, scalarize
from palm_theory.geometry.simplex import Array

MOST_CORNERS = 100
"""Bound 3 compares all pairs of corners, so it is computed up to so many corners."""

SAFETY = 1e-9
"""Every computed bound is weakened by this, relatively, so that rounding never makes it too large."""


def fewest_exact_solves(backend: PolicyBackend, values: Array) -> int:
    """C + K − v: the corners of J*, the K policies with these vertex values, and v of them met at simplex vertices.

    Bound 1 of docs/theory/oracle-calls.md, for ε = δ = 0 and methods that do not guess corners. Where f = 0, C counts
    the corners that need a call even of those who know it, and the vertices, which all methods here call.
    """
    corners = corner_weights(values)
    if backend.regularizer_max == 0:
        ties = (
            scalarize(values, corners) >= (lower_envelope(values, corners).best - rounding_at(values, corners))[:, None]
        )
        positive = np.array([(values[tied].max(axis=0) > 0).all() for tied in ties])
        corners = corners[positive | (corners.max(axis=1) == 1)]
    at_vertices = [backend.optimize(vertex).value.vertex_values for vertex in np.eye(values.shape[1])]
    allowed = 1e-9 * max(1.0, float(np.abs(values).max()))
    met = {
        k for found in at_vertices for k, known in enumerate(values) if float(np.abs(known - found).max()) <= allowed
    }
    return len(corners) + len(values) - len(met)


def fewest_solves_two_objectives(backend: PolicyBackend, epsilon: float) -> int:
    """The fewest solves whose values and policies certify ε, chosen by someone who knows J* (d = 2).

    Bound 2: between neighbouring solved weights the bounds must meet the target at the crossing of the two policies;
    a part of an interval that does so does so too, so taking the farthest end each time is best.
    """
    step = 1e-9

    def optimum(x: float) -> Array:
        return backend.optimize(np.array([x, 1 - x])).value.vertex_values

    def value(at: Array, x: float) -> float:
        return float(at @ [x, 1 - x])

    def holds(a: float, b: float) -> bool:
        # At a kink an oracle may return either policy: the better one for this interval is assumed.
        left, right = optimum(min(a + step, 1.0)), optimum(max(b - step, 0.0))
        low, high = value(optimum(a), a), value(optimum(b), b)
        slope = (left[0] - left[1]) - (right[0] - right[1])
        if slope >= 0:
            return True
        x = min(max((right[1] - left[1]) / slope, a), b)
        chord = low + (high - low) * (x - a) / (b - a)
        return (1 - epsilon) * chord <= max(value(left, x), value(right, x)) * (1 + SAFETY)

    solves, at = 1, 0.0
    while at < 1.0:
        solves += 1
        if holds(at, 1.0):
            return solves
        near, far = at, 1.0
        while far - near > 1e-7:
            middle = (near + far) / 2
            near, far = (middle, far) if holds(at, middle) else (near, middle)
        # The end that is just too far: the count can only come out too small.
        at = far
    return solves


def fewest_solves_near_corners(values: Array, epsilon: float, *, monotone: bool = False) -> int:
    """Corners of J* that each need a solve of their own nearby (any d, finitely many policies with vertex values G).

    Bound 3: around a corner c, the star of its cells shrunk by s_c must hold a solved weight; the largest number of
    such stars that are disjoint, from a small integer program. ``monotone``: whoever proves knows that f = 0, and calls
    the vertices of the simplex.
    """
    corners = corner_weights(values)
    optimum = lower_envelope(values, corners).best
    table = scalarize(values, corners)
    touches = table >= optimum[:, None] - 1e3 * rounding_at(values, corners)[:, None]
    scales = np.array([_scale(k, corners, optimum, epsilon, monotone=monotone) for k in range(len(corners))])
    counted = np.flatnonzero(scales < 1)
    conflicts = []
    for i, j in itertools.combinations(counted, 2):
        cells = np.flatnonzero(touches[i] & touches[j])
        if any(_meet(corners[touches[:, k]], corners[i], scales[i], corners[j], scales[j]) for k in cells):
            conflicts.append((i, j))
    if not conflicts:
        return len(counted)
    rows = np.zeros((len(conflicts), len(corners)))
    for row, (i, j) in zip(rows, conflicts, strict=True):
        row[[i, j]] = 1.0
    answer = milp(
        -(scales < 1).astype(float),
        constraints=LinearConstraint(rows, -np.inf, 1.0),
        integrality=np.ones(len(corners)),
        bounds=Bounds(np.zeros(len(corners)), (scales < 1).astype(float)),  # type: ignore[arg-type]
    )
    return int(np.floor(-answer.fun + 1e-6))


def _scale(k: int, corners: Array, optimum: Array, epsilon: float, *, monotone: bool) -> float:
    """s_c: how far from corner k, in its star, the nearest solved weight may lie; 0 where k itself must be solved."""
    others = np.delete(np.arange(len(corners)), k)
    allowed = float(optimum[k]) * epsilon / (1 - epsilon)
    rows, sides = corners[others], optimum[others]
    if monotone:
        if corners[k].max() == 1:
            return 0.0
        d = len(corners[k])
        rows = np.vstack([rows, corners[k] - np.eye(d)])
        sides = np.append(sides, np.full(d, optimum[k] + allowed))
    answer = linprog(-corners[k], A_ub=rows, b_ub=sides, bounds=(None, None))
    if answer.status == 3:
        return 0.0
    rise = float(-answer.fun - optimum[k])
    return 1.0 if rise <= allowed else (allowed / rise) * (1 + SAFETY) + SAFETY


def _meet(cell: Array, c: Array, s: float, e: Array, t: float) -> bool:
    """Whether c + s·(cell − c) and e + t·(cell − e) have a point in common; the cell is the hull of some corners."""
    n, d = cell.shape
    system = np.zeros((d + 2, 2 * n))
    system[:d, :n], system[:d, n:] = s * cell.T, -t * cell.T
    system[d, :n] = system[d + 1, n:] = 1.0
    side = np.concatenate([(1 - t) * e - (1 - s) * c, [1.0, 1.0]])
    return linprog(np.zeros(2 * n), A_eq=system, b_eq=side, bounds=(0, None)).status != 2


def fewest_solves(name: str, epsilon: float, optimal_values: Array | None) -> int | None:
    """The best of the bounds for ``epsilon`` > 0 that are known for an instance, or None."""
    instance = INSTANCES[name]
    if instance.objectives == 2:
        return fewest_solves_two_objectives(instance.make(), epsilon)
    if optimal_values is not None and len(corner_weights(optimal_values)) <= MOST_CORNERS:
        monotone = instance.make().regularizer_max == 0
        return fewest_solves_near_corners(optimal_values, epsilon, monotone=monotone)
    return None


def main() -> None:
    rows = []
    for name in sys.argv[1:] or [
        "deep-sea-treasure",
        "resource-gathering",
        "kl-bandit-2",
        "random-mdp-2",
        "lp-2",
        "lp-3",
    ]:
        instance, epsilon = INSTANCES[name], epsilon_of(name)
        backend = CountingBackend(instance.make())
        build_portfolio(backend, Adaptive(epsilon, keep_all=True))
        row = {"instance": name, "epsilon": epsilon, "Adaptive": backend.solves, "fewest": None}
        values = None
        if instance.finite:
            exact = CountingBackend(instance.make())
            values = build_portfolio(exact, Adaptive(0.0)).vertex_values
            row |= {"Adaptive, exact": exact.solves, "fewest, exact": fewest_exact_solves(exact.inner, values)}
        row["fewest"] = fewest_solves(name, epsilon, values)
        rows.append(row | dict.fromkeys(("Adaptive, exact", "fewest, exact"), None) | row)
    show("solves, and the fewest that any proof needs", rows)


if __name__ == "__main__":
    main()
