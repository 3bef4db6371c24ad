"""What logged requests say of a portfolio: whom it serves how well, where one more policy would pay, what changed.

Regret of a request with weights w served by policy k is J*_w − J_w(π_k). J* is known exactly where the backend tells
it, bounded above where something proves a bound, and otherwise estimated, as all is where values are measured ones;
``Optimum.kind`` says which, and every number made of it is of the same kind. (The log is a sample of the traffic to
come: means over it are means over the log.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from palm_theory.certify.optimum import Asked, Certified, Knowledge
from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.contract.calls import all_values
from palm_theory.contract.problem import check_same_problem
from palm_theory.errors import InputError
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.hull import UpperHull
from palm_theory.geometry.simplex import Array
from palm_theory.portfolio import Portfolio
from palm_theory.traffic.log import Traffic

MAX_DISTINCT = 20_000
MAX_HULL = 1000
MAX_CANDIDATES = 256
MAX_UNITS = 500
PERMUTATIONS = 999

OptimumKind = Literal["exact", "bound", "estimate"]


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of J* at n weights: ``upper`` (n,) is J* itself ("exact"), an upper bound on it ("bound"), or
    neither ("estimate"); ``basis`` says in words where it comes from; ``guess`` (n,) ≤ upper is the best estimate."""

    upper: Array
    guess: Array
    kind: OptimumKind
    basis: str


def known_optimum(portfolio: Portfolio, weights: Array, backend: PolicyBackend | None = None) -> Known:
    """What is known of J* at ``weights`` (n, d).

    With a backend that tells J* cheaply (power OPTIMAL_VALUE): exact. Else what the portfolio's certificate bounds
    (``certify.optimum.Certified``). Else the prediction that each policy is optimal where it was trained, but never
    more than R_max. Where a value is itself an estimate, so is all of this: what a policy reached and L, on which
    bounds are built, are known no better. Raises InputError for another problem's backend.
    """
    lower = lower_envelope(portfolio.vertex_values, weights).best
    if backend is not None:
        check_same_problem(backend, portfolio.problem, portfolio.fingerprint)
    every = all_values(backend) if backend is not None and Power.ALL_VALUES in backend.powers else ()
    measured = any(value.is_estimate for value in [*portfolio.policy_values, *every])
    if backend is not None and Power.OPTIMAL_VALUE in backend.powers:
        asked = Asked(backend)
        # A policy of the portfolio can beat J* by rounding only.
        told = np.maximum(asked.upper(weights), lower)
        if measured:
            return Known(told, told, "estimate", f"{asked.words}, whose values are estimates")
        return Known(told, told, "exact", asked.words)
    certified = Certified(portfolio.vertex_values, portfolio.certificate, measured=measured)
    predicted = portfolio.predicted_optimum()
    hull = np.maximum(np.minimum(predicted.upper(weights), portfolio.reward_max), lower)
    upper = certified.upper(weights)
    guess = np.minimum(upper, hull)
    if not certified.kind.is_bound:
        known = predicted.kind is not Knowledge.UNKNOWN
        return Known(guess, guess, "estimate", predicted.words if known else "that no reward exceeds R_max")
    return Known(upper, guess, "bound", certified.words)


@dataclass(frozen=True)
class Regret:
    """Mean, quantiles and maximum of the regret over requests, in the unit of the rewards."""

    mean: float
    median: float
    p95: float
    p99: float
    maximum: float

    @classmethod
    def of(cls, regrets: Array) -> Regret:
        """Of one regret a request, (n,)."""
        median, p95, p99 = np.quantile(regrets, [0.5, 0.95, 0.99])
        return cls(float(regrets.mean()), float(median), float(p95), float(p99), float(regrets.max()))

    def to_dict(self) -> dict[str, float]:
        """As plain data."""
        return {"mean": self.mean, "median": self.median, "p95": self.p95, "p99": self.p99, "max": self.maximum}


@dataclass(frozen=True, eq=False)
class Extension:
    """The weight whose policy would lower the mean regret over the log most.

    ``weights`` (d,). ``forecast``: by how much, if the policy trained there were the best one that is compatible with
    what is known of J* (it attains ``guess`` at its own weight): an estimate. ``limit``: mean of U − L over the log; no
    policy, and no number of them, can lower the mean regret of well-routed requests by more, where ``kind`` is "exact"
    or "bound". ``share``: of requests with weights that it would serve, in that forecast.
    """

    weights: Array
    forecast: float
    limit: float
    share: float
    kind: OptimumKind


@dataclass(frozen=True)
class Change:
    """Whether weights differ between two periods: the energy distance (Székely and Rizzo 2004) of the users' mean
    weights, and its permutation p-value.

    Users are the units that are exchanged, not requests: one user's requests are not independent. A user seen in both
    periods swaps his two means; the others swap periods. Requests without a user count as one user each.
    """

    split: float
    before: int
    after: int
    distance: float
    p_value: float
    permutations: int
    mean_before: tuple[float, ...]
    mean_after: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class PolicyTraffic:
    """What one policy served: requests, its share, and the mean regret of those that came with weights (or NaN)."""

    policy: str
    label: str
    requests: int
    share: float
    mean_regret: float


