"""Geometry: corners, lower envelopes and essential policies against brute force, and known fronts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from palm_theory.geometry.envelope import (
    corner_weights,
    distinct_policies,
    essential_policies,
    lower_envelope,
    rounding_at,
    scalarize,
    undominated,
    vertex_values,
)
from palm_theory.geometry.simplex import validate_weights
from tests.helpers.instances import envelope, pairwise_corners, random_front, rng_of, seeds, simplex_points


def is_corner(values: np.ndarray, w: np.ndarray, tolerance: float = 1e-9) -> bool:
    """Whether the constraints active at w fix it: the gradients of the best policies and of w_i = 0 have full rank."""
    d = values.shape[1]
    scores = values @ w
    tied = values[scores >= scores.max() - tolerance]
    active = np.vstack([np.ones(d), np.eye(d)[w <= tolerance], tied - tied[0]])
    return np.linalg.matrix_rank(active, tol=1e-7) == d


def rows_as_set(weights: np.ndarray) -> set[tuple[float, ...]]:
    return {tuple(np.round(row, 6) + 0.0) for row in weights}


@settings(max_examples=60)
@given(st.integers(1, 3), st.integers(1, 5), seeds)
def test_corners_are_those_of_brute_force(d, n, seed):
    values = random_front(seed, d=d, n=n)
    found, expected = corner_weights(values), pairwise_corners(values)
    distance = np.abs(found[:, None] - expected[None]).sum(axis=2)
    assert distance.min(axis=0).max() < 1e-6, "a corner is missing"
    assert all(is_corner(values, row) for row in found)


@given(st.integers(1, 5), st.integers(1, 20), seeds)
def test_corners_are_distinct_points_of_the_simplex_and_hold_its_vertices(d, n, seed):
    corners = corner_weights(random_front(seed, d=d, n=n))
    validate_weights(corners, d)
    assert len(rows_as_set(corners)) == len(corners)
    assert rows_as_set(np.eye(d)) <= rows_as_set(corners)


@settings(max_examples=60)
@given(st.integers(1, 6), st.integers(1, 15), st.integers(1, 15), seeds, st.sampled_from([0.0, 0.3, 30.0]))
def test_corner_lemma_against_dense_sampling(d, n, m, seed, f):
    """The largest J* - L over the corners is the largest over the simplex: no sample exceeds it, and a linear program
    over w reaches it. Regularisers above the rewards make L < 0 < J*."""
    rng = rng_of(seed)
    values = random_front(seed, d=d, n=n) - f * rng.random((n, 1))
    candidates = np.vstack([values, random_front(seed + 1, d=d, n=m) - f * rng.random((m, 1))])
    corners = corner_weights(values)
    at_corners = (envelope(candidates, corners) - envelope(values, corners)).max()
    samples = np.vstack([simplex_points(d, 300, seed), corners])
    mixed = rng.dirichlet(np.full(len(corners), 0.1), 100) @ corners
    samples = np.vstack([samples, mixed])
    assert (envelope(candidates, samples) - envelope(values, samples)).max() <= at_corners + 1e-9 * (1 + f)
    by_program = max(
        -linprog(
            np.append(-candidate, 1.0),
            A_ub=np.column_stack([values, -np.ones(n)]),
            b_ub=np.zeros(n),
            A_eq=[[1.0] * d + [0.0]],
            b_eq=[1.0],
            bounds=[(0, None)] * d + [(None, None)],
        ).fun
        for candidate in candidates
    )
    assert math.isclose(at_corners, by_program, abs_tol=1e-7 * (1 + f))


@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(2, 12), seeds, st.sampled_from([1e-9, 1e9]), st.floats(-1.0, 1.0))
def test_corners_do_not_depend_on_unit_or_shift(d, n, seed, unit, shift):
    values = np.round(random_front(seed, d=d, n=n), 3)
    corners, moved = corner_weights(values), corner_weights((values + shift) * unit)
    distance = np.abs(corners[:, None] - moved[None]).sum(axis=2)
    assert distance.min(axis=0).max() < 1e-6
    assert distance.min(axis=1).max() < 1e-6


@settings(max_examples=30)
@given(st.integers(2, 4), st.integers(2, 10), seeds)
def test_rescaling_objectives_maps_corners_projectively(d, n, seed):
    rng = rng_of(seed)
    values, scales = random_front(seed, d=d, n=n), 10.0 ** rng.uniform(-9, 9, d)
    expected = corner_weights(values) / scales
    expected /= expected.sum(axis=1, keepdims=True)
    found = corner_weights(values * scales)
    # Compared where rescaling is undone: there the corners are of one scale.
    for some, others in ((expected, found), (found, expected)):
        a, b = some * scales, others * scales
        a, b = a / a.sum(axis=1, keepdims=True), b / b.sum(axis=1, keepdims=True)
        assert np.abs(a[:, None] - b[None]).sum(axis=2).min(axis=1).max() < 1e-6


@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(1, 12), seeds)
def test_relabelling_objectives_permutes_the_corners(d, n, seed):
    values = random_front(seed, d=d, n=n)
    order = rng_of(seed).permutation(d)
    corners, permuted = corner_weights(values)[:, order], corner_weights(values[:, order])
    distance = np.abs(corners[:, None] - permuted[None]).sum(axis=2)
    assert max(distance.min(axis=0).max(), distance.min(axis=1).max()) < 1e-6


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_one_policy_or_equal_policies_have_the_simplex_as_their_cell(d):
    row = np.linspace(0.1, 0.9, d)
    assert rows_as_set(corner_weights(row[None])) == rows_as_set(np.eye(d))
    assert rows_as_set(corner_weights(np.repeat(row[None], 5, axis=0))) == rows_as_set(np.eye(d))
    assert rows_as_set(corner_weights(np.zeros((3, d)))) == rows_as_set(np.eye(d))


def test_two_objectives_by_hand():
    corners = corner_weights(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.6]]))
    assert np.allclose(corners[np.argsort(corners[:, 0])], [[0, 1], [0.4, 0.6], [0.6, 0.4], [1, 0]])


def test_a_policy_that_only_ties_makes_no_difference_to_the_envelope():
    values = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    assert rows_as_set(corner_weights(values)) == rows_as_set(np.array([[0, 1], [0.5, 0.5], [1, 0]]))
    assert essential_policies(values).tolist() == [0, 1]


def test_many_planes_through_one_point():
    """A degenerate vertex: twelve policies tie at the barycentre, each best somewhere."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    basis = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    values = 1 + 0.3 * (np.cos(angles)[:, None] * basis[0] + np.sin(angles)[:, None] * basis[1])
    corners = corner_weights(values)
    assert (np.abs(corners - 1 / 3).max(axis=1) < 1e-9).sum() == 1
    assert len(essential_policies(values)) == 12


