"""Which weights to solve, and which of the policies found to keep.

A strategy is a generator: it yields ``Request``s for weights to solve, is sent their ``Solution``s in order, and
returns a ``Plan``. It never sees a backend, a file or a clock, and given the same solutions it asks for the same
weights: that makes every build resumable and parallel.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palm_theory.backend import PolicyBackend, Solution, upper_bound_at
from palm_theory.bounds import Bound, OracleError, theorem1_prime
from palm_theory.covers import hybrid_cover, random_weights, uniform_grid
from palm_theory.envelope import ROUNDING, distinct_policies, essential_policies, lower_envelope, rounding_at
from palm_theory.errors import CertificateError, InputError
from palm_theory.hybrid import HybridGrid
from palm_theory.sandwich import AdditiveGap, CornerScan, MultiplicativeGap, SolvedWeights, Target, weight_keys
from palm_theory.selection import best_subset, smallest_subset
from palm_theory.simplex import MAX_POINTS, Array, validate_weights


@dataclass(frozen=True)
class Problem:
    """The facts of a backend that a strategy may use; names as in ``PolicyBackend``. ``seed`` is the build's.

    ``surrogate`` makes the cheap backend that forecasts this one, where there is one.
    """

    objectives: int
    reward_max: float
    regularizer_max: float | None
    has_reference: bool
    oracle_error: OracleError | None
    seed: int = 0
    surrogate: Callable[[], PolicyBackend] | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """Weights to solve, (n, d), independent of each other; the certified gap so far, and the solves still expected."""

    weights: Array
    gap: float | None = None
    remaining: int | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """A strategy's result: ``members``, indices into all solutions in the order asked for; what is known of J*
    (``solved``); and the theorem's promise for these members, where there is one."""

    members: tuple[int, ...]
    solved: SolvedWeights
    promise: Bound | None = None


Construction = Generator[Request, Sequence[Solution], Plan]
Search = Generator[Request, Sequence[Solution], None]


class Strategy(ABC):
    """A way to choose weights. Implementations are frozen dataclasses of their parameters."""

    @abstractmethod
    def construct(self, problem: Problem) -> Construction:
        """The construction for one problem; see the module's text for the protocol."""

    def describe(self) -> dict[str, Any]:
        """Name and parameters, stored with the portfolio."""
        # As JSON gives it back, so that a portfolio that was loaded says the same as one just built.
        parameters = json.loads(json.dumps(asdict(self)))  # type: ignore[call-overload]
        return {"strategy": type(self).__name__, **parameters}


class _History:
    """All that a construction has seen: solutions' vertex values in the order asked for, and what they say of J*."""

    def __init__(self, problem: Problem, solved: SolvedWeights) -> None:
        self.problem = problem
        self.solved = solved
        self.weights: list[Array] = []
        self._rows = np.empty((16, problem.objectives))

    def __len__(self) -> int:
        return len(self.weights)

    def absorb(self, weights: Array, solutions: Sequence[Solution]) -> range:
        """Record solutions; returns their indices."""
        start = len(self)
        for row, solution in zip(weights, solutions, strict=True):
            upper = upper_bound_at(solution, row, self.problem.oracle_error)
            self.solved.add(row, solution.value.scalarize(row), math.inf if upper is None else upper)
            if len(self) == len(self._rows):
                self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
            self._rows[len(self)] = solution.value.vertex_values
            self.weights.append(row)
        return range(start, len(self))

    @property
    def values(self) -> Array:
        """Vertex values of all solutions, (n, d)."""
        return self._rows[: len(self)]

    def values_of(self, members: Sequence[int]) -> Array:
        """Vertex values of some solutions, (K, d)."""
        return self._rows[list(members)]

    def distinct(self) -> tuple[int, ...]:
        """The first solution of every distinct value."""
        return tuple(int(k) for k in distinct_policies(self.values))

    def require_bounds(self, name: str) -> None:
        """Raise CertificateError where some solve has no upper bound on J*."""
        if not all(math.isfinite(upper) for upper in self.solved.upper):
            raise CertificateError(
                f"{name} needs an upper bound on J* from every solve, but this backend declares no oracle_error and "
                "returns no upper_bound; use Planned, UniformGrid or RandomWeights"
            )


