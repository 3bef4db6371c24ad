"""Weights: what is accepted, what is refused and how it is said; lattices against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palm_theory.errors import CoverTooLargeError, InputError
from palm_theory.geometry.simplex import (
    l1_distance,
    lattice_radius,
    lattice_size,
    named_weights,
    nearest_lattice_point,
    sample_dirichlet,
    simplex_lattice,
    validate_dimension,
    validate_weights,
)
from tests.helpers.instances import brute_lattice, seeds, simplex_points

small = st.tuples(st.integers(1, 5), st.integers(1, 6))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, 0.4], "sum to 1.*0.9"),
        ([[0.5, 0.5], [1, 0], [0.5, 0.48]], "row 2 sums to 0.98"),
        ([1.5, -0.5], ">= 0.*position 1"),
        ([math.nan, 1.0], "finite.*nan at position 0"),
        ([[1.0, 0.0], [math.inf, 0.0]], "finite, row 1"),
        ([], "d >= 1"),
        (1.0, "shape"),
        ([[[1.0]]], "shape"),
        ([[1.0], [0.5, 0.5]], "array of numbers"),
        (["a", "b"], "array of numbers"),
        (None, "finite|array|shape"),
    ],
)
def test_bad_weights_are_refused_with_the_place(weights, message):
    with pytest.raises(InputError, match=message):
        validate_weights(weights)


def test_the_number_of_objectives_is_checked():
    with pytest.raises(InputError, match=r"3 entries.*got 2"):
        validate_weights([0.5, 0.5], 3)


def test_good_weights_come_back_unchanged():
    float32 = np.array([0.1, 0.2, 0.7], dtype=np.float32)
    assert np.array_equal(validate_weights(float32), float32.astype(np.float64))
    assert validate_weights([[0.25, 0.75], [1, 0]]).shape == (2, 2)
    assert validate_weights([1.0]).shape == (1,)


@pytest.mark.parametrize("d", [0, -1, 1.5, "2", True, None])
def test_bad_dimensions_are_refused(d):
    with pytest.raises(InputError, match=">= 1"):
        validate_dimension(d)


def test_named_weights():
    assert named_weights({"b": 1.0}, ["a", "b"]).tolist() == [0.0, 1.0]
    with pytest.raises(InputError, match="unknown objective 'c'"):
        named_weights({"c": 1.0}, ["a", "b"])
    with pytest.raises(InputError, match="sum to 1"):
        named_weights({"a": 0.5}, ["a", "b"])


@given(small)
def test_the_lattice_is_the_brute_force_lattice(dn):
    d, n = dn
    lattice = simplex_lattice(d, n)
    expected = brute_lattice(d, n)
    assert len(lattice) == lattice_size(d, n) == len(expected)
    assert {tuple(int(x) for x in np.rint(row * n)) for row in lattice} == expected
    assert np.allclose(lattice.sum(axis=1), 1, atol=1e-15, rtol=0)
    assert [tuple(row) for row in lattice] == sorted(tuple(row) for row in lattice)


def test_a_lattice_too_large_is_refused_with_its_exact_count():
    with pytest.raises(CoverTooLargeError) as caught:
        simplex_lattice(20, 100)
    assert caught.value.count == math.comb(119, 19)
    assert str(math.comb(119, 19)) in str(caught.value)


@pytest.mark.parametrize("n", [0, -3, 2.5, True, "4"])
def test_bad_resolutions_are_refused(n):
    with pytest.raises(InputError, match="n must be"):
        lattice_size(3, n)


@given(small, seeds)
def test_the_nearest_lattice_point_is_nearest_and_within_the_radius(dn, seed):
    d, n = dn
    weights = simplex_points(d, 20, seed)
    lattice = np.array(sorted(brute_lattice(d, n))) / n
    nearest = nearest_lattice_point(weights, n)
    brute = np.abs(weights[:, None, :] - lattice[None]).sum(axis=2).min(axis=1)
    assert np.allclose(l1_distance(weights, nearest), brute, atol=1e-12)
    assert brute.max() <= lattice_radius(d, n) + 1e-12
    assert {tuple(int(x) for x in np.rint(row * n)) for row in nearest} <= brute_lattice(d, n)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 6])
def test_the_covering_radius_is_attained(d):
    # The worst point of a unit cell has h = floor(d/2) coordinates with fractional part 1 - h/d, the rest less.
    n = 3
    h = d // 2
    weights = np.full(d, h / d / n)
    weights[0] += (n - h) / n
    distance = float(l1_distance(weights, nearest_lattice_point(weights, n)))
    assert math.isclose(distance, lattice_radius(d, n), abs_tol=1e-12)
    assert lattice_radius(d, n) <= d / (2 * n) + 1e-15


@given(seeds, st.integers(1, 6), st.integers(1, 50))
def test_dirichlet_samples_lie_on_the_simplex_and_repeat(seed, d, n):
    weights = sample_dirichlet(d, n, seed=seed)
    assert weights.shape == (n, d)
    validate_weights(weights, d)
    assert np.array_equal(weights, sample_dirichlet(d, n, seed=seed))
    if d > 1:
        assert not np.array_equal(weights, sample_dirichlet(d, n, seed=seed + 1))


def test_dirichlet_is_uniform_on_the_simplex():
    weights = sample_dirichlet(3, 20_000, seed=1)
    # Under the uniform law the first coordinate has P(w_1 > t) = (1 - t)^2.
    for t in (0.1, 0.3, 0.6):
        assert abs((weights[:, 0] > t).mean() - (1 - t) ** 2) < 0.015


@pytest.mark.parametrize("concentration", [0.0, -1.0, math.nan, [1.0, 0.0]])
def test_bad_concentrations_are_refused(concentration):
    with pytest.raises(InputError, match="concentration"):
        sample_dirichlet(2, 3, concentration=concentration)


@given(seeds, st.integers(1, 5))
def test_l1_distance_is_a_metric_on_the_simplex(seed, d):
    points = simplex_points(d, 5, seed)
    a, b, c = points[-1], points[-2], points[-3]
    assert 0 <= l1_distance(a, b) <= 2 + 1e-12
    assert l1_distance(a, b) == l1_distance(b, a)
    assert l1_distance(a, c) <= l1_distance(a, b) + l1_distance(b, c) + 1e-12