def test_unit_vectors_have_all_the_corners_of_their_cells():
    """Policy e_i is best where w_i is largest: the corners are the uniform weights of all non-empty subsets."""
    for d in (2, 3, 4, 5, 8):
        corners = corner_weights(np.eye(d))
        assert len(corners) == 2**d - 1
        subsets = [np.array(bits) for bits in np.ndindex(*[2] * d) if sum(bits)]
        assert rows_as_set(corners) == rows_as_set(np.array([bits / bits.sum() for bits in subsets]))


@given(st.integers(1, 5), st.integers(1, 30), seeds)
def test_the_lower_envelope_is_the_maximum_and_ties_go_to_the_lowest_index(d, n, seed):
    values = np.round(random_front(seed, d=d, n=n), 2)
    weights = simplex_points(d, 20, seed)
    best, policy = lower_envelope(values, weights)
    table = scalarize(values, weights)
    assert np.allclose(table, weights @ values.T, atol=1e-14)
    assert np.array_equal(best, table.max(axis=1))
    assert np.array_equal(policy, [row.tolist().index(max(row)) for row in table])


@given(st.integers(1, 4), seeds)
def test_one_weight_gives_the_same_bits_alone_or_among_many(d, seed):
    values, weights = rng_of(seed).random((7, d)), simplex_points(d, 3000, seed)
    best = lower_envelope(values, weights).best
    assert all(
        lower_envelope(values, row[None]).best[0] == b for row, b in zip(weights[::251], best[::251], strict=True)
    )


