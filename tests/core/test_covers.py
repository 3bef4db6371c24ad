"""Covers against brute-force enumeration; sizes against Theorem 1's bound; streaming; refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palm_theory.bounds import hybrid_size_bound
from palm_theory.covers import hybrid_cover, hybrid_cover_blocks, hybrid_size, kl_lattice, random_weights, uniform_grid
from palm_theory.errors import CoverTooLargeError, InputError
from palm_theory.geometry.simplex import validate_weights
from tests.helpers.instances import brute_grid, brute_hybrid_cover, brute_lattice

parameters = st.tuples(
    st.integers(1, 4),
    st.one_of(st.floats(0.2, 1.0), st.sampled_from([0.5, 1.0])),
    st.one_of(st.floats(0.05, 0.9), st.sampled_from([2 / 3, 4 / 9, 0.5, 0.25, 0.125])),
).filter(lambda p: p[0] * len(brute_grid(p[1], p[2])) ** (p[0] - 1) <= 2500)


@given(parameters)
def test_the_cover_is_the_brute_force_cover_and_its_size_is_bounded(p):
    d, mu, alpha = p
    cover, expected = hybrid_cover(d, mu, alpha), brute_hybrid_cover(d, mu, alpha)
    assert len(cover) == hybrid_size(d, mu, alpha) == len(expected)
    ordered = np.array(sorted(tuple(np.round(row, 12) + 0.0) for row in cover))
    assert np.allclose(ordered, expected, atol=1e-11)
    assert len(expected) <= hybrid_size_bound(d, mu, alpha) * (1 + 1e-12)
    validate_weights(cover, d)
    for vertex in np.eye(d):
        assert (cover == vertex).all(axis=1).any()


@given(parameters, st.integers(1, 40))
def test_blocks_are_the_cover_in_order(p, block):
    d, mu, alpha = p
    parts = list(hybrid_cover_blocks(d, mu, alpha, block=block))
    assert max(len(part) for part in parts) <= block
    assert np.array_equal(np.concatenate(parts), hybrid_cover(d, mu, alpha))


@given(st.integers(1, 20), st.floats(1e-6, 1.0), st.floats(1e-12, 0.999))
def test_sizes_are_exact_integers_within_the_bound_at_any_dimension(d, mu, alpha):
    size = hybrid_size(d, mu, alpha)
    assert isinstance(size, int)
    levels = math.floor(math.log(1 / alpha) / math.log1p(mu) + 1e-12) + 2
    assert size in (d * levels ** (d - 1), levels**d - (levels - 1) ** d)
    assert size <= hybrid_size_bound(d, mu, alpha) * (1 + 1e-9)


def test_a_cover_of_d_20_streams_from_the_start():
    first = next(iter(hybrid_cover_blocks(20, 0.1, 0.01, block=1000)))
    assert first.shape == (1000, 20)
    assert len(np.unique(first, axis=0)) == 1000
    validate_weights(first, 20)


def test_a_cover_too_large_is_refused_with_its_exact_count():
    with pytest.raises(CoverTooLargeError, match="limit of 5000000") as caught:
        hybrid_cover(10, 0.1, 0.01)
    levels = math.floor(math.log(100) / math.log(1.1)) + 2
    assert caught.value.count == 10 * levels**9
    with pytest.raises(CoverTooLargeError):
        hybrid_cover(3, 0.5, 0.05, max_points=242)
    assert len(hybrid_cover(3, 0.5, 0.05, max_points=243)) == 243


@pytest.mark.parametrize(("d", "mu", "alpha"), [(0, 0.5, 0.1), (2, 0.0, 0.1), (2, 0.5, 1.0)])
def test_bad_parameters_are_refused(d, mu, alpha):
    with pytest.raises(InputError):
        hybrid_cover(d, mu, alpha)
    with pytest.raises(InputError):
        list(hybrid_cover_blocks(d, mu, alpha))


def test_theorem_2_lattice_is_a_simplex_lattice_of_the_promised_resolution():
    d, delta, beta, reward = 4, 0.01, 0.05, 1.0
    lattice = kl_lattice(d, delta=delta, beta=beta, reward_max=reward)
    n = math.ceil(d * reward / (2 * math.sqrt(8 * beta * delta)))
    assert {tuple(int(x) for x in np.rint(row * n)) for row in lattice} == brute_lattice(d, n)
    with pytest.raises(CoverTooLargeError):
        kl_lattice(8, delta=1e-6, beta=0.05, reward_max=1.0)
    with pytest.raises(InputError, match="beta"):
        kl_lattice(3, delta=0.1, beta=0.0, reward_max=1.0)


def test_baselines():
    assert len(uniform_grid(3, 4)) == 15
    weights = random_weights(3, 10, seed=4)
    assert np.array_equal(weights, random_weights(3, 10, seed=4))
    validate_weights(weights, 3)
