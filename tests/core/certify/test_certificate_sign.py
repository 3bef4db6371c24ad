"""Where J* < 0 no ε > 0 helps: (1−ε)J* is more than the optimum."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palm_theory.certify.audit import audit
from palm_theory.certify.certificate import Kind
from palm_theory.contract.value import Value


def two_policies() -> list[Value]:
    """J* = −0.2 at the first vertex, 0.75 at the second."""
    return [Value([0.0, 0.9], 0.2), Value([0.0, 1.0], 0.25)]


def test_an_epsilon_that_would_claim_more_than_a_negative_optimum_is_refused():
    certificate = audit(two_policies()[:1], reference=two_policies())
    assert certificate.kind is Kind.EXACT
    assert certificate.epsilon == math.inf
    assert not certificate.certifies(0.1, within_reference=True)
    assert certificate.additive_gap == pytest.approx(0.05)
    assert certificate.certifies(0.0, 0.051, within_reference=True)
    assert "no epsilon <= 1" in str(certificate)


def test_all_policies_together_have_no_gap_whatever_the_sign():
    assert audit(two_policies(), reference=two_policies()).epsilon == 0.0


@settings(max_examples=60)
@given(st.integers(0, 10_000))
def test_a_finite_epsilon_holds_at_every_sampled_weight_also_where_optima_are_negative(seed):
    rng = np.random.default_rng(seed)
    values = [Value(rng.random(3), float(rng.random())) for _ in range(6)]
    certificate = audit(values[:3], reference=values)
    weights = rng.dirichlet(np.ones(3), 2000)
    table = weights @ np.stack([value.vertex_values for value in values]).T
    optimum, best = table.max(axis=1), table[:, :3].max(axis=1)
    if certificate.epsilon < math.inf:
        assert (best >= (1 - certificate.epsilon) * optimum - 1e-9).all()
    assert (best >= optimum - certificate.additive_gap - 1e-9).all()
