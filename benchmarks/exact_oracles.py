"""Optima and values of bandits and decision processes on hostile instances, against rational arithmetic.

    OMP_NUM_THREADS=1 python -m benchmarks.exact_oracles --instances 1000 [--seed 0] [--kind soft] [--show 3]

``tests/helpers/exact_optima.py`` says what is true, to 25 digits at least. Of every instance a solve at a few weights
is checked, and what audits of small portfolios claim there. Counted are solves that fail; upper bounds below J*; values
that are off by more than 1e-12; brackets wider than 1e-12 and 1e-9 of J*; and claims J_w >= (1-eps)·J*_w that miss by
more than 1e-12·J*. Exits with 1 where anything is false or fails.
"""

from __future__ import annotations

import argparse
import collections
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from backends.bandit import BanditBackend
from backends.mdp import MDPBackend
from palm_theory import PolicyBackend, Solution, audit
from palm_theory.contract.calls import solve
from palm_theory.errors import PalmError
from tests.helpers.exact_optima import ExactBandit, ExactProcess, dot, exact

TOLERANCE = Fraction(1, 10**12)
WIDE = Fraction(1, 10**9)
DUST = Fraction(1, 10**25)
"""What is this much smaller than R_max is not told from 0."""

Array = np.ndarray
Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Instance:
    """A backend, and the same problem in exact arithmetic."""

    backend: PolicyBackend
    truth: ExactBandit | ExactProcess
    objectives: int

    @property
    def dust(self) -> Fraction:
        """What is not told from 0: DUST·R_max, and what a policy pays for its probabilities being floats, β·u²."""
        return DUST * Fraction(self.backend.reward_max) + self.truth.beta / 10**30 + Fraction(10) ** -300

    def bracket(self, weights: Array) -> tuple[Fraction, Fraction]:
        """Two numbers, equal to 25 digits, between which J* lies."""
        if isinstance(self.truth, ExactProcess):
            return self.truth.bracket(weights)
        value = self.truth.optimum(weights)
        return value, value


@dataclass
class Tally:
    """What was found, and the first instances of each fault in words."""

    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, words: str) -> None:
        self.counts[what] += 1
        self.examples.setdefault(what, []).append(words)


def _scale(rng: Rng) -> float:
    return float(10.0 ** rng.choice([0, 0, 0, rng.uniform(-12, 12)]))


def _distribution(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Rows of one of: uniform, dyadic, any, with zeros, certain, with tiny entries."""
    style, n = rng.integers(6), shape[-1]
    rows = rng.dirichlet(np.ones(n), shape[:-1])
    if style == 0:
        return np.full(shape, 1 / n)
    if style == 1:
        return rng.multinomial(64, np.full(n, 1 / n), shape[:-1]) / 64
    if style == 2:
        return rows
    if style == 3:
        rows = rows * (rng.random(shape) < 0.5)
        rows[..., 0] += 1e-3
    elif style == 4:
        rows = np.eye(n)[rng.integers(0, n, shape[:-1])]
    else:
        tiny = float(rng.choice([1e-8, 1e-13, 1e-100, 1e-300, 5e-324]))
        rows[..., -1] = tiny
    return rows / rows.sum(axis=-1, keepdims=True)


def _rewards(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Rewards ≥ 0 of one of: any, integers, near-ties, sparse, of mixed magnitude; objectives of different scale."""
    style = rng.integers(5)
    rewards = rng.random(shape)
    if style == 1:
        rewards = rng.integers(0, 4, shape).astype(float)
    elif style == 2:
        rewards = 1 - 10.0 ** rng.uniform(-14, -2) * rewards
    elif style == 3:
        rewards = rewards * (rng.random(shape) < 0.3)
    elif style == 4:
        rewards = 10.0 ** rng.uniform(-6, 6, shape)
    scales = np.array([_scale(rng) for _ in range(shape[-1])])
    return rewards * scales * _scale(rng)


def _beta(rng: Rng, rewards: Array) -> float:
    """From far below to far above the rewards."""
    return float(10.0 ** rng.uniform(-12, 12) * rng.choice([1.0, max(float(rewards.max()), 1e-300)]))


def bandit(rng: Rng, beta: bool) -> Instance:
    """At most 3 contexts, 5 actions, 3 objectives."""
    contexts, actions, d = (int(rng.integers(1, n)) for n in (4, 6, 4))
    rewards, reference = _rewards(rng, (contexts, actions, d)), _distribution(rng, (contexts, actions))
    shares = _distribution(rng, (contexts,))
    price = _beta(rng, rewards) if beta else 0.0
    backend = BanditBackend(rewards, beta=price, reference=reference, context_probabilities=shares)
    return Instance(backend, ExactBandit(rewards, reference, shares, price), d)


DISCOUNTS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1 - 1e-5, 1 - 1e-6)


