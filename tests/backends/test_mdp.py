"""MDP solvers against each other, brute force over policies, and simulation-free recursion."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from backends.mdp import MDPBackend
from palm_theory import UniformGrid, build_portfolio
from palm_theory.bounds import EXACT
from palm_theory.certify.audit import audit
from palm_theory.certify.certificate import Kind
from palm_theory.contract.backend import Power, Status
from palm_theory.contract.calls import solve, upper_bound_at
from palm_theory.errors import InputError
from palm_theory.testing import check_conformance
from tests.helpers.exact_optima import ExactProcess
from tests.helpers.instances import portfolio_values, random_mdp, random_mdp_arrays, rng_of, seeds, simplex_points

discounts = st.sampled_from([0.0, 0.5, 0.9, 0.99])


def all_rules(states: int, actions: int):
    for choice in itertools.product(range(actions), repeat=states):
        rule = np.zeros((states, actions))
        rule[range(states), choice] = 1
        yield rule


def truncated_return(arrays, rule, w, discount, steps):
    """Expected discounted reward by pushing the state distribution forward."""
    transitions, rewards, initial, _ = arrays
    total, distribution = 0.0, initial
    for t in range(steps):
        joint = distribution[:, None] * rule
        total += discount**t * float((joint * (rewards @ w)).sum())
        distribution = np.einsum("sa,sat->t", joint, transitions)
    return total


@settings(max_examples=12)
@given(seeds, st.integers(2, 3), st.sampled_from(["policy-iteration", "value-iteration", "linear-program"]))
def test_conformance_of_plain_solvers(seed, d, method):
    check_conformance(random_mdp(seed, d=d, method=method), weights=3).raise_on_failure()


@settings(max_examples=12)
@given(seeds, st.integers(2, 3), st.sampled_from(["policy-iteration", "value-iteration"]), st.sampled_from([0.05, 2.0]))
def test_conformance_of_soft_solvers(seed, d, method, beta):
    check_conformance(random_mdp(seed, d=d, beta=beta, method=method), weights=3).raise_on_failure()


@settings(max_examples=12)
@given(seeds, st.integers(2, 3), st.sampled_from([0.0, 0.3]), st.integers(1, 4), st.sampled_from([0.7, 1.0]))
def test_conformance_of_finite_horizons(seed, d, beta, horizon, discount):
    check_conformance(
        random_mdp(seed, d=d, beta=beta, horizon=horizon, discount=discount), weights=3
    ).raise_on_failure()


@settings(max_examples=15)
@given(seeds, st.integers(2, 3), discounts)
def test_plain_solvers_agree_with_brute_force_over_policies(seed, d, discount):
    arrays = random_mdp_arrays(seed, d=d, states=3, actions=3)
    transitions, rewards, initial, _ = arrays
    mdps = [
        MDPBackend(transitions, rewards, initial, discount=discount, method=method)
        for method in ("policy-iteration", "value-iteration", "linear-program")
    ]
    for w in simplex_points(d, 2, seed)[: d + 2]:
        step = rewards @ w
        best = max(
            float(
                initial
                @ np.linalg.solve(
                    np.eye(3) - discount * np.einsum("sa,sat->st", rule, transitions), (rule * step).sum(axis=1)
                )
            )
            for rule in all_rules(3, 3)
        )
        for mdp in mdps:
            solution = solve(mdp, w)
            assert math.isclose(solution.value.scalarize(w), best, abs_tol=1e-9 * mdp.reward_max)
            assert solution.upper_bound >= best - 1e-12 * mdp.reward_max
            assert solution.upper_bound <= best + 1e-9 * mdp.reward_max
            assert solution.status is Status.OPTIMAL


@settings(max_examples=15)
@given(seeds, discounts)
def test_the_optimum_is_that_of_the_dual_program_over_occupancies(seed, discount):
    transitions, rewards, initial, _ = random_mdp_arrays(seed, d=2)
    mdp = MDPBackend(transitions, rewards, initial, discount=discount)
    states, actions, _ = rewards.shape
    w = rng_of(seed).dirichlet(np.ones(2))
    flow = np.repeat(np.eye(states), actions, axis=0).T - discount * transitions.reshape(-1, states).T
    program = linprog(-(rewards @ w).ravel(), A_eq=flow, b_eq=initial, bounds=(0, None))
    assert math.isclose(mdp.optimal_value(w), -program.fun, rel_tol=1e-7)


@given(seeds, st.integers(1, 3), st.sampled_from([0.0, 0.3]))
def test_values_are_the_discounted_sums(seed, d, beta):
    arrays = random_mdp_arrays(seed, d=d)
    transitions, rewards, initial, reference = arrays
    mdp = MDPBackend(transitions, rewards, initial, discount=0.8, beta=beta, reference=reference)
    rule = rng_of(seed).dirichlet(np.ones(3), 4)
    value = mdp.evaluate(rule)
    for i in range(d):
        assert math.isclose(value.rewards[i], truncated_return(arrays, rule, np.eye(d)[i], 0.8, 200), abs_tol=1e-9)
    kl = (rule * np.log(rule / reference)).sum(axis=1)
    as_reward = (transitions, np.repeat(kl[:, None, None], 3, axis=1), initial, reference)
    assert math.isclose(value.regularizer, beta * truncated_return(as_reward, rule, np.ones(1), 0.8, 200), abs_tol=1e-9)


@settings(max_examples=15)
@given(seeds, st.integers(1, 2), st.sampled_from([0.05, 1.0, 20.0]), discounts)
def test_soft_solvers_agree_and_no_policy_beats_them(seed, d, beta, discount):
    rng = rng_of(seed)
    transitions, rewards, initial, reference = random_mdp_arrays(seed, d=d)
    exact, iterated = (
        MDPBackend(transitions, rewards, initial, discount=discount, beta=beta, reference=reference, method=method)
        for method in ("policy-iteration", "value-iteration")
    )
    w = rng.dirichlet(np.ones(d))
    unit = exact.reward_max + beta
    a, b = solve(exact, w), solve(iterated, w)
    assert math.isclose(a.value.scalarize(w), b.value.scalarize(w), abs_tol=1e-9 * unit)
    assert a.upper_bound >= b.value.scalarize(w) - 1e-12 * unit
    assert b.upper_bound >= a.value.scalarize(w) - 1e-12 * unit
    for _ in range(20):
        mixed = 0.9 * a.policy + 0.1 * rng.dirichlet(np.ones(3), 4)
        assert exact.evaluate(mixed).scalarize(w) <= a.value.scalarize(w) + 1e-11 * unit


@settings(max_examples=15)
@given(seeds, st.sampled_from([0.05, 0.5]))
def test_the_soft_gap_is_the_discounted_kl_to_the_optimum(seed, beta):
    transitions, rewards, initial, reference = random_mdp_arrays(seed, d=2)
    mdp = MDPBackend(transitions, rewards, initial, discount=0.8, beta=beta, reference=reference)
    rng = rng_of(seed)
    w = rng.dirichlet(np.ones(2))
    best, rule = mdp.optimize(w).policy, rng.dirichlet(np.ones(3), 4)
    kl = (rule * np.log(rule / best)).sum(axis=1)
    as_reward = (transitions, np.repeat(kl[:, None, None], 3, axis=1), initial, reference)
    gap = mdp.optimal_value(w) - mdp.evaluate(rule).scalarize(w)
    assert math.isclose(gap, beta * truncated_return(as_reward, rule, np.ones(1), 0.8, 200), abs_tol=1e-6)


@settings(max_examples=10)
@given(seeds, st.integers(1, 2))
def test_soft_iteration_tends_to_plain_policy_iteration(seed, d):
    transitions, rewards, initial, reference = random_mdp_arrays(seed, d=d)
    w = rng_of(seed).dirichlet(np.ones(d))
    plain = MDPBackend(transitions, rewards, initial, discount=0.8).optimal_value(w)
    last = math.inf
    for beta in (1.0, 0.1, 0.01, 1e-4):
        soft = MDPBackend(transitions, rewards, initial, discount=0.8, beta=beta, reference=reference)
        gap = plain - soft.optimal_value(w)
        assert -1e-10 <= gap <= min(last, soft.regularizer_max) + 1e-10
        last = gap


@settings(max_examples=15)
@given(seeds, st.integers(1, 2), st.integers(1, 3), st.sampled_from([0.6, 1.0]))
def test_finite_horizons_agree_with_brute_force(seed, d, horizon, discount):
    transitions, rewards, initial, _ = random_mdp_arrays(seed, d=d, states=2, actions=2)
    mdp = MDPBackend(transitions, rewards, initial, discount=discount, horizon=horizon)
    w = rng_of(seed).dirichlet(np.ones(d))
    best = -math.inf
    for rules in itertools.product(list(all_rules(2, 2)), repeat=horizon):
        total, distribution = 0.0, initial
        for t, rule in enumerate(rules):
            joint = distribution[:, None] * rule
            total += discount**t * float((joint * (rewards @ w)).sum())
            distribution = np.einsum("sa,sat->t", joint, transitions)
        best = max(best, total)
    solution = solve(mdp, w)
    assert math.isclose(solution.value.scalarize(w), best, abs_tol=1e-12)
    assert math.isclose(solution.upper_bound, best, abs_tol=1e-12)
    assert solution.policy.shape == (horizon, 2, 2)


@settings(max_examples=10)
@given(seeds, st.sampled_from([0.0, 0.2]))
def test_a_long_horizon_tends_to_the_discounted_problem(seed, beta):
    transitions, rewards, initial, reference = random_mdp_arrays(seed, d=2)
    w = rng_of(seed).dirichlet(np.ones(2))
    options = {"discount": 0.7, "beta": beta, "reference": reference}
    endless = MDPBackend(transitions, rewards, initial, **options)
    long = MDPBackend(transitions, rewards, initial, horizon=120, **options)
    assert math.isclose(endless.optimal_value(w), long.optimal_value(w), abs_tol=1e-10)


@settings(max_examples=10)
@given(seeds, st.integers(2, 3), st.sampled_from([0.0, 0.2]), st.sampled_from([1e-3, 1e-12]))
def test_value_iteration_certificates_hold_against_the_exact_optimum(seed, d, beta, tolerance):
    transitions, rewards, initial, reference = random_mdp_arrays(seed, d=d)
    options = {"discount": 0.8, "beta": beta, "reference": reference}
    exact = MDPBackend(transitions, rewards, initial, **options)
    rough = MDPBackend(transitions, rewards, initial, method="value-iteration", tolerance=tolerance, **options)
    values = portfolio_values(rough, np.eye(d))
    truth, certificate = audit(values, exact), audit(values, rough)
    assert certificate.kind in (Kind.EXACT, Kind.BOUNDED)
    assert certificate.epsilon >= truth.epsilon - 1e-10
    assert certificate.epsilon <= truth.epsilon + 10 * tolerance + 1e-9
    for row in simplex_points(d, 3, seed):
        solution = rough.optimize(row)
        upper = upper_bound_at(solution, row, rough.oracle_error)
        optimum = exact.optimal_value(row)
        assert solution.value.scalarize(row) - 1e-12 <= optimum <= upper + 1e-11
        assert upper - solution.value.scalarize(row) <= 2 * tolerance * rough.reward_max + 1e-12


def close_calls(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Staying put or moving on, for rewards that differ by 1e-9 .. 1e-3 relative: with a discount near 1, gains of one
    step within rounding add up."""
    rng = rng_of(seed)
    transitions = np.zeros((3, 2, 3))
    for s in range(3):
        transitions[s, 0, s] = 1.0
        transitions[s, 1] = rng.dirichlet(np.full(3, 0.3))
    rewards = 1 - 10.0 ** rng.uniform(-9, -3) * rng.random((3, 2, 1))
    return transitions, rewards, rng.dirichlet(np.ones(3))