@settings(max_examples=60)
@given(st.integers(1, 5), st.integers(1, 20), seeds)
def test_essential_policies_are_those_a_linear_program_finds_strictly_best(d, n, seed):
    values = np.round(random_front(seed, d=d, n=n), 3)
    kept = essential_policies(values)
    weights = np.vstack([simplex_points(d, 200, seed), corner_weights(values)])
    assert np.allclose(envelope(values[kept], weights), envelope(values, weights), atol=1e-12)
    distinct = np.unique(values, axis=0)
    for k in kept:
        # max s: <w, G_k - G_j> >= s for every other distinct policy.
        others = distinct[np.abs(distinct - values[k]).max(axis=1) > 0]
        if len(others) == 0:
            continue
        program = linprog(
            np.append(np.zeros(d), -1.0),
            A_ub=np.column_stack([others - values[k], np.ones(len(others))]),
            b_ub=np.zeros(len(others)),
            A_eq=[[1.0] * d + [0.0]],
            b_eq=[1.0],
            bounds=[(0, None)] * d + [(None, None)],
        )
        assert -program.fun > -1e-9
    assert len(np.unique(values[kept], axis=0)) == len(kept)


@given(st.integers(2, 5), st.integers(1, 12), seeds)
def test_essential_policies_lose_nothing_and_duplicates_go(d, n, seed):
    values = random_front(seed, d=d, n=n)
    tripled = np.concatenate([values, values, values])
    assert np.array_equal(essential_policies(tripled), essential_policies(values))
    assert np.array_equal(distinct_policies(tripled), distinct_policies(values))


def test_dominated_and_collinear_policies_are_not_essential():
    line = np.linspace(0, 1, 9)
    assert essential_policies(np.column_stack([line, 1 - line])).tolist() == [0, 8]
    assert essential_policies(np.column_stack([line, line])).tolist() == [8]
    assert essential_policies(np.array([[1.0, 1.0], [0.5, 0.5], [0.9, 0.2]])).tolist() == [0]


@given(st.integers(1, 4), seeds, st.sampled_from([1e-9, 1.0, 1e9]))
def test_rounding_scales_with_the_values_of_the_best(d, seed, unit):
    values, weights = rng_of(seed).standard_normal((5, d)), simplex_points(d, 10, seed)
    rounding = rounding_at(values * unit, weights)
    best = values[(weights @ values.T).argmax(axis=1)]
    assert np.allclose(rounding, unit * 1e-12 * (weights * np.abs(best)).sum(axis=1), rtol=1e-9)
    useless = np.vstack([values, np.full(d, -1e12)])
    assert np.array_equal(rounding_at(useless * unit, weights), rounding)


def test_a_policy_that_ties_counts_in_the_rounding():
    """(0, 0) and (1, −1) are worth the same at ½, and the second's value there is a difference of halves."""
    assert rounding_at(np.array([[0.0, 0.0], [1.0, -1.0]]), np.array([[0.5, 0.5]])).tolist() == [1e-12]


@pytest.mark.parametrize("loss", [0.0, -1.0, -1e6, -1e12, -1e15])
def test_corners_do_not_depend_on_how_bad_a_useless_policy_is(loss):
    useful = np.array([[1.0, 0.0, 0.2], [0.0, 1.0, 0.3], [0.6, 0.6, 0.1]])
    for useless in ([loss, loss, loss], [0.9, loss, 0.0], [0.0, 0.3, loss]):
        assert np.array_equal(corner_weights(np.vstack([useful, useless])), corner_weights(useful))


@pytest.mark.parametrize("loss", [1e3, 1e6, 1e9, 1e12])
def test_a_policy_that_is_very_bad_for_some_hides_no_corner_of_the_others(loss):
    """It is best where the first objective counts for less than about 1/loss; elsewhere the three others meet."""
    ordinary = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.6]])
    corners = corner_weights(np.vstack([ordinary, [-loss, 1.0 + 1e-3]]))
    for expected in ([0.4, 0.6], [0.6, 0.4], [1e-3 / (loss + 1e-3), loss / (loss + 1e-3)]):
        assert np.abs(corners[:, 0] / expected[0] - 1).min() < 1e-9