def process(rng: Rng, beta: bool, horizon: bool = False) -> Instance:
    """At most 4 states, 3 actions, 3 objectives; some states cannot be reached, or only just, or not left."""
    states, actions, d = (int(rng.integers(1, n)) for n in (5, 4, 4))
    rewards, transitions = _rewards(rng, (states, actions, d)), _distribution(rng, (states, actions, states))
    initial, reference = np.eye(states)[0], _distribution(rng, (states, actions))
    if rng.random() < 0.3:
        initial = _distribution(rng, (states,))
    if states > 1 and rng.random() < 0.3:
        # The last state pays, and nothing leads there.
        transitions[:-1, :, 0] += transitions[:-1, :, -1]
        transitions[:-1, :, -1] = 0
        initial = np.eye(states)[0]
        rewards[-1] *= 10.0 ** rng.uniform(0, 13)
    if rng.random() < 0.3:
        transitions[rng.integers(states)] = np.eye(states)[rng.integers(states)]
    price = _beta(rng, rewards) if beta else 0.0
    steps = int(rng.integers(1, 9)) if horizon else None
    discount = 1.0 if horizon and rng.random() < 0.5 else float(rng.choice(DISCOUNTS))
    program = not beta and not horizon and rng.random() < 0.2
    backend = MDPBackend(
        transitions,
        rewards,
        initial,
        discount=discount,
        horizon=steps,
        beta=price,
        reference=reference,
        method="linear-program" if program else "policy-iteration",
    )
    return Instance(backend, ExactProcess(transitions, rewards, initial, reference, discount, price, steps), d)


KINDS: dict[str, Callable[[Rng], Instance]] = {
    "plain-bandit": lambda rng: bandit(rng, beta=False),
    "soft-bandit": lambda rng: bandit(rng, beta=True),
    "plain-mdp": lambda rng: process(rng, beta=False),
    "soft-mdp": lambda rng: process(rng, beta=True),
    "plain-horizon": lambda rng: process(rng, beta=False, horizon=True),
    "soft-horizon": lambda rng: process(rng, beta=True, horizon=True),
}


def weights_of(rng: Rng, d: int) -> Array:
    """Two vertices, a point of a face and one inside, (n, d)."""
    rows = [np.eye(d)[rng.integers(d)], np.eye(d)[rng.integers(d)], rng.dirichlet(np.ones(d))]
    face = rng.dirichlet(np.full(d, 0.3))
    rows.append(face / face.sum())
    return np.unique(np.array(rows), axis=0)


