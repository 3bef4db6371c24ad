"""Theorems 1″, 1‴ and 2′ against code that does not know their proofs, on the worst instances there are."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from backends.bandit import BanditBackend
from palm_theory.bounds import (
    OracleError,
    theorem1,
    theorem1_double_prime,
    theorem1_prime,
    theorem1_triple_prime,
    theorem2,
    theorem2_prime,
)
from palm_theory.certify.audit import audit
from palm_theory.covers import for_undivided, hybrid_cover
from palm_theory.errors import InputError
from palm_theory.geometry.hybrid import HybridGrid
from palm_theory.geometry.simplex import nearest_lattice_point, simplex_lattice, validate_weights
from palm_theory.geometry.tilt import tilt_loss
from tests.helpers.instances import (
    backends,
    envelope,
    optima,
    portfolio_values,
    random_bandit,
    rng_of,
    seeds,
    simplex_points,
    stacked,
)

mus, tops = st.floats(1e-6, 1.0), st.integers(1, 12)
unit_mus = st.sampled_from([0.1, 0.3, 0.5625, 1.0])


def exact_share(d: int, mu: float) -> Decimal:
    """1/V_d to 50 digits."""
    getcontext().prec = 60
    step = (1 + Decimal(mu)).ln() / d
    return sum(((-k * step).exp() for k in range(d)), Decimal(0)) / d


def exact_tilt(length: float) -> Decimal:
    getcontext().prec = 400
    x = Decimal(length)
    power = x.exp()
    return ((power - 1) / x).ln() - 1 + x / (power - 1)


# ---- the numbers ---------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 12),
    mus,
    tops,
    st.sampled_from([0.0, 0.1, 7.0]),
    st.booleans(),
    st.sampled_from([OracleError(), OracleError(0.05, 0.01), OracleError(0.9, 2.0)]),
)
def test_theorem_1_double_prime_is_its_formula_rounded_up(d, mu, top, f, reference, oracle):
    alpha = HybridGrid.aligned(mu, top).alpha
    bound = theorem1_double_prime(
        d, mu, alpha, reward_max=1.0, regularizer_max=f, has_reference=reference, oracle=oracle
    )
    share, eps0, delta0 = exact_share(d, mu), Decimal(oracle.epsilon), Decimal(oracle.delta)
    reach = min(Decimal(f), 1 + delta0) if reference else Decimal(f)
    epsilon = 1 - (1 - eps0) * share
    delta = delta0 * share + (1 - share) * reach + (d - 1) * Decimal(alpha) * (1 + min(reach, 1 + delta0)) * share / 4
    assert epsilon <= Decimal(bound.epsilon) <= epsilon + Decimal("1e-12")
    assert delta <= Decimal(bound.delta) <= delta * (1 + Decimal("1e-11")) + Decimal(1e-12 * f)
    assert bound.size == (top + 2) ** d - (top + 1) ** d <= bound.size_bound * (1 + 1e-12)
    assert bound.epsilon <= mu * (d - 1) / (2 * d) + oracle.epsilon + 1e-12


@given(st.integers(1, 12), mus, tops, st.sampled_from([0.0, 0.05, 0.5]))
def test_theorem_1_triple_prime_is_its_formula_rounded_up(d, mu, top, eps0):
    alpha = HybridGrid.aligned(mu, top).alpha
    bound = theorem1_triple_prime(d, mu, alpha, oracle=OracleError(eps0, 0.0))
    kept = 1 - Decimal(eps0)
    epsilon = 1 - (kept - (d - 1) * Decimal(alpha) / (4 * kept)) * exact_share(d, mu)
    assert epsilon <= Decimal(bound.epsilon) <= epsilon + Decimal("1e-11")
    assert bound.delta == 0


@given(st.integers(1, 12), mus, tops, st.floats(1e-9, 1e9), st.sampled_from([0.0, 0.3, 30.0]), st.booleans())
def test_theorem_1_double_prime_is_never_worse_than_theorem_1_prime(d, mu, top, reward, share, reference):
    alpha = HybridGrid.aligned(mu, top).alpha
    sharp, plain = (
        theorem(d, mu, alpha, reward_max=reward, regularizer_max=share * reward, has_reference=reference)
        for theorem in (theorem1_double_prime, theorem1_prime)
    )
    assert sharp.size == plain.size
    assert sharp.epsilon <= plain.epsilon
    assert sharp.delta <= plain.delta * (1 + 1e-12)


def test_numbers_worked_by_hand():
    # d = 2, 1 + mu = 25/16: 1/V = (1 + 4/5)/2 = 9/10, alpha = (16/25)^2.
    alpha = HybridGrid.aligned(0.5625, 2).alpha
    bound = theorem1_double_prime(2, 0.5625, alpha, reward_max=1.0, regularizer_max=0.0)
    assert bound.size == 7
    assert math.isclose(bound.epsilon, 0.1, rel_tol=1e-12)
    assert math.isclose(bound.delta, 0.9 * 0.4096 / 4, rel_tol=1e-12)
    with_f = theorem1_double_prime(2, 0.5625, alpha, reward_max=1.0, regularizer_max=0.5)
    assert math.isclose(with_f.delta, 0.9 * 0.4096 * 1.5 / 4 + 0.1 * 0.5, rel_tol=1e-12)
    unknown = theorem1_double_prime(2, 0.5625, alpha, reward_max=1.0, regularizer_max=None, has_reference=True)
    assert math.isclose(unknown.delta, 0.9 * 0.4096 * 2 / 4 + 0.1, rel_tol=1e-12)
    multiplicative = theorem1_triple_prime(2, 0.5625, alpha)
    assert math.isclose(multiplicative.epsilon, 1 - 0.9 * (1 - 0.4096 / 4), rel_tol=1e-12)
    one = theorem1_double_prime(1, 0.5625, alpha, reward_max=1.0, regularizer_max=3.0)
    assert (one.size, one.epsilon, one.delta) == (1, 0.0, 0.0)


def test_alpha_must_be_a_power():
    with pytest.raises(InputError, match=r"the next smaller one is 0\.0390"):
        theorem1_double_prime(3, 0.5, 0.05, reward_max=1.0, regularizer_max=0.0)
    with pytest.raises(InputError, match="alpha"):
        theorem1_triple_prime(3, 0.5, 0.05)
    with pytest.raises(InputError, match="delta = 0"):
        theorem1_triple_prime(3, 1.0, 0.25, oracle=OracleError(0.0, 0.1))
    with pytest.raises(InputError, match="unbounded"):
        theorem1_double_prime(3, 1.0, 0.25, reward_max=1.0, regularizer_max=None)


@given(st.one_of(st.floats(1e-150, 1e-3), st.floats(1e-3, 800.0), st.floats(1e3, 1e300)))
def test_the_tilt_loss_is_its_formula(length):
    if length <= 700 and length >= 1e-80:
        assert math.isclose(tilt_loss(length), float(exact_tilt(length)), rel_tol=4e-15)
    assert tilt_loss(length) <= min(length * length / 8, length) * (1 + 1e-15)
    assert tilt_loss(length) <= tilt_loss(length * (1 + 1e-9))


@settings(max_examples=30)
@given(st.floats(1e-3, 60.0))
def test_the_tilt_loss_is_the_largest_over_two_points(length):
    p = np.linspace(0, 1, 20001)
    two_points = np.log1p(p * math.expm1(length)) - p * length
    best = 1 / length - 1 / math.expm1(length)
    assert two_points.max() <= tilt_loss(length) * (1 + 1e-9) + 1e-15
    attained = math.log1p(best * math.expm1(length)) - best * length
    assert math.isclose(attained, tilt_loss(length), rel_tol=1e-9, abs_tol=1e-14)


def test_the_tilt_loss_at_the_edges():
    assert (tilt_loss(0.0), tilt_loss(math.inf)) == (0.0, math.inf)
    for bad in (-1.0, math.nan):
        with pytest.raises(InputError, match="length"):
            tilt_loss(bad)


@given(st.integers(1, 8), st.integers(1, 40), st.floats(1e-6, 1e6), st.floats(0, 0.5), st.floats(0, 2))
def test_theorem_2_prime_is_never_worse_than_theorem_2(d, n, beta, eps0, delta0):
    oracle = OracleError(eps0, delta0)
    sharp, plain = (theorem(d, n, beta=beta, reward_max=1.0, oracle=oracle) for theorem in (theorem2_prime, theorem2))
    assert (sharp.size, sharp.resolution, sharp.epsilon) == (plain.size, plain.resolution, 0.0)
    assert sharp.delta <= plain.delta * (1 + 1e-12)


def test_theorem_2_prime_for_the_least_regularisation():
    """With β → 0 it is the distance lemma, where Theorem 2's square grows without bound."""
    bound = theorem2_prime(3, 10, beta=5e-324, reward_max=1.0)
    assert math.isclose(bound.delta, 2 * 1 * 2 / (3 * 10), rel_tol=1e-12)