@dataclass(frozen=True, eq=False)
class Drift:
    """The report of ``drift``; see the fields' own classes. ``rerouted`` is the mean regret if every request with
    weights had gone to the policy that ``select`` gives; ``change`` is None where a period holds no weights."""

    requests: int
    users: int
    policies: tuple[PolicyTraffic, ...]
    optimum_kind: OptimumKind
    optimum_basis: str
    regret: Regret
    rerouted: float
    extension: Extension | None
    change: Change | None
    sampled: int | None
    objectives: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""

        def named(vector: Any) -> dict[str, float]:
            return dict(zip(self.objectives, map(float, vector), strict=True))

        extension, change = self.extension, self.change
        return {
            "requests": self.requests,
            "users": self.users,
            "policies": [
                {
                    "policy": row.policy,
                    "label": row.label,
                    "requests": row.requests,
                    "share": row.share,
                    "mean_regret": None if math.isnan(row.mean_regret) else row.mean_regret,
                }
                for row in self.policies
            ],
            "optimum": {"kind": self.optimum_kind, "basis": self.optimum_basis},
            "regret": self.regret.to_dict(),
            "mean_regret_if_rerouted": self.rerouted,
            "extension": None
            if extension is None
            else {
                "weights": named(extension.weights),
                "forecast_reduction": extension.forecast,
                "limit": extension.limit,
                "limit_kind": extension.kind,
                "share": extension.share,
            },
            "change": None
            if change is None
            else {
                "split": change.split,
                "users_before": change.before,
                "users_after": change.after,
                "energy_distance": change.distance,
                "p_value": change.p_value,
                "permutations": change.permutations,
                "mean_before": named(change.mean_before),
                "mean_after": named(change.mean_after),
            },
            "sampled_weights": self.sampled,
        }


