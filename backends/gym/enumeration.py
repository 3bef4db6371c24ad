"""A small Gymnasium environment as an exact Markov decision process, made by running its own transition code."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.gym.chance import Chance, EnumerationError, outcomes
from palm_theory.geometry.simplex import Array

if TYPE_CHECKING:
    import gymnasium

REPLAYS = 20
REPLAY_STEPS = 200
INTERNAL_STATES = 20
"""How many internal states an observation may stand for, on average, before enumeration gives up."""

UNTRACKED = ("_np_random", "_np_random_seed")


@dataclass(frozen=True, eq=False)
class TabularModel:
    """P (S, A, S), expected rewards r (S, A, d) and the distribution of s_0 (S,). The last state is absorbing, with
    reward 0: terminated episodes. ``observations`` are those of the other states, in order."""

    transitions: Array
    rewards: Array
    initial: Array
    observations: tuple[Array, ...]


def enumerate_environment(env: gymnasium.Env, max_states: int) -> TabularModel:
    """Every state that ``env`` can reach, with exact transition probabilities and rewards.

    The environment's own ``reset`` and ``step`` are run from snapshots of its attributes, once for every outcome of
    its draws from ``np_random`` (``chance.outcomes``). States of the model are observations. That they carry all there
    is to know is checked, not assumed: wherever two internal states share an observation, every action must have the
    same distribution of next observations and the same expected reward in both. At the end random trajectories are
    replayed from ``reset`` without snapshots and compared, which finds state hidden from the snapshots. Wrappers,
    among them time limits, are left out.

    Raises EnumerationError where actions are not Discrete, the random numbers used are not finite draws from
    ``np_random``, observations are not Markov, episodes end by a time limit of the environment's own, a replay differs,
    or there are more than ``max_states`` observations.
    """
    from gymnasium.spaces import Discrete

    inner = env.unwrapped
    if not isinstance(inner.action_space, Discrete) or int(inner.action_space.start) != 0:
        raise EnumerationError(f"its actions are {inner.action_space}; only Discrete(n) can be enumerated")
    generators = _global_generators()
    try:
        explorer = _Explorer(inner, int(inner.action_space.n), max_states)
        model = explorer.model()
        explorer.replay(model)
    except EnumerationError as error:
        raise EnumerationError(f"{inner} cannot be enumerated: {error}") from None
    if generators != _global_generators():
        raise EnumerationError(f"{inner} cannot be enumerated: it draws from a global random generator")
    return model


def _global_generators() -> tuple[Any, ...]:
    """The states of the global generators, which environments may use but nothing can enumerate."""
    state: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    return random.getstate(), state["state"]["key"].tobytes(), state["state"]["pos"]


@dataclass(frozen=True, eq=False)
class _Outcomes:
    """One state and action: probability of each next observation's key (None: terminated), and expected reward."""

    next: dict[bytes | None, float]
    reward: Array

    def agrees(self, other: _Outcomes) -> bool:
        keys = self.next.keys() | other.next.keys()
        return np.allclose(self.reward, other.reward, rtol=1e-12, atol=1e-12) and all(
            abs(self.next.get(key, 0.0) - other.next.get(key, 0.0)) <= 1e-12 for key in keys
        )