# ---- Theorem 1″ on instances ---------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(backends(), unit_mus, st.integers(1, 3), seeds)
def test_theorem_1_double_prime_holds_for_the_full_cover(backend, mu, top, seed):
    d = len(backend.objectives)
    alpha = HybridGrid.aligned(mu, top).alpha
    promise = theorem1_double_prime(
        d,
        mu,
        alpha,
        reward_max=backend.reward_max,
        regularizer_max=backend.regularizer_max,
        has_reference=backend.has_reference,
    )
    values = portfolio_values(backend, hybrid_cover(d, mu, alpha))
    weights = simplex_points(d, 30, seed)
    slack = 1e-9 * backend.reward_max
    shortfall = (1 - promise.epsilon) * optima(backend, weights) - envelope(stacked(values), weights)
    assert shortfall.max() <= promise.delta + slack
    assert audit(values, backend, epsilon=promise.epsilon).delta <= promise.delta + slack


@settings(max_examples=120)
@given(
    st.integers(1, 4),
    st.integers(1, 30),
    seeds,
    st.floats(0.01, 1.0),
    st.integers(1, 4),
    st.one_of(st.just(0.0), st.floats(0, 0.9)),
    st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(0, 5)),
    st.booleans(),
)
def test_theorem_1_double_prime_holds_for_the_worst_allowed_oracle(d, n, seed, mu, top, eps0, delta0, with_reference):
    """At each point of a user's chain the oracle returns the policy that is worst for the user among all it may."""
    rng = rng_of(seed)
    rewards, f = rng.random((n, d)), rng.random(n) * rng.choice([0.0, 0.3, 3.0, 30.0])
    if with_reference:
        f[0] = 0.0
    values = rewards - f[:, None]
    grid = HybridGrid.aligned(mu, top)
    promise = theorem1_double_prime(
        d,
        mu,
        grid.alpha,
        reward_max=1.0,
        regularizer_max=float(f.max()),
        has_reference=with_reference,
        oracle=OracleError(eps0, delta0),
    )
    for w in simplex_points(d, 6, seed):
        points, _ = grid.chain(w)
        at_points = points @ values.T
        best = at_points.max(axis=1, keepdims=True)
        target = (1 - eps0) * best - delta0
        if (target > best).any():
            # Where J* < 0 no policy need be within (ε₀, δ₀).
            continue
        allowed = at_points >= target
        reached = np.where(allowed, w @ values.T, np.inf).min(axis=1).max()
        assert (1 - promise.epsilon) * (w @ values.T).max() - reached <= promise.delta + 1e-12


