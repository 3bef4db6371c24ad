"""GymBackend: enumeration against independent computations, conformance, refusals; training is marked slow."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("mo_gymnasium")

from backends.gym import GymBackend  # noqa: E402
from backends.gym.backend import RLTraining  # noqa: E402
from backends.gym.chance import Chance, EnumerationError, outcomes  # noqa: E402
from backends.gym.enumeration import TabularModel, enumerate_environment  # noqa: E402
from backends.gym.exact import ExactGymBackend  # noqa: E402
from palm_theory import Adaptive, Portfolio, UniformGrid, build_portfolio  # noqa: E402
from palm_theory.errors import BackendError, InputError  # noqa: E402
from palm_theory.geometry.envelope import essential_policies  # noqa: E402
from palm_theory.testing import check_conformance  # noqa: E402
from tests.helpers.exact_optima import ExactProcess  # noqa: E402


def measured(backend: GymBackend, portfolio: Portfolio) -> np.ndarray:
    """The environment's own returns of a portfolio's policies, sorted."""
    rewards = np.array([value.rewards for value in portfolio.policy_values])
    raw = np.column_stack([n.invert(rewards[:, i]) for i, n in enumerate(backend.normalizers)])
    return raw[np.lexsort(raw.T[::-1])]


def extreme(points: np.ndarray) -> np.ndarray:
    kept = points[essential_policies(points)]
    return kept[np.lexsort(kept.T[::-1])]


def make(name: str, **arguments: Any) -> Any:
    from mo_gymnasium.utils import make as mo_make

    return mo_make(name, **arguments)


@pytest.mark.parametrize("form", ["", "-concave", "-mirrored"])
@pytest.mark.parametrize("discount", [1.0, 0.97])
def test_deep_sea_treasure_has_the_extreme_points_of_its_published_front(form: str, discount: float) -> None:
    name = f"deep-sea-treasure{form}-v0"
    horizon = 30 if discount == 1 else None
    backend = GymBackend(name, discount=discount, horizon=horizon, mode="exact")
    portfolio = build_portfolio(backend, Adaptive(0.0))
    published = np.array(make(name).unwrapped.pareto_front(gamma=discount))
    # An episode may also stay at sea, which earns no treasure and the worst time penalty: it is dominated.
    np.testing.assert_allclose(measured(backend, portfolio), extreme(published), atol=1e-5)
    assert portfolio.certificate.epsilon <= 1e-9


@pytest.mark.parametrize(("depth", "count"), [(5, 32), (6, 64)])
def test_fruit_tree_has_exactly_its_leaves(depth: int, count: int) -> None:
    backend = GymBackend("fruit-tree-v0", arguments={"depth": depth}, discount=1.0, horizon=depth, mode="exact")
    leaves = make("fruit-tree-v0", depth=depth).unwrapped.tree[-count:].astype(np.float32).astype(np.float64)
    portfolio = build_portfolio(backend, Adaptive(0.0))
    assert portfolio.certificate.size == count
    np.testing.assert_allclose(measured(backend, portfolio), leaves[np.lexsort(leaves.T[::-1])], atol=1e-12)


def test_resource_gathering_agrees_with_a_model_written_by_hand() -> None:
    """The published front of this environment is wrong, so J* is compared with value iteration on the map itself."""
    discount, d = 0.9, 3
    backend = GymBackend("resource-gathering-v0", discount=discount, mode="exact")
    enemies, gold, gem, home = {(0, 3), (1, 2)}, (0, 2), (1, 4), (4, 2)
    steps = ((-1, 0), (1, 0), (0, -1), (0, 1))
    states = list(itertools.product(range(5), range(5), (0, 1), (0, 1)))

    def outcome(state: tuple[int, ...], step: tuple[int, int], w: np.ndarray, value: dict[Any, float]) -> float:
        row, column = state[0] + step[0], state[1] + step[1]
        if not (0 <= row < 5 and 0 <= column < 5):
            row, column = state[:2]
        has_gold, has_gem = state[2] or int((row, column) == gold), state[3] or int((row, column) == gem)
        if (row, column) == home:
            return float(w[1] * has_gold + w[2] * has_gem)
        later = discount * value[row, column, has_gold, has_gem]
        return 0.1 * float(-w[0]) + 0.9 * later if (row, column) in enemies else later

    for w in np.random.default_rng(0).dirichlet(np.ones(d), 5):
        value = dict.fromkeys(states, 0.0)
        for _ in range(400):
            value = {state: max(outcome(state, step, w, value) for step in steps) for state in states}
        shift = float(w @ [normalizer.offset for normalizer in backend.normalizers])
        assert backend.optimal_value(w) - shift == pytest.approx(value[4, 2, 0, 0], abs=1e-9)


def test_random_transitions_and_rewards_agree_with_simulation() -> None:
    backend = GymBackend("resource-gathering-v0", discount=0.9, mode="exact")
    policy = backend.optimize(np.array([0.2, 0.4, 0.4])).policy
    row = {observation.tobytes(): k for k, observation in enumerate(backend.model.observations)}
    env, rng, totals = make("resource-gathering-v0").unwrapped, np.random.default_rng(0), []
    for seed in range(3000):
        observation, _ = env.reset(seed=seed)
        total, factor, terminated = np.zeros(3), 1.0, False
        while not terminated:
            action = int(rng.choice(4, p=policy[row[np.array(observation).tobytes()]]))
            observation, reward, terminated, _, _ = env.step(action)
            total += factor * reward
            factor *= 0.9
        totals.append(total)
    expected = [n.invert(r) for n, r in zip(backend.normalizers, backend.evaluate(policy).rewards, strict=True)]
    error = np.std(totals, axis=0) / np.sqrt(len(totals))
    assert np.all(np.abs(np.mean(totals, axis=0) - expected) <= 5 * error + 1e-6)


@pytest.mark.parametrize(("discount", "horizon"), [(0.875, None), (0.9990234375, None), (1.0, 7), (0.5, 3)])
def test_returns_far_below_zero_keep_their_digits(discount: float, horizon: int | None) -> None:
    """Rewards of −1e7 a step that differ by 1e-3: the shift takes off all of the first, and none of the second."""
    rng = np.random.default_rng(0)
    transitions = rng.multinomial(64, np.full(3, 1 / 3), (3, 2)) / 64
    rewards, initial = -1e7 + 1e-3 * rng.random((3, 2, 2)), np.eye(3)[0]
    model = TabularModel(transitions, rewards, initial, ())
    backend = ExactGymBackend(model, discount=discount, horizon=horizon, objectives=None)
    truth = ExactProcess(transitions, rewards - rewards.min(), initial, np.ones((3, 2)), discount, 0.0, horizon)
    offsets = [Fraction(n.offset) for n in backend.normalizers]
    gamma = Fraction(discount)
    steps = Fraction(horizon) if gamma == 1 else (1 - (gamma**horizon if horizon else 0)) / (1 - gamma)
    shift = [offset + steps * Fraction(float(rewards.min())) for offset in offsets]
    for w in (np.array([1.0, 0.0]), np.array([0.25, 0.75])):
        optimum = truth.bracket(w)[1] + sum(Fraction(x) * y for x, y in zip(w.tolist(), shift, strict=True))
        reached, upper = backend.optimal_bracket(w)
        unit = Fraction(backend.reward_max) / 10**12
        assert abs(Fraction(reached) - optimum) <= unit
        assert optimum - unit / 100 <= Fraction(upper) <= optimum + unit
        value = backend.evaluate(backend.optimize(w).policy)
        right = truth.value(backend.optimize(w).policy)[0]
        for found, r, s in zip(value.rewards.tolist(), right, shift, strict=True):
            assert abs(Fraction(found) - r - s) <= unit


def test_small_rewards_are_shifted_like_large_ones() -> None:
    rewards = np.array([[[-1e-13, 1.0], [-2e-13, 2.0]]])
    model = TabularModel(np.ones((1, 2, 1)), rewards, np.ones(1), ())
    backend = ExactGymBackend(model, discount=0.5, horizon=None, objectives=None)
    assert backend.normalizers[0].offset == pytest.approx(4e-13)
    assert backend.optimize(np.array([1.0, 0.0])).value.rewards[0] == pytest.approx(2e-13)


@pytest.mark.parametrize(
    "backend",
    [
        lambda: GymBackend("deep-sea-treasure-v0", discount=1.0, horizon=25),
        lambda: GymBackend("resource-gathering-v0", discount=0.9),
        lambda: GymBackend("fruit-tree-v0", arguments={"depth": 5}, discount=0.95),
    ],
    ids=["treasure", "resources", "fruit"],
)
def test_conformance_of_enumerated_environments(backend: Any) -> None:
    instance = backend()
    assert instance.is_exact
    check_conformance(instance).raise_on_failure()


def test_outcomes_have_exact_probabilities() -> None:
    def throw(chance: Chance) -> tuple[int, bool, bool]:
        die = int(chance.integers(1, 4))
        u = chance.random()
        return die, u < 0.25, u < 0.5

    found = {result: probability for probability, result in outcomes(throw)}
    expected = {}
    for die in (1, 2, 3):
        expected |= {(die, True, True): 1 / 12, (die, False, True): 1 / 12, (die, False, False): 1 / 6}
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(expected[key], rel=1e-14) for key in expected)
    weighted = list(outcomes(lambda chance: chance.choice(["a", "b", "c"], p=[0.2, 0.0, 0.8])))
    assert weighted == [(0.2, "a"), (0.8, "c")]


class Small(gymnasium.Env):
    """Two observations; ``fault`` makes it one that cannot be enumerated."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.observation_space = gymnasium.spaces.Discrete(50)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.at, self.steps, self.hidden = 0, 0, iter(range(10_000))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.at, self.steps = 0, 0
        return self.at, {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        self.at = 1 - self.at
        reward = np.array([float(action), 1.0])
        if self.fault == "memory" and self.steps % 3 == 2:
            reward = reward * 2
        if self.fault == "memory":
            self.steps %= 3
        if self.fault == "counter":
            return self.at, reward, False, False, {}
        self.steps = 0 if self.fault != "memory" else self.steps
        if self.fault == "normal":
            reward[0] += self.np_random.normal()
        if self.fault == "noise":
            reward[0] += self.np_random.random()
        if self.fault == "global":
            np.random.random()  # noqa: NPY002
        if self.fault == "hidden":
            self.at = next(self.hidden) % 2
        return self.at, reward, False, self.fault == "truncates", {}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("memory", "depends on the past"),
        ("counter", "never repeat"),
        ("normal", "np_random.normal"),
        ("noise", "other than by comparing"),
        ("global", "global random generator"),
        ("hidden", "depends on the past|keeps state"),
        ("truncates", "wrapper"),
    ],
)
def test_what_cannot_be_enumerated_is_refused(fault: str, words: str) -> None:
    with pytest.raises(EnumerationError, match=words):
        enumerate_environment(Small(fault), max_states=20)