def test_undominated_rows():
    values = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.5, 0.4], [1.0, -5.0]])
    assert undominated(values).tolist() == [0, 1, 3]
    rng = rng_of(0)
    for d in (1, 2, 3):
        some = np.round(rng.random((60, d)), 1)
        kept = undominated(some)
        assert all(any((some[j] >= some[k]).all() for j in kept) for k in range(len(some))), (
            "a row that none of those kept dominates was dropped"
        )
        assert not any((some[j] >= some[k]).all() for j in kept for k in kept if j != k)


def test_near_ties_lose_no_policy_that_is_needed():
    """The first two tie to 1.5e-12 in the first objective, and their cells' corners lie as close together."""
    values = np.array([[1.0, 2.0, 0.0], [1.0 + 1.5e-12, 1.0, 3.0], [0.0, 3.0, 3.0]])
    kept = essential_policies(values)
    weights = np.vstack([corner_weights(values), simplex_points(3, 200, 0)])
    assert np.allclose(envelope(values[kept], weights), envelope(values, weights), rtol=0, atol=1e-11)


def test_vertex_values():
    assert vertex_values([[1.0, 2.0], [3.0, 4.0]], [0.5, 1.0]).tolist() == [[0.5, 1.5], [2.0, 3.0]]


@pytest.mark.parametrize(("depth", "policies", "corners"), [(5, 32, 1254), (6, 64, 3208)])
def test_fruit_tree_has_the_known_number_of_corners(depth, policies, corners):
    fruits = pytest.importorskip("mo_gymnasium.envs.fruit_tree.fruit_tree").FRUITS
    values = np.array(fruits[str(depth)])
    assert len(values) == policies
    assert len(essential_policies(values)) == policies
    assert len(corner_weights(values)) == corners


def test_fruit_tree_of_depth_7_is_all_extreme():
    fruits = pytest.importorskip("mo_gymnasium.envs.fruit_tree.fruit_tree").FRUITS
    assert len(essential_policies(np.array(fruits["7"]))) == 128


@settings(max_examples=25)
@given(st.integers(2, 6), st.integers(2, 10), seeds, st.floats(1e-16, 1e-9))
def test_near_duplicates_lose_no_corner_that_matters(d, n, seed, distance):
    """Policies 1e-16 .. 1e-9 apart: whatever Qhull merges, the largest gap to outside policies stays."""
    rng = rng_of(seed)
    base = rng.random((n, d))
    values = np.concatenate([base, base + distance * rng.standard_normal((n, d))])
    candidates = rng.random((8, d))
    corners, clean = corner_weights(values), corner_weights(base)
    gap = (envelope(candidates, corners) - envelope(values, corners)).max()
    expected = (envelope(candidates, clean) - envelope(base, clean)).max()
    assert math.isclose(gap, expected, abs_tol=1e-11 + 20 * distance)


def test_clusters_that_qhull_alone_cannot_tell_apart():
    """Twins 1e-12 apart, all planes through one point, d = 7: Qhull alone gives up on about one in ten."""
    rng = rng_of(0)
    for _ in range(40):
        rewards = np.round(rng.random((10, 7)) * 4) / 4
        meeting = rng.dirichlet(np.ones(7))
        base = rewards - (rewards @ meeting - 0.5)[:, None]
        values = np.repeat(base, 2, axis=0)
        values = values + 1e-12 * rng.standard_normal(values.shape)
        candidates = rng.random((5, 7))
        corners, clean = corner_weights(values), corner_weights(base)
        gap = (envelope(candidates, corners) - envelope(values, corners)).max()
        expected = (envelope(candidates, clean) - envelope(base, clean)).max()
        assert math.isclose(gap, expected, abs_tol=1e-9)


@pytest.mark.parametrize("unit", [5e-324, 1e-310, 1e-300, 1e300])
def test_corners_of_values_of_any_magnitude(unit):
    """Below 1e-308 dividing by the spread once gave weights that are no numbers."""
    values = np.array([[4.0, 0.0], [0.0, 4.0], [3.0, 3.0]])
    assert np.allclose(corner_weights(values * unit), corner_weights(values), atol=1e-12)
    mixed = corner_weights(values * [unit, 1.0])
    assert np.all(np.isfinite(mixed))
    assert np.allclose(mixed.sum(axis=1), 1)