def worst_shortfall(cover: np.ndarray, w: np.ndarray, share: float, *, full_range: bool = False) -> float:
    """The largest ``share``·J*_w − L(w) over *all* problems with f = 0 and rewards in [0, 1], by linear programming.

    Variables: the rewards of the policy that is best at w and of the policy returned at each point of the whole cover,
    and L. Each returned policy is optimal at its point among all of these policies; at w all of them are worth at most
    L. That is all that solving the cover tells. ``full_range``: every objective reaches 1, as Theorem 1‴ asks.
    """
    d, count = len(w), len(cover) + 1
    rows, limits = [], []
    for k, point in enumerate(cover):
        for j in range(count):
            if j != k:
                row = np.zeros((count, d))
                row[j] += point
                row[k] -= point
                rows.append(np.append(row.ravel(), 0.0))
                limits.append(0.0)
        row = np.zeros((count, d))
        row[k] = w
        rows.append(np.append(row.ravel(), -1.0))
        limits.append(0.0)
    lowest = np.zeros((count, d))
    if full_range:
        for i in range(d):
            lowest[(cover[:, i] == 1.0).argmax(), i] = 1.0
    cost = np.zeros((count, d))
    cost[-1] = -w * share
    bounds = [*((low, 1) for low in lowest.ravel()), (0, 1)]
    found = linprog(np.append(cost.ravel(), 1.0), A_ub=np.array(rows), b_ub=limits, bounds=bounds)
    assert found.status == 0
    return -found.fun


