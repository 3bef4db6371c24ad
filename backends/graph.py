"""Multi-criteria shortest paths, spanning trees and matchings on networkx graphs, solved exactly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from backends.bandit import default_objectives
from backends.exact_sums import UNIT
from palm_theory.bounds import EXACT
from palm_theory.contract.backend import PolicyBackend, Power, Solution
from palm_theory.contract.calls import RANGE_TOLERANCE
from palm_theory.contract.declarations import Declarations
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.contract.value import Value, frozen_array
from palm_theory.errors import InputError
from palm_theory.files import array_digest, canonical_json, sha256
from palm_theory.geometry.simplex import Array

if TYPE_CHECKING:
    import networkx as nx

Task = Literal["shortest-path", "spanning-tree", "matching", "assignment"]
TASKS: tuple[Task, ...] = ("shortest-path", "spanning-tree", "matching", "assignment")

FIXED_SIZE: tuple[Task, ...] = ("spanning-tree", "assignment")
"""Tasks whose policies all have the same number of edges: what all scores have in common decides nothing."""


class GraphBackend(PolicyBackend, kind="backends.graph.GraphBackend"):
    """maximise Σ_{e∈S} ⟨w, r(e)⟩ over the sets S of edges that a task allows.

    Parameters
    ----------
    graph : a networkx Graph or DiGraph (no multigraph).
    task : "shortest-path", simple paths from ``source`` to ``target``; "spanning-tree", of an undirected connected
        graph; "matching", any sets of disjoint edges of an undirected graph; "assignment", matchings of a bipartite
        graph that cover the smaller side.
    costs, rewards : one of the two: an edge attribute that holds a vector (d,), or d names of scalar attributes, which
        then name the objectives. Costs are minimised: reward = largest possible cost − cost, stored in
        ``normalizers``. Rewards may be negative: then the least possible total is subtracted.
    source, target : nodes, for "shortest-path".
    objectives : d names; r1, r2, … by default.
    cost_max : for shortest paths, upper bounds (d,) on the costs of every path that is optimal at some weights. By
        default the largest cost of any path on an acyclic graph, and otherwise the sum of the n−1 largest costs for n
        nodes, since the longest path is NP-hard.

    Rewards are cost_max − cost, never clipped: J* is over all paths, and a path beyond the bounds, whose reward would
    be negative, is an InputError where it is found or given. With two objectives the paths best for one of them, found
    when the backend is built, cost most of all optima, so bounds that are too low are refused there. With more, bounds
    are the caller's word, checked on every path that is found.

    Algorithms: Dijkstra on graphs with cycles, which needs costs ≥ 0, and dynamic programming in topological order on
    acyclic ones, where any sign is fine; Kruskal; Edmonds' blossoms, and the Hungarian method. A policy is the
    increasing list of the numbers of its edges in ``list(graph.edges)``; ``edges_of`` names them. The oracle is exact
    to rounding, which every solve's upper bound allows for.

    Raises InputError on negative costs around cycles, disconnected or unsuitable graphs, missing attributes, and bounds
    below the cost of an optimal path.
    """

    def __init__(
        self,
        graph: nx.Graph,
        task: Task,
        *,
        costs: str | Sequence[str] | None = None,
        rewards: str | Sequence[str] | None = None,
        source: Any = None,
        target: Any = None,
        objectives: Sequence[str] | None = None,
        cost_max: Sequence[float] | None = None,
    ) -> None:
        import networkx as nx

        if task not in TASKS:
            raise InputError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
        if not isinstance(graph, nx.Graph) or graph.is_multigraph():
            raise InputError(f"graph must be a networkx Graph or DiGraph, got {type(graph).__name__}")
        if (costs is None) == (rewards is None):
            raise InputError("give either costs or rewards")
        self._task: Task = task
        self._graph = nx.freeze(graph.copy())
        self._edges = list(self._graph.edges)
        if not self._edges:
            raise InputError("the graph has no edge")
        self._number = {edge: k for k, edge in enumerate(self._edges)}
        self._minimizes = costs is not None
        attribute = costs if costs is not None else rewards
        assert attribute is not None
        measured = _edge_vectors(self._graph, attribute)
        names = objectives if objectives is not None or isinstance(attribute, str) else list(attribute)
        objective_names = default_objectives(names, measured.shape[1])
        self._scores = frozen_array(-measured if self._minimizes else measured, "edge scores")
        middle = (self._scores.max(axis=0) / 2 + self._scores.min(axis=0) / 2) if task in FIXED_SIZE else 0.0
        self._deciding = self._scores - middle
        self._source, self._target = source, target
        self._acyclic = False
        self._check_task(objective_names)
        self._cost_max = None if cost_max is None else self._checked_bounds(cost_max, objective_names)
        self.declared = self._declarations(objective_names)
        if self._cost_max is not None:
            for i in range(len(objective_names)):
                self._value(self._best(self._scores[:, i]))

    @classmethod
    def assignment(cls, costs: ArrayLike, *, objectives: Sequence[str] | None = None) -> GraphBackend:
        """The assignment problem of ``costs`` (d, n, m): costs[k, i, j] of giving task j to agent i.

        Raises InputError on another shape or an empty axis.
        """
        import networkx as nx

        table = np.asarray(costs, dtype=np.float64)
        if table.ndim != 3 or 0 in table.shape:
            raise InputError(f"costs must have shape (d, n, m) with no empty axis, got {table.shape}")
        graph = nx.Graph()
        _, agents, tasks = table.shape
        for i in range(agents):
            for j in range(tasks):
                graph.add_edge(("agent", i), ("task", j), costs=table[:, i, j])
        return cls(graph, "assignment", costs="costs", objectives=objectives)

    @classmethod
    def from_file(cls, path: str | Path) -> GraphBackend:
        """The assignment problem of a file; see ``backends.programs.files.read_assignment`` for the formats."""
        from backends.programs.files import read_assignment

        return cls.assignment(read_assignment(path))

    def _check_task(self, objectives: Sequence[str]) -> None:
        import networkx as nx

        graph, task = self._graph, self._task
        if task != "shortest-path" and graph.is_directed():
            raise InputError(f"task {task!r} needs an undirected graph")
        if task == "shortest-path":
            for node, what in ((self._source, "source"), (self._target, "target")):
                if node not in graph:
                    raise InputError(f"{what} {node!r} is not a node of the graph")
            if self._source == self._target:
                raise InputError(f"source and target are the same node {self._source!r}")
            if not nx.has_path(graph, self._source, self._target):
                raise InputError(f"the graph is disconnected: no path leads from {self._source!r} to {self._target!r}")
            self._acyclic = graph.is_directed() and nx.is_directed_acyclic_graph(graph)
            if not self._acyclic and self._scores.max() > 0:
                edge, i = (int(k) for k in np.argwhere(self._scores > 0)[0])
                kind = "negative cost" if self._minimizes else "positive reward"
                raise InputError(
                    f"edge {self._edges[edge]!r} has a {kind} in objective {objectives[i]!r}, and the graph has "
                    "cycles: the best simple path is NP-hard to find; use costs >= 0 or an acyclic graph"
                )
        elif task == "spanning-tree" and not nx.is_connected(graph):
            parts = nx.number_connected_components(graph)
            raise InputError(f"the graph is disconnected, in {parts} parts: it has no spanning tree")
        elif task == "assignment":
            self._check_assignment()

    def _check_assignment(self) -> None:
        import networkx as nx

        if not nx.is_bipartite(self._graph):
            raise InputError("the graph is not bipartite: an assignment needs two sides; use task='matching'")
        # Each part may be two-coloured either way; nodes are taken in the graph's order.
        colours = nx.bipartite.color(self._graph)
        sides = [[node for node in self._graph if colours[node] == side] for side in (0, 1)]
        self._rows, self._columns = sorted(sides, key=len)
        matching = nx.bipartite.hopcroft_karp_matching(self._graph, self._rows)
        unmatched = [node for node in self._rows if node not in matching]
        if unmatched:
            raise InputError(f"no assignment covers the smaller side: node {unmatched[0]!r} is left over")
        row = {node: k for k, node in enumerate(self._rows)}
        column = {node: k for k, node in enumerate(self._columns)}
        self._cells = np.full((len(row), len(column)), -1)
        for k, (u, v) in enumerate(self._edges):
            a, b = (u, v) if u in row else (v, u)
            self._cells[row[a], column[b]] = k

    def _checked_bounds(self, cost_max: Sequence[float], objectives: tuple[str, ...]) -> Array:
        d = len(objectives)
        bounds = frozen_array(cost_max, "cost_max")
        if bounds.shape != (d,) or not np.all(np.isfinite(bounds)):
            raise InputError(f"cost_max must be {d} finite numbers, got {cost_max!r}")
        if not self._minimizes or self._task != "shortest-path":
            raise InputError("cost_max is for shortest paths with costs")
        for i in range(d):
            if -bounds[i] > self._total(self._best(self._scores[:, i]))[i]:
                raise InputError(f"cost_max {bounds[i]:g} of {objectives[i]!r} is below the least cost")
        return bounds

    def _declarations(self, objectives: tuple[str, ...]) -> Declarations:
        d = len(objectives)
        highs = [self._total(self._best(self._scores[:, i]))[i] for i in range(d)]
        lows = [self._lowest(i) for i in range(d)] if self._cost_max is None else (-self._cost_max).tolist()
        sign = -1.0 if self._minimizes else 1.0
        normalizers = tuple(Normalizer(sign, -low + 0.0) if self._minimizes or low < 0 else IDENTITY for low in lows)
        tops = [normalizer.offset + high for normalizer, high in zip(normalizers, highs, strict=True)]
        return Declarations(
            objectives=objectives,
            reward_max=max(tops) if max(tops) > 0 else 1.0,
            regularizer_max=0.0,
            oracle_error=EXACT,
            normalizers=normalizers,
        )

    def _lowest(self, i: int) -> float:
        """The least total score i of any policy, or a lower bound on it where that is NP-hard."""
        if self._task == "shortest-path" and not self._acyclic:
            return float(np.sort(self._scores[:, i])[: self._graph.number_of_nodes() - 1].sum())
        if self._task == "matching":
            return float(self._total(self._best(np.maximum(-self._scores[:, i], 0.0)))[i])
        return float(self._total(self._best(-self._scores[:, i]))[i])

    @property
    def powers(self) -> frozenset[Power]:
        return frozenset({Power.OPTIMAL_VALUE})

    def describe(self) -> Mapping[str, Any]:
        nodes = [repr(node) for node in self._graph]
        edges = [[repr(u), repr(v)] for u, v in self._edges]
        return {
            "task": self._task,
            "directed": self._graph.is_directed(),
            "graph": sha256(canonical_json([nodes, edges]).encode()),
            "scores": array_digest(self._scores),
            "source": repr(self._source),
            "target": repr(self._target),
        }

    def optimize(self, weights: Array) -> Solution:
        policy = self._best(self._deciding @ weights)
        value = self._value(policy)
        upper = value.scalarize(weights) + self._rounding(weights)
        return Solution(policy, value, upper_bound=upper)

    def _rounding(self, weights: Array) -> float:
        """How far a policy that is best for rounded scores and sums may be from the best, at most.

        Of two policies of at most m edges, scores |s_e| ≤ a: each score errs by (d+1)·u·a, each of m sums by u·m·a.
        """
        edges, d = self._graph.number_of_nodes(), len(weights)
        largest = float((np.abs(self._deciding) @ weights).max())
        return 2 * edges * (edges + d + 4) * UNIT * largest + 4 * d * UNIT * self.reward_max

    def optimal_value(self, weights: Array) -> float:
        return self.optimal_bracket(weights)[0]

    def optimal_bracket(self, weights: Array) -> tuple[float, float]:
        solution = self.optimize(weights)
        assert solution.upper_bound is not None
        return solution.value.scalarize(weights), solution.upper_bound

    def evaluate(self, policy: Any) -> Value:
        """The edges' total. Raises InputError unless they are what the task allows."""
        count = len(self._edges)
        whole = isinstance(policy, list) and all(
            isinstance(k, int) and not isinstance(k, bool) and 0 <= k < count for k in policy
        )
        if not whole or len(set(policy)) != len(policy):
            raise InputError(f"a policy is a list of distinct edge numbers in 0..{count - 1}, got {policy!r}")
        if not self._allows(policy):
            raise InputError(f"edges {self.edges_of(policy)} are no {self._task.replace('-', ' ')} of this graph")
        return self._value(policy)

    def edges_of(self, policy: Sequence[int]) -> list[tuple[Any, Any]]:
        """The edges (u, v) of a policy."""
        return [self._edges[k] for k in policy]

    def _total(self, policy: Sequence[int]) -> Array:
        """Σ of the scores of some edges, (d,)."""
        return self._scores[list(policy)].sum(axis=0)

    def _value(self, policy: Sequence[int]) -> Value:
        total = self._total(policy)
        if self._cost_max is not None:
            rounding = RANGE_TOLERANCE * np.maximum(np.abs(self._cost_max), self.reward_max)
            over = -total > self._cost_max + rounding
            if over.any():
                i = int(over.argmax())
                raise InputError(
                    f"path {self.edges_of(policy)} costs {-total[i]:g} in objective {self.objectives[i]!r}, more than "
                    f"cost_max {self._cost_max[i]:g}: give larger bounds, or none"
                )
        # Summed without rounding: offsets may take off nearly all of it.
        rewards = [
            math.fsum([*self._scores[policy, i].tolist(), normalizer.offset])
            for i, normalizer in enumerate(self.normalizers)
        ]
        return Value(np.array(rewards))

    def _best(self, scores: Array) -> list[int]:
        """The allowed set of edges with the largest total of ``scores`` (E,), as increasing edge numbers."""
        solvers: dict[Task, Callable[[Array], list[int]]] = {
            "shortest-path": self._path,
            "spanning-tree": self._tree,
            "matching": self._matching,
            "assignment": self._assignment,
        }
        return sorted(solvers[self._task](scores))

    def _edge_number(self, u: Any, v: Any) -> int:
        found = self._number.get((u, v))
        return self._number[(v, u)] if found is None else found

    def _path(self, scores: Array) -> list[int]:
        import networkx as nx

        if self._acyclic:
            nodes = self._longest_path(scores)
        else:

            def cost(u: Any, v: Any, _: Any) -> float:
                return float(-scores[self._edge_number(u, v)])

            nodes = nx.dijkstra_path(self._graph, self._source, self._target, weight=cost)
        return [self._edge_number(u, v) for u, v in itertools.pairwise(nodes)]

    def _longest_path(self, scores: Array) -> list[Any]:
        import networkx as nx

        best: dict[Any, float] = {self._source: 0.0}
        previous: dict[Any, Any] = {}
        for u in nx.topological_sort(self._graph):
            if u not in best:
                continue
            for v in self._graph.successors(u):
                total = best[u] + float(scores[self._number[(u, v)]])
                if v not in best or total > best[v]:
                    best[v], previous[v] = total, u
        nodes = [self._target]
        while nodes[-1] != self._source:
            nodes.append(previous[nodes[-1]])
        return nodes[::-1]

    def _tree(self, scores: Array) -> list[int]:
        from networkx.utils import UnionFind

        joined = UnionFind(self._graph)
        tree = []
        for k in np.argsort(-scores, kind="stable"):
            u, v = self._edges[int(k)]
            if joined[u] != joined[v]:
                joined.union(u, v)
                tree.append(int(k))
        return tree

    def _matching(self, scores: Array) -> list[int]:
        import networkx as nx

        weighted = nx.Graph()
        weighted.add_nodes_from(self._graph)
        useful = np.flatnonzero(scores > 0)
        for k, whole in zip(useful, _as_integers(scores[useful]), strict=True):
            weighted.add_edge(*self._edges[k], weight=whole)
        return [self._edge_number(u, v) for u, v in nx.max_weight_matching(weighted)]

    def _assignment(self, scores: Array) -> list[int]:
        from scipy.optimize import linear_sum_assignment

        table = np.where(self._cells >= 0, scores[self._cells], -np.inf)
        rows, columns = linear_sum_assignment(table, maximize=True)
        return [int(k) for k in self._cells[rows, columns]]

    def _allows(self, policy: Sequence[int]) -> bool:
        import networkx as nx

        edges = self.edges_of(policy)
        if self._task == "spanning-tree":
            tree = nx.Graph(edges)
            return len(edges) == len(self._graph) - 1 and len(tree) == len(self._graph) and nx.is_connected(tree)
        if self._task == "shortest-path":
            return self._is_path(edges)
        ends = [node for edge in edges for node in edge]
        disjoint = len(set(ends)) == len(ends)
        return disjoint and (self._task == "matching" or len(edges) == len(self._rows))

    def _is_path(self, edges: list[tuple[Any, Any]]) -> bool:
        import networkx as nx

        part = nx.DiGraph(edges) if self._graph.is_directed() else nx.Graph(edges)
        if self._source not in part or self._target not in part:
            return False
        if not nx.has_path(part, self._source, self._target):
            return False
        return len(nx.shortest_path(part, self._source, self._target)) == len(edges) + 1 == len(part)


