"""Smallest certified subsets against brute force over all subsets."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palm_theory.certify.selection import CoverGraph, best_subset, requirement, smallest_subset
from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.corners import Target
from palm_theory.geometry.envelope import corner_weights
from palm_theory.geometry.local_search import RowWeightingSearch
from tests.helpers.instances import (
    envelope,
    optima,
    portfolio_values,
    random_bandit,
    random_front,
    rng_of,
    seeds,
    simplex_points,
    stacked,
)


def target_of(values, epsilon, delta):
    return requirement(Target(epsilon, delta), lambda weights: envelope(values, weights))


def subset_meets(values, members, epsilon, delta) -> bool:
    """By the corner lemma, on brute-force-checked corners, and by sampling."""
    chosen = values[list(members)]
    weights = np.vstack([corner_weights(chosen), simplex_points(values.shape[1], 30, 0)])
    return bool((envelope(chosen, weights) >= (1 - epsilon) * envelope(values, weights) - delta - 1e-9).all())


def brute_smallest(values, epsilon, delta) -> int:
    for size in range(1, len(values) + 1):
        if any(
            subset_meets(values, members, epsilon, delta)
            for members in itertools.combinations(range(len(values)), size)
        ):
            return size
    raise AssertionError("the whole set meets every target")


@settings(max_examples=30)
@given(
    st.integers(1, 4),
    st.integers(1, 7),
    seeds,
    st.sampled_from([(0.0, 0.0), (0.01, 0.0), (0.1, 0.0), (0.3, 0.0), (0.0, 0.1), (0.1, 0.1), (1.0, 0.0)]),
)
def test_exact_is_smallest_and_greedy_is_right(d, n, seed, target):
    values = random_front(seed, d=d, n=n) + 0.01
    expected = brute_smallest(values, *target)
    exact = smallest_subset(values, target_of(values, *target), method="exact")
    assert exact.size == expected
    assert exact.is_smallest
    assert exact.lower_bound == expected
    assert subset_meets(values, exact.members, *target)
    greedy = smallest_subset(values, target_of(values, *target), method="greedy")
    assert subset_meets(values, greedy.members, *target)
    assert greedy.lower_bound <= expected <= greedy.size
    assert sorted(set(greedy.members.tolist())) == greedy.members.tolist()


@settings(max_examples=5)
@given(st.integers(2, 3), st.integers(10, 30), seeds, st.floats(0.005, 0.1))
def test_larger_sets(d, n, seed, epsilon):
    directions = rng_of(seed).dirichlet(np.ones(d), n)
    values = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    required = target_of(values, epsilon, 0.0)
    exact, greedy = (smallest_subset(values, required, method=method, time_limit=20) for method in ("exact", "greedy"))
    for selection in (exact, greedy):
        assert subset_meets(values, selection.members, epsilon, 0.0)
    assert greedy.lower_bound <= exact.lower_bound <= exact.size <= greedy.size
    assert exact.is_smallest


@settings(max_examples=12)
@given(st.integers(2, 4), st.integers(2, 10), seeds, st.integers(1, 4))
def test_targets_that_are_exactly_tight(d, n, seed, size):
    """The gap of some subset, taken as target, is met with equality at its worst corner; it must be found and end."""
    values = random_front(seed, d=d, n=n) + 0.01
    members = rng_of(seed).choice(n, min(size, n), replace=False)
    corners = corner_weights(values[members])
    epsilon = float((1 - envelope(values[members], corners) / envelope(values, corners)).max())
    for method in ("exact", "greedy"):
        selection = smallest_subset(values, target_of(values, epsilon, 0.0), method=method)
        assert subset_meets(values, selection.members, epsilon, 0.0)
        if method == "exact":
            assert selection.size <= len(members)


@settings(max_examples=8)
@given(seeds, st.integers(2, 3), st.sampled_from([0.05, 0.5]), st.sampled_from([0.005, 0.05]))
def test_subsets_of_a_bandit_are_certified_against_its_true_optimum(seed, d, beta, epsilon):
    backend = random_bandit(seed, d=d, beta=beta)
    values = stacked(portfolio_values(backend, simplex_points(d, 12, seed)))
    required = requirement(Target(epsilon), lambda weights: optima(backend, weights))
    try:
        selection = smallest_subset(values, required)
    except CertificateError:
        corners = corner_weights(values)
        assert (envelope(values, corners) < (1 - epsilon) * optima(backend, corners)).any()
        return
    weights = simplex_points(d, 100, seed)
    assert (envelope(values[selection.members], weights) >= (1 - epsilon) * optima(backend, weights) - 1e-9).all()


def test_duplicates_ties_and_zeros():
    values = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 0.0]])
    for method in ("exact", "greedy"):
        assert smallest_subset(values, target_of(values, 0.0, 0.0), method=method).members.tolist() == [0, 2]
    zeros = np.zeros((3, 2))
    assert smallest_subset(zeros, target_of(zeros, 0.0, 0.0)).size == 1
    one = np.array([[0.3], [0.7], [0.7]])
    assert smallest_subset(one, target_of(one, 0.0, 0.0)).members.tolist() == [1]


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_do_not_matter(unit):
    values = random_front(4, d=3, n=12)
    plain = smallest_subset(values, target_of(values, 0.05, 0.0))
    scaled = smallest_subset(values * unit, target_of(values * unit, 0.05, 0.0))
    assert plain.members.tolist() == scaled.members.tolist()


def test_objectives_of_very_different_scale():
    values = random_front(8, d=3, n=10) + 0.01
    scaled = values * np.array([1e-9, 1.0, 1e9])
    assert (
        smallest_subset(values, target_of(values, 0.05, 0.0)).size
        == smallest_subset(scaled, target_of(scaled, 0.05, 0.0)).size
    )


def test_a_target_nobody_meets_is_refused_with_the_place():
    values = np.eye(2)
    with pytest.raises(CertificateError, match=r"no candidate meets the target at weights .* short"):
        smallest_subset(values, lambda weights: np.full(len(weights), 0.75))


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="method"):
        smallest_subset(np.eye(2), target_of(np.eye(2), 0, 0), method="luck")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="size"):
        best_subset(np.eye(2), lambda w: envelope(np.eye(2), w), 0)


def test_extra_weights_are_taken_into_account():
    values = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.6]])
    selection = smallest_subset(values, target_of(values, 0.3, 0.0), weights=np.array([[0.5, 0.5]]))
    assert subset_meets(values, selection.members, 0.3, 0.0)


def test_a_corner_an_ulp_beside_a_weight_with_a_row_is_that_weight():
    """Else it could fail, be taken for known, and fail again, for ever."""
    values = np.array([[1.0, 0.0], [0.0, 1.0]])
    beside = np.array([[np.nextafter(0.5, 0), np.nextafter(0.5, 1)]])

    def required(weights):
        return np.where((weights == beside).all(axis=1), 0.5, 0.6) * (weights.max(axis=1) < 1)

    graph = CoverGraph(values, required)
    graph.add(beside)
    assert len(graph.failing_corners(np.array([0, 1]))) == 0


@settings(max_examples=10)
@given(st.integers(2, 3), st.integers(3, 8), seeds, st.integers(1, 4))
def test_the_best_subset_of_a_size_is_near_the_best_of_all(d, n, seed, size):
    values = random_front(seed, d=d, n=n) + 0.01

    def worst(members):
        corners = corner_weights(values[list(members)])
        return float((1 - envelope(values[list(members)], corners) / envelope(values, corners)).max())

    chosen = best_subset(values, lambda weights: envelope(values, weights), size)
    assert 1 <= len(chosen) <= size
    best = min(worst(members) for members in itertools.combinations(range(n), min(size, n)))
    assert worst(chosen) >= best - 1e-9
    assert worst(chosen) < 1


@settings(max_examples=25)
@given(seeds, st.integers(2, 30), st.integers(2, 10))
def test_local_search_finds_covers_and_only_covers(seed, rows, columns):
    rng = rng_of(seed)
    matrix = rng.random((rows, columns)) < 0.4
    matrix[np.arange(rows), rng.integers(0, columns, rows)] = True
    smallest = next(
        size
        for size in range(1, columns + 1)
        if any(matrix[:, list(c)].any(axis=1).all() for c in itertools.combinations(range(columns), size))
    )
    search = RowWeightingSearch(matrix, np.arange(columns))
    found = search.find(smallest, 3000)
    assert found is not None
    assert len(found) <= smallest
    assert matrix[:, found].any(axis=1).all()
    if smallest > 1:
        assert RowWeightingSearch(matrix, np.arange(columns)).find(smallest - 1, 200) is None
    more = np.zeros((1, columns), dtype=bool)
    more[0, 0] = True
    search.add_rows(more)
    again = search.find(columns, 500)
    assert again is not None
    assert 0 in again


def test_known_minimum_on_a_circle():
    """Policies one degree apart on a quarter circle: a policy h degrees off is worth cos h of the best, so with h = 5
    each serves ten degrees, and nine serve ninety in one way only."""
    angles = np.radians(np.arange(91))
    values = np.column_stack([np.cos(angles), np.sin(angles)])
    selection = smallest_subset(values, target_of(values, 1 - math.cos(math.radians(5)) + 1e-12, 0.0))
    assert (selection.size, selection.is_smallest) == (9, True)
    assert selection.members.tolist() == list(range(5, 91, 10))