def tight_weight(d: int, mu: float) -> np.ndarray:
    """The weights (1+μ)^(−i/d), i < d, normalised: where the cover does worst."""
    v = (1 + mu) ** (-np.arange(d) / d)
    return v / v.sum()


@pytest.mark.parametrize(("d", "mu", "top"), [(2, 1.0, 1), (2, 0.5, 3), (2, 0.1, 2), (3, 1.0, 1), (3, 0.5, 1)])
def test_no_problem_loses_more_than_theorem_1_double_prime_says(d, mu, top):
    grid = HybridGrid.aligned(mu, top)
    cover, share = hybrid_cover(d, mu, grid.alpha), float(exact_share(d, mu))
    delta = theorem1_double_prime(d, mu, grid.alpha, reward_max=1.0, regularizer_max=0.0).delta
    for w in [tight_weight(d, mu), *simplex_points(d, 3, seed=d)]:
        assert worst_shortfall(cover, w, share) <= delta + 1e-9
        assert worst_shortfall(cover, w, share) <= share * sharper_tail((d - 1) * grid.alpha) + 1e-9
        multiplicative = theorem1_triple_prime(d, mu, grid.alpha)
        assert worst_shortfall(cover, w, 1 - multiplicative.epsilon, full_range=True) <= 1e-9


def sharper_tail(a: float) -> float:
    """(√(1+a) − 1)/(√(1+a) + 1), which the text-book has in place of a/4, a = (d−1)α."""
    root = math.sqrt(1 + a)
    return (root - 1) / (root + 1)


@pytest.mark.parametrize("d", [2, 3])
def test_the_sharper_tail_is_attained_by_the_smallest_cover(d):
    """K = 0: the weights that are equal on some objectives and 0 on the others lose (√d − 1)/(√d + 1) and no more."""
    cover = np.array([row for row in itertools.product((0.0, 1.0), repeat=d) if any(row)])
    worst_p = (math.sqrt(d) - 1) / (d - 1)
    losses = []
    for p in (worst_p, 0.1, 0.7, 1.0):
        v = np.append(1.0, np.full(d - 1, p))
        losses.append(worst_shortfall(cover / cover.sum(axis=1, keepdims=True), v / v.sum(), 1.0))
    assert math.isclose(losses[0], sharper_tail(d - 1), rel_tol=1e-9)
    assert max(losses) == losses[0]


def largest_ratio(grid: HybridGrid, w: np.ndarray) -> float:
    """The largest J*_w/L(w) over all problems with f = 0 and rewards ≥ 0: as ``worst_shortfall``, with L = 1."""
    d = len(w)
    cover = hybrid_cover(d, grid.mu, grid.alpha)
    count = len(cover) + 1
    # Sparse rows (k, j): <c_k, R_j - R_k> <= 0, then (k): <w, R_k> <= 1.
    from scipy.sparse import coo_matrix

    row_of, column_of, entries = [], [], []
    pairs = [(k, j) for k in range(len(cover)) for j in range(count) if j != k]
    for number, (k, j) in enumerate(pairs):
        for i in range(d):
            row_of += [number, number]
            column_of += [j * d + i, k * d + i]
            entries += [cover[k, i], -cover[k, i]]
    for k, i in itertools.product(range(len(cover)), range(d)):
        row_of.append(len(pairs) + k)
        column_of.append(k * d + i)
        entries.append(w[i])
    matrix = coo_matrix((entries, (row_of, column_of)), shape=(len(pairs) + len(cover), count * d)).tocsr()
    limits = np.append(np.zeros(len(pairs)), np.ones(len(cover)))
    cost = np.zeros(count * d)
    cost[-d:] = -w
    found = linprog(cost, A_ub=matrix, b_ub=limits, bounds=(0, None))
    assert found.status == 0
    return -found.fun


@pytest.mark.parametrize(
    ("d", "mu", "top"), [(2, 1.0, 1), (2, 0.3, 4), (3, 1.0, 1), (3, 0.25, 2), (4, 1.0, 1), (4, 0.4, 1)]
)
def test_the_constant_of_theorem_1_double_prime_is_attained_and_no_more(d, mu, top):
    """The supremum over all problems, at the worst weight, is V_d to six digits: a linear program over the cover."""
    found = largest_ratio(HybridGrid.aligned(mu, top), tight_weight(d, mu))
    assert math.isclose(found, 1 / float(exact_share(d, mu)), rel_tol=1e-6)


