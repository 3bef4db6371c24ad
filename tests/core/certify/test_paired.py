"""Paired certificates: the statement, the linear program, and how often they hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palm_theory.certify.audit import audit
from palm_theory.certify.certificate import Kind
from palm_theory.certify.paired import _worst, audit_paired
from palm_theory.contract.value import Value
from palm_theory.errors import CertificateError, InputError
from palm_theory.geometry.simplex import sample_dirichlet, simplex_lattice


def measured(rng: np.random.Generator, means: np.ndarray, units: int, own: float = 0.05) -> list[np.ndarray]:
    """Policies of the given means (K, d) on the same units, whose difficulty all policies share."""
    shared = rng.normal(0, 0.3, (units, 1))
    return [mean + shared + rng.normal(0, own, (units, len(mean))) for mean in means]


@given(seed=st.integers(0, 10**6), d=st.integers(1, 4), k=st.integers(1, 4))
def test_the_linear_program_is_the_largest_of_the_smallest(seed: int, d: int, k: int):
    payoffs = np.random.default_rng(seed).normal(size=(2, k, d))
    value, weights = _worst(payoffs)
    assert weights is not None
    lattice = simplex_lattice(d, 24)
    seen = (lattice @ payoffs.transpose(0, 2, 1)).min(axis=-1).max()
    assert value >= seen - 1e-9
    assert value == pytest.approx((payoffs @ weights).min(axis=1).max(), abs=1e-7)


@given(seed=st.integers(0, 10**6), d=st.integers(1, 3))
def test_the_claim_covers_the_measured_gap_everywhere(seed: int, d: int):
    rng = np.random.default_rng(seed)
    values = measured(rng, rng.uniform(0.2, 1, (6, d)), 40)
    certificate = audit_paired(values[:3], values)
    means = np.array([value.mean(axis=0) for value in values])
    table = sample_dirichlet(d, 500, seed=0) @ means.T
    ours, best = table[:, :3].max(axis=1), table.max(axis=1)
    assert certificate.kind is Kind.BOUNDED
    assert (best - ours).max() <= certificate.additive_gap + 1e-9
    if certificate.epsilon <= 1:
        assert np.all(ours >= (1 - certificate.epsilon) * best - 1e-9)


def test_claims_hold_as_often_as_they_say():
    truth = np.array([[0.9, 0.3], [0.35, 0.8], [0.6, 0.62]])
    exact = audit([Value(row, 0.0) for row in truth[:2]], reference=[Value(row, 0.0) for row in truth])
    rng = np.random.default_rng(0)
    trials = [audit_paired(v[:2], v, confidence=0.9) for v in (measured(rng, truth, 30) for _ in range(200))]
    for name, target in (("epsilon", exact.epsilon), ("additive_gap", exact.additive_gap)):
        held = np.mean([getattr(certificate, name) >= target for certificate in trials])
        assert held >= 0.9 - 2 * np.sqrt(0.9 * 0.1 / 200)


def test_pairing_pays_where_units_differ_more_than_policies():
    truth = np.array([[0.9, 0.3], [0.35, 0.8], [0.6, 0.62]])
    values = measured(np.random.default_rng(0), truth, 32)
    paired = audit_paired(values[:2], values)
    unpaired = [Value(v.mean(axis=0), 0.0, v.std(axis=0, ddof=1) / np.sqrt(len(v)), 0.0, len(v)) for v in values]
    plain = audit(unpaired[:2], reference=unpaired)
    assert paired.additive_gap < plain.additive_gap / 2


def test_a_reference_within_the_portfolio_is_no_question():
    values = measured(np.random.default_rng(0), np.array([[0.9, 0.3], [0.3, 0.8]]), 10)
    certificate = audit_paired(values, values[::-1])
    assert certificate.epsilon == certificate.additive_gap == 0
    assert certificate.confidence == 1


def test_equal_numbers_do_not_make_two_policies_one():
    values = measured(np.random.default_rng(0), np.array([[0.9, 0.3], [0.3, 0.8]]), 10)
    with pytest.raises(CertificateError, match="value_range"):
        audit_paired(values, [values[0].copy()])
    certificate = audit_paired(values, [values[0].copy()], value_range=1.0)
    assert certificate.confidence < 1
    assert 0 < certificate.additive_gap < 0.5


def test_a_rare_difference_that_was_not_seen_is_allowed_for():
    """Rewards of 0 or 1 that differ on one unit in twenty: often on none of those that were measured."""
    rng, unseen, held = np.random.default_rng(0), 0, 0
    for _ in range(120):
        ours = np.ones((30, 1))
        ours[rng.random(30) < 0.05] = 0
        certificate = audit_paired([ours], [np.ones((30, 1))], confidence=0.9, value_range=1.0)
        unseen += ours.all()
        held += certificate.additive_gap >= 0.05 or not ours.all()
    assert unseen > 12
    assert held == 120


def test_limits_hold_for_all_the_policies_a_portfolio_was_chosen_from():
    values = measured(np.random.default_rng(0), np.array([[0.9, 0.3], [0.3, 0.8], [0.5, 0.5]]), 30)
    fixed = audit_paired(values[:1], values)
    chosen = audit_paired(values[:1], values, chosen_from=3)
    assert chosen.additive_gap > fixed.additive_gap
    assert audit_paired(values[:1], values, chosen_from=1).additive_gap == fixed.additive_gap


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), exponent=st.sampled_from((-12, -9, -3, 3, 12)))
def test_the_unit_of_the_values_does_not_matter(seed: int, exponent: int):
    rng = np.random.default_rng(seed)
    values = measured(rng, rng.uniform(0.2, 1, (4, 2)), 20)
    scale = 2.0 ** (3 * exponent)
    scaled = [scale * v for v in values]
    first, second = audit_paired(values[:2], values), audit_paired(scaled[:2], scaled)
    assert second.additive_gap == pytest.approx(scale * first.additive_gap, rel=1e-6)
    assert second.epsilon == pytest.approx(first.epsilon, abs=1e-6)


@given(seed=st.integers(0, 10**6))
def test_another_policy_never_worsens_the_measured_claim_of_its_reference(seed: int):
    """More intervals widen each, so only the claim without Bonferroni's split is monotone: at one comparison each."""
    rng = np.random.default_rng(seed)
    values = measured(rng, rng.uniform(0.2, 1, (4, 2)), 200, own=1e-12)
    few, more = audit_paired(values[:2], values), audit_paired(values[:3], values)
    assert more.additive_gap <= few.additive_gap + 1e-9


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_objectives_may_be_reordered(seed: int):
    rng = np.random.default_rng(seed)
    values = measured(rng, rng.uniform(0.2, 1, (5, 3)), 20)
    order = rng.permutation(3)
    reordered = [v[:, order] for v in values]
    first, second = audit_paired(values[:2], values), audit_paired(reordered[:2], reordered)
    assert second.epsilon == pytest.approx(first.epsilon, abs=1e-6)
    assert second.additive_gap == pytest.approx(first.additive_gap, abs=1e-9)


