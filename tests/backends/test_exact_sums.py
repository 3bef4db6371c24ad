"""Sums without rounding against fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backends.exact_sums import UNIT, leftover, split_product, two_product, two_sum
from tests.helpers.instances import rng_of, seeds

numbers = st.floats(-1e100, 1e100).filter(lambda x: x == 0 or abs(x) > 1e-100)


@given(numbers, numbers)
def test_two_numbers_hold_a_sum_and_a_product_exactly(a, b):
    total, rest = two_sum(np.array([a]), np.array([b]))
    assert Fraction(float(total[0])) + Fraction(float(rest[0])) == Fraction(a) + Fraction(b)
    product, rest = two_product(a, np.array([b]))
    assert Fraction(float(product[0])) + Fraction(float(rest[0])) == Fraction(a) * Fraction(b)


@given(seeds, st.integers(1, 40), st.integers(1, 3))
def test_products_are_exact_but_for_errors_of_a_small_rest(seed, n, k):
    rng = rng_of(seed)
    rows = rng.dirichlet(np.full(n, rng.choice([0.1, 1.0])), 4)
    vectors = rng.normal(size=(n, k)) * 10.0 ** rng.uniform(-9, 9, k)
    high, low = split_product(rows, vectors)
    for i in range(4):
        for j in range(k):
            right = sum(Fraction(float(p)) * Fraction(float(v)) for p, v in zip(rows[i], vectors[:, j], strict=True))
            allowed = (n + 3) * UNIT * leftover(n, float(np.abs(vectors[:, j]).max()))
            assert abs(Fraction(float(high[i, j])) + Fraction(float(low[i, j])) - right) <= Fraction(allowed)


def test_the_leading_part_is_the_same_in_any_order():
    rng = rng_of(0)
    rows, vectors = rng.dirichlet(np.ones(1000), 3), rng.normal(size=(1000, 2))
    order = rng.permutation(1000)
    assert np.array_equal(split_product(rows, vectors)[0], split_product(rows[:, order], vectors[order])[0])