class _Explorer:
    def __init__(self, env: Any, actions: int, max_states: int) -> None:
        self.env = env
        self.actions = actions
        self.max_states = max_states
        self.observations: dict[bytes, Array] = {}
        self.behaviour: dict[bytes, list[_Outcomes]] = {}
        self.initial: dict[bytes, float] = {}

    def model(self) -> TabularModel:
        waiting: deque[tuple[bytes, dict[str, Any]]] = deque()
        seen: set[Any] = set()

        def visit(observation: Any) -> bytes:
            key = self._key(observation)
            state = _attributes(self.env)
            internal = (key, _freeze(state))
            if internal not in seen:
                seen.add(internal)
                if len(self.observations) > self.max_states:
                    raise EnumerationError(f"it has more than {self.max_states} states")
                if len(seen) > INTERNAL_STATES * self.max_states:
                    raise EnumerationError("attributes that no observation shows, a step counter say, never repeat")
                waiting.append((key, _snapshot(state)))
            return key

        def reset(chance: Chance) -> bytes:
            self.env._np_random = chance
            observation, _ = self.env.reset()
            return visit(observation)

        for probability, key in outcomes(reset):
            self.initial[key] = self.initial.get(key, 0.0) + probability
        while waiting:
            key, state = waiting.popleft()
            found = [self._act(state, action, visit) for action in range(self.actions)]
            known = self.behaviour.setdefault(key, found)
            for action, (one, two) in enumerate(zip(known, found, strict=True)):
                if not one.agrees(two):
                    raise EnumerationError(
                        f"observation {self.observations[key].tolist()} does not tell what action {action} does: it "
                        "depends on the past too"
                    )
        return self._tables()

    def _act(self, state: dict[str, Any], action: int, visit: Any) -> _Outcomes:
        def step(chance: Chance) -> tuple[bytes | None, Array]:
            _restore(self.env, state)
            self.env._np_random = chance
            observation, reward, terminated, truncated, _ = self.env.step(action)
            if truncated and not terminated:
                raise EnumerationError("it truncates episodes itself; time limits belong into a wrapper")
            vector = np.atleast_1d(np.asarray(reward, dtype=np.float64)).copy()
            return (None if terminated else visit(observation)), vector

        following: dict[bytes | None, float] = {}
        total: Array | None = None
        for probability, (key, reward) in outcomes(step):
            following[key] = following.get(key, 0.0) + probability
            total = probability * reward if total is None else total + probability * reward
        assert total is not None
        return _Outcomes(following, total)

    def _key(self, observation: Any) -> bytes:
        from gymnasium.spaces.utils import flatten

        composite = isinstance(observation, dict | tuple)
        array = np.array(flatten(self.env.observation_space, observation) if composite else observation)
        if array.dtype.kind not in "biuf":
            raise EnumerationError(f"its observations are {type(observation).__name__}, not numbers")
        key = repr((array.shape, array.dtype.str)).encode() + array.tobytes()
        self.observations.setdefault(key, array)
        return key

    def _tables(self) -> TabularModel:
        keys = list(self.behaviour)
        number = {key: k for k, key in enumerate(keys)}
        count, absorbing = len(keys) + 1, len(keys)
        d = len(self.behaviour[keys[0]][0].reward)
        transitions = np.zeros((count, self.actions, count))
        rewards = np.zeros((count, self.actions, d))
        transitions[absorbing, :, absorbing] = 1.0
        for key, found in self.behaviour.items():
            for action, result in enumerate(found):
                rewards[number[key], action] = result.reward
                for following, probability in result.next.items():
                    to = absorbing if following is None else number[following]
                    transitions[number[key], action, to] += probability
        initial = np.zeros(count)
        for key, probability in self.initial.items():
            initial[number[key]] = probability
        return TabularModel(transitions, rewards, initial, tuple(self.observations[key] for key in keys))

    def replay(self, model: TabularModel) -> None:
        """Compare random trajectories, run without snapshots, with the model."""
        number = {key: k for k, key in enumerate(self.behaviour)}
        rng = np.random.default_rng(0)
        for _ in range(REPLAYS):
            self.env._np_random = _Luck(rng)
            observation, _ = self.env.reset()
            state = number[self._key(observation)]
            for _ in range(REPLAY_STEPS):
                action = int(rng.integers(self.actions))
                observation, reward, terminated, _, _ = self.env.step(action)
                following = len(model.initial) - 1 if terminated else number.get(self._key(observation))
                probability = 0.0 if following is None else model.transitions[state, action, following]
                certain = probability == 1
                if probability == 0 or (certain and not np.allclose(reward, model.rewards[state, action])):
                    raise EnumerationError(
                        f"a replay left the model at observation {model.observations[state].tolist()}, action "
                        f"{action}: it keeps state where copies of its attributes do not see it"
                    )
                if terminated:
                    break
                assert following is not None
                state = following


class _Luck(Chance):
    """Takes each branch with its probability."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self._rng = rng

    def branch(self, probabilities: Any) -> int:
        return int(self._rng.choice(len(probabilities), p=probabilities))


def _attributes(env: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(env).items() if name not in UNTRACKED}


def _snapshot(state: dict[str, Any]) -> dict[str, Any]:
    """Copies of all attributes that can be copied; windows and fonts cannot, and are shared."""
    return {name: _copied(value) for name, value in state.items()}


def _copied(value: Any) -> Any:
    if _is_opaque(value):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def _restore(env: Any, state: dict[str, Any]) -> None:
    for name in [name for name in _attributes(env) if name not in state]:
        delattr(env, name)
    vars(env).update(_snapshot(state))


def _is_opaque(value: Any) -> bool:
    from gymnasium.spaces import Space

    return callable(value) or isinstance(value, Space)


def _freeze(value: Any) -> Any:
    """A hashable stand-in: equal for equal data, and by identity for what has no data to look at."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, np.ndarray):
        return (value.shape, value.dtype.str, value.tobytes()) if value.dtype != object else tuple(_frozen_items(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return tuple((key, _freeze(item)) for key, item in value.items())
    if isinstance(value, list | tuple | deque):
        return tuple(_frozen_items(value))
    if isinstance(value, set | frozenset):
        return frozenset(_frozen_items(value))
    if _is_opaque(value):
        return ("opaque", id(value))
    if hasattr(value, "__dict__"):
        return (type(value).__qualname__, _freeze(vars(value)))
    try:
        # Iterators and the like: a copy has another identity, but reduces to the same data.
        return (type(value).__qualname__, _freeze(value.__reduce_ex__(2)))
    except TypeError:
        return ("opaque", id(value))


def _frozen_items(values: Any) -> Iterator[Any]:
    return (_freeze(item) for item in values)