@settings(max_examples=25)
@given(
    seeds,
    st.sampled_from([0.9, 0.999, 0.9999, 0.99999, 0.999999]),
    st.sampled_from(["policy-iteration", "linear-program"]),
    st.sampled_from([0.0, 1e-4, 1.0]),
)
def test_claims_hold_for_patient_agents_and_close_calls(seed, discount, method, beta):
    if beta > 0:
        method = "policy-iteration"
    arrays = close_calls(seed)
    mdp = MDPBackend(*arrays, discount=discount, method=method, beta=beta)
    w = np.ones(1)
    solution = solve(mdp, w)
    # With beta > 0 a rule's KL is paid too; the best deterministic rule is then only a lower bound on J*.
    best = max(mdp.evaluate(rule).scalarize(w) for rule in all_rules(3, 2))
    upper = upper_bound_at(solution, w, mdp.oracle_error)
    reached = solution.value.scalarize(w)
    assert reached >= best * (1 - 1e-14)
    assert best * (1 - 1e-14) <= upper <= reached * (1 + 1e-12)
    assert Power.OPTIMAL_VALUE in mdp.powers
    assert mdp.oracle_error == EXACT
    assert mdp.optimal_bracket(w) == (reached, solution.upper_bound)


def test_patient_agents_take_gains_that_are_lost_in_rounding_at_every_step():
    """At a discount of 0.999999, gains of one step too small for float64 beside V add up to more than 1e-9·J*."""
    for seed in range(60):
        transitions, rewards, initial = close_calls(seed)
        mdp = MDPBackend(transitions, rewards, initial, discount=0.999999)
        low, high = ExactProcess(transitions, rewards, initial, np.full((3, 2), 0.5), 0.999999, 0.0).bracket(np.ones(1))
        solution = solve(mdp, np.ones(1))
        assert math.isclose(solution.value.rewards[0], low, rel_tol=1e-14)
        assert high * (1 - Fraction(1, 10**15)) <= Fraction(solution.upper_bound) <= high * (1 + Fraction(1, 10**12))


