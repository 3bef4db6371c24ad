"""The soft maximum and the KL divergence against 60 digits, at any β, prior and magnitude."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.exact_sums import UNIT
from backends.soft_maximum import SoftMaximum, normalized
from tests.helpers import exact_optima
from tests.helpers.exact_optima import exact
from tests.helpers.instances import rng_of, seeds

magnitudes = st.sampled_from([1e-300, 1e-12, 1.0, 1e12, 1e300])
prices = st.one_of(st.floats(-12, 12).map(lambda x: 10.0**x), st.sampled_from([1e-300, 1e-9, 1e15]))
smallest = st.sampled_from([None, 0.0, 1e-8, 1e-100, 1e-300, 5e-324])


def instance(seed, scale, price, tiny):
    rng = rng_of(seed)
    n = int(rng.integers(1, 6))
    reference = rng.dirichlet(np.ones(n))
    if tiny is not None and n > 1:
        reference[0] = tiny
    values = rng.random(n) * scale * rng.choice([1.0, 1e-6], n)
    return values, reference, price * scale


@given(seeds, magnitudes, prices, smallest)
def test_soft_maxima_are_right_to_rounding(seed, scale, price, tiny):
    values, reference, beta = instance(seed, scale, price, tiny)
    if not (0 < beta < 1e306):
        return
    soft = SoftMaximum(reference, beta)
    policy, best, error = soft.attained(values)
    right, _ = exact_optima.soft_maximum(exact(values), exact_optima.normalized(exact(reference)), Fraction(beta))
    allowed = Fraction(float(error)) * soft.units * Fraction(UNIT) + Fraction(5e-324)
    assert abs(Fraction(float(best)) - right) <= allowed
    assert abs(policy.sum() - 1) <= 1e-15 * len(values)
    # What the policy gets less what it pays is the soft maximum.
    rule = exact_optima.normalized(exact(policy))
    cost = Fraction(beta) * exact_optima.divergence(rule, exact_optima.normalized(exact(reference)))
    gets = exact_optima.dot(rule, exact(values))
    assert right - (gets - cost) <= 4 * allowed
    assert abs(Fraction(beta * float(soft.divergence(normalized(policy)))) - cost) <= 4 * allowed + cost / 10**12


@given(seeds, st.floats(-6, 12), smallest)
def test_advantages_lose_no_more_than_their_distance_to_the_largest(seed, price, tiny):
    values, reference, beta = instance(seed, 1.0, 10.0**price, tiny)
    values = values - rng_of(seed).random()
    soft = SoftMaximum(reference, beta)
    _, best, scale = soft.gained(values)
    right, _ = exact_optima.soft_maximum(exact(values), exact_optima.normalized(exact(reference)), Fraction(beta))
    allowed = Fraction(float(scale)) * soft.units * Fraction(UNIT) + abs(right) * Fraction(UNIT)
    assert abs(Fraction(float(best)) - right) <= allowed


@given(seeds, st.floats(-17, 0))
def test_the_divergence_of_policies_close_to_the_reference_does_not_cancel(seed, exponent):
    rng = rng_of(seed)
    reference = rng.dirichlet(np.ones(5))
    policy = normalized(reference * (1 + 10.0**exponent * rng.uniform(-1, 1, 5)))
    found = float(SoftMaximum(reference, 1.0).divergence(policy))
    right = exact_optima.divergence(exact(policy), exact(reference))
    distance = float(np.abs(policy - reference).sum())
    assert math.isclose(found, right, rel_tol=1e-12, abs_tol=4 * UNIT * distance)


def test_where_all_values_are_equal_the_policy_is_the_reference():
    for tiny in (0.25, 1e-300, 5e-324):
        reference = np.array([tiny, 0.5, 0.5 - tiny, 0.0])
        for beta in (1e-9, 1.0, 1e12):
            soft = SoftMaximum(reference, beta)
            policy, best, _ = soft.attained(np.full(4, 3.0))
            assert policy.tolist() == reference.tolist()
            assert math.isclose(float(best), 3.0, rel_tol=1e-15)
            assert soft.divergence(policy) == 0


def test_divergences_from_priors_with_zeros():
    soft = SoftMaximum(np.array([[0.5, 0.5, 0.0], [5e-324, 0.5, 0.5]]), 1.0)
    certain = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert np.allclose(soft.divergence(certain), [math.log(2), 1074 * math.log(2)], rtol=1e-14)
    assert soft.divergence(np.array([[0.0, 0.0, 1.0], [0.0, 0.5, 0.5]])).tolist() == [math.inf, 5e-324]
    assert np.allclose(soft.largest_divergence, [math.log(2), 1074 * math.log(2)])


@pytest.mark.parametrize("support_only", [True, False])
def test_without_a_price_it_is_the_maximum(support_only):
    soft = SoftMaximum(np.array([0.0, 0.5, 0.5]), 0.0, support_only=support_only)
    policy, best, _ = soft.attained(np.array([3.0, 2.0, 2.0]))
    assert (policy.tolist(), float(best)) == (([0, 1, 0], 2.0) if support_only else ([1, 0, 0], 3.0))


def test_rows_that_sum_to_one_are_left_as_they_are():
    rows = np.array([[1 / 3, 1 / 3, 1 / 3], [0.1, 0.2, 0.7]])
    assert normalized(rows) is rows
    assert np.allclose(normalized(rows * (1 + 1e-9)).sum(axis=1), 1, rtol=1e-15)
