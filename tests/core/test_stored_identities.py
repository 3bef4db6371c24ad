"""What stored folders know problems and strategies by, as it was when the first of them were written.

A value here changes only together with every journal and portfolio that people have, so never because code moves.
Numbers are small integers and halves, with which every processor and every solver reaches the same bits.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from backends.bandit import BanditBackend
from backends.convex import ConvexBackend
from backends.graph import GraphBackend
from backends.gym import GymBackend
from backends.gym.training import RLTraining
from backends.integer import IntegerBackend
from backends.knapsack import KnapsackBackend
from backends.linear import LinearBackend
from backends.mdp import MDPBackend
from backends.programs.program import LinearProgram
from backends.table import TableBackend
from palm_theory import Adaptive, Palm, Planned, PolicyBackend, RandomWeights, UniformGrid
from palm_theory.contract.problem import problem_description, problem_fingerprint

CORNERS = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.25], [0.25, 0.5]]])
"""Rewards (2, 2, 2): of two contexts or states, two actions."""

STAY_OR_GO = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.5, 0.5]]])
ALWAYS_FIRST = np.array([[1.0, 0.0], [1.0, 0.0]])
"""A reference that is certain of its actions: log 1 = 0 is the same everywhere."""


def plain_bandit() -> PolicyBackend:
    return BanditBackend(CORNERS, objectives=["left", "right"])


def regularized_bandit() -> PolicyBackend:
    return BanditBackend(CORNERS, beta=0.5, reference=ALWAYS_FIRST, context_probabilities=[0.25, 0.75])


def discounted_mdp() -> PolicyBackend:
    return MDPBackend(STAY_OR_GO, CORNERS, [1.0, 0.0], discount=0.5)


def finite_mdp() -> PolicyBackend:
    return MDPBackend(STAY_OR_GO, CORNERS, [0.5, 0.5], discount=1.0, horizon=2, beta=0.5, reference=ALWAYS_FIRST)


def plain_table() -> PolicyBackend:
    return TableBackend(np.array([[1.0, 0.0], [0.75, 0.75], [-0.5, 1.0]]))


def whole_table() -> PolicyBackend:
    pandas = pytest.importorskip("pandas")
    columns = {
        "policy": ["a", "b"],
        "speed": [1.0, 2.0],
        "price": [4.0, 8.0],
        "kl": [0.0, 0.5],
        "speed error": [0.25, 0.5],
        "kl error": [0.0, 0.125],
    }
    return TableBackend(
        pandas.DataFrame(columns),
        objectives=["speed"],
        minimize=["price"],
        name="policy",
        regularizer="kl",
        stderr={"speed": "speed error", "kl": "kl error"},
        samples=16,
        reward_max=8.0,
    )


def program(*, integer: bool) -> LinearProgram:
    sparse = pytest.importorskip("scipy.sparse")
    return LinearProgram(
        costs=np.array([[2.0, 1.0], [1.0, 4.0]]),
        minimize=(False, True),
        matrix=sparse.csr_matrix(np.array([[1.0, 1.0]])),
        row_lower=np.array([1.0]),
        row_upper=np.array([2.0]),
        lower=np.zeros(2),
        upper=np.full(2, 2.0),
        integer=np.full(2, integer),
        objectives=("gain", "cost"),
        constants=np.array([0.0, 1.0]),
    )


def convex() -> PolicyBackend:
    cvxpy = pytest.importorskip("cvxpy")
    x = cvxpy.Variable(2, nonneg=True, name="x")
    return ConvexBackend(
        [x[0], x[1]], [cvxpy.sum(x) <= 1], objectives=["first", "second"], reward_min=[0.0, 0.0], reward_max=1.0
    )


def shortest_path() -> PolicyBackend:
    networkx = pytest.importorskip("networkx")
    graph = networkx.DiGraph()
    graph.add_edge("s", "t", time=4.0, toll=0.0)
    graph.add_edge("s", "m", time=1.0, toll=2.0)
    graph.add_edge("m", "t", time=1.0, toll=1.0)
    return GraphBackend(graph, "shortest-path", costs=["time", "toll"], source="s", target="t")


def assignment() -> PolicyBackend:
    return GraphBackend.assignment([[[1.0, 2.0], [2.0, 4.0]], [[4.0, 1.0], [1.0, 2.0]]])


def integer() -> PolicyBackend:
    return IntegerBackend([[2.0, 1.0], [1.0, 4.0]], at_most=([[1.0, 1.0]], [2.0]), minimize=[False, True], upper=2)


def knapsack() -> PolicyBackend:
    return KnapsackBackend([[3.0, 1.0, 2.0], [1.0, 3.0, 2.0]], [[2.0, 2.0, 1.0]], [3.0], objectives=["own", "theirs"])


def registered_environment() -> str:
    """A deterministic environment of this file: an installed one may change with its version."""
    gymnasium = pytest.importorskip("gymnasium")
    pytest.importorskip("mo_gymnasium")

    class Pair(gymnasium.Env):
        observation_space = gymnasium.spaces.Discrete(2)
        action_space = gymnasium.spaces.Discrete(2)
        reward_space = gymnasium.spaces.Box(0.0, 1.0, (2,))

        def __init__(self) -> None:
            self.at = 0

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            super().reset(seed=seed)
            self.at = 0
            return self.at, {}

        def step(self, action: Any) -> Any:
            reward = CORNERS[self.at, int(action)].copy()
            self.at = int(action)
            return self.at, reward, False, False, {}

    name = "stored-pair-v0"
    if name not in gymnasium.registry:
        gymnasium.register(name, entry_point=Pair)
    return name


def exact_gym() -> PolicyBackend:
    return GymBackend(registered_environment(), discount=0.5, horizon=2, mode="exact", objectives=["left", "right"])


def trained_gym() -> PolicyBackend:
    pytest.importorskip("stable_baselines3")
    training = RLTraining("DQN", total_steps=64, episodes=4, options={"learning_starts": 8})
    name = registered_environment()
    ranges = [(0.0, 1.0), (0.0, 1.0)]
    return GymBackend(name, discount=0.5, horizon=2, mode="train", training=training, reward_range=ranges, seed=3)


PROBLEMS: dict[str, tuple[Callable[[], PolicyBackend], str, str]] = {
    "bandit": (
        plain_bandit,
        "backends.bandit.BanditBackend",
        "a4f160ba689f3864ace60ba50241143435b285652c43436da94d9172e07437d4",
    ),
    "regularized bandit": (
        regularized_bandit,
        "backends.bandit.BanditBackend",
        "370706cd1543125318c41ee13fe184f0fdd3f170f8632d8537b99c598d04d21f",
    ),
    "discounted mdp": (
        discounted_mdp,
        "backends.mdp.MDPBackend",
        "062a79bf4121cb77bef5750e508c00307a4d5f7222ecc9e4e6b6aedaf8b5a17d",
    ),
    "finite mdp": (
        finite_mdp,
        "backends.mdp.MDPBackend",
        "655f5711e7b2fadc3ec1b9dc4a7c681caa8e37b97ed2d7b465722d8ce52b483f",
    ),
    "table": (
        plain_table,
        "backends.table.TableBackend",
        "b5a125d916a8721a44afb5a89c57fe256b53b513869caef86c1da3847dfe1cc0",
    ),
    "table with every column": (
        whole_table,
        "backends.table.TableBackend",
        "011d47166a8568d1ac14dc87f97099adf25cba2bffa13d4e83526e751e4549a2",
    ),
    "linear": (
        lambda: LinearBackend(program(integer=False)),
        "backends.linear.LinearBackend",
        "9e9951e6bf5e41f47cb610ff5b5f90706d4e7ac73ae5e202c8b74ea852e5d81e",
    ),
    "integer of a program": (
        lambda: IntegerBackend.from_program(program(integer=True)),
        "backends.integer.IntegerBackend",
        "9f273e34c1e8da26cef8abf2b950f37e662898982fa0b7f68dcb3a8ca8119f6a",
    ),
    "shortest path": (
        shortest_path,
        "backends.graph.GraphBackend",
        "a6f5d5d753d9be955ccd8d9f84a8a6964eec8271ff107dcb772ed5ddeea77a5f",
    ),
    "assignment": (
        assignment,
        "backends.graph.GraphBackend",
        "18652c16377fb3833d2e97f9b6520f3b48323cfb2a84067ef99eb2488f577c50",
    ),
    "integer": (
        integer,
        "backends.integer.IntegerBackend",
        "dad6bf6b69a5f88b8eac10648eb33ba1a2c50e52ff59c39c04aaf6018bb7fee2",
    ),
    "knapsack": (
        knapsack,
        "backends.knapsack.KnapsackBackend",
        "d4ac6d3003889f49f7fedbb3f5a08ca195ce58ea8655a7818f56e31990f5d378",
    ),
    "enumerated gym": (
        exact_gym,
        "backends.gym.GymBackend",
        "d6f0709817112ae3c0524019c69fb44ec3a350bd609de7c60bfbd11c89085ae0",
    ),
    "trained gym": (
        trained_gym,
        "backends.gym.GymBackend",
        "d65c66fa81bde05404ba304bbc743e4232338effee01d6f13f577e94fc9891e2",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_known_by_the_same_word_and_fingerprint(name: str) -> None:
    make, word, fingerprint = PROBLEMS[name]
    backend = make()
    assert problem_description(backend)["backend"] == word
    assert problem_fingerprint(backend) == fingerprint


def test_a_convex_program_is_described_the_same() -> None:
    """But for the digests of its matrices, which are how this version of cvxpy writes it down."""
    description = problem_description(convex())
    assert len(description["parameters"].pop("program")) % 3 == 0
    assert description == {
        "backend": "backends.convex.ConvexBackend",
        "normalizers": [{"scale": 1.0, "offset": 0.0}] * 2,
        "objectives": ["first", "second"],
        "parameters": {"tolerance": 1e-05, "variables": {"x": [2]}},
        "regularizer_max": 0.0,
        "reward_max": 1.0,
    }


STRATEGIES: list[tuple[Any, dict[str, Any]]] = [
    (
        Adaptive(),
        {
            "strategy": "Adaptive",
            "epsilon": 0.01,
            "delta": 0.0,
            "max_policies": None,
            "max_solves": None,
            "batch": 1,
            "keep_all": False,
            "start": [],
        },
    ),
    (
        Adaptive(0.05, 0.25, max_policies=3, max_solves=7, batch=2, keep_all=True, start=((0.5, 0.5),)),
        {
            "strategy": "Adaptive",
            "epsilon": 0.05,
            "delta": 0.25,
            "max_policies": 3,
            "max_solves": 7,
            "batch": 2,
            "keep_all": True,
            "start": [[0.5, 0.5]],
        },
    ),
    (
        Palm(0.5, 0.25),
        {"strategy": "Palm", "mu": 0.5, "alpha": 0.25, "lazy": True, "prune": True, "max_points": 5_000_000},
    ),
    (
        Palm(1.0, 0.125, lazy=False, prune=False, max_points=100),
        {"strategy": "Palm", "mu": 1.0, "alpha": 0.125, "lazy": False, "prune": False, "max_points": 100},
    ),
    (
        Palm(0.5, 0.25, epsilon=0.125),
        {
            "strategy": "Palm",
            "mu": 0.5,
            "alpha": 0.25,
            "lazy": True,
            "prune": True,
            "max_points": 5_000_000,
            "epsilon": 0.125,
        },
    ),
    (Planned(), {"strategy": "Planned", "epsilon": 0.05, "max_policies": None, "specialists": True}),
    (
        Planned(0.1, max_policies=4, specialists=False),
        {"strategy": "Planned", "epsilon": 0.1, "max_policies": 4, "specialists": False},
    ),
    (UniformGrid(4), {"strategy": "UniformGrid", "n": 4, "max_points": 5_000_000}),
    (RandomWeights(8), {"strategy": "RandomWeights", "n": 8, "seed": None}),
    (RandomWeights(8, seed=5), {"strategy": "RandomWeights", "n": 8, "seed": 5}),
]


@pytest.mark.parametrize(("strategy", "description"), STRATEGIES, ids=lambda value: type(value).__name__)
def test_a_strategy_describes_itself_the_same(strategy: Any, description: dict[str, Any]) -> None:
    assert strategy.describe() == description


def test_every_installed_backend_is_pinned() -> None:
    """``llm`` in tests/llm."""
    words = {word for _, word, _ in PROBLEMS.values()} | {"backends.convex.ConvexBackend"}
    names = {entry.name for entry in importlib.metadata.entry_points(group="palm_theory.backends")}
    assert (
        names
        >= {word.split(".")[1] for word in words}
        == {
            "bandit",
            "convex",
            "graph",
            "gym",
            "integer",
            "knapsack",
            "linear",
            "mdp",
            "table",
        }
    )
