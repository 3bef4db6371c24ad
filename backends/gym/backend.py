"""Any MO-Gymnasium environment: solved exactly where it can be enumerated, else trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from backends.gym.chance import EnumerationError
from backends.gym.enumeration import TabularModel, enumerate_environment
from backends.gym.exact import ExactGymBackend
from backends.gym.training import RLTraining, TrainedGymBackend
from palm_theory.contract.backend import PolicyBackend, Power, Solution, Witness
from palm_theory.contract.value import Value
from palm_theory.errors import BackendError, InputError
from palm_theory.geometry.simplex import Array

Mode = Literal["auto", "exact", "train"]


class GymBackend(PolicyBackend, kind="backends.gym.GymBackend"):
    """maximise E_π[Σ_t γ^t ⟨w, r_t⟩] in an MO-Gymnasium environment.

    Parameters
    ----------
    environment : a registered name such as "deep-sea-treasure-v0".
    arguments : keyword arguments for ``mo_gymnasium.make``.
    discount : γ. Always explicit; 1 needs a horizon.
    horizon : episodes end after this many steps. None for the discounted problem without end (exact mode), or for the
        environment's own time limit (training).
    mode : "exact" enumerates the environment through its own transition code into a Markov decision process
        (``gym_enumeration`` says how, and what it checks) that ``MDPBackend`` solves exactly. Time limits are then
        left out but for ``horizon``. "train" trains with stable-baselines3 (``RLTraining``). "auto", the default, is
        exact where observations are integers and enumeration succeeds within ``max_states``, else trains.
    objectives : d names; r1, r2, … by default.
    max_states : the most observations to enumerate. The tables are dense.
    reward_range, training, seed : for training; see ``TrainedGymBackend``.

    Objectives that can be negative are shifted; the shifts are in ``normalizers``, so ``normalizers[i].invert`` gives
    the environment's own return. Training takes an executor in ``build_portfolio`` for several weights at once, and
    its journal resumes.

    Raises InputError on bad arguments and environments that cannot be made; in mode "exact" EnumerationError, with the
    reason, where an environment cannot be enumerated.
    """

    def __init__(
        self,
        environment: str,
        *,
        discount: float,
        horizon: int | None = None,
        mode: Mode = "auto",
        arguments: Mapping[str, Any] | None = None,
        objectives: Sequence[str] | None = None,
        max_states: int = 2000,
        reward_range: Sequence[tuple[float, float]] | None = None,
        training: RLTraining | None = None,
        seed: int = 0,
    ) -> None:
        if mode not in ("auto", "exact", "train"):
            raise InputError(f"mode must be auto, exact or train, got {mode!r}")
        if not 0 <= discount <= 1:
            raise InputError(f"discount must lie in [0, 1], got {discount}")
        if horizon is not None and (isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1):
            raise InputError(f"horizon must be None or an integer >= 1, got {horizon!r}")
        self._name, self._arguments = environment, dict(arguments or {})
        env = _make(environment, self._arguments)
        model, self._why_trained = None, "mode is 'train'"
        if mode != "train":
            model, self._why_trained = _enumerate(env, mode, max_states)
        env.close()
        self._inner: ExactGymBackend | TrainedGymBackend
        if model is not None:
            if discount == 1 and horizon is None:
                raise InputError("discount 1 needs a horizon: without one returns may be infinite")
            self._inner = ExactGymBackend(model, discount=discount, horizon=horizon, objectives=objectives)
        else:
            self._inner = TrainedGymBackend(
                environment,
                self._arguments,
                discount=discount,
                horizon=horizon,
                objectives=objectives,
                reward_range=reward_range,
                training=training or RLTraining(),
                seed=seed,
            )
        self.declared = self._inner.declared

    @property
    def is_exact(self) -> bool:
        """Whether the environment was enumerated."""
        return isinstance(self._inner, ExactGymBackend)

    @property
    def why_trained(self) -> str:
        """Why the environment was not enumerated; empty where it was."""
        return self._why_trained

    @property
    def model(self) -> TabularModel:
        """The enumerated model. Raises InputError where there is none."""
        if not isinstance(self._inner, ExactGymBackend):
            raise InputError(f"{self._name} was not enumerated: {self._why_trained}")
        return self._inner.model

    @property
    def powers(self) -> frozenset[Power]:
        return self._inner.powers

    def describe(self) -> Mapping[str, Any]:
        return {"environment": self._name, "exact": self.is_exact, **self._inner.describe()}

    def optimize(self, weights: Array) -> Solution:
        return self._inner.optimize(weights)

    def optimal_value(self, weights: Array) -> float:
        if not isinstance(self._inner, ExactGymBackend):
            return super().optimal_value(weights)
        return self._inner.optimal_value(weights)

    def witnessed_problem(self) -> Mapping[str, Any]:
        return self._inner.witnessed_problem()

    def witness(self, weights: Array) -> Witness:
        return self._inner.witness(weights)

    def optimal_bracket(self, weights: Array) -> tuple[float, float]:
        return self._inner.optimal_bracket(weights)

    def evaluate(self, policy: Any) -> Value:
        return self._inner.evaluate(policy)

    def save_policy(self, policy: Any, folder: Path) -> None:
        self._inner.save_policy(policy, folder)

    def load_policy(self, folder: Path) -> Any:
        return self._inner.load_policy(folder)


def _make(environment: str, arguments: Mapping[str, Any]) -> Any:
    try:
        from mo_gymnasium.utils import make
    except ImportError as error:
        raise BackendError(f"environments need mo-gymnasium ({error}); install palm-theory[gym]") from error
    try:
        return make(environment, **arguments)
    except Exception as error:
        raise InputError(f"mo_gymnasium cannot make {environment!r}: {error}") from error


def _enumerate(env: Any, mode: Mode, max_states: int) -> tuple[TabularModel | None, str]:
    dtype = getattr(env.observation_space, "dtype", None)
    if mode == "auto" and dtype is not None and np.issubdtype(dtype, np.floating):
        return None, "its observations are not integers"
    try:
        return enumerate_environment(env, max_states), ""
    except EnumerationError as error:
        if mode == "exact":
            raise
        return None, str(error)