MAX_PIECES = 100
"""Above this many pieces halving is as good as any division."""

OVERSHOOT = 5
"""Solves spent for each policy kept, where their number is limited."""


@dataclass(frozen=True)
class Adaptive(Strategy):
    """Solve the worst corner, add its policy, repeat, until (ε, δ) is certified (Theorem 3; corner weights are the key
    step of Optimistic Linear Support, Roijers 2016).

    Parameters
    ----------
    epsilon, delta : the target; L(w) ≥ (1−ε)J*_w − δ for every w. (0, 0) finds every policy that is needed.
    max_policies : at most this many policies, certified for what they give; None for no limit. Where the target needs
        more, the best subset found is kept (``selection.best_subset``).
    max_solves : at most this many solves (but the d vertices of the simplex): a budget of training runs. By default
        5·max_policies, or no limit.
    batch : corners solved at once, for parallel solves; 1 asks for the fewest. The result depends on it, not on how
        many workers there are.
    keep_all : take in every policy that helps where it was solved, not only where the target is missed: fewer solves,
        more policies. For oracles that cost more than a place in the portfolio; ``Portfolio.prune`` makes it smaller.
        With two objectives, solves are then placed beside corners where that divides an interval into fewer pieces.
    start : weights asked for before any corner, and whose policies are taken in: those whose solves are at hand.

    Corners that the sandwich settles are not solved. Raises CertificateError where solves give no upper bound on J*.
    """

    epsilon: float = 0.01
    delta: float = 0.0
    max_policies: int | None = None
    max_solves: int | None = None
    batch: int = 1
    keep_all: bool = False
    start: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < 1:
            raise InputError(f"epsilon must lie in [0, 1), got {self.epsilon}")
        if not (math.isfinite(self.delta) and self.delta >= 0):
            raise InputError(f"delta must be finite and >= 0, got {self.delta}")
        for name in ("max_policies", "max_solves", "batch"):
            number = getattr(self, name)
            if number is None and name != "batch":
                continue
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                none = "" if name == "batch" else "None or "
                raise InputError(f"{name} must be {none}an integer >= 1, got {number!r}")

    def construct(self, problem: Problem) -> Construction:
        target = Target(self.epsilon, self.delta)
        everything = self.epsilon == self.delta == 0 and self.max_policies is self.max_solves is None
        history = _History(problem, SolvedWeights(problem.objectives))
        vertices = np.eye(problem.objectives)
        history.absorb(vertices, (yield Request(vertices)))
        if self.start:
            rows = validate_weights(self.start, problem.objectives)
            history.absorb(rows, (yield Request(rows)))
        history.require_bounds("Adaptive")
        members = [int(k) for k in distinct_policies(history.values)]
        if everything:
            yield from self._solve_every_corner(history, members, target)
        else:
            yield from self._solve_worst_corners(history, members, target)
        return Plan(tuple(sorted(self._kept(history, members))), history.solved)

    def _solve_every_corner(self, history: _History, members: list[int], target: Target) -> Search:
        """Until every corner of the members' envelope is solved, as (0, 0) demands.

        A policy just found lifts the envelope at some corners, which then are corners no more and need no solve; all
        others stay corners. So the envelope's geometry is worked out anew only when none is left.
        """
        while True:
            scan = CornerScan(history.values_of(members), history.solved)
            waiting = np.flatnonzero(~scan.is_solved)
            if waiting.size == 0:
                return
            while waiting.size:
                weights, waiting = scan.weights[waiting[: self.batch]], waiting[self.batch :]
                for k in history.absorb(weights, (yield Request(weights))):
                    added = self._add_if_short(history, members, history.weights[k], target)
                    if added or self._add_if_it_lifts(history, members, k, scan, waiting):
                        waiting = waiting[~_lifted(history.values_of(members[-1:]), scan, waiting)]

    def _solve_worst_corners(self, history: _History, members: list[int], target: Target) -> Search:
        """Until no corner can miss the target, or a limit is reached."""
        helps = Target() if self.keep_all else target
        scan = CornerScan(history.values_of(members), history.solved)
        while True:
            added = self._improve_at_solved(history, members, scan, target)
            if not added:
                room = max(0, min(self._solve_limit - len(history), len(scan)))
                corners = self._unsolved_violations(scan, target)[: int(room)]
                if not corners:
                    return
                weights = np.array([self._weights_to_solve(history, scan, corner) for corner in corners])
                gap = scan.worst(MultiplicativeGap(self.delta))
                assert gap is not None
                remaining = _remaining_solves(len(history), gap.gap, self.epsilon, history.problem.objectives)
                for k in history.absorb(weights, (yield Request(weights, gap.gap, remaining))):
                    added |= self._add_if_short(history, members, history.weights[k], helps)
                    if self.keep_all and not added:
                        added = self._add_if_it_lifts(history, members, k, scan, np.flatnonzero(~scan.is_solved))
                if not added:
                    for corner in corners:
                        scan.update_if_solved(corner)
            if added:
                scan = CornerScan(history.values_of(members), history.solved)

    def _weights_to_solve(self, history: _History, scan: CornerScan, corner: int) -> Array:
        """The corner itself; with two objectives and ``keep_all``, beside it where halving is not the best division.

        Between neighbouring solved weights a < b the bounds on a smooth J* are apart by at most J*''·(b−a)²/4, at the
        corner, so an interval whose gap is r times the allowed one needs n = ⌈√r⌉ pieces and n−1 solves. Halving makes
        their number a power of 2; a solve at ⌊n/2⌋/n of the way makes it n (docs/theory/oracle-calls.md).
        """
        weights = scan.weights[corner]
        if not self.keep_all or history.problem.objectives != 2:
            return weights
        allowed = self.epsilon * scan.upper[corner] + self.delta
        ratio = (scan.upper[corner] - scan.lower[corner]) / allowed if allowed > 0 else math.inf
        if not 4 < ratio < MAX_PIECES**2:
            return weights
        pieces = math.ceil(math.sqrt(ratio) * (1 - ROUNDING))
        solved = np.array([row[0] for row in history.solved.weights])
        left = solved[solved <= weights[0]].max()
        first = left + 2 * (pieces // 2) / pieces * (weights[0] - left)
        return weights if pieces % 2 == 0 else np.array([first, 1 - first])

    @property
    def _order(self) -> MultiplicativeGap | AdditiveGap:
        """The gap by which the worst corner is chosen; it is within the target iff the target holds."""
        return AdditiveGap() if self.epsilon == 0 < self.delta else MultiplicativeGap(self.delta)

    @property
    def _solve_limit(self) -> float:
        if self.max_solves is not None:
            return self.max_solves
        return math.inf if self.max_policies is None else OVERSHOOT * self.max_policies

    def _kept(self, history: _History, members: list[int]) -> list[int]:
        """The members whose absence would show, and the best ``max_policies`` of them where there are more."""
        needed = [members[k] for k in essential_policies(history.values_of(members))]
        if self.max_policies is None or len(needed) <= self.max_policies:
            return needed
        solved = history.solved

        def upper(weights: Array) -> Array:
            return np.array(
                [solved.refresh_upper(key, row) for key, row in zip(weight_keys(weights), weights, strict=True)]
            )

        return [needed[int(k)] for k in best_subset(history.values_of(needed), upper, self.max_policies)]

    def _improve_at_solved(self, history: _History, members: list[int], scan: CornerScan, target: Target) -> bool:
        """Take in a policy already found, where the worst corner is a solved one. Whether any was."""
        corner = scan.worst(self._order)
        assert corner is not None
        if not corner.solved:
            return False
        return self._add_if_short(history, members, corner.weights, target)

    def _add_if_short(self, history: _History, members: list[int], weights: Array, target: Target) -> bool:
        """Add the best policy known at ``weights`` where the members miss the target there and it helps."""
        row = weights[None, :]
        current = history.values_of(members)
        lower = lower_envelope(current, row).best
        rounding = float(rounding_at(current, row)[0])
        known = history.solved.find(weight_keys(row)[0])
        assert known is not None
        upper = np.array([history.solved.upper[known]])
        best = lower_envelope(history.values, row)
        short = float(target.violation(upper, lower)[0]) > rounding
        if not short or float(best.best[0] - lower[0]) <= rounding:
            return False
        members.append(int(best.policy[0]))
        return True

    def _add_if_it_lifts(
        self, history: _History, members: list[int], k: int, scan: CornerScan, corners: NDArray[np.int64]
    ) -> bool:
        """Add solution k where it lifts the envelope at one of ``corners``: where it was solved it may only be as good
        as the members, one of several optima, and another solve would find it again."""
        lifts = k not in members and bool(_lifted(history.values_of([k]), scan, corners).any())
        if lifts:
            members.append(k)
        return lifts

    def _unsolved_violations(self, scan: CornerScan, target: Target) -> list[int]:
        """Positions of the worst corners not solved yet that may miss the target, worst first, at most ``batch``."""
        found: list[int] = []
        while len(found) < self.batch:
            corner = scan.worst(self._order, unsolved_only=True, skip=found)
            if corner is None or scan.holds(corner, target):
                break
            found.append(corner.position)
        return found


def _lifted(values: Array, scan: CornerScan, corners: NDArray[np.int64]) -> NDArray[np.bool_]:
    """At which of ``corners``, positions (m,), a policy (1, d) is better than the scan's envelope."""
    reached = lower_envelope(values, scan.weights[corners]).best
    return reached > scan.lower[corners] + scan.rounding[corners]


def _remaining_solves(done: int, gap: float, epsilon: float, objectives: int) -> int | None:
    """A guess for the progress bar: the gap falls like K^(−2/(d−1)) (docs/theory/order-of-growth.md)."""
    if epsilon <= 0 or not math.isfinite(gap) or gap <= epsilon:
        return None
    return math.ceil(done * ((gap / epsilon) ** ((objectives - 1) / 2) - 1))


@dataclass(frozen=True)
class Palm(Strategy):
    """The paper's algorithm: the policies of Theorem 1's hybrid cover, searched lazily, then pruned.

    Parameters
    ----------
    mu, alpha : μ ∈ (0, 1] and α ∈ (0, 1) of the hybrid cover. They promise Theorem 1′'s (ε, δ).
    lazy : solve only the grid weights that the promise needs. By Theorem 1′ a corner weight whose rounded grid weight
        is solved meets the promise; by the sandwich many others are seen to. So the worst corner not settled either
        way is rounded to its grid weight, which is solved, until none is left: every grid weight not solved is one
        that the portfolio provably covers, and the grid is never listed.
    prune : keep the smallest subset found greedily that still provably meets the promise.

    Without known solve errors or without a bound on f nothing is promised; then ``lazy`` and ``prune`` must be False.
    """

    mu: float
    alpha: float
    lazy: bool = True
    prune: bool = True
    max_points: int = MAX_POINTS

    def __post_init__(self) -> None:
        HybridGrid(self.mu, self.alpha)

    def construct(self, problem: Problem) -> Construction:
        promise = self._promise(problem)
        history = _History(problem, SolvedWeights(problem.objectives))
        if promise is None or not self.lazy:
            cover = hybrid_cover(problem.objectives, self.mu, self.alpha, max_points=self.max_points)
            history.absorb(cover, (yield Request(cover)))
        else:
            yield from self._search(problem, history, Target(promise.epsilon, promise.delta))
        members = history.distinct()
        if promise is not None and self.prune:
            members = self._pruned(history, members, Target(promise.epsilon, promise.delta))
        return Plan(members, history.solved, promise)

    def _promise(self, problem: Problem) -> Bound | None:
        unknown = None
        if problem.oracle_error is None:
            unknown = "this backend declares no oracle_error"
        elif problem.regularizer_max is None and not problem.has_reference:
            unknown = "this backend bounds neither f nor declares a policy with f = 0"
        if unknown is None:
            assert problem.oracle_error is not None
            return theorem1_prime(
                problem.objectives,
                self.mu,
                self.alpha,
                reward_max=problem.reward_max,
                regularizer_max=problem.regularizer_max,
                has_reference=problem.has_reference,
                oracle=problem.oracle_error,
            )
        if self.lazy or self.prune:
            raise CertificateError(
                f"{unknown}, so Palm promises nothing to search or prune by; use lazy=False, prune=False"
            )
        return None

    def _search(self, problem: Problem, history: _History, target: Target) -> Search:
        grid = HybridGrid(self.mu, self.alpha)
        vertices = np.eye(problem.objectives)
        history.absorb(vertices, (yield Request(vertices)))
        while True:
            scan = CornerScan(history.values_of(history.distinct()), history.solved)
            grid_weights = self._next_grid_weight(grid, scan, history.solved, target)
            if grid_weights is None:
                return
            gap = scan.worst(MultiplicativeGap(target.delta))
            assert gap is not None
            row = grid_weights[None, :]
            history.absorb(row, (yield Request(row, gap.gap)))

    def _next_grid_weight(
        self, grid: HybridGrid, scan: CornerScan, solved: SolvedWeights, target: Target
    ) -> Array | None:
        rounded = grid.round_down(scan.weights)
        settled = [i for i, key in enumerate(weight_keys(rounded)) if solved.find(key) is not None]
        corner = scan.worst(target, skip=settled)
        if corner is None or scan.holds(corner, target):
            return None
        return rounded[corner.position]

    def _pruned(self, history: _History, members: tuple[int, ...], target: Target) -> tuple[int, ...]:
        values = history.values_of(members)
        solved = history.solved

        def required(weights: Array) -> Array:
            # All members together meet the promise everywhere (Theorem 1′), so reaching them is enough too.
            keys = weight_keys(weights)
            upper = np.array([solved.refresh_upper(key, row) for key, row in zip(keys, weights, strict=True)])
            together = lower_envelope(values, weights).best
            return np.minimum(target.violation(upper, np.zeros(len(weights))), together)

        selection = smallest_subset(values, required, method="greedy")
        return tuple(members[int(k)] for k in selection.members)


@dataclass(frozen=True)
class UniformGrid(Strategy):
    """Baseline: the simplex lattice {k/n}, C(n+d−1, d−1) weights; its distinct policies are the portfolio."""

    n: int
    max_points: int = MAX_POINTS

    def construct(self, problem: Problem) -> Construction:
        return (yield from solve_all(problem, uniform_grid(problem.objectives, self.n, max_points=self.max_points)))


@dataclass(frozen=True)
class RandomWeights(Strategy):
    """Baseline: n weights uniform on the simplex, from ``seed`` (the build's seed if None)."""

    n: int
    seed: int | None = None

    def construct(self, problem: Problem) -> Construction:
        seed = problem.seed if self.seed is None else self.seed
        return (yield from solve_all(problem, random_weights(problem.objectives, self.n, seed=seed)))


def solve_all(problem: Problem, weights: Array) -> Construction:
    """Solve the given weights (n, d), independent of each other, and keep every distinct policy."""
    history = _History(problem, SolvedWeights(problem.objectives))
    history.absorb(weights, (yield Request(weights)))
    return Plan(history.distinct(), history.solved)
