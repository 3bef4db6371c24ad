"""The sandwich: U >= J* everywhere, tight where solved, and never loosened by more knowledge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from palm_theory.geometry.corners import AdditiveGap, CornerScan, MultiplicativeGap, Target, without_rounding
from palm_theory.geometry.hull import UpperHull
from palm_theory.geometry.sandwich import SolvedWeights, weight_keys
from tests.helpers.instances import backends, envelope, optima, portfolio_values, rng_of, seeds, simplex_points, stacked


def hull_by_program(points: np.ndarray, bounds: np.ndarray, w: np.ndarray) -> float:
    """U(w) by its definition."""
    return float(linprog(bounds, A_eq=points.T, b_eq=w, bounds=(0, None)).fun)


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(0, 12), seeds, st.sampled_from([1e-9, 1.0, 1e9]), st.sampled_from([0.0, 2.0]))
def test_the_upper_hull_is_its_definition_and_at_least_a_convex_optimum(d, n, seed, unit, shift):
    rng = rng_of(seed)
    planes = (rng.random((10, d)) - shift) * unit
    points = np.vstack([np.eye(d), rng.dirichlet(np.ones(d), n)])
    bounds = envelope(planes, points)
    hull = UpperHull(bounds[:d])
    for point, bound in zip(points[d:], bounds[d:], strict=True):
        hull.add(point, float(bound))
    for w in np.vstack([simplex_points(d, 10, seed), points]):
        upper = hull(w)
        assert upper >= envelope(planes, w[None])[0] - 1e-14 * unit * (1 + shift)
        assert math.isclose(upper, hull_by_program(points, bounds / unit, w) * unit, abs_tol=1e-6 * unit)
    for point, bound in zip(points, bounds, strict=True):
        assert math.isclose(hull(point), bound, abs_tol=1e-7 * unit)


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(0, 12), seeds, st.sampled_from([1e-9, 1.0, 1e9]))
def test_the_monotone_hull_is_its_definition_and_lies_between_the_optimum_and_the_hull(d, n, seed, unit):
    rng = rng_of(seed)
    planes = rng.random((10, d)) * (rng.random((10, d)) < 0.7) * unit
    points = np.vstack([np.eye(d), rng.dirichlet(np.ones(d), n)])
    slack = rng.choice([0.0, 0.2]) * rng.random(len(points)) * unit
    bounds = envelope(planes, points) + slack
    plain, monotone = UpperHull(bounds[:d]), UpperHull(bounds[:d], monotone=True)
    for point, bound in zip(points[d:], bounds[d:], strict=True):
        plain.add(point, float(bound))
        monotone.add(point, float(bound))
    for w in np.vstack([simplex_points(d, 10, seed), points]):
        upper = monotone(w)
        assert envelope(planes, w[None])[0] - 1e-14 * unit <= upper <= plain(w) + 1e-9 * unit
        definition = linprog(bounds / unit, A_ub=-points.T, b_ub=-w, bounds=(0, None)).fun * unit
        assert math.isclose(upper, definition, abs_tol=1e-6 * unit)
        if d == 2 and not slack.any():
            assert math.isclose(upper, plain(w), abs_tol=1e-7 * unit)
        plane = monotone.plane(w)
        assert (points @ plane <= bounds + 1e-7 * unit).all()
        assert math.isclose(w @ plane, upper, abs_tol=1e-6 * unit)


def test_the_monotone_hull_closes_more_of_the_sandwich():
    """Policies on a sphere, d ≥ 3: the mean of U − J* falls by a quarter and more."""
    for d in (3, 4):
        plain_gap = monotone_gap = 0.0
        for seed in range(20):
            rng = rng_of(seed)
            planes = rng.random((60, d))
            planes /= np.linalg.norm(planes, axis=1, keepdims=True)
            points = np.vstack([np.eye(d), rng.dirichlet(np.ones(d), 4 * d)])
            bounds = envelope(planes, points)
            hulls = [UpperHull(bounds[:d], monotone=monotone) for monotone in (False, True)]
            for hull in hulls:
                for point, bound in zip(points[d:], bounds[d:], strict=True):
                    hull.add(point, float(bound))
            for w in rng.dirichlet(np.ones(d), 20):
                plain_gap += hulls[0](w) - envelope(planes, w[None])[0]
                monotone_gap += hulls[1](w) - envelope(planes, w[None])[0]
        assert monotone_gap < 0.75 * plain_gap


@settings(max_examples=25)
@given(st.integers(2, 4), seeds)
def test_the_upper_hull_only_falls(d, seed):
    rng = rng_of(seed)
    planes = rng.random((10, d))
    weights = simplex_points(d, 5, seed)
    hull = UpperHull(envelope(planes, np.eye(d)))
    before = np.array([hull(w) for w in weights])
    for point in rng.dirichlet(np.ones(d), 6):
        hull.add(point, float(envelope(planes, point[None])[0]))
        after = np.array([hull(w) for w in weights])
        assert (after <= before + 1e-9).all()
        before = after


@settings(max_examples=25)
@given(st.integers(2, 4), seeds)
def test_the_upper_hull_stays_above_where_scales_differ(d, seed):
    rng = rng_of(seed)
    planes = rng.random((10, d)) * 10.0 ** rng.uniform(-12, 6, d)
    points = np.vstack([np.eye(d), simplex_points(d, 4, seed), rng.dirichlet(np.full(d, 0.05), 6)])
    bounds = envelope(planes, points)
    hull = UpperHull(bounds[:d])
    for point, bound in zip(points[d:], bounds[d:], strict=True):
        hull.add(point, float(bound))
    for w in np.vstack([simplex_points(d, 10, seed + 1), rng.dirichlet(np.full(d, 0.02), 10)]):
        assert hull(w) >= envelope(planes, w[None])[0] * (1 - 1e-13)


@settings(max_examples=25)
@given(backends(), seeds)
def test_solved_weights_bound_every_backend_from_above(backend, seed):
    d = len(backend.objectives)
    solved = SolvedWeights(d)
    weights = np.vstack([np.eye(d), rng_of(seed).dirichlet(np.ones(d), 5)])
    for row, optimum in zip(weights, optima(backend, weights), strict=True):
        solved.add(row, optimum, optimum)
    assert len(solved.unsolved_vertices()) == len(solved.unbounded_vertices()) == 0
    others = simplex_points(d, 10, seed)
    if backend.regularizer_max == 0:
        monotone = SolvedWeights(d, monotone=True)
        for row, upper in zip(solved.weights, solved.upper, strict=True):
            monotone.add(row, upper, upper)
        closer = [monotone.refresh_upper(key, row) for key, row in zip(weight_keys(others), others, strict=True)]
        assert (np.array(closer) >= optima(backend, others) - 1e-12 * backend.reward_max).all()
    bounds = [solved.refresh_upper(key, row) for key, row in zip(weight_keys(others), others, strict=True)]
    assert (np.array(bounds) >= optima(backend, others) - 1e-12 * backend.reward_max).all()


def test_nothing_is_known_before_the_vertices_are():
    solved = SolvedWeights(2)
    w = np.array([0.5, 0.5])
    solved.add(w, 1.0, 1.0)
    other = np.array([0.25, 0.75])
    assert solved.refresh_upper(weight_keys(other[None])[0], other) == math.inf
    solved.add(np.array([1.0, 0.0]), 1.0, 1.0)
    solved.add(np.array([0.0, 1.0]), 1.0, math.inf)
    assert solved.unbounded_vertices().tolist() == [[0.0, 1.0]]
    assert solved.refresh_upper(weight_keys(other[None])[0], other) == math.inf
    solved.add(np.array([0.0, 1.0]), 1.0, 2.0)
    assert len(solved.unbounded_vertices()) == 0
    assert math.isclose(solved.refresh_upper(weight_keys(other[None])[0], other), 1.5)


def test_a_weight_solved_twice_keeps_the_better_of_both():
    solved = SolvedWeights(1)
    solved.add(np.array([1.0]), 1.0, 3.0)
    solved.add(np.array([1.0]), 0.5, 2.0)
    assert (len(solved), solved.reached, solved.upper) == (1, [1.0], [2.0])


@given(st.integers(1, 6), seeds)
def test_keys_tell_weights_apart_and_forgive_an_ulp(d, seed):
    weights = simplex_points(d, 20, seed)
    distinct = np.unique(np.round(weights, 9), axis=0)
    assert len(set(weight_keys(distinct))) == len(distinct)
    third = np.array([[1 / 3, 2 / 3], [np.nextafter(1 / 3, 1), 2 / 3]])
    assert len(set(weight_keys(third))) == 1
    half = np.array([[0.5, 0.5], [np.nextafter(0.5, 0), np.nextafter(0.5, 1)]])
    assert len(set(weight_keys(half))) == 1
    assert len(set(weight_keys(np.array([[0.0, 1.0], [-0.0, np.nextafter(1, 0)]])))) == 1
    assert len(set(weight_keys(np.array([[1e-30, 1.0], [2e-30, 1.0]])))) == 2


# ---- gaps ----------------------------------------------------------------------------------------------------------

# Rounded: a value of -1e-59 beside one of 1 is 0, and no float64 gap tells them apart.
reals = st.floats(-10, 10).map(lambda x: round(x, 9))


@given(reals, reals, st.floats(0, 5))
def test_the_multiplicative_gap_is_the_least_epsilon(upper, lower, delta):
    epsilon = float(MultiplicativeGap(delta).measure(np.array([upper]), np.array([lower]))[0])
    if math.isfinite(epsilon):
        assert 0 <= epsilon <= 1
        assert lower >= (1 - epsilon) * upper - delta - 1e-9
        if epsilon > 1e-6:
            assert lower < (1 - 0.999 * epsilon) * upper - delta + 1e-12
    else:
        assert all(lower < (1 - e) * upper - delta for e in np.linspace(0, 1, 11))


@given(reals, reals, st.floats(0, 1))
def test_the_additive_gap_is_the_least_delta(upper, lower, epsilon):
    delta = float(AdditiveGap(epsilon).measure(np.array([upper]), np.array([lower]))[0])
    assert delta == max((1 - epsilon) * upper - lower, 0.0)


@given(reals, st.floats(0, 5), reals, st.floats(0, 2))
def test_gaps_grow_with_the_upper_bound(upper, more, lower, delta):
    for gap in (MultiplicativeGap(delta), AdditiveGap(0.3)):
        low, high = gap.measure(np.array([upper, upper + more]), np.array([lower, lower]))
        assert low <= high


def test_gaps_at_the_edges():
    upper = np.array([0.0, 0.0, -1.0, 1.0, 1.0, math.inf, -1.0])
    lower = np.array([0.0, -1.0, -2.0, 0.0, -0.5, 0.0, -1.0])
    expected = [0.0, math.inf, math.inf, 1.0, math.inf, math.inf, 0.0]
    assert MultiplicativeGap().measure(upper, lower).tolist() == expected
    assert Target(0.5, 0.1).violation(np.array([1.0]), np.array([0.4])).tolist() == pytest.approx([0.0])


def test_rounding_is_no_gap_but_more_is():
    upper, lower = np.array([1.0, 1.0, 1.0]), np.array([1.0 - 1e-13, 1.0 - 1e-11, 1.0 + 1e-13])
    cleaned = without_rounding(upper, lower, np.full(3, 1e-12))
    assert cleaned.tolist() == [lower[0], 1.0, 1.0]


@settings(max_examples=30)
@given(backends(), seeds)
def test_the_scan_finds_the_worst_corner_by_lazy_evaluation(backend, seed):
    """The lazy search must return what evaluating every corner's bound gives."""
    d = len(backend.objectives)
    rng = rng_of(seed)
    known = np.vstack([np.eye(d), rng.dirichlet(np.ones(d), 3)])
    values = stacked(portfolio_values(backend, known[: rng.integers(1, len(known) + 1)]))
    solved = SolvedWeights(d)
    for row, optimum in zip(known, optima(backend, known), strict=True):
        solved.add(row, optimum, optimum)
    for gap in (MultiplicativeGap(), AdditiveGap(), Target(0.1, 0.0)):
        scan = CornerScan(values, solved)
        worst = scan.worst(gap)
        assert worst is not None
        eager = CornerScan(values, solved)
        for i, row in enumerate(eager.weights):
            if not eager.is_solved[i]:
                eager.upper[i] = solved.refresh_upper(weight_keys(row[None])[0], row)
        assert math.isclose(worst.gap, eager.gaps(gap).max(), rel_tol=1e-9, abs_tol=1e-12 * backend.reward_max)
        assert worst.upper >= backend.optimal_value(worst.weights) - 1e-12 * backend.reward_max
        everything = list(range(len(scan)))
        assert scan.worst(gap, skip=everything) is None
        second = scan.worst(gap, skip=[worst.position])
        assert second is None or second.position != worst.position
        unsolved = scan.worst(gap, unsolved_only=True)
        assert (unsolved is None) == bool(scan.is_solved.all())
        assert unsolved is None or not unsolved.solved
