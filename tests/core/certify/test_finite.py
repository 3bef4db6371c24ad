"""Audits beside finite sets against rational arithmetic: every number, on instances made to break float64."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.exact_audit import KINDS, Instance, instance
from palm_theory import Value, audit
from palm_theory.certify.certificate import Certificate, Kind
from palm_theory.certify.selection import requirement, smallest_subset
from palm_theory.geometry.corners import Target
from palm_theory.geometry.envelope import lower_envelope
from tests.core import exact_audit as exact

instances = st.builds(instance, st.just(11), st.integers(0, 10**6), st.sampled_from(list(KINDS)))


def known_of(found: Instance) -> list[exact.Truth]:
    return exact.truth(found.rows[: found.members], found.rows)


@settings(max_examples=150)
@given(instances, st.sampled_from([None, ("epsilon", 0.0), ("epsilon", 0.1), ("delta", 0.01), ("delta", 0.3)]))
def test_every_number_of_a_certificate_is_right_on_hostile_instances(found, asked):
    """As claims, true without any tolerance; as the least there are, to one unit in the last place."""
    members, known = found.values[: found.members], known_of(found)
    certificate = audit(members, reference=found.values, **dict([asked] if asked else []))
    assert (certificate.kind, certificate.proven, certificate.slack) == (Kind.EXACT, True, 0.0)
    additive = exact.least_delta(known, Fraction(0))
    assert additive <= Fraction(certificate.additive_gap) <= additive * (1 + Fraction(1, 2**52)) + Fraction(1, 2**1074)
    if asked and asked[0] == "epsilon":
        least = exact.least_delta(known, Fraction(asked[1]))
        assert least <= Fraction(certificate.delta) <= least * (1 + Fraction(1, 2**52)) + Fraction(1, 2**1074)
        return
    least = exact.least_epsilon(known, Fraction(certificate.delta))
    if least is None or math.isinf(certificate.epsilon):
        assert least is None
        assert certificate.epsilon == math.inf
        return
    assert least <= Fraction(certificate.epsilon) <= least * (1 + Fraction(1, 2**52)) + Fraction(1, 2**1074)
    assert exact.broken_by(known, Fraction(certificate.epsilon), Fraction(certificate.delta)) <= 0


@settings(max_examples=100)
@given(instances, st.floats(0, 1), st.sampled_from([0.0, 1e-3, 0.1, 1.0]))
def test_certifies_is_true_of_true_claims_only(found, epsilon, extra):
    members, known = found.values[: found.members], known_of(found)
    certificate = audit(members, reference=found.values)
    stored = Certificate.from_dict(certificate.to_dict())
    for one, two in ((epsilon, extra), (certificate.epsilon, extra), (epsilon, certificate.additive_gap + extra)):
        if math.isfinite(one) and certificate.certifies(one, two, within_reference=True):
            assert exact.broken_by(known, Fraction(one), Fraction(two)) <= 0
        assert stored.certifies(one, two, within_reference=True) == certificate.certifies(
            one, two, within_reference=True
        )
        assert not certificate.certifies(one, two)


def beside(ours, *others):
    """The certificate of some policies, (rewards, f) each, beside themselves and others."""
    values = [Value(rewards, f) for rewards, f in (*ours, *others)]
    return audit(values[: len(ours)], reference=values)


@pytest.mark.parametrize("f", [0.0, 1.0, 1e6, 1e12, 1e15])
def test_a_useless_policy_erases_no_gap(f):
    """It was "exact ε = 0" at f = 1e12."""
    certificate = beside([([1.0, 0.0], 0.0), ([0.0, 1.0], 0.0), ([0.0, 0.0], f)], ([0.9, 0.9], 0.0))
    assert certificate.epsilon == pytest.approx(0.4 / 0.9, abs=1e-15)
    assert certificate.additive_gap == pytest.approx(0.4, abs=1e-15)
    assert certificate.worst_weight == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("f", [0.0, 1e12])
def test_a_useless_policy_makes_no_subset_smaller(f):
    """Two rows are needed at ε = 0.01, and one was returned."""
    values = np.array([[1.0, 0.0], [0.0, 1.0], [-f, -f], [0.9, 0.9]])
    required = requirement(Target(0.01), lambda weights: lower_envelope(values, weights).best)
    selection = smallest_subset(values, required)
    assert (selection.members.tolist(), selection.is_smallest) == ([0, 1, 3], True)


@pytest.mark.parametrize(("ours", "best", "expected"), [(1e-6, 3.0, 1 - 1e-6 / 3), (1e-300, 1.0, 1.0), (0.0, 1.0, 1.0)])
def test_an_epsilon_near_one_is_found(ours, best, expected):
    """P = 1e-6 against 3 was "no epsilon <= 1"."""
    certificate = beside([([ours], 0.0)], ([best], 0.0))
    assert certificate.epsilon == pytest.approx(expected, abs=1e-15)
    assert certificate.epsilon <= 1


def test_no_epsilon_is_found_where_the_optimum_is_nothing_and_the_portfolio_is_less():
    """J* = 0 at the middle, the portfolio −2⁻⁶⁰ there: no ε makes that up, and float64 sees no difference."""
    tiny = 2.0**-60
    certificate = beside([([1.0, -1.0], tiny), ([-1.0, 1.0], tiny)], ([0.0, 0.0], 0.0))
    assert certificate.epsilon == math.inf
    assert certificate.additive_gap > 0
    at = certificate.worst_weight
    assert at is not None
    assert at == pytest.approx([0.5, 0.5])


def test_where_the_optimum_is_negative_a_larger_epsilon_claims_more():
    """J* = −0.2 at the first vertex: L = J* is less than 0.9·J* there, so (0.1, 0) was certified and is false."""
    ours = [([0.0, 0.9], 0.2), ([0.0, 1.0], 0.25)]
    certificate = beside(ours)
    assert (certificate.epsilon, certificate.lowest) == (0.0, -0.2)
    assert certificate.certifies(0.0, within_reference=True)
    assert not certificate.certifies(0.1, within_reference=True)
    assert not certificate.certifies(0.1, 0.01, within_reference=True)
    # Between (0, 0) and (1, 0.2) it is linear: at ε = 0.1 δ = 0.02 is needed, and enough.
    assert not certificate.certifies(0.1, 0.0199, within_reference=True)
    assert certificate.certifies(0.1, 0.0201, within_reference=True)
    assert certificate.certifies(1.0, 0.2, within_reference=True)
    assert "lowest" in certificate.to_dict()
    assert "lowest" not in beside([([1.0], 0.0)]).to_dict()


def test_an_exact_certificate_says_in_which_arithmetic():
    values = [Value([1.0, 0.0]), Value([0.0, 1.0])]
    proven = audit(values[:1], reference=values)
    assert str(proven).startswith("exact: J_w >= (1 - 1) ")
    assert Certificate.from_dict(proven.to_dict()).proven
    told = Certificate(0.1, 0.0, np.array([1.0]), Kind.EXACT, additive_gap=0.1)
    assert str(told).startswith("exact to 1e-12: J_w >= (1 - 0.100001) ")
    assert "proven" not in told.to_dict()


@given(st.floats(0, 1), st.floats(0, 1e300))
def test_what_a_certificate_prints_is_no_less_than_what_it_claims(epsilon, delta):
    text = str(Certificate(epsilon, delta, np.array([1.0]), Kind.EXACT, proven=True))
    shown, also = text.split("(1 - ")[1].split(") J*_w - ")
    assert epsilon <= float(shown) <= epsilon * (1 + 2e-5) + 1e-300
    assert delta <= float(also.split(" for every")[0]) <= delta * (1 + 2e-5) + 1e-300
