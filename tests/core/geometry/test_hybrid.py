"""Theorem 1's grid: values, exact counts, and the proof's rounding rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palm_theory.errors import InputError
from palm_theory.geometry.hybrid import HybridGrid
from tests.helpers.instances import brute_grid, brute_hybrid_cover, seeds, simplex_points

mus = st.floats(0.15, 1.0)
alphas = st.floats(0.02, 0.9)


@given(mus, alphas)
def test_values_are_those_of_the_definition(mu, alpha):
    grid = HybridGrid(mu, alpha)
    values = grid.values()
    assert len(values) == grid.levels == grid.top_exponent + 2
    assert np.allclose(values, brute_grid(mu, alpha), rtol=1e-12, atol=0)
    assert values[0] == 0
    assert np.all(np.diff(values) > 0)
    assert values[-1] <= 1


@pytest.mark.parametrize(
    ("mu", "alpha"), [(0.5, 2 / 3), (1.0, 0.25), (1.0, 2.0**-30), (0.5, (2 / 3) ** 4), (0.1, 1.1**-9)]
)
def test_a_top_value_of_exactly_one_is_recognised(mu, alpha):
    grid = HybridGrid(mu, alpha)
    assert grid.top_is_one
    assert grid.values()[-1] == 1.0
    assert grid.size(3) == grid.levels**3 - (grid.levels - 1) ** 3


@pytest.mark.parametrize(("mu", "alpha"), [(0.5, 0.05), (0.3, 0.1), (1.0, 0.3)])
def test_a_top_value_below_one_is_recognised(mu, alpha):
    grid = HybridGrid(mu, alpha)
    assert not grid.top_is_one
    assert grid.size(3) == 3 * grid.levels**2


@pytest.mark.parametrize("mu", [0.0, -0.1, 1.0001, math.nan, math.inf])
def test_mu_out_of_range_is_refused(mu):
    with pytest.raises(InputError, match=r"mu must lie in \(0, 1\]"):
        HybridGrid(mu, 0.1)


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.0, math.nan])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(InputError, match=r"alpha must lie in \(0, 1\)"):
        HybridGrid(0.5, alpha)


@pytest.mark.parametrize("mu", [1e-320, 1e-300, 1e-17, 1e-12])
def test_values_too_close_to_be_told_apart_are_refused(mu):
    """1e-320 once overflowed, and at 1e-17 the values of the grid were all the same float."""
    with pytest.raises(InputError, match="mu must be at least 1e-11"):
        HybridGrid(mu, 0.1)
    with pytest.raises(InputError, match="mu must be at least 1e-11"):
        HybridGrid.aligned(mu, 3)


@pytest.mark.parametrize("alpha", [5e-324, 1e-310])
def test_an_alpha_that_floats_are_too_coarse_for_is_refused(alpha):
    with pytest.raises(InputError, match=r"alpha must be at least 2\.23e-308"):
        HybridGrid(0.5, alpha)


@pytest.mark.parametrize(("mu", "alpha"), [(0.5, 2.3e-308), (1.0, 2.0**-1022), (0.5, 1e-300), (0.02, 1e-200)])
def test_the_smallest_alphas_have_grids_like_others(mu, alpha):
    grid = HybridGrid(mu, alpha)
    values = grid.values()
    assert np.allclose(values[2:] / values[1:-1], 1 + mu, rtol=1e-12)
    assert 1 / (1 + mu) < values[-1] <= 1
    assert grid.top_exponent == math.floor(-math.log(alpha) / math.log1p(mu) + 1e-9)


@pytest.mark.parametrize("alpha", [1 - 1e-13, 1 - 2.0**-53])
def test_an_alpha_that_is_one_to_rounding_leaves_two_values(alpha):
    grid = HybridGrid(0.1, alpha)
    assert grid.values().tolist() == [0.0, 1.0]
    assert grid.size(3) == 7


@given(mus, alphas, st.integers(1, 4), seeds)
def test_rounding_lands_on_the_cover_and_follows_the_proof(mu, alpha, d, seed):
    if len(brute_grid(mu, alpha)) ** (d - 1) * d > 3000:
        d = 2
    cover = {tuple(np.round(row, 9) + 0.0) for row in brute_hybrid_cover(d, mu, alpha)}
    weights = simplex_points(d, 8, seed)
    rounded = HybridGrid(mu, alpha).round_down(weights)
    assert {tuple(np.round(row, 9) + 0.0) for row in rounded} <= cover
    v = weights / weights.max(axis=1, keepdims=True)
    t = rounded / rounded.max(axis=1, keepdims=True)
    # Either the coordinate falls by less than a factor 1 + mu, or it is below alpha and falls to 0; never rises.
    assert np.all(t <= v * (1 + 1e-9))
    kept = t > 0
    assert np.all(v[kept] <= t[kept] * (1 + mu) * (1 + 1e-9))
    assert np.all(v[~kept] <= alpha * (1 + 1e-9))


@given(mus, alphas, st.integers(1, 3))
def test_points_of_the_cover_round_to_themselves(mu, alpha, d):
    cover = brute_hybrid_cover(d, mu, alpha)[:400]
    assert np.allclose(HybridGrid(mu, alpha).round_down(cover), cover, atol=1e-9)


def test_rounding_keeps_the_shape_and_checks_its_input():
    grid = HybridGrid(0.5, 0.1)
    assert grid.round_down([0.2, 0.8]).shape == (2,)
    assert grid.round_down([[0.2, 0.8]]).shape == (1, 2)
    with pytest.raises(InputError, match="sum to 1"):
        grid.round_down([0.2, 0.9])