@given(st.integers(2, 6), st.floats(0.05, 1.0), st.integers(1, 3))
def test_the_instance_at_which_theorem_1_double_prime_is_tight(d, mu, top):
    """d specialists and a generalist that no solve of the cover returns, with ties broken against it."""
    if (top + 2) ** d > 20_000:
        top = 1
    grid = HybridGrid.aligned(mu, top)
    q = (1 + mu) ** (np.arange(d) / d)
    specialists, generalist = np.diag(q), q / (1 / q).sum()
    cover = hybrid_cover(d, mu, grid.alpha)
    assert (cover @ generalist <= (cover @ specialists.T).max(axis=1) * (1 + 1e-9)).all()
    w = tight_weight(d, mu)
    ratio = (w @ generalist) / (specialists @ w).max()
    promise = theorem1_double_prime(d, mu, grid.alpha, reward_max=q.max(), regularizer_max=0.0)
    assert math.isclose(1 - 1 / ratio, promise.epsilon, rel_tol=1e-9)


@given(st.integers(1, 5), unit_mus, st.integers(1, 4), seeds)
def test_the_chain_of_a_weight(d, mu, top, seed):
    """At most d points of the cover whose mean is the weight; the mean of the largest raise is at most V_d."""
    grid = HybridGrid.aligned(mu, top)
    levels = grid.values()
    for w in [*simplex_points(d, 6, seed), *grid.round_down(simplex_points(d, 2, seed)), tight_weight(d, mu)]:
        v = w / w.max()
        points, chances = grid.chain(w)
        assert 1 <= len(points) <= d
        assert (chances > 0).all()
        assert math.isclose(chances.sum(), 1.0, abs_tol=1e-12)
        raised = points / points[:, [w.argmax()]]
        assert np.abs(raised[:, :, None] - levels).min(axis=2).max() <= 1e-12
        assert np.allclose(chances @ raised, v, atol=1e-11)
        assert np.allclose(points[-1], grid.round_down(w), atol=1e-15)
        big = v >= grid.alpha
        raises = (raised / np.where(v > 0, v, 1.0))[:, big].max(axis=1)
        assert chances @ raises <= 1 / float(exact_share(d, mu)) + 1e-9


@settings(max_examples=60)
@given(st.integers(2, 4), st.integers(1, 30), seeds, unit_mus, st.integers(1, 3), st.sampled_from([0.0, 0.05, 0.4]))
def test_theorem_1_triple_prime_holds_for_objectives_of_any_scale(d, n, seed, mu, top, eps0):
    """Maxima and solves by an oracle that returns the worst policy for the user among all within ε₀."""
    rng = rng_of(seed)
    rewards = rng.random((n, d)) * 10.0 ** rng.uniform(-6, 6, d)
    reached = [column[column >= (1 - eps0) * column.max()].min() for column in rewards.T]
    grid = HybridGrid.aligned(mu, top)
    promise = theorem1_triple_prime(d, mu, grid.alpha, oracle=OracleError(eps0, 0.0))
    cover = for_undivided(hybrid_cover(d, mu, grid.alpha), reached)
    validate_weights(cover, d)
    scores = cover @ rewards.T
    allowed = scores >= (1 - eps0) * scores.max(axis=1, keepdims=True)
    for w in [*simplex_points(d, 4, seed), *for_undivided(simplex_points(d, 4, seed), reached)]:
        found = np.where(allowed, w @ rewards.T, np.inf).min(axis=1).max()
        assert found >= (1 - promise.epsilon) * (w @ rewards.T).max() * (1 - 1e-12)


@pytest.mark.parametrize("maxima", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, np.inf], [[1.0, 1.0]]])
def test_maxima_must_be_positive(maxima):
    with pytest.raises(InputError, match="maxima"):
        for_undivided(np.eye(2), maxima)


def test_a_grid_without_a_top_of_one_has_no_chain():
    with pytest.raises(InputError, match="aligned"):
        HybridGrid(0.5, 0.05).chain([0.5, 0.5])
    for bad in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="K must be an integer"):
            HybridGrid.aligned(0.5, bad)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="mu"):
        HybridGrid.aligned(1.5, 2)


