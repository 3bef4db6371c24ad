"""The decision: argmax w·R − f, its predicted gap, and where weights come from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.bandit import BanditBackend
from backends.table import TableBackend
from palm_theory import Adaptive, Certificate, Portfolio, RandomWeights, build_portfolio
from palm_theory.certify.certificate import Kind
from palm_theory.errors import BackendError, InputError
from palm_theory.geometry.hull import UpperHull
from palm_theory.serving.asking import Asker, policy_names
from palm_theory.serving.errors import ApiError
from palm_theory.serving.routing import RoutingTable
from palm_theory.serving.upstream import UpstreamSettings
from tests.serving.conftest import hand_made

BANDIT = BanditBackend(np.random.default_rng(3).random((4, 9, 3)), beta=0.05)
EXACT = build_portfolio(BANDIT, Adaptive(epsilon=0.03))


@given(st.lists(st.integers(0, 30), min_size=3, max_size=3).filter(any))
def test_the_route_is_the_portfolios_choice_and_its_gap_covers_the_regret(counts: list[int]):
    weights = np.array(counts) / sum(counts)
    table = RoutingTable(EXACT)
    decision = table.route(weights, "body")
    assert decision.policy == EXACT.select(list(weights)).index
    regret = BANDIT.optimal_value(weights) - float(EXACT.best_value(weights))
    # The bandit is solved exactly, so that here the prediction is a bound too.
    assert decision.gap.value >= regret - 1e-12
    assert decision.gap.kind in ("exact", "predicted")
    for policy, value in enumerate(EXACT.values(weights)):
        named = table.named(policy, weights, "policy")
        assert named.gap.value == pytest.approx(decision.gap.value + float(EXACT.best_value(weights) - value))


def test_the_predicted_gap_is_that_of_the_core_s_hull():
    uncertified = EXACT.with_certificate(Certificate(np.inf, 0.0, None, Kind.UNKNOWN))
    table = RoutingTable(uncertified)
    trained = np.stack([member.weights for member in EXACT])
    best = EXACT.best_value(trained)
    hull = UpperHull(np.array([best[(trained == vertex).all(axis=1)][0] for vertex in np.eye(3)]))
    for row, value in zip(trained, best, strict=True):
        hull.add(row, float(value))
    for weights in np.random.default_rng(0).dirichlet(np.ones(3), 200):
        gap = table.route(weights, "body").gap
        assert gap.kind == "predicted"
        assert gap.value == pytest.approx(max(0.0, hull(weights) - float(EXACT.best_value(weights))), abs=1e-9)


def test_ties_go_to_the_lowest_index_and_regularisers_count():
    table = RoutingTable(hand_made([[0.5, 0.5], [0.5, 0.5], [0.9, 0.9]], regularizers=[0.0, 0.0, 0.5]))
    assert table.route(np.array([0.3, 0.7]), "body").policy == 0


def test_a_certificate_against_a_reference_set_bounds_nothing_beyond_it():
    two = [[0.8, 0.2], [0.2, 0.8]]
    certificate = Certificate(0.1, 0.02, None, Kind.BOUNDED, 0.95, reference="the 4 policies solved, the base model")
    gap = RoutingTable(hand_made(two, certificate=certificate)).route(np.array([0.5, 0.5]), "body").gap
    assert (gap.value, gap.kind) == (np.inf, "unknown")
    trained = RoutingTable(hand_made(two, [[1, 0], [0, 1]], certificate=certificate))
    assert trained.route(np.array([0.5, 0.5]), "body").gap.kind == "predicted"


def test_gaps_say_what_they_are():
    weights = np.array([0.5, 0.5])
    two = [[0.8, 0.2], [0.2, 0.8]]
    unknown = RoutingTable(hand_made(two)).route(weights, "body").gap
    assert (unknown.value, unknown.kind) == (np.inf, "unknown")
    predicted = RoutingTable(hand_made(two, [[1, 0], [0, 1]])).route(weights, "body").gap
    assert (predicted.value, predicted.kind) == (pytest.approx(0.3), "predicted")
    certificate = Certificate(0.1, 0.02, None, Kind.BOUNDED)
    bounded = RoutingTable(hand_made(two, certificate=certificate)).route(weights, "body").gap
    # J* <= (0.5 + 0.02)/0.9
    assert (bounded.value, bounded.kind) == (pytest.approx(0.52 / 0.9 - 0.5), "bounded")
    assert RoutingTable(hand_made([[0.7]], [[1.0]])).route(np.array([1.0]), "body").gap.value == 0


def test_no_gap_of_measured_values_is_called_a_bound():
    """J*_w is 0.9 at quality alone. The second policy, worth 0.45, measured much better: its gap is no bound."""
    frame = pd.DataFrame({"quality": [0.9, 0.65], "qe": [0.001, 0.1], "cost": [0.85, 0.9], "ce": 0.001})
    backend = TableBackend(frame, objectives=["quality", "cost"], stderr={"quality": "qe", "cost": "ce"})
    portfolio = build_portfolio(backend, RandomWeights(100, seed=0), progress=False)
    assert portfolio.certificate.is_proof
    assert portfolio.certificate.is_against_optimum
    weights = np.array([1.0, 0.0])
    table = RoutingTable(portfolio)
    second = next(member.index for member in portfolio if member.policy == 1)
    named = table.named(second, weights, "body").gap
    assert named.value < 0.45
    assert named.kind == "predicted"
    assert table.route(weights, "body").gap.kind == "predicted"


class Stored:
    def get(self, user: str) -> dict[str, float] | None:
        return {"cost": 1.0} if user == "ann" else None


def test_weights_come_from_the_first_place_that_has_them(portfolio: Portfolio):
    asker = Asker(portfolio, Stored())
    body, header, name = {"quality": 1}, "cost=.5,quality=.5", "palm:cost=1"

    def where(model: str, given: object = None, head: str | None = None, user: str | None = None) -> tuple[str, str]:
        decision = asker.decide(model, given, head, user)
        return decision.name, decision.source

    assert where(name, body, header, "ann") == ("p00", "body")
    assert where(name, None, header, "ann") == ("p01", "header")
    assert where(name, None, None, "bob") == ("p02", "model")
    assert where("palm", None, None, "ann") == ("p02", "profile")
    assert where("palm", None, None, "bob") == ("p01", "default")
    assert where("palm", [0.0, 1.0]) == ("p02", "body")
    assert where("palm", None, '{"quality": 1.0}') == ("p00", "header")
    assert where("p02", body) == ("p02", "body")
    assert where("model-1") == ("p01", "policy")
    assert asker.decide("p01", None, None, None).gap is None
    assert Asker(portfolio, default=np.array([1.0, 0.0])).decide("palm", None, None, None).name == "p00"


class Broken:
    def get(self, user: str) -> None:
        raise InputError("not a user") if user == "" else BackendError("the disk is full")


def test_profiles_that_fail_are_the_clients_fault_or_ours(portfolio: Portfolio):
    for user, status in (("", 400), ("ann", 503)):
        with pytest.raises(ApiError) as caught:
            Asker(portfolio, Broken()).decide("palm", None, None, user)
        assert caught.value.status == status


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"quality": float("nan"), "cost": 1}, "finite"),
        ({"quality": -0.5, "cost": 1.5}, ">= 0"),
        ({"quality": 0.5, "cost": 0.4}, "sum to 1"),
        ({"kindness": 1}, "unknown objective 'kindness'"),
        ({"quality": "1"}, "must be a number"),
        ({"quality": True}, "must be a number"),
        ({"quality": None}, "must be a number"),
        ({}, "an object like"),
        ([0.5], "2 entries"),
        ([[1, 0]], "must be a number"),
        ("quality=1", "an object like"),
        (1, "an object like"),
        ({"quality": 10**30}, "sum to 1"),
    ],
)
def test_bad_weights_are_refused(portfolio: Portfolio, given: object, message: str):
    with pytest.raises(ApiError, match=message) as caught:
        Asker(portfolio).decide("palm", given, None, None)
    assert (caught.value.status, caught.value.param) == (400, "palm_weights")


@pytest.mark.parametrize("model", ["palm:", "palm:x", "palm:quality=1,quality=0", "palm:quality=inf", "palm:a=1"])
def test_bad_weights_in_a_models_name_are_refused(portfolio: Portfolio, model: str):
    with pytest.raises(ApiError) as caught:
        Asker(portfolio).decide(model, None, None, None)
    assert (caught.value.status, caught.value.param) == (400, "model")


@pytest.mark.parametrize("model", ["gpt", "P00", "p03", "../p00", "palm/", "p00\r\nx: y", "x" * 100_000])
def test_unknown_models_are_404_and_their_names_are_cut(portfolio: Portfolio, model: str):
    with pytest.raises(ApiError) as caught:
        Asker(portfolio).decide(model, None, None, None)
    assert caught.value.status == 404
    assert len(caught.value.message) < 600


@pytest.mark.parametrize("model", [None, 3, "", ["palm"]])
def test_a_model_that_is_no_name_is_400(portfolio: Portfolio, model: object):
    with pytest.raises(ApiError) as caught:
        Asker(portfolio).decide(model, None, None, None)
    assert caught.value.status == 400


def test_labels_that_are_not_unique_or_look_like_other_names_name_nothing():
    portfolio = hand_made([[0.1, 0.2]] * 4)
    labels = ("same", "same", "p00", "palm:x")
    members = tuple(
        type(member)(member.index, label, None, member.value) for member, label in zip(portfolio, labels, strict=True)
    )
    same = Portfolio(portfolio.declarations, members, portfolio.certificate, {}, "")
    assert policy_names(same) == {"p00": 0, "p01": 1, "p02": 2, "p03": 3}


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://", "http://x/v1?y=1"])
def test_an_upstream_that_is_no_url_is_refused(url: str):
    with pytest.raises(InputError, match="must be a URL"):
        UpstreamSettings(url, {})
