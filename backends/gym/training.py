"""Environments too large to enumerate: policies trained by stable-baselines3 and evaluated by episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from backends.bandit import default_objectives
from palm_theory.contract.backend import PolicyBackend, Solution, Status, seed_for
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.contract.value import Value
from palm_theory.errors import BackendError, InputError
from palm_theory.geometry.simplex import Array

if TYPE_CHECKING:
    import gymnasium

Algorithm = Literal["PPO", "DQN"]
SEEDS = 2**31 - 1

RETURN_TOLERANCE = 1e-6
"""How far, relative to R_max, a return may leave its range by rounding: reward spaces are declared in float32."""


@dataclass(frozen=True)
class RLTraining:
    """How policies are trained and evaluated.

    Parameters
    ----------
    algorithm : "PPO" or "DQN" of stable-baselines3, with its MlpPolicy. DQN needs discrete actions.
    total_steps : environment steps of training for each weight.
    episodes : evaluation episodes a policy, ≥ 2. All policies see the same seeds, so they are paired.
    options : further keyword arguments of the algorithm, plain data.
    """

    algorithm: Algorithm = "PPO"
    total_steps: int = 100_000
    episodes: int = 100
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.algorithm not in ("PPO", "DQN"):
            raise InputError(f"algorithm must be PPO or DQN, got {self.algorithm!r}")
        if self.total_steps < 1 or self.episodes < 2:
            raise InputError("training needs total_steps >= 1 and episodes >= 2")


class TrainedGymBackend(PolicyBackend, kind="backends.gym_training.TrainedGymBackend"):
    """approximately maximise E_π[Σ_t γ^t ⟨w, r_t⟩], t = 0..T−1, by reinforcement learning; R is a mean of episodes.

    Parameters
    ----------
    environment : registered name, with ``arguments`` for ``mo_gymnasium.make``.
    discount : γ in [0, 1], of training and evaluation alike.
    horizon : T: episodes end after T steps. Where the environment has a time limit of its own the smaller one counts.
    reward_range : (low, high) of each objective's return, d pairs; by default from the environment's ``reward_space``
        and T. Negative lows are subtracted, and the shift is stored in ``normalizers``.
    seed : every solve draws its seed from ``seed_for(seed, weights)``.

    A policy is a dict of the network's parameters as arrays. There is no bound on the distance to the optimum: status
    TRAINED, ``oracle_error`` None, standard errors on every value. A return outside ``reward_range`` is an error.
    """

    def __init__(
        self,
        environment: str,
        arguments: Mapping[str, Any],
        *,
        discount: float,
        horizon: int | None,
        objectives: Sequence[str] | None,
        reward_range: Sequence[tuple[float, float]] | None,
        training: RLTraining,
        seed: int,
    ) -> None:
        _import_stable_baselines()
        self._name, self._arguments = environment, dict(arguments)
        self._discount, self._seed, self._training = discount, seed, training
        env = self._make()
        limits = [n for n in (horizon, getattr(env.spec, "max_episode_steps", None)) if n is not None]
        if not limits:
            raise InputError(f"{environment} has no time limit: give horizon")
        self._horizon = min(limits)
        space = env.unwrapped.reward_space  # type: ignore[attr-defined]
        d = int(np.prod(space.shape))
        names = default_objectives(objectives, d)
        steps = math.fsum(discount**t for t in range(self._horizon))
        if reward_range is None:
            low, high = np.minimum(space.low, 0.0) * steps, np.maximum(space.high, 0.0) * steps
        else:
            pairs = np.asarray(reward_range, dtype=np.float64)
            if pairs.shape != (d, 2):
                raise InputError(f"reward_range must be {d} pairs (low, high), got shape {pairs.shape}")
            low, high = pairs.T
        if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high)) and np.all(low < high)):
            raise InputError("reward_range must be finite with low < high; give it where reward_space is unbounded")
        normalizers = tuple(Normalizer(1.0, -float(x)) if x < 0 else IDENTITY for x in low)
        self._offsets = np.array([normalizer.offset for normalizer in normalizers])
        self._low, self._high = low, high
        self.declared = Declarations(
            objectives=names,
            reward_max=float((high + self._offsets).max()),
            regularizer_max=0.0,
            normalizers=normalizers,
            evaluation_max=float((high - low).max()),
        )
        env.close()

    def describe(self) -> Mapping[str, Any]:
        return {
            "environment": self._name,
            "arguments": {key: repr(value) for key, value in self._arguments.items()},
            "discount": self._discount,
            "horizon": self._horizon,
            "training": asdict(self._training),
            "seed": self._seed,
        }

    def optimize(self, weights: Array) -> Solution:
        env = _weighted(self._make(), weights)
        model = self._model(env, seed_for(self._seed, weights) % SEEDS)
        model.learn(self._training.total_steps)
        policy = {name: tensor.detach().cpu().numpy().copy() for name, tensor in model.policy.state_dict().items()}
        env.close()
        return Solution(policy, self.evaluate(policy), status=Status.TRAINED)

    def evaluate(self, policy: Any) -> Value:
        """Mean and standard error of the discounted return over ``episodes`` episodes with fixed seeds.

        Raises BackendError where a return lies outside ``reward_range``: confidence intervals rest on that range.
        """
        env = self._make()
        model = self._load(policy)
        returns = np.array([self._episode(env, model, number) for number in range(self._training.episodes)])
        env.close()
        self._check_range(returns)
        rewards = returns.mean(axis=0) + self._offsets
        return Value(
            rewards,
            rewards_stderr=returns.std(axis=0, ddof=1) / math.sqrt(len(returns)),
            samples=len(returns),
        )

    def _check_range(self, returns: Array) -> None:
        """Every return (n, d) within its range, to rounding: a mean within it may hide one that is not."""
        tolerance = RETURN_TOLERANCE * self.reward_max
        outside = np.argwhere(~((returns >= self._low - tolerance) & (returns <= self._high + tolerance)))
        if len(outside):
            episode, i = outside[0]
            raise BackendError(
                f"{self._name}, episode {episode}: the return {returns[episode, i]} of {self.objectives[i]!r} lies "
                f"outside reward_range ({self._low[i]}, {self._high[i]})"
            )

    def act(self, policy: Any, observations: Array) -> np.ndarray:
        """The actions of a policy at some observations (n, …)."""
        return self._load(policy).predict(observations, deterministic=True)[0]

    def _episode(self, env: gymnasium.Env, model: Any, number: int) -> Array:
        observation, _ = env.reset(seed=(self._seed + number) % SEEDS)
        total, factor = np.zeros(len(self.objectives)), 1.0
        while True:
            action, _ = model.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action)
            total += factor * np.asarray(reward, dtype=np.float64)
            factor *= self._discount
            if terminated or truncated:
                return total

    def _load(self, policy: Any) -> Any:
        import torch

        model = self._model(_weighted(self._make(), np.full(len(self.objectives), 1 / len(self.objectives))), 0)
        try:
            model.policy.load_state_dict({name: torch.as_tensor(np.array(x)) for name, x in policy.items()})
        except (AttributeError, RuntimeError, TypeError) as error:
            raise InputError(f"the policy is not one of this backend's networks: {error}") from None
        return model.policy

    def _model(self, env: gymnasium.Env, seed: int) -> Any:
        import stable_baselines3

        algorithm = getattr(stable_baselines3, self._training.algorithm)
        options = {"device": "cpu", **self._training.options}
        return algorithm("MlpPolicy", env, gamma=self._discount, seed=seed, verbose=0, **options)

    def _make(self) -> Any:
        from gymnasium.wrappers import TimeLimit
        from mo_gymnasium.utils import make

        env = make(self._name, **self._arguments)
        limit = getattr(self, "_horizon", None)
        return env if limit is None else TimeLimit(env, limit)


def _weighted(env: Any, weights: Array) -> gymnasium.Env:
    """``env`` with the reward ⟨w, r⟩."""
    import gymnasium

    class Weighted(gymnasium.Wrapper):
        def step(self, action: Any) -> Any:
            observation, reward, *rest = self.env.step(action)
            return observation, float(weights @ np.asarray(reward, dtype=np.float64)), *rest

    return Weighted(env)


def _import_stable_baselines() -> None:
    try:
        import stable_baselines3  # noqa: F401
    except ImportError as error:
        raise BackendError(f"training needs stable-baselines3 ({error}); install palm-theory[rl]") from error