ISSUE = (
    [[[0.5, 0.5, 0], [1, 0, 0]], [[0.25, 0.5, 0.25], [1, 0, 0]], [[1 / 3, 2 / 3, 0], [1 / 3] * 3]],
    np.array([[[1.0, 0], [2, 1]], [[1, 2], [2, 2]], [[2, 1], [0, 2]]]) * [1e6, 1],
    [1.0, 0.0, 0.0],
)
"""Rewards of two magnitudes: what rounding is to the first objective is all that the second has."""


def test_each_weight_is_solved_relative_to_its_own_rewards():
    mdp = MDPBackend(*ISSUE, discount=0.999, beta=0.01)
    truth = ExactProcess(*(np.asarray(a) for a in ISSUE), np.full((3, 2), 0.5), 0.999, 0.01)
    w = np.array([0.0, 1.0])
    assert math.isclose(mdp.optimal_value(w), 1285.553339879392, rel_tol=1e-14)
    certificate = build_portfolio(mdp, UniformGrid(1), progress=False).certificate
    one = audit([mdp.optimize(np.array([1.0, 0.0])).value], mdp)
    for claim, policies in ((certificate, np.eye(2)), (one, np.eye(2)[:1])):
        values = [mdp.optimize(row).value for row in policies]
        for row in [*np.eye(2), [0.5, 0.5], [1e-6, 1 - 1e-6], claim.worst_weight]:
            low, _ = truth.bracket(np.asarray(row))
            best = max(value.scalarize(row) for value in values)
            assert best >= (1 - claim.epsilon - 1e-12) * float(low)
            assert mdp.optimal_bracket(np.asarray(row))[1] >= low
    assert one.epsilon > 0.002