def test_a_plain_environment_is_enumerated() -> None:
    model = enumerate_environment(Small(""), max_states=20)
    assert model.rewards.shape == (3, 2, 2)
    np.testing.assert_array_equal(model.transitions[0, 0], [0, 1, 0])


def test_bad_arguments_are_refused_in_words() -> None:
    with pytest.raises(InputError, match="cannot make"):
        GymBackend("no-such-environment-v0", discount=0.9)
    with pytest.raises(InputError, match="discount 1 needs a horizon"):
        GymBackend("deep-sea-treasure-v0", discount=1.0)
    with pytest.raises(InputError, match="discount must lie"):
        GymBackend("deep-sea-treasure-v0", discount=1.5)
    with pytest.raises(InputError, match="horizon must be"):
        GymBackend("deep-sea-treasure-v0", discount=0.9, horizon=0)
    with pytest.raises(InputError, match="mode must be"):
        GymBackend("deep-sea-treasure-v0", discount=0.9, mode="guess")  # type: ignore[arg-type]
    with pytest.raises(EnumerationError, match="more than 10 states"):
        GymBackend("deep-sea-treasure-v0", discount=0.9, mode="exact", max_states=10)
    with pytest.raises(EnumerationError, match="Discrete"):
        GymBackend("mo-mountaincarcontinuous-v0", discount=0.9, mode="exact")
    with pytest.raises(InputError, match="PPO or DQN"):
        RLTraining(algorithm="A2C")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="episodes"):
        RLTraining(episodes=1)