def _as_integers(numbers: Array) -> list[int]:
    """The same numbers times one power of two that makes them whole: on integers networkx proves its optimum."""
    mantissas, exponents = np.frexp(numbers)
    whole = np.ldexp(mantissas, 53).astype(np.int64).tolist()
    lowest = int(exponents.min(initial=0))
    return [number << (exponent - lowest) for number, exponent in zip(whole, exponents.tolist(), strict=True)]


def _edge_vectors(graph: nx.Graph, attribute: str | Sequence[str]) -> Array:
    """The vectors of all edges, (E, d)."""
    rows = []
    for u, v, data in graph.edges(data=True):
        names = [attribute] if isinstance(attribute, str) else list(attribute)
        missing = [name for name in names if name not in data]
        if missing:
            raise InputError(f"edge {(u, v)!r} has no attribute {missing[0]!r}")
        row = data[attribute] if isinstance(attribute, str) else [data[name] for name in names]
        rows.append(np.atleast_1d(np.asarray(row, dtype=np.float64)))
    if not rows or len({row.shape for row in rows}) > 1 or rows[0].ndim != 1 or rows[0].size == 0:
        raise InputError("every edge needs a vector of the same length d >= 1")
    vectors = np.stack(rows)
    if not np.all(np.isfinite(vectors)):
        edge = list(graph.edges)[int(np.argwhere(~np.isfinite(vectors))[0][0])]
        raise InputError(f"edge {edge!r} has an entry that is not finite")
    return vectors
