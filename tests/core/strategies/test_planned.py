"""Planned: the forecast on a surrogate, and the few solves it leads to."""

from __future__ import annotations

import numpy as np
import pytest

from backends.bandit import BanditBackend
from palm_theory import Planned, PolicyBackend, Power, Solution, Value, audit, build_portfolio
from palm_theory.errors import InputError
from palm_theory.strategies.planned import forecast


def bandit(d: int = 3, seed: int = 0, beta: float = 0.1) -> BanditBackend:
    return BanditBackend(np.random.default_rng(seed).random((4, 30, d)), beta=beta)


class Expensive(BanditBackend):
    """A bandit that counts its solves and offers another bandit as its surrogate."""

    calls = 0

    @property
    def powers(self) -> frozenset[Power]:
        return frozenset({Power.SURROGATE})

    def surrogate(self) -> PolicyBackend:
        return BanditBackend(np.asarray(self._rewards), beta=self.beta)

    def optimize(self, weights):
        type(self).calls += 1
        return super().optimize(weights)


def expensive(d: int = 3) -> Expensive:
    Expensive.calls = 0
    return Expensive(np.random.default_rng(0).random((4, 30, d)), beta=0.1)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_the_forecast_is_the_exact_audit_of_its_policies_and_never_grows(d: int):
    surrogate = bandit(d)
    plan = forecast(surrogate, 5, max_candidates=120)
    assert plan.weights.shape == (len(plan.epsilon), d)
    for k in (1, len(plan.epsilon)):
        values = [surrogate.optimize(w).value for w in plan.weights[:k]]
        assert audit(values, surrogate).epsilon == pytest.approx(plan.epsilon[k - 1], abs=1e-9)
        assert audit(values, surrogate, epsilon=0.0).delta == pytest.approx(plan.delta[k - 1], abs=1e-9)
    assert np.all(np.diff(plan.epsilon) <= 1e-9)
    assert np.all(np.diff(plan.delta) <= 1e-9)


def test_specialists_come_first_and_the_rest_helps_most():
    plan = forecast(bandit(), 8, first=np.eye(3))
    assert np.array_equal(plan.weights[:3], np.eye(3))
    free = forecast(bandit(), 8)
    assert free.epsilon[0] < plan.epsilon[0]
    assert len(np.unique(plan.weights, axis=0)) == 8


def test_only_as_many_weights_are_solved_as_the_target_needs():
    plan = Planned().forecast(bandit(), 12)
    target = float(plan.epsilon[5])
    size = plan.size_for(target)
    assert size is not None
    backend = expensive()
    portfolio = build_portfolio(backend, Planned(epsilon=target, max_policies=12))
    assert Expensive.calls == size == 6
    assert len(portfolio) == size
    assert portfolio.strategy["strategy"] == "Planned"


def test_it_is_the_default_where_there_is_a_surrogate_and_stops_at_d_plus_one():
    portfolio = build_portfolio(expensive())
    assert portfolio.strategy["strategy"] == "Planned"
    assert Expensive.calls <= 4


def test_relabelling_the_objectives_permutes_the_forecast():
    rewards = np.random.default_rng(1).random((3, 20, 3))
    order = [2, 0, 1]
    plain = forecast(BanditBackend(rewards, beta=0.1), 5, max_candidates=60)
    renamed = forecast(BanditBackend(rewards[..., order], beta=0.1), 5, max_candidates=60)
    assert np.allclose(plain.epsilon, renamed.epsilon)


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="epsilon must lie in"):
        Planned(epsilon=1.5)
    with pytest.raises(InputError, match="max_policies must be"):
        Planned(max_policies=0)
    with pytest.raises(InputError, match="needs a backend with a surrogate"):
        build_portfolio(bandit(), Planned())
    with pytest.raises(InputError, match="count must be >= 1"):
        forecast(bandit(), 0)
    with pytest.raises(InputError, match="needs at least 3 candidates"):
        forecast(bandit(), 2, max_candidates=2)


class Silent(PolicyBackend):
    """A backend that cannot tell J*."""

    objectives = ("a", "b")
    reward_max = 1.0
    regularizer_max = 0.0

    def optimize(self, weights):
        return Solution(None, Value([0.5, 0.5]))

    def evaluate(self, policy):
        return Value([0.5, 0.5])


def test_a_surrogate_without_exact_optima_is_refused():
    with pytest.raises(InputError, match="Silent has none"):
        forecast(Silent(), 2)
