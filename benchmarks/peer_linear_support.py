"""morl-baselines' LinearSupport with one of our exact oracles; run by the interpreter of the peer's own venv.

    python -m benchmarks.peer_linear_support INSTANCE {ols,gpi-ls} EPSILON TIME_LIMIT

prints one JSON object. The peer's code is used as it is installed. The time counts its loop alone, not imports or the
making of the instance. In GPI-LS the agent acts by generalised policy improvement over the policies found: on a Markov
decision process by their exact action values, on other instances by choosing the best policy found.
"""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
import time
from typing import Any

import numpy as np

from backends.gym import GymBackend
from benchmarks.instances import INSTANCES
from palm_theory.contract.backend import PolicyBackend


class OutOfTime(Exception):
    """The time limit was reached."""


class OneChoice:
    """A single-step environment whose action is one of the policies found; also the agent that acts in it."""

    gamma = 1.0

    def __init__(self) -> None:
        self.values: list[np.ndarray] = []

    def add(self, policy: Any, value: np.ndarray) -> None:
        self.values.append(value)

    def reset(self) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, action: int) -> tuple[int, np.ndarray, bool, bool, dict[str, Any]]:
        return 0, self.values[action], True, False, {}

    def eval(self, observation: Any, weights: np.ndarray) -> int:
        return int(np.argmax(np.array(self.values) @ weights))


class TreeGPI:
    """Generalised policy improvement on an enumerated, deterministic environment with a horizon."""

    gamma = 1.0

    def __init__(self, backend: GymBackend, horizon: int) -> None:
        model = backend.model
        self.rewards, self.next = model.rewards, model.transitions.argmax(axis=2)
        self.start, self.end, self.horizon = int(model.initial.argmax()), len(model.initial) - 1, horizon
        self.offsets = np.array([normalizer.offset for normalizer in backend.normalizers])
        self.tables: list[np.ndarray] = []

    def add(self, policy: np.ndarray, value: np.ndarray) -> None:
        following = np.zeros((len(self.rewards), self.rewards.shape[2]))
        steps = []
        for rule in policy[::-1]:
            q = self.rewards + following[self.next]
            following = np.einsum("sa,sad->sd", rule, q)
            steps.append(q)
        self.tables.append(np.stack(steps[::-1]))

    def reset(self) -> tuple[tuple[int, int], dict[str, Any]]:
        self.state, self.time = self.start, 0
        return (0, self.state), {}

    def step(self, action: int) -> tuple[tuple[int, int], np.ndarray, bool, bool, dict[str, Any]]:
        reward = self.rewards[self.state, action] + (self.offsets if self.time == 0 else 0.0)
        self.state, self.time = int(self.next[self.state, action]), self.time + 1
        done = self.state == self.end or self.time == self.horizon
        return (self.time, self.state), reward, done, False, {}

    def eval(self, observation: tuple[int, int], weights: np.ndarray) -> int:
        at, state = observation
        values = np.array([table[at, state] for table in self.tables]) @ weights
        return int(values.max(axis=0).argmax())


def _agent(name: str, backend: PolicyBackend) -> OneChoice | TreeGPI:
    if name.startswith("fruit-tree") and isinstance(backend, GymBackend):
        return TreeGPI(backend, int(name.rsplit("-", 1)[1]))
    return OneChoice()


def run(name: str, algorithm: str, epsilon: float, time_limit: float) -> dict[str, Any]:
    """Run the peer's loop until it ends by itself or for ``time_limit`` seconds."""
    import importlib

    module = importlib.import_module("morl_baselines.multi_policy.linear_support.linear_support")
    backend = INSTANCES[name].make()
    objectives = len(backend.objectives)
    peer = module.LinearSupport(num_objectives=objectives, epsilon=epsilon, verbose=False)
    agent = _agent(name, backend)
    history: list[tuple[float, np.ndarray]] = []

    def stop(*_: Any) -> None:
        raise OutOfTime

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, time_limit)
    start = time.perf_counter()
    ended, failure = False, None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            while True:
                # Before there is a policy GPI has nothing to improve; both modes start with the simplex's vertices.
                mode = algorithm if len(history) >= objectives else "ols"
                if mode == "gpi-ls":
                    weights = peer.next_weight(algo=mode, gpi_agent=agent, env=agent, rep_eval=1)
                else:
                    weights = peer.next_weight(algo=mode)
                if weights is None or peer.ended():
                    ended = True
                    break
                solution = backend.optimize(weights)
                value = solution.value.vertex_values
                agent.add(solution.policy, value)
                peer.add_solution(value, weights)
                history.append((time.perf_counter() - start, value))
    except OutOfTime:
        pass
    except Exception as error:
        failure = f"{type(error).__name__}: {str(error)[:200]}"
    signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.perf_counter() - start
    return {
        "instance": name,
        "algorithm": algorithm,
        "epsilon": epsilon,
        "calls": len(history),
        "seconds": seconds,
        "ended": ended,
        "failure": failure,
        "kept": [value.tolist() for value in peer.ccs],
        "values": [value.tolist() for _, value in history],
        "times": [at for at, _ in history],
    }


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))))