def test_states_that_nothing_leads_to_count_for_nothing():
    """Wait for 0.05 a step, or go where a step pays 0.1; a third state pays 1e13."""
    transitions = np.zeros((3, 2, 3))
    transitions[0, 0, 0] = transitions[0, 1, 1] = transitions[1, :, 1] = transitions[2, :, 2] = 1
    rewards = np.array([[[0.05], [0.0]], [[0.125], [0.125]], [[1e13], [1e13]]])
    for options in ({}, {"method": "linear-program"}, {"method": "value-iteration"}, {"beta": 1e-9}, {"horizon": 200}):
        mdp = MDPBackend(transitions, rewards, np.eye(3)[0], discount=0.875, **options)
        solution = mdp.optimize(np.ones(1))
        assert math.isclose(solution.value.rewards[0], 0.875, rel_tol=1e-7)
        assert math.isclose(solution.upper_bound, solution.value.scalarize([1.0]), rel_tol=1e-11)
        # A policy has a rule for every state all the same.
        assert np.allclose(solution.policy[..., 2, :], 0.5)
        assert mdp.evaluate(solution.policy).same_numbers(solution.value)


def test_with_a_regulariser_only_the_reference_s_actions_lead_anywhere():
    transitions = np.zeros((2, 2, 2))
    transitions[0, 0, 0] = transitions[0, 1, 1] = transitions[1, :, 1] = 1
    rewards = np.array([[[0.0, 1.0]] * 2, [[1e9, 0.0]] * 2])
    reference = [[1.0, 0.0], [0.5, 0.5]]
    soft = MDPBackend(transitions, rewards, [1.0, 0.0], discount=0.5, beta=1.0, reference=reference)
    assert soft.optimal_bracket(np.array([1.0, 0.0])) == (0.0, 0.0)
    assert soft.optimal_bracket(np.array([0.0, 1.0]))[0] == 2.0
    plain = MDPBackend(transitions, rewards, [1.0, 0.0], discount=0.5, reference=reference)
    assert plain.optimal_value(np.array([1.0, 0.0])) == 1e9


