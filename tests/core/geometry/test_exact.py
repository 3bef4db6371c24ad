"""The envelope in rational arithmetic against its definition: all corners by trying, and the duality's two sides."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palm_theory.geometry.exact import ExactEnvelope
from tests.core.exact_audit import best_at, corners, value_at
from tests.helpers.instances import rng_of, seeds

Rows = list[tuple[Fraction, ...]]


def rational(table: np.ndarray) -> Rows:
    return [tuple(Fraction(float(x)) for x in row) for row in table]


def hostile(seed: int, n: int, d: int) -> np.ndarray:
    """Small integers, so that many tie, on scales far apart, some moved by rounding errors."""
    rng = rng_of(seed)
    table = rng.integers(-2, 4, (n, d)) * 10.0 ** rng.integers(-12, 12, d)
    return np.where(rng.random((n, 1)) < 0.3, table * (1 + 1e-16 * rng.integers(-9, 9, (n, d))), table)


@settings(max_examples=60)
@given(st.integers(1, 3), st.integers(1, 6), seeds, st.booleans())
def test_both_sides_of_the_duality_are_attained(d, n, seed, far_apart):
    table = hostile(seed, n + 4, d) if far_apart else rng_of(seed).integers(-2, 4, (n + 4, d))
    rows = rational(table)
    policies, targets = rows[:n], [*rows, (Fraction(0),) * d]
    envelope, everywhere = ExactEnvelope(policies), corners(policies)
    for target in targets:
        excess, weights, mixture = envelope.support(target)
        assert excess == max(value_at(target, c) - best_at(policies, c) for c in everywhere)
        assert (sum(weights), min(weights) >= 0) == (1, True)
        assert value_at(target, weights) - best_at(policies, weights) == excess
        assert (sum(mixture.values()), min(mixture.values()) > 0) == (1, True)
        shares = [sum(q * policies[k][i] for k, q in mixture.items()) for i in range(d)]
        assert max(h - share for h, share in zip(target, shares, strict=True)) == excess


@pytest.mark.parametrize("d", [2, 3, 5])
def test_many_policies_through_one_point(d):
    """Degenerate everywhere: all tie at the barycentre, and half are twins."""
    rng = rng_of(d)
    table = rng.integers(-9, 9, (20, d))
    table = table * d - table.sum(axis=1, keepdims=True)
    policies = rational(np.vstack([table, table]))
    excess, weights, _ = ExactEnvelope(policies).support((Fraction(0),) * d)
    assert excess == -best_at(policies, weights)
    assert all(best_at(policies, tuple(map(Fraction, row))) >= -excess for row in np.eye(d).tolist())
