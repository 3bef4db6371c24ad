"""The posterior of a user's weights: against quadrature on the simplex, and where numbers are hard."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palm_theory.errors import InputError
from palm_theory.users.preference import (
    ChoiceModel,
    Comparison,
    Data,
    log_ratio_basis,
    logistic,
    mode,
    posterior,
    weights_of,
)
from tests.helpers.instances import rng_of, seeds

SAMPLES = 4096


def compared(seed: int, d: int, n: int, temperature: float, spread: float = 0.7) -> tuple[list[Comparison], np.ndarray]:
    """Comparisons by a user of the model, and the user's weights."""
    rng = rng_of(seed)
    weights = rng.dirichlet(np.full(d, spread))
    found = []
    for _ in range(n):
        a, b = rng.random((2, d))
        found.append(Comparison(a, b, float(rng.random() < logistic((a - b) @ weights / temperature))))
    return found, weights


def quadrature(comparisons: list[Comparison], model: ChoiceModel, d: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Cell centres of the simplex, d = 2 or 3, and their posterior masses, by the definition of the model."""
    if d == 2:
        first = (np.arange(n) + 0.5) / n
        points = np.column_stack([first, 1 - first])
    else:
        # Both kinds of triangles of the lattice, each by its centroid: equal areas.
        up = [(i + 1 / 3, j + 1 / 3) for i, j in itertools.product(range(n), repeat=2) if i + j < n]
        down = [(i + 2 / 3, j + 2 / 3) for i, j in itertools.product(range(n), repeat=2) if i + j < n - 1]
        two = np.array(up + down) / n
        points = np.column_stack([two, 1 - two.sum(axis=1)])
    log_density = (model.concentration - 1) * np.log(points).sum(axis=1)
    for comparison in comparisons:
        x = points @ np.subtract(comparison.first, comparison.second) / model.temperature
        log_density -= comparison.preferred * np.logaddexp(0, -x) + (1 - comparison.preferred) * np.logaddexp(0, x)
    masses = np.exp(log_density - log_density.max())
    return points, masses / masses.sum()


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize(("temperature", "n"), [(0.1, 0), (0.1, 4), (0.03, 12), (0.002, 10), (10.0, 10)])
@pytest.mark.parametrize("concentration", [1.0, 0.5, 3.0])
def test_the_posterior_is_that_of_quadrature(d, temperature, n, concentration):
    model = ChoiceModel(temperature, concentration)
    comparisons, _ = compared(n + d, d, n, temperature)
    points, masses = quadrature(comparisons, model, d, 20_000 if d == 2 else 350)
    mean = masses @ points
    covariance = (points - mean).T @ ((points - mean) * masses[:, None])
    found = posterior(comparisons, model, d, samples=SAMPLES, seed=1)
    deviation = np.sqrt(np.diag(covariance))
    # Six standard errors of the samples, and the cells' width (which matters at the lowest temperature).
    # After tempering, samples are correlated: a tenth of a standard deviation more.
    slack = 6 / math.sqrt(found.effective_samples) + 0.1 * (found.effective_samples == SAMPLES)
    np.testing.assert_allclose(found.mean, mean, atol=float((slack * deviation).max()) + 2e-3 / 350)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), deviation, rtol=3 * slack + 0.05)


@pytest.mark.parametrize("d", [2, 3])
def test_laplace_is_the_curvature_at_the_mode_and_right_where_data_are_many(d):
    model = ChoiceModel(0.2)
    comparisons, _ = compared(5, d, 400, 0.2, spread=50)
    found = posterior(comparisons, model, d, samples=SAMPLES)
    data = Data.of(comparisons, model, d)
    centre = log_ratio_basis(d).T @ np.log(found.mode)
    np.testing.assert_allclose(weights_of(centre[None, :])[0], found.mode, rtol=1e-9)

    def density(z: np.ndarray) -> float:
        return float(data.log_density((centre + z)[None, :])[0])

    h = 1e-4
    steps = h * np.eye(d - 1)
    hessian = np.array(
        [
            [(density(a + b) - density(a - b) - density(b - a) + density(-a - b)) / (4 * h * h) for b in steps]
            for a in steps
        ]
    )
    np.testing.assert_allclose(np.linalg.inv(found.laplace_covariance), -hessian, rtol=1e-4)
    z = np.log(found.weights) @ log_ratio_basis(d)
    mean = found.masses @ z
    spread = (z - mean).T @ ((z - mean) * found.masses[:, None])
    np.testing.assert_allclose(spread, found.laplace_covariance, rtol=0.25, atol=0.02)


@given(
    seed=seeds, d=st.integers(2, 8), n=st.integers(0, 25), exponent=st.floats(-4, 2), alpha=st.sampled_from([0.3, 1, 4])
)
@settings(max_examples=60)
def test_newton_finds_the_maximum(seed, d, n, exponent, alpha):
    temperature = 10.0**exponent
    comparisons, _ = compared(seed, d, n, temperature)
    data = Data.of(comparisons, ChoiceModel(temperature, alpha), d)
    best = mode(data)
    assert best.min() > 0
    assert best.sum() == pytest.approx(1)
    centre = np.log(best) @ log_ratio_basis(d)
    top = data.log_density(centre[None, :])[0]
    rng = rng_of(seed + 1)
    scales = 10.0 ** rng.uniform(-6, 0.5, (300, 1))
    trials = centre + scales * rng.standard_normal((300, d - 1))
    # The density is concave on the simplex, so the multiplier of the constraint proves a global maximum.
    assert data.log_density(trials).max() <= top + 1e-7 * (1 + abs(top))


def test_equal_rewards_say_nothing():
    model = ChoiceModel(0.1)
    same = Comparison((0.5, 0.2, 0.1), (0.5, 0.2, 0.1), 1)
    np.testing.assert_allclose(posterior([same] * 5, model, 3).mean, posterior([], model, 3).mean, rtol=1e-12)


def test_contradictions_cancel():
    model = ChoiceModel(1e-3)
    a, b = (0.9, 0.1), (0.1, 0.9)
    found = posterior([Comparison(a, b, 1), Comparison(a, b, 0)] * 20, model, 2)
    np.testing.assert_allclose(found.mean, 0.5, atol=1e-3)
    assert np.sqrt(found.covariance[0, 0]) < 0.01


def test_cannot_tell_is_half_a_win_each():
    model = ChoiceModel(0.1)
    a, b = (0.9, 0.1), (0.1, 0.6)
    halves = posterior([Comparison(a, b, 0.5)] * 2, model, 2)
    np.testing.assert_allclose(halves.mode, posterior([Comparison(a, b, 1), Comparison(a, b, 0)], model, 2).mode)


def test_one_objective_is_certain():
    found = posterior([Comparison((0.3,), (0.2,), 1)], ChoiceModel(0.1), 1)
    np.testing.assert_array_equal(found.mean, [1.0])
    np.testing.assert_array_equal(found.interval(), [[1.0, 1.0]])


def test_eight_objectives_with_a_user_at_a_vertex():
    rng = rng_of(0)
    model = ChoiceModel(0.05)
    weights = np.eye(8)[3]
    comparisons = []
    for _ in range(150):
        a, b = rng.random((2, 8))
        comparisons.append(Comparison(a, b, float(rng.random() < logistic((a - b) @ weights / 0.05))))
    found = posterior(comparisons, model, 8)
    assert found.mean[3] > 0.7
    assert found.mode.min() > 0
    assert found.interval()[3, 1] > 0.85


@given(seed=seeds, d=st.integers(2, 5), exponent=st.floats(-5.5, 6))
@settings(max_examples=15)
def test_extreme_temperatures_give_finite_answers(seed, d, exponent):
    comparisons, _ = compared(seed, d, 6, 10.0**exponent)
    found = posterior(comparisons, ChoiceModel(10.0**exponent), d, samples=512)
    assert np.isfinite(found.mean).all()
    assert found.masses.sum() == pytest.approx(1)
    interval = found.interval()
    assert np.all(interval[:, 0] <= interval[:, 1])


def test_a_temperature_that_no_double_can_hold_is_refused():
    with pytest.raises(InputError, match="use at least 9e-07"):
        posterior([Comparison((0.9, 0.0), (0.0, 0.9), 1)], ChoiceModel(1e-9), 2)


@pytest.mark.parametrize("seed", range(3))
def test_objectives_may_be_relabelled(seed):
    comparisons, _ = compared(seed, 3, 8, 0.1)
    order = [2, 0, 1]
    relabelled = [
        Comparison([c.first[i] for i in order], [c.second[i] for i in order], c.preferred) for c in comparisons
    ]
    model = ChoiceModel(0.1)
    np.testing.assert_allclose(
        posterior(relabelled, model, 3).mode, posterior(comparisons, model, 3).mode[order], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0.1, 0.2), (0.1,), 1), "2 and 1 rewards"),
        (((0.1, math.nan), (0.1, 0.2), 1), "finite rewards"),
        (((0.1,), (0.2,), 0.7), "preferred must be"),
    ],
)
def test_bad_comparisons_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Comparison(*arguments)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan, "hot", True])
def test_bad_temperatures_are_refused(temperature):
    with pytest.raises(InputError, match="temperature must be"):
        ChoiceModel(temperature)


def test_comparisons_of_another_dimension_are_refused():
    with pytest.raises(InputError, match="comparison 0 has 2 rewards, not 3"):
        posterior([Comparison((0.1, 0.2), (0.2, 0.1), 1)], ChoiceModel(0.1), 3)