def drift(
    traffic: Traffic,
    portfolio: Portfolio,
    backend: PolicyBackend | None = None,
    *,
    split: float | None = None,
    seed: int = 0,
) -> Drift:
    """Share of traffic and regret a policy, the region where one more policy pays most, and change between periods.

    ``split`` is the time between the two periods; by default the median request's. Where the log holds more than
    20,000 distinct weights, regrets are computed on the requests of a sample of so many (``Drift.sampled``). Raises
    InputError on requests without weights only, on policies that the portfolio does not have, and as
    ``known_optimum``.
    """
    numbers = {member.name: member.index for member in portfolio}
    unknown = sorted({name for name in traffic.policies if name not in numbers})
    if unknown:
        raise InputError(
            f"the log has policy {unknown[0]!r}, the portfolio has p00 to {portfolio[len(portfolio) - 1].name}; "
            "is it the portfolio that was served?"
        )
    served = np.array([numbers[name] for name in traffic.policies])
    counts = np.bincount(served, minlength=len(portfolio))
    weighted = np.flatnonzero(traffic.has_weights)
    if weighted.size == 0:
        raise InputError("no request in the log has weights")
    rng = np.random.default_rng(seed)
    distinct, inverse = np.unique(traffic.weights[weighted], axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    sampled = None
    if len(distinct) > MAX_DISTINCT:
        kept = np.sort(rng.choice(len(distinct), MAX_DISTINCT, replace=False))
        position = np.full(len(distinct), -1)
        position[kept] = np.arange(MAX_DISTINCT)
        weighted, inverse = weighted[position[inverse] >= 0], position[inverse[position[inverse] >= 0]]
        distinct, sampled = distinct[kept], MAX_DISTINCT
    optimum = known_optimum(portfolio, distinct, backend)
    values = portfolio.vertex_values
    reached = np.einsum("nd,nd->n", distinct[inverse], values[served[weighted]])
    regrets = np.maximum(optimum.upper[inverse] - reached, 0.0)
    lower = lower_envelope(values, distinct).best
    requests = np.bincount(inverse, minlength=len(distinct)).astype(np.float64)
    rows = tuple(
        PolicyTraffic(
            member.name,
            member.label,
            int(counts[member.index]),
            float(counts[member.index] / len(traffic)),
            float(regrets[served[weighted] == member.index].mean())
            if np.any(served[weighted] == member.index)
            else math.nan,
        )
        for member in portfolio
    )
    return Drift(
        requests=len(traffic),
        users=len({user for user in traffic.users if user is not None}),
        policies=rows,
        optimum_kind=optimum.kind,
        optimum_basis=optimum.basis,
        regret=Regret.of(regrets),
        rerouted=float(requests @ (optimum.upper - lower) / requests.sum()),
        extension=best_extension(portfolio, distinct, requests, optimum, rng),
        change=weights_change(traffic, split, seed=seed),
        sampled=sampled,
        objectives=portfolio.objectives,
    )


def best_extension(
    portfolio: Portfolio, weights: Array, requests: Array, optimum: Known, rng: np.random.Generator
) -> Extension | None:
    """Which of the logged weights (n, d), asked for ``requests`` (n,) times each, to train next; None where nothing is
    to be gained.

    A policy that is optimal at v has J_w ≤ J*_w everywhere, with equality at v. The plane that attains the hull of
    ``optimum.guess`` at v and stays below it everywhere is the best such policy that this allows; the candidate whose
    plane lifts L most over the log wins. At most 256 candidates, drawn in proportion to requests·(guess − L).
    """
    lower = lower_envelope(portfolio.vertex_values, weights).best
    gain = requests * (optimum.guess - lower)
    total = requests.sum()
    positive = np.flatnonzero(gain > 1e-12 * portfolio.reward_max * total)
    if positive.size == 0:
        return None
    candidates = positive
    if positive.size > MAX_CANDIDATES:
        shares = gain[positive] / gain[positive].sum()
        candidates = np.sort(rng.choice(positive, MAX_CANDIDATES, replace=False, p=shares))
    hull = UpperHull(np.full(weights.shape[1], portfolio.reward_max))
    points = candidates
    others = np.setdiff1d(np.arange(len(weights)), candidates)
    if others.size:
        room = min(MAX_HULL - len(candidates), others.size)
        points = np.concatenate([candidates, rng.choice(others, room, replace=False)])
    for i in points:
        hull.add(weights[i], float(optimum.guess[i]))
    best, best_lift = int(candidates[0]), np.full(len(weights), -1.0)
    for i in candidates:
        lift = np.maximum(np.minimum(weights @ hull.plane(weights[i]), optimum.upper) - lower, 0.0)
        if requests @ lift > requests @ best_lift:
            best, best_lift = int(i), lift
    limit = float(requests @ (optimum.upper - lower) / total)
    return Extension(
        weights[best],
        forecast=float(requests @ best_lift / total),
        limit=limit,
        share=float(requests[best_lift > 0].sum() / total),
        kind=optimum.kind,
    )


def weights_change(traffic: Traffic, split: float | None = None, *, seed: int = 0) -> Change | None:
    """The permutation test of ``Change`` at time ``split`` (requests at or after it are the second period), by default
    the median time; None where a period holds no weights. At most 500 users of a kind, drawn at random, are compared.
    """
    kept = traffic.subset(traffic.has_weights)
    if len(kept) == 0:
        return None
    moment = float(np.median(kept.times)) if split is None else float(split)
    later = kept.times >= moment
    before, after = _users(kept, ~later), _users(kept, later)
    if not before or not after:
        return None
    rng = np.random.default_rng(seed)
    both = _some(sorted(before.keys() & after.keys()), rng)
    only_before, only_after = (
        _some(sorted(before.keys() - after.keys()), rng),
        _some(sorted(after.keys() - before.keys()), rng),
    )
    first = np.array([before[key] for key in (*both, *only_before)])
    second = np.array([after[key] for key in (*both, *only_after)])
    pairs, n, m = len(both), len(first), len(second)
    pooled = np.vstack([first, second])
    distances = np.sqrt(np.maximum(np.sum((pooled[:, None, :] - pooled[None, :, :]) ** 2, axis=2), 0.0))
    labels = np.zeros((PERMUTATIONS + 1, n + m))
    labels[:, n:] = 1.0
    single = np.concatenate([np.arange(pairs, n), np.arange(n + pairs, n + m)])
    for row in labels[1:]:
        swapped = rng.random(pairs) < 0.5
        row[:pairs], row[n : n + pairs] = swapped, ~swapped
        row[single] = rng.permutation(row[single])
    ones, zeros = labels, 1.0 - labels
    towards_ones = ones @ distances
    across = np.sum(towards_ones * zeros, axis=1) / (n * m)
    within_after = np.sum(towards_ones * ones, axis=1) / m**2
    within_before = np.sum((zeros @ distances) * zeros, axis=1) / n**2
    energy = 2.0 * across - within_after - within_before
    beyond = int(np.sum(energy[1:] >= energy[0] - 1e-12 * distances.max(initial=0.0)))
    return Change(
        split=moment,
        before=len(before),
        after=len(after),
        distance=float(max(energy[0], 0.0)),
        p_value=(1 + beyond) / (1 + PERMUTATIONS),
        permutations=PERMUTATIONS,
        mean_before=tuple(first.mean(axis=0).tolist()),
        mean_after=tuple(second.mean(axis=0).tolist()),
    )


def _users(traffic: Traffic, kept: np.ndarray) -> dict[tuple[int, str], Array]:
    """The mean weights of every user in a period; a request without a user is a user of its own."""
    groups: dict[tuple[int, str], list[int]] = {}
    for i in np.flatnonzero(kept):
        user = traffic.users[i]
        groups.setdefault((1, user) if user is not None else (0, str(i)), []).append(int(i))
    return {key: traffic.weights[rows].mean(axis=0) for key, rows in groups.items()}


def _some(keys: list[tuple[int, str]], rng: np.random.Generator) -> list[tuple[int, str]]:
    if len(keys) <= MAX_UNITS:
        return keys
    return [keys[i] for i in np.sort(rng.choice(len(keys), MAX_UNITS, replace=False))]
