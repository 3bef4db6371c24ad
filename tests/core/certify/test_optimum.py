"""One answer to what is known of J*: audits, routes, reports and figures are held against each other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.bandit import BanditBackend
from backends.table import TableBackend
from palm_theory import Adaptive, Certificate, Kind, Portfolio, UniformGrid, Value, audit, build_portfolio
from palm_theory.certify.audit import best_known, certify
from palm_theory.certify.optimum import Asked, Certified, Finite, Knowledge, Paired, Predicted, Solved, Unknown
from palm_theory.contract.backend import Power
from palm_theory.errors import InputError
from palm_theory.geometry.hull import UpperHull
from palm_theory.geometry.sandwich import SolvedWeights, weight_keys
from palm_theory.serving.routing import RoutingTable
from palm_theory.traffic.drift import known_optimum
from tests.helpers.instances import rng_of, seeds, simplex_points

BANDIT = BanditBackend(rng_of(3).random((4, 9, 3)), beta=0.05)
BUILT = build_portfolio(BANDIT, Adaptive(epsilon=0.03), progress=False)
POINTS = simplex_points(3, 12, 0)


def untrained(portfolio: Portfolio) -> Portfolio:
    """The same policies, for which nobody knows where they were trained: what is left is the certificate."""
    members = tuple(replace(member, weights=None) for member in portfolio)
    return replace(portfolio, members=members)


CLAIMS = {
    "epsilon and additive gap": Certificate(0.1, 0.02, np.eye(3)[0], Kind.EXACT, additive_gap=0.1),
    "no epsilon, an additive gap": Certificate(math.inf, 0.0, np.eye(3)[0], Kind.EXACT, additive_gap=0.1),
    "epsilon only": Certificate(0.1, 0.02, np.eye(3)[0], Kind.BOUNDED),
    "all is lost somewhere": Certificate(1.0, 0.0, np.eye(3)[0], Kind.EXACT, additive_gap=0.4),
    "nothing": Certificate(math.inf, 0.0, None, Kind.UNKNOWN),
    "sampled": Certificate(0.1, 0.0, np.eye(3)[0], Kind.SAMPLED, additive_gap=0.1),
    "over a few rivals": Certificate(0.1, 0.0, np.eye(3)[0], Kind.EXACT, additive_gap=0.1, reference="the 4 solved"),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_router_and_the_report_of_traffic_bound_the_same(claim):
    portfolio = untrained(BUILT).with_certificate(CLAIMS[claim])
    certified = portfolio.certified_optimum()
    bounds, lower = certified.upper(POINTS), portfolio.best_value(POINTS)
    report = known_optimum(portfolio, POINTS)
    for row, bound, low, told in zip(POINTS, bounds, lower, report.upper, strict=True):
        routed = RoutingTable(portfolio).route(row, "body").gap
        assert routed is not None
        assert routed.value == pytest.approx(bound - low)
        assert routed.kind == certified.kind.value
        # A report has to give a number: where nothing bounds J* that is R_max.
        assert told == pytest.approx(min(bound, BUILT.reward_max) if not certified.kind.is_bound else bound)
    assert (report.kind == "bound") == certified.kind.is_bound


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_and_the_bounds_it_implies_are_one(claim):
    """U is the largest J* that L allows: with more, the claim would be false."""
    certificate = CLAIMS[claim]
    bounds = Certified(BUILT.vertex_values, certificate).upper(POINTS)
    lower = BUILT.best_value(POINTS)
    if not (certificate.is_against_optimum and min(certificate.epsilon, certificate.additive_gap) < math.inf):
        assert np.isinf(bounds).all()
        return
    claims = [(0.0, certificate.additive_gap), (certificate.epsilon, certificate.delta)]
    short = np.stack([(1 - e) * bounds - d - lower for e, d in claims if e < math.inf and d < math.inf])
    assert short.max(axis=0) == pytest.approx(0.0, abs=1e-12)


def test_epsilon_infinite_with_an_additive_gap_bounds_the_optimum():
    """Reports once said inf here where the router said 0.1."""
    portfolio = untrained(BUILT).with_certificate(CLAIMS["no epsilon, an additive gap"])
    assert known_optimum(portfolio, POINTS).upper == pytest.approx(portfolio.best_value(POINTS) + 0.1)
    assert known_optimum(portfolio, POINTS).kind == "bound"


@settings(max_examples=15)
@given(seeds)
def test_whatever_is_called_a_bound_is_one(seed):
    backend = BanditBackend(rng_of(seed).random((3, 6, 3)), beta=0.1)
    portfolio = build_portfolio(backend, UniformGrid(2), progress=False)
    weights = simplex_points(3, 10, seed)
    true = np.array([backend.optimal_value(row) for row in weights])
    solved = SolvedWeights(3)
    for vertex in np.eye(3):
        solved.add(vertex, backend.optimal_value(vertex), backend.optimal_value(vertex))
    family = [
        Asked(backend),
        Solved(solved),
        portfolio.certified_optimum(),
        portfolio.predicted_optimum(),
        Unknown(),
        Finite([Value(row) for row in np.eye(3)], "the 3 specialists", covers_all=False),
    ]
    for known in family:
        upper = known.upper(weights)
        assert upper.shape == (len(weights),)
        assert known.words
        if known.kind.is_bound and known.covers_all:
            assert (upper >= true - 1e-12).all()
    # The bandit is solved exactly, so that here the prediction is a bound too.
    assert (portfolio.predicted_optimum().upper(weights) >= true - 1e-9).all()


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(0, 8), seeds, st.booleans())
def test_the_prediction_is_the_upper_hull_with_the_largest_reward_where_nobody_was_trained(d, n, seed, specialists):
    rng = rng_of(seed)
    values = rng.random((5, d))
    trained = rng.dirichlet(np.ones(d), n + (not specialists))
    points = np.vstack([np.eye(d), trained]) if specialists else trained
    best = (points @ values.T).max(axis=1)
    hull = UpperHull(best[:d] if specialists else np.ones(d))
    for point, value in zip(points, best, strict=True):
        hull.add(point, float(value))
    predicted = Predicted(values, points, 1.0)
    for row in simplex_points(d, 8, seed):
        expected = max(hull(row), float((row @ values.T).max()))
        assert predicted.upper(row[None, :])[0] == pytest.approx(expected, abs=1e-7)


def test_no_weight_is_asked_for_twice():
    asked = Asked(BANDIT)
    assert (asked.upper(POINTS) == asked.upper(POINTS)).all()
    assert asked.calls == len(set(weight_keys(POINTS)))
    assert (asked.reached(POINTS) <= asked.upper(POINTS)).all()


class Backend(BanditBackend):
    """A bandit that has the powers it is given."""

    powers = frozenset()  # pyright: ignore[reportIncompatibleMethodOverride,reportAssignmentType]

    def __init__(self, *powers):
        super().__init__(rng_of(0).random((2, 3, 2)))
        self.powers = frozenset(powers)

    def all_values(self):
        return [Value([0.5, 0.0]), Value([0.0, 0.5])]


def bounded() -> SolvedWeights:
    solved = SolvedWeights(2)
    for vertex in np.eye(2):
        solved.add(vertex, 1.0, 1.0)
    return solved


FOUND = [Value([1.0, 0.0])]
LISTED, TOLD, PAIRED = Power.ALL_VALUES, Power.OPTIMAL_VALUE, Power.PAIRED_VALUES


@pytest.mark.parametrize(
    ("powers", "options", "expected"),
    [
        ([TOLD], {}, Asked),
        ([], {}, Asked),
        ([TOLD, LISTED], {}, Asked),
        ([TOLD, LISTED], {"listed_first": True}, Finite),
        ([TOLD], {"listed_first": True}, Asked),
        ([TOLD, LISTED], {"measured": True}, Finite),
        ([TOLD], {"measured": True}, None),
        ([TOLD], {"measured": True, "found": FOUND}, Finite),
        # After a build nobody is trained for an audit alone.
        ([TOLD], {"found": FOUND, "solved": bounded()}, Asked),
        ([], {"found": FOUND, "solved": bounded()}, Solved),
        ([], {"found": FOUND, "solved": SolvedWeights(2)}, Finite),
        ([LISTED], {"found": FOUND, "solved": SolvedWeights(2)}, Finite),
        ([PAIRED, TOLD, LISTED], {"pairs": lambda: None}, Paired),
        ([PAIRED, TOLD], {}, Asked),
    ],
)
def test_what_an_audit_compares_with(powers, options, expected):
    backend = Backend(*powers)
    if expected is None:
        with pytest.raises(InputError, match="does not list all its values"):
            best_known(backend, **options)
        return
    known = best_known(backend, **{"measured": False, **options})
    assert type(known) is expected
    assert known.covers_all == (expected in (Asked, Solved) or (expected is Finite and LISTED in powers))


def test_a_certificate_says_whose_optimum_it_is_about_and_no_text_is_read_for_it():
    rivals = [Value([1.0, 0.0]), Value([0.0, 1.0])]
    misleading = "all these policies of the backend"
    own = certify(Finite(rivals, misleading, covers_all=False), rivals)
    assert own.reference == misleading
    assert not own.is_against_optimum
    assert not Certificate.from_dict(own.to_dict()).is_against_optimum
    some = certify(Finite(rivals, "the two there are", covers_all=True), rivals)
    assert some.is_against_optimum
    assert Certificate.from_dict(some.to_dict()).is_against_optimum


@pytest.mark.parametrize(
    ("reference", "covers_all"),
    [
        ("all policies of the backend", True),
        ("all 12 policies of the backend", True),
        ("the 4 policies solved", False),
        ("the 4 policies of a reference set", False),
        ("its own members, the base model", False),
    ],
)
def test_a_certificate_stored_before_there_was_a_field_for_it_means_the_same(reference, covers_all):
    stored = audit([Value([1.0])], TableBackend(np.ones((1, 1)))).to_dict() | {"reference": reference}
    assert "covers_all" not in stored
    loaded = Certificate.from_dict(stored)
    assert loaded.covers_all is loaded.is_against_optimum is covers_all
    assert loaded.to_dict() == stored


def test_nothing_is_certified_from_a_prediction():
    for known in (Unknown(), BUILT.predicted_optimum(), BUILT.certified_optimum()):
        with pytest.raises(InputError, match="nothing is certified"):
            certify(known, BUILT.policy_values)


def test_what_measured_values_imply_is_a_prediction():
    table = pd.DataFrame({"x": [0.9, 0.2, 0.6], "e": 0.01, "y": [0.1, 0.8, 0.5]})
    backend = TableBackend(table, objectives=["x", "y"], stderr={"x": "e"})
    portfolio = build_portfolio(backend, UniformGrid(2), progress=False)
    assert portfolio.certificate.is_proof
    assert portfolio.certified_optimum().kind is Knowledge.PREDICTED
    assert best_known(backend, measured=True).kind is Knowledge.PREDICTED