def test_no_epsilon_where_a_policy_may_be_worth_less_than_nothing():
    rng = np.random.default_rng(0)
    values = measured(rng, np.array([[-0.5, -0.5], [0.5, 0.5]]), 30)
    certificate = audit_paired(values[:1], values)
    assert certificate.epsilon == np.inf
    assert not certificate.certifies(0.5)
    assert certificate.additive_gap >= 1.0


@pytest.mark.parametrize(
    ("portfolio", "reference", "confidence", "text"),
    [
        ([], [np.ones((3, 2))], 0.95, "at least one policy"),
        ([np.ones((3, 2))], [], 0.95, "at least one policy"),
        ([np.ones((1, 2))], [np.ones((1, 2))], 0.95, "N >= 2"),
        ([np.ones((3, 2))], [np.ones((4, 2))], 0.95, "same units"),
        ([np.full((3, 2), np.nan)], [np.ones((3, 2))], 0.95, "finite"),
        ([np.ones((3, 2))], [np.ones((3, 2))], 1.0, "confidence"),
    ],
)
def test_bad_arguments(portfolio, reference, confidence: float, text: str):
    with pytest.raises(InputError, match=text):
        audit_paired(portfolio, reference, confidence=confidence)


@pytest.mark.parametrize("delta", [-1.0, np.nan, np.inf])
def test_delta_must_be_a_gap(delta: float):
    with pytest.raises(InputError, match="delta"):
        audit_paired([np.ones((3, 2))], [np.ones((3, 2))], delta=delta)
