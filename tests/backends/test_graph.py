"""GraphBackend: conformance and brute force for every task, and clear errors."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.graph import GraphBackend
from palm_theory import Adaptive, build_portfolio
from palm_theory.errors import BackendError, InputError
from palm_theory.testing import check_conformance


def with_vectors(graph: nx.Graph, seed: int, low: int = 1, d: int = 3) -> Any:
    rng = np.random.default_rng(seed)
    for edge in graph.edges:
        graph.edges[edge]["c"] = rng.integers(low, 10, d).astype(float)
    return graph


def grid(seed: int = 0) -> GraphBackend:
    graph = with_vectors(nx.grid_2d_graph(4, 4), seed)
    return GraphBackend(graph, "shortest-path", costs="c", source=(0, 0), target=(3, 3))


def every_set(graph: nx.Graph, size: int | None) -> list[list[tuple[Any, Any]]]:
    edges = list(graph.edges)
    sizes = range(len(edges) + 1) if size is None else [size]
    return [list(chosen) for k in sizes for chosen in itertools.combinations(edges, k)]


def best(graph: nx.Graph, sets: list[list[tuple[Any, Any]]], weights: np.ndarray) -> float:
    return max(float(sum((graph.edges[e]["c"] @ weights for e in chosen), 0.0)) for chosen in sets)


def raw(backend: GraphBackend, weights: np.ndarray) -> float:
    """The optimum in the graph's own unit: Σ of w·c, of costs or of rewards."""
    rewards = backend.optimize(weights).value.rewards
    pairs = zip(backend.normalizers, rewards, strict=True)
    return float(weights @ [float(normalizer.invert(reward)) for normalizer, reward in pairs])


@pytest.mark.parametrize(
    "backend",
    [
        grid(),
        GraphBackend(with_vectors(nx.grid_2d_graph(3, 4), 1), "spanning-tree", costs="c"),
        GraphBackend(with_vectors(nx.complete_graph(6), 2, low=-5), "matching", rewards="c"),
        GraphBackend(with_vectors(nx.complete_bipartite_graph(3, 5), 3), "assignment", costs="c"),
        GraphBackend(
            with_vectors(nx.DiGraph(list(itertools.combinations(range(6), 2))), 4, low=-5),
            "shortest-path",
            rewards="c",
            source=0,
            target=5,
        ),
    ],
    ids=["path", "tree", "matching", "assignment", "longest-path"],
)
def test_conformance(backend: GraphBackend) -> None:
    check_conformance(backend).raise_on_failure()
    assert build_portfolio(backend, Adaptive(0.0)).certificate.epsilon <= 1e-9


weights_3 = st.integers(0, 10_000).map(lambda seed: np.random.default_rng(seed).dirichlet(np.ones(3)))


@given(st.integers(0, 10_000), weights_3)
@settings(max_examples=25, deadline=None)
def test_paths_against_all_simple_paths(seed: int, weights: np.ndarray) -> None:
    graph = with_vectors(nx.grid_2d_graph(3, 3), seed)
    backend = GraphBackend(graph, "shortest-path", costs="c", source=(0, 0), target=(2, 2))
    costs = [
        float(sum(graph.edges[e]["c"] @ weights for e in itertools.pairwise(path)))
        for path in nx.all_simple_paths(graph, (0, 0), (2, 2))
    ]
    assert raw(backend, weights) == pytest.approx(min(costs))


@given(st.integers(0, 10_000), weights_3)
@settings(max_examples=25, deadline=None)
def test_trees_against_all_trees(seed: int, weights: np.ndarray) -> None:
    graph = with_vectors(nx.wheel_graph(5), seed, low=-5)
    trees = [t for t in every_set(graph, 4) if nx.is_tree(nx.Graph(t)) and len(nx.Graph(t)) == 5]
    assert raw(GraphBackend(graph, "spanning-tree", rewards="c"), weights) == pytest.approx(best(graph, trees, weights))


@given(st.integers(0, 10_000), weights_3)
@settings(max_examples=25, deadline=None)
def test_matchings_against_all_matchings(seed: int, weights: np.ndarray) -> None:
    graph = with_vectors(nx.wheel_graph(6), seed, low=-5)
    matchings = [m for m in every_set(graph, None) if nx.is_matching(graph, set(m))]
    assert raw(GraphBackend(graph, "matching", rewards="c"), weights) == pytest.approx(best(graph, matchings, weights))


@given(st.integers(0, 10_000), weights_3)
@settings(max_examples=25, deadline=None)
def test_assignments_against_all_assignments(seed: int, weights: np.ndarray) -> None:
    graph = with_vectors(nx.complete_bipartite_graph(3, 4), seed, low=-5)
    graph.remove_edge(0, 3)
    full = [m for m in every_set(graph, 3) if nx.is_matching(graph, set(m))]
    assert raw(GraphBackend(graph, "assignment", rewards="c"), weights) == pytest.approx(best(graph, full, weights))


