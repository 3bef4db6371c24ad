"""A certificate with its proof: data that a checker of a hundred lines accepts without trusting anything of ours.

Against finitely many rivals the proof is a mixture of the policies for each of them: Σ q_k·G_k ≥ (1−ε)·G_j − δ in every
coordinate gives max_k ⟨w, G_k⟩ ≥ (1−ε)·⟨w, G_j⟩ − δ for every w, and by duality there is one wherever that holds.
Against a backend it is upper bounds on J* at the corner weights (Theorem 3), each with the backend's ``Witness``.
``tools/check_certificate.py`` is such a checker; proofs/README.md says which of these steps are machine-checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.contract.calls import all_values, optimal_bracket, solve, upper_bound_at, witness, witnessed_problem
from palm_theory.contract.value import Value
from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.exact import ExactEnvelope
from palm_theory.geometry.exact_corners import Rational, exact_corners
from palm_theory.geometry.rational import float_above, rational_dot
from palm_theory.geometry.simplex import Array

FORMAT = "palm proof 1"

Row = tuple[Fraction, ...]


class Proof(NamedTuple):
    """The claim J_w ≥ (1−ε)·J*_w − δ for every w, with what proves it: ``data`` as JSON, numbers in hexadecimal."""

    epsilon: float
    delta: float
    data: dict[str, Any]


def prove(
    values: Sequence[Value],
    *,
    backend: PolicyBackend | None = None,
    rivals: Sequence[Value] | None = None,
    delta: float = 0.0,
) -> Proof:
    """The least ε that is proven at ``delta`` for K policies worth ``values``, rounded up, with its proof.

    J* is the best of ``rivals``; or else of all policies of ``backend``: listed ones are rivals, otherwise the backend
    is asked for witnesses (power WITNESSES) or, having none, for its word. Raises InputError on values with standard
    errors (a proof is of numbers, not of estimates) and where there is nothing to compare with; CertificateError where
    no ε ≤ 1 holds, or where the backend bounds J* from one side only.
    """
    if rivals is None and backend is not None and Power.ALL_VALUES in backend.powers:
        rivals = all_values(backend)
    if any(value.is_estimate for value in [*values, *(rivals or ())]):
        raise InputError("a proof is of exact values; these carry standard errors, for which an audit gives intervals")
    if rivals is not None:
        epsilon, data = _against_rivals(values, rivals, Fraction(delta))
    elif backend is not None:
        epsilon, data = _against_optimum(values, backend, Fraction(delta))
    else:
        raise InputError("a proof compares with rivals or with a backend: give one of them")
    claim = {
        "format": FORMAT,
        "claim": "max_k <w, R_k> - f_k >= (1 - epsilon) * J*_w - delta for every w >= 0 with sum 1",
        "epsilon": epsilon.hex(),
        "delta": float(delta).hex(),
        "policies": [_row(value) for value in values],
    }
    return Proof(epsilon, delta, {**claim, **data})


def _row(value: Value) -> list[str]:
    return [float(number).hex() for number in [*value.rewards, value.regularizer]]


def _vertex_values(value: Value) -> Row:
    """G = R − f·1, exactly."""
    return tuple(Fraction(float(reward)) - Fraction(float(value.regularizer)) for reward in value.rewards)


def _least_epsilon(epsilon: float, best: Fraction, optimum: Fraction, delta: Fraction) -> float:
    """The least ε, rounded up and not below ``epsilon``, with best ≥ (1−ε)·optimum − δ.

    Raises CertificateError where none in [0, 1] is one.
    """
    if best >= (1 - Fraction(epsilon)) * optimum - delta:
        return epsilon
    needed = 1 - (best + delta) / optimum if optimum > 0 else Fraction(2)
    if needed > 1:
        raise CertificateError(
            f"no epsilon <= 1 holds for every w: somewhere J* is {float(optimum):.6g} and the portfolio reaches "
            f"{float(best):.6g}; ask for a larger delta"
        )
    return max(epsilon, float_above(needed))


def _against_rivals(values: Sequence[Value], rivals: Sequence[Value], delta: Fraction) -> tuple[float, dict[str, Any]]:
    if values[0].rewards.size != rivals[0].rewards.size:
        raise InputError("the portfolio and the rivals need the same number of objectives")
    rows, others = [_vertex_values(value) for value in values], [_vertex_values(value) for value in rivals]
    floats = np.array([[float(x) for x in row] for row in rows])
    envelope = ExactEnvelope(rows)
    epsilon = 0.0
    while True:
        started = epsilon
        shares = []
        for row in others:
            single = _single(rows, floats, row, epsilon, delta)
            if single is not None:
                shares.append({single: 1})
                continue
            support = envelope.support([(1 - Fraction(epsilon)) * x - delta for x in row])
            optimum = rational_dot(support.weights, row)
            best = (1 - Fraction(epsilon)) * optimum - delta - support.excess
            raised = _least_epsilon(epsilon, best, optimum, delta)
            if raised > epsilon:
                # Another policy may be short at this ε where it was not at the last: all of them once more.
                epsilon = raised
                break
            whole = math.lcm(*(share.denominator for share in support.mixture.values()))
            shares.append({k: int(share * whole) for k, share in support.mixture.items()})
        if epsilon == started:
            break
    text = f"that the policies are worth what the file says, and that these {len(others)} rivals are all there are"
    mixed = [
        [_row(value), [share.get(k, 0) for k in range(len(rows))]] for value, share in zip(rivals, shares, strict=True)
    ]
    return epsilon, {"rivals": mixed, "rests_on": text}


def _single(rows: Sequence[Row], floats: Array, rival: Row, epsilon: float, delta: Fraction) -> int | None:
    """One policy that is by itself nowhere below (1−ε)·G_j − δ, or None."""
    needed = [(1 - Fraction(epsilon)) * x - delta for x in rival]
    likely = int((floats - np.array([float(x) for x in needed])).min(axis=1).argmax())
    return likely if all(have >= need for have, need in zip(rows[likely], needed, strict=True)) else None


class _Bound(NamedTuple):
    """J* at ``weights`` (d,) is at most ``upper``, for the reasons in ``witness``."""

    weights: Array
    upper: Fraction
    witness: list[Any]


def _against_optimum(values: Sequence[Value], backend: PolicyBackend, delta: Fraction) -> tuple[float, dict[str, Any]]:
    witnessed = Power.WITNESSES in backend.powers
    bound = _witnessed(backend) if witnessed else _on_its_word(backend)
    corners = exact_corners([_vertex_values(value) for value in values])
    bounds = {corner: bound(np.array([float(x) for x in corner])) for corner in corners}
    ends = [bounds[corner].upper for corner in _vertices(len(values[0].rewards))]
    epsilon = 0.0
    for corner, best in corners.items():
        epsilon = _least_epsilon(epsilon, best, _carried(bounds[corner], corner, ends), delta)
    for corner, best in corners.items():
        # J* below 0 somewhere: there an ε that other corners need claims more.
        _least_epsilon(epsilon, best, _carried(bounds[corner], corner, ends), delta)
    data = {
        "bounds": [[[float(x).hex() for x in b.weights], *b.witness] for b in bounds.values()],
        "rests_on": "that the policies are worth what the file says, and "
        + ("that the problem is the one in the file" if witnessed else "that J* is nowhere above what the file says"),
    }
    problem = witnessed_problem(backend) if witnessed else {"type": "word"}
    kind, constants = problem["type"], problem.get("constants", [0.0] * len(ends))
    rest = {name: part for name, part in problem.items() if name not in ("type", "constants")}
    return epsilon, {"type": kind, "constants": _hexadecimal(constants), "problem": _hexadecimal(rest), **data}


def _vertices(d: int) -> list[Rational]:
    return [tuple(Fraction(i == j) for j in range(d)) for i in range(d)]


def _carried(bound: _Bound, corner: Rational, ends: Sequence[Fraction]) -> Fraction:
    """An upper bound on J* at an exact corner from one at the nearest float weights and those at the vertices.

    J*, continued to all w ≥ 0 by J*_{λw} = λ·J*_w, is at most m·J*_v + Σ (w − m·v)_i·J*_{e_i} for m·v ≤ w.
    """
    near = [Fraction(float(x)) for x in bound.weights]
    total = sum(near)
    near = [x / total for x in near]
    most = min(c / x for c, x in zip(corner, near, strict=True) if x)
    return most * bound.upper + rational_dot([c - most * x for c, x in zip(corner, near, strict=True)], ends)


def _witnessed(backend: PolicyBackend) -> Callable[[Array], _Bound]:
    def bound(weights: Array) -> _Bound:
        found = witness(backend, weights)
        return _Bound(weights, Fraction(found.upper), _hexadecimal(list(found.data)))

    return bound


def _on_its_word(backend: PolicyBackend) -> Callable[[Array], _Bound]:
    def bound(weights: Array) -> _Bound:
        if Power.OPTIMAL_VALUE in backend.powers:
            upper: float | None = optimal_bracket(backend, weights)[1]
        else:
            upper = upper_bound_at(solve(backend, weights), weights, backend.oracle_error)
        if upper is None:
            raise CertificateError(f"{type(backend).__name__} gives no upper bound on J*: there is nothing to prove")
        return _Bound(weights, Fraction(upper), [float(upper).hex()])

    return bound


def _hexadecimal(data: Any) -> Any:
    """Floats as hexadecimal text, in whatever lists and mappings they lie; integers and text as they are."""
    if isinstance(data, Mapping):
        return {name: _hexadecimal(item) for name, item in data.items()}
    if isinstance(data, np.ndarray):
        return _hexadecimal(data.tolist())
    if isinstance(data, list | tuple):
        return [_hexadecimal(item) for item in data]
    return data.hex() if isinstance(data, float) else data