def check(instance: Instance, rng: Rng, tally: Tally, words: str) -> None:
    """Solves and certificates of one instance."""
    backend = instance.backend
    rows = weights_of(rng, instance.objectives)
    known = []
    values = []
    for row in rows:
        tally.counts["solves"] += 1
        try:
            solution = solve(backend, row)
            bracket = backend.optimal_bracket(row)
        except PalmError as error:
            tally.add("failed", f"{words}, w = {row.tolist()}: {error}")
            return
        low, high = instance.bracket(row)
        known.append((low, high))
        values.append(solution.value)
        scale = max(abs(high), instance.dust)
        where = f"{words}, w = {row.tolist()}"
        for name, upper in (("solve", solution.upper_bound), ("bracket", bracket[1])):
            if upper is None or Fraction(upper) < low - DUST * scale:
                tally.add("upper bound below J*", f"{where}: {name} {upper} < {float(low)!r}")
        width = (Fraction(bracket[1]) - low) / scale
        tally.counts["not tight to 1e-12"] += width > TOLERANCE
        if width > WIDE:
            tally.add("not tight to 1e-9", f"{where}: {bracket} against {float(low)!r}")
        _check_value(solution, instance, row, scale, high, tally, where)
    _check_claim(instance, values, rows, known, tally, words)


def _check_value(
    solution: Solution, instance: Instance, row: Array, scale: Fraction, high: Fraction, tally: Tally, where: str
) -> None:
    value = solution.value
    rewards, cost = instance.truth.value(solution.policy)
    for name, found, right in [
        *((f"R[{i}]", x, y) for i, (x, y) in enumerate(zip(value.rewards, rewards, strict=True))),
        ("f", value.regularizer, cost),
    ]:
        allowed = TOLERANCE * max(scale if name == "f" else Fraction(0), abs(right)) + instance.dust
        if abs(Fraction(float(found)) - right) > allowed:
            tally.add("wrong value", f"{where}: {name} = {found!r}, not {float(right)!r}")
    reached = dot(exact(row), rewards) - cost
    if high - reached > WIDE * scale:
        tally.add("not optimal to 1e-9", f"{where}: reaches {float(reached)!r} of {float(high)!r}")
    elif high - reached > TOLERANCE * scale:
        tally.counts["not optimal to 1e-12"] += 1
    if Fraction(value.scalarize(row)) > high + TOLERANCE * scale + instance.dust:
        tally.add("reached above J*", f"{where}: {value.scalarize(row)!r} > {float(high)!r}")


def _check_claim(
    instance: Instance,
    values: list[Any],
    rows: Array,
    known: list[tuple[Fraction, Fraction]],
    tally: Tally,
    words: str,
) -> None:
    """The certificate of the first policy alone, and of all, at the weights whose J* is known."""
    for members in (values[:1], values):
        tally.counts["claims"] += 1
        try:
            certificate = audit(members, instance.backend)
        except PalmError as error:
            tally.add("failed", f"{words}, audit: {error}")
            continue
        if certificate.epsilon > 1:
            continue
        for row, (low, _) in zip(rows, known, strict=True):
            w = exact(row)
            best = max(dot(w, exact(v.rewards)) - Fraction(v.regularizer) for v in members)
            short = (1 - Fraction(certificate.epsilon)) * low - best
            if short > TOLERANCE * abs(low) + instance.dust:
                tally.add("false claim", f"{words}: {certificate}, but w = {row.tolist()} misses {float(short)!r}")
                break


FAULTS = ("failed", "upper bound below J*", "wrong value", "reached above J*", "false claim")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--instances", type=int, default=1000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(KINDS), action="append")
    parser.add_argument("--show", type=int, default=3, help="examples of each fault")
    arguments = parser.parse_args()
    failed = False
    for kind in arguments.kind or KINDS:
        tally = Tally()
        for number in range(arguments.instances):
            rng = np.random.default_rng([arguments.seed, sorted(KINDS).index(kind), number])
            check(KINDS[kind](rng), rng, tally, f"{kind} {arguments.seed}/{number}")
        print(f"{kind}: {arguments.instances} instances, {dict(tally.counts)}", flush=True)
        for what, examples in tally.examples.items():
            for words in examples[: arguments.show]:
                print(f"  {what}: {words}")
        failed |= any(tally.counts[fault] for fault in FAULTS)
    sys.exit(failed)


if __name__ == "__main__":
    main()