def test_costs_named_by_attributes_name_the_objectives() -> None:
    graph = nx.path_graph(3)
    for edge in graph.edges:
        graph.edges[edge].update(time=2.0, toll=1.0)
    backend = GraphBackend(graph, "shortest-path", costs=["time", "toll"], source=0, target=2)
    solution = backend.optimize(np.array([0.5, 0.5]))
    assert backend.objectives == ("time", "toll")
    assert backend.edges_of(solution.policy) == [(0, 1), (1, 2)]
    assert [float(n.invert(r)) for n, r in zip(backend.normalizers, solution.value.rewards, strict=True)] == [4.0, 2.0]


def test_evaluate_refuses_what_the_task_does_not_allow() -> None:
    backend = grid()
    with pytest.raises(InputError, match="no shortest path"):
        backend.evaluate([0])
    with pytest.raises(InputError, match="distinct edge numbers"):
        backend.evaluate([0, 0])
    with pytest.raises(InputError, match="distinct edge numbers"):
        backend.evaluate([10_000])
    tree = GraphBackend(with_vectors(nx.cycle_graph(4), 0), "spanning-tree", costs="c")
    with pytest.raises(InputError, match="no spanning tree"):
        tree.evaluate([0, 1])


def detour() -> Any:
    """From s to t directly, costs (6, 6), or through a, costs (0, 100)."""
    graph = nx.Graph()
    graph.add_edge("s", "t", c=[6.0, 6.0])
    graph.add_edge("s", "a", c=[0.0, 50.0])
    graph.add_edge("a", "t", c=[0.0, 50.0])
    return graph


def test_a_bound_below_the_cost_of_an_optimal_path_is_refused() -> None:
    ends = {"source": "s", "target": "t"}
    with pytest.raises(InputError, match=r"costs 100 in objective 'r2', more than cost_max 10"):
        GraphBackend(detour(), "shortest-path", costs="c", cost_max=[10, 10], **ends)
    with pytest.raises(InputError, match="cost_max must be 2 finite numbers"):
        GraphBackend(detour(), "shortest-path", costs="c", cost_max=[10, np.nan], **ends)


def test_rewards_are_the_bound_minus_the_cost_and_never_clipped() -> None:
    graph = detour()
    graph.add_edge("a", "b", c=[9.0, 9.0])
    graph.add_edge("b", "t", c=[9.0, 9.0])
    backend = GraphBackend(graph, "shortest-path", costs="c", source="s", target="t", cost_max=[10, 100])
    assert backend.evaluate([0]).rewards.tolist() == [4, 94]
    through_b = [k for k, edge in enumerate(graph.edges) if set(edge) in ({"s", "a"}, {"a", "b"}, {"b", "t"})]
    with pytest.raises(InputError, match=r"costs 18 in objective 'r1', more than cost_max 10"):
        backend.evaluate(through_b)
    check_conformance(backend).raise_on_failure()


@given(st.integers(0, 10_000), st.floats(0.3, 1.2))
@settings(max_examples=40, deadline=None)
def test_a_bound_of_two_objectives_is_refused_when_built_or_holds_at_all_weights(seed: int, share: float) -> None:
    graph = with_vectors(nx.grid_2d_graph(3, 3), seed, d=2)
    ends = {"source": (0, 0), "target": (2, 2)}
    loose = GraphBackend(graph, "shortest-path", costs="c", **ends)
    bound = [share * normalizer.offset / 2 for normalizer in loose.normalizers]
    try:
        backend = GraphBackend(graph, "shortest-path", costs="c", cost_max=bound, **ends)
    except InputError:
        return
    for first in np.linspace(0, 1, 21):
        at = np.array([first, 1 - first])
        assert backend.optimize(at).value.rewards.min() >= 0
        assert raw(backend, at) == pytest.approx(raw(loose, at))


def test_a_bound_exceeded_between_the_corners_is_an_error_of_the_solve() -> None:
    # Best for one objective each: one of three edges, dear in the others by 8; best for the first two together: "c".
    graph = nx.DiGraph()
    for name, costs in {"a": [0, 8, 8], "b": [8, 0, 8], "e": [8, 8, 0], "c": [1, 1, 50]}.items():
        graph.add_edge("s", name, c=[float(cost) for cost in costs])
        graph.add_edge(name, "t", c=[0.0, 0.0, 0.0])
    backend = GraphBackend(graph, "shortest-path", costs="c", source="s", target="t", cost_max=[10, 10, 10])
    with pytest.raises(InputError, match=r"costs 50 in objective 'r3', more than cost_max 10"):
        backend.optimize(np.array([0.5, 0.5, 0.0]))
    with pytest.raises(BackendError, match="more than cost_max 10"):
        build_portfolio(backend, Adaptive(0.0), progress=False)