# ---- Theorem 2′ on instances ---------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(seeds, st.integers(2, 5), st.floats(0.01, 30.0), st.floats(0.1, 5.0))
def test_theorem_2_prime_is_attained_by_two_outcomes(seed, d, beta, reward_max):
    """For every two weights: R_max where the difference is positive; the reference makes π*_w' the worst two points."""
    w, other = rng_of(seed).dirichlet(np.ones(d), 2)
    difference = w - other
    length = reward_max * np.abs(difference).sum() / beta
    assume(1e-3 < length < 300)
    best = 1 / length - 1 / math.expm1(length)
    rewards = reward_max * np.array([difference > 0, difference < 0], dtype=float)
    # π*_w' = (p, 1 − p) is the reference tilted by <w', r>/β.
    tilt = rewards @ other / beta
    reference = np.array([best, 1 - best]) * np.exp(tilt.min() - tilt)
    bandit = BanditBackend(
        rewards[None], beta=beta, reference=(reference / reference.sum())[None], reward_max=reward_max
    )
    policy = bandit.optimize(other)
    loss = bandit.optimal_value(w) - policy.value.scalarize(w)
    assert math.isclose(loss, beta * tilt_loss(length), rel_tol=1e-6, abs_tol=1e-9 * reward_max)


@settings(max_examples=60)
@given(seeds, st.integers(1, 5), st.sampled_from([1e-3, 0.02, 0.1, 1.0, 50.0]), st.booleans())
def test_theorem_2_prime_inequality(seed, d, beta, sparse):
    backend = random_bandit(seed, d=d, beta=beta, sparse_reference=sparse)
    points = simplex_points(d, 6, seed)
    gaps = optima(backend, points)[:, None] - points @ stacked(portfolio_values(backend, points)).T
    lengths = backend.reward_max * np.abs(points[:, None] - points[None]).sum(axis=2) / beta
    assert (gaps <= beta * np.vectorize(tilt_loss)(lengths) + 1e-11 * max(1.0, beta)).all()


@settings(max_examples=30)
@given(seeds, st.integers(1, 4), st.sampled_from([0.005, 0.05, 0.3, 2.0]), st.integers(1, 4))
def test_theorem_2_prime_holds_for_the_lattice(seed, d, beta, n):
    backend = random_bandit(seed, d=d, beta=beta)
    promise = theorem2_prime(d, n, beta=beta, reward_max=backend.reward_max)
    values = portfolio_values(backend, simplex_lattice(d, n))
    assert audit(values, backend, epsilon=0.0).delta <= promise.delta + 1e-12


@settings(max_examples=60)
@given(
    seeds,
    st.integers(1, 4),
    st.sampled_from([0.01, 0.05, 0.5, 2.0]),
    st.integers(1, 4),
    st.floats(0, 0.3),
    st.floats(0, 0.2),
)
def test_theorem_2_prime_holds_for_an_approximate_oracle(seed, d, beta, n, eps0, delta0):
    """Policies pushed away from the optimum at a lattice point, against the user, as far as is allowed."""
    backend = random_bandit(seed, d=d, beta=beta, contexts=1, actions=5)
    rng = rng_of(seed + 7)
    promise = theorem2_prime(d, n, beta=beta, reward_max=backend.reward_max, oracle=OracleError(eps0, delta0))
    for w in simplex_points(d, 6, seed):
        grid = nearest_lattice_point(w, n)
        best = backend.optimize(grid).policy
        target = (1 - eps0) * backend.optimal_value(grid) - delta0
        against = backend.optimize(np.eye(d)[int((w - grid).argmin())]).policy
        for other in (against, rng.dirichlet(np.full(5, 0.3), 1)):
            low, high = 0.0, 1.0
            for _ in range(30):
                middle = (low + high) / 2
                tried = (1 - middle) * best + middle * other
                low, high = (middle, high) if backend.evaluate(tried).scalarize(grid) >= target else (low, middle)
            value = backend.evaluate((1 - low) * best + low * other)
            assert backend.optimal_value(w) - value.scalarize(w) <= promise.delta + 1e-9


def test_the_paper_and_both_primes_stand_side_by_side():
    alpha = HybridGrid.aligned(0.5, 7).alpha
    theorems = (theorem1, theorem1_prime, theorem1_double_prime)
    bounds = [theorem(3, 0.5, alpha, reward_max=1.0, regularizer_max=0.0) for theorem in theorems]
    assert [bound.theorem for bound in bounds] == ["1", "1'", "1''"]
    assert [bound.epsilon for bound in bounds] == sorted((bound.epsilon for bound in bounds), reverse=True)
    assert len({bound.size for bound in bounds}) == 1