@pytest.mark.slow
def test_training_learns_is_resumable_and_conforms(tmp_path: Any) -> None:
    pytest.importorskip("stable_baselines3")
    training = RLTraining("DQN", total_steps=400, episodes=5, options={"learning_starts": 100})
    backend = GymBackend(
        "fruit-tree-v0",
        arguments={"depth": 5},
        discount=1.0,
        horizon=5,
        mode="train",
        training=training,
        reward_range=[(0, 10)] * 6,
    )
    assert not backend.is_exact
    assert backend.why_trained == "mode is 'train'"
    check_conformance(backend, weights=0).raise_on_failure()
    portfolio = build_portfolio(backend, UniformGrid(1), path=tmp_path / "portfolio")
    again = build_portfolio(backend, UniformGrid(1), path=tmp_path / "portfolio")
    assert [v.to_dict() for v in portfolio.policy_values] == [v.to_dict() for v in again.policy_values]
    assert all(value.rewards_stderr is not None for value in portfolio.policy_values)


@pytest.mark.slow
@pytest.mark.parametrize("inside", [True, False])
def test_a_single_return_outside_the_declared_range_is_an_error(inside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean is within it: only the returns, one by one, tell."""
    pytest.importorskip("stable_baselines3")
    from backends.gym.training import TrainedGymBackend

    backend = TrainedGymBackend(
        "fruit-tree-v0",
        {"depth": 5},
        discount=1.0,
        horizon=5,
        objectives=None,
        reward_range=[(0, 4)] * 6,
        training=RLTraining(episodes=3),
        seed=0,
    )
    assert backend.evaluation_max == 4
    returns = np.array([[1.0] * 6, [4.0] * 6, [0.0] * 6])
    if not inside:
        returns[1, 2] = 4.5
    monkeypatch.setattr(backend, "_load", lambda policy: None)
    monkeypatch.setattr(backend, "_episode", lambda env, model, number: returns[number])
    if inside:
        assert backend.evaluate({}).samples == 3
    else:
        with pytest.raises(BackendError, match=r"episode 1: the return 4\.5 of 'r3' lies outside reward_range"):
            backend.evaluate({})


@pytest.mark.slow
def test_unbounded_reward_spaces_need_a_declared_range() -> None:
    pytest.importorskip("stable_baselines3")
    with pytest.raises(InputError, match="reward_range"):
        GymBackend("breakable-bottles-v0", discount=0.9, mode="train")