def test_errors_say_what_is_wrong() -> None:
    graph = with_vectors(nx.cycle_graph(4), 0)
    ends = {"source": 0, "target": 2}
    negative = graph.copy()
    negative.edges[0, 1]["c"] = np.array([-1.0, 1, 1])
    with pytest.raises(InputError, match=r"edge \(0, 1\) has a negative cost in objective 'r1'"):
        GraphBackend(negative, "shortest-path", costs="c", **ends)
    with pytest.raises(InputError, match="positive reward"):
        GraphBackend(graph, "shortest-path", rewards="c", **ends)
    apart = graph.copy()
    apart.add_edge(8, 9, c=np.ones(3))
    with pytest.raises(InputError, match="no path leads from 0 to 9"):
        GraphBackend(apart, "shortest-path", costs="c", source=0, target=9)
    with pytest.raises(InputError, match="in 2 parts"):
        GraphBackend(apart, "spanning-tree", costs="c")
    with pytest.raises(InputError, match="not bipartite"):
        GraphBackend(with_vectors(nx.cycle_graph(3), 0), "assignment", costs="c")
    with pytest.raises(InputError, match="left over"):
        GraphBackend(with_vectors(nx.Graph([(0, 10), (1, 10), (2, 11), (2, 12), (2, 13)]), 0), "assignment", costs="c")
    with pytest.raises(InputError, match="undirected"):
        GraphBackend(with_vectors(nx.DiGraph([(0, 1)]), 0), "matching", rewards="c")
    with pytest.raises(InputError, match="no attribute"):
        GraphBackend(graph, "spanning-tree", costs="length")
    with pytest.raises(InputError, match="either costs or rewards"):
        GraphBackend(graph, "spanning-tree")
    with pytest.raises(InputError, match="task must be"):
        GraphBackend(graph, "travelling-salesman", costs="c")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not a node"):
        GraphBackend(graph, "shortest-path", costs="c", source=0, target=77)
    with pytest.raises(InputError, match="below the least cost"):
        GraphBackend(graph, "shortest-path", costs="c", cost_max=[0, 0, 0], **ends)
    with pytest.raises(InputError, match="no edge"):
        GraphBackend(nx.empty_graph(3), "matching", rewards="c")


def hostile(kind: str, seed: int) -> tuple[GraphBackend, list[list[int]]]:
    """Edges whose scores are nearly the same beside their size, or of many sizes, and all policies there are."""
    rng = np.random.default_rng(seed)
    styles = [
        lambda n: 1e9 + rng.integers(0, 64, (n, 2)) / 64,
        lambda n: 10.0 ** rng.uniform(-9, 9, (n, 2)),
        lambda n: 1 - 10.0 ** rng.uniform(-15, -1, (n, 2)),
        lambda n: rng.integers(1, 4, (n, 2)) * 1e-300,
        lambda n: rng.integers(1, 4, (n, 2)) * 1e300,
    ]
    options: dict[str, Any] = {"costs": "c"}
    if kind == "matching":
        graph, options = nx.complete_graph(5), {"rewards": "c"}
    elif kind == "assignment":
        graph = nx.complete_bipartite_graph(3, 4)
    elif kind == "spanning-tree":
        graph = nx.complete_graph(4)
    else:
        graph = nx.complete_graph(5) if seed % 2 else nx.DiGraph(list(itertools.combinations(range(5), 2)))
        options |= {"source": 0, "target": 4}
    for edge, row in zip(graph.edges, styles[seed % 5](graph.number_of_edges()), strict=True):
        graph.edges[edge]["c"] = row
    backend = GraphBackend(graph, kind, **options)  # type: ignore[arg-type]
    chosen = range(graph.number_of_edges())
    sets = [list(s) for k in range(5) for s in itertools.combinations(chosen, k)]
    return backend, [s for s in sets if backend._allows(s)]


@pytest.mark.parametrize("kind", ["shortest-path", "spanning-tree", "matching", "assignment"])
def test_bounds_and_totals_hold_in_fractions(kind: str) -> None:
    for seed in range(20):
        backend, policies = hostile(kind, seed)
        exact = {}
        for policy in policies:
            rewards = [
                sum((Fraction(float(x)) for x in backend._scores[policy, i]), Fraction(n.offset))
                for i, n in enumerate(backend.normalizers)
            ]
            exact[tuple(policy)] = rewards
        for w in (np.array([1.0, 0.0]), np.array([0.25, 0.75]), np.random.default_rng(seed).dirichlet(np.ones(2))):
            share = [Fraction(float(x)) for x in w]
            optimum = max(sum(x * y for x, y in zip(share, rewards, strict=True)) for rewards in exact.values())
            solution = backend.optimize(w)
            reached, upper = backend.optimal_bracket(w)
            assert upper == solution.upper_bound >= reached
            assert Fraction(upper) >= optimum
            assert Fraction(upper) - optimum <= Fraction(backend.reward_max) / 10**5
            for found, right in zip(solution.value.rewards.tolist(), exact[tuple(solution.policy)], strict=True):
                assert abs(Fraction(found) - right) <= abs(right) / 2**52


def test_a_heavy_edge_does_not_blind_a_matching_to_light_ones() -> None:
    """Scores used to be rounded to 40 bits of the largest, which made edges of 1 beside 1e13 nothing."""
    graph = nx.Graph()
    graph.add_edge(0, 1, c=[1e13])
    graph.add_edge(2, 3, c=[1.0])
    graph.add_edge(3, 4, c=[3.0])
    backend = GraphBackend(graph, "matching", rewards="c")
    assert backend.optimize(np.ones(1)).value.rewards[0] == 1e13 + 3