@pytest.mark.parametrize("method", ["policy-iteration", "value-iteration"])
@pytest.mark.parametrize("beta", [2.8e3, 1e5, 1e8, 1e12])
def test_soft_solves_end_however_large_beta_is(beta, method):
    rng = rng_of(3)
    transitions, rewards, initial, reference = random_mdp_arrays(3, d=2, states=3)
    mdp = MDPBackend(transitions, rewards, initial, discount=0.99, beta=beta, reference=reference, method=method)
    truth = ExactProcess(transitions, rewards, initial, reference, 0.99, beta)
    w = rng.dirichlet(np.ones(2))
    low, high = truth.bracket(w)
    solution = solve(mdp, w)
    assert math.isclose(solution.value.scalarize(w), low, rel_tol=1e-13)
    assert low <= Fraction(solution.upper_bound) <= high * (1 + Fraction(1, 10**11))
    found, right = solution.value, truth.value(solution.policy)
    assert np.allclose(found.rewards, [float(x) for x in right[0]], rtol=1e-14)
    assert math.isclose(found.regularizer, right[1], abs_tol=1e-14 * float(low))


def test_a_discount_that_rounding_makes_one_is_refused():
    rows = np.full((1, 1, 1), 1 + 1e-10)
    with pytest.raises(InputError, match="too close to 1"):
        MDPBackend(rows, np.ones((1, 1, 1)), [1.0], discount=1 - 1e-12)


@given(
    seeds,
    st.sampled_from([1e-9, 1e9]),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from(["policy-iteration", "value-iteration", "linear-program"]),
)
@settings(max_examples=15)
def test_units_scale_out(seed, unit, beta, method):
    beta = 0.0 if method == "linear-program" else beta
    transitions, rewards, initial, reference = random_mdp_arrays(seed, d=2)
    w = rng_of(seed).dirichlet(np.ones(2))
    plain, scaled = (
        MDPBackend(transitions, rewards * u, initial, discount=0.8, beta=beta * u, reference=reference, method=method)
        for u in (1.0, unit)
    )
    a, b = solve(plain, w), solve(scaled, w)
    assert math.isclose(a.value.scalarize(w) * unit, b.value.scalarize(w), rel_tol=1e-9)
    assert a.status is b.status is Status.OPTIMAL


def test_ties_do_not_make_policy_iteration_cycle():
    mdp = MDPBackend(np.full((3, 4, 3), 1 / 3), np.ones((3, 4, 2)), np.ones(3) / 3, discount=0.99)
    assert math.isclose(mdp.optimal_value(np.array([0.5, 0.5])), 100.0, rel_tol=1e-9)


ARRAYS = (np.full((2, 2, 2), 0.5), np.ones((2, 2, 1)), np.array([0.5, 0.5]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transitions": np.full((2, 2, 3), 1 / 3)}, "transitions must have shape"),
        ({"transitions": np.full((2, 2, 2), 0.4)}, "transitions must be"),
        ({"rewards": -np.ones((2, 2, 1))}, "rewards must be >= 0"),
        ({"rewards": np.ones((2, 2))}, "rewards must have shape"),
        ({"initial": [1.0, 0.5]}, "initial"),
        ({"discount": 1.0}, r"discount must lie in \[0, 1\) without a horizon"),
        ({"discount": -0.1}, "discount"),
        ({"discount": math.nan}, "discount"),
        ({"discount": 1.1, "horizon": 3}, "discount"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": 2.5}, "horizon"),
        ({"horizon": True}, "horizon"),
        ({"method": "guess"}, "method"),
        ({"method": "linear-program", "beta": 0.1}, "linear program"),
        ({"method": "linear-program", "horizon": 3}, "linear program"),
        ({"beta": -1.0}, "beta"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"reference": np.ones((2, 2))}, "reference"),
        ({"objectives": ["a", "b"]}, "1 distinct names"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    transitions, rewards, initial = ARRAYS
    arguments = {"transitions": transitions, "rewards": rewards, "initial": initial, "discount": 0.9, **change}
    with pytest.raises(InputError, match=message):
        MDPBackend(**arguments)


def test_bad_policies_are_refused():
    mdp = MDPBackend(*ARRAYS, discount=0.9, horizon=2)
    with pytest.raises(InputError, match="policy must have shape"):
        mdp.evaluate(np.full((2, 2), 0.5))
    regularized = MDPBackend(*ARRAYS, discount=0.9, beta=1.0, reference=[[1.0, 0.0], [0.5, 0.5]])
    with pytest.raises(InputError, match="KL is infinite"):
        regularized.evaluate([[0.0, 1.0], [0.5, 0.5]])
