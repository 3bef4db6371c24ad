"""Simulated users: they choose by the Bradley–Terry model at a temperature of their own, or slip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from backends.bandit import BanditBackend
from palm_theory import Adaptive, Portfolio, build_portfolio
from palm_theory.geometry.simplex import Array
from palm_theory.users.elicitation import Candidate, Elicitation
from palm_theory.users.preference import Comparison, Posterior, logistic

CONTEXTS, ACTIONS = 8, 6
BETA = 0.02
COVERAGE = {2: 0.002, 3: 0.005, 5: 0.03}


@dataclass(frozen=True)
class User:
    """Weights, temperature, and the share of answers that are coin flips."""

    weights: Array
    temperature: float
    lapse: float = 0.0

    def chooses_first(self, first: Sequence[float], second: Sequence[float], rng: np.random.Generator) -> bool:
        if rng.random() < self.lapse:
            return bool(rng.random() < 0.5)
        difference = np.subtract(first, second) @ self.weights
        return bool(rng.random() < logistic(difference / self.temperature))


def instance(d: int, seed: int) -> tuple[Portfolio, tuple[Candidate, ...]]:
    """A KL bandit's certified portfolio, and every action in every context as an answer that can be shown."""
    rewards = np.random.default_rng(1000 * seed + 100 + d).random((CONTEXTS, ACTIONS, d))
    portfolio = build_portfolio(BanditBackend(rewards, beta=BETA), Adaptive(COVERAGE[d]), progress=False)
    answers = tuple(
        Candidate(f"answer {y}", tuple(rewards[x, y].tolist()), prompt=f"prompt {x}")
        for x in range(CONTEXTS)
        for y in range(ACTIONS)
    )
    return portfolio, answers


Chooser = Callable[[Elicitation, list[Comparison], Posterior, np.random.Generator], tuple[int, int] | None]


def active(
    elicitation: Elicitation, comparisons: list[Comparison], belief: Posterior, _: np.random.Generator
) -> tuple[int, int] | None:
    """The product's own choice."""
    return elicitation.next_pair(comparisons, belief)


def at_random(
    elicitation: Elicitation, comparisons: list[Comparison], _: Posterior, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Any pair not asked yet."""
    pairs = elicitation.pairs(comparisons)
    return pairs[int(rng.integers(len(pairs)))] if pairs else None


def about_weights(
    elicitation: Elicitation, comparisons: list[Comparison], belief: Posterior, _: np.random.Generator
) -> tuple[int, int] | None:
    """The pair whose answer says most about w itself (mutual information), whatever the policies are."""
    pairs = elicitation.pairs(comparisons)
    if not pairs:
        return None
    rewards = np.array([candidate.rewards for candidate in elicitation.candidates])
    first, second = np.array(pairs).T
    p = logistic(belief.weights @ (rewards[first] - rewards[second]).T / elicitation.model.temperature)
    information = _entropy(belief.masses @ p) - belief.masses @ _entropy(p)
    return pairs[int(information.argmax())]


def _entropy(p: Array) -> Array:
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


@dataclass(frozen=True)
class Run:
    """What happened after 0, 1, … answers: the true relative regret of the policy then chosen, the expected one, and
    E‖w − E[w]‖₁ under the belief."""

    true_regret: list[float]
    expected_regret: list[float]
    spread: list[float]

    def first(self, values: list[float], limit: float) -> int | None:
        """The first number of answers at which ``values`` is at most ``limit``."""
        return next((n for n, value in enumerate(values) if value <= limit), None)


def simulate(
    elicitation: Elicitation,
    user: User,
    choose: Chooser,
    rng: np.random.Generator,
    *,
    answers: int,
    until: Callable[[Run], bool] = lambda run: False,
) -> Run:
    """Ask one user up to ``answers`` questions, or until ``until``."""
    values = elicitation.portfolio.vertex_values
    best = float((values @ user.weights).max())
    run = Run([], [], [])
    comparisons: list[Comparison] = []
    while True:
        belief = elicitation.belief(comparisons)
        decision = elicitation.decide(belief)
        run.true_regret.append((best - float(values[decision.policy] @ user.weights)) / best)
        run.expected_regret.append(decision.relative_regret)
        run.spread.append(float(belief.masses @ np.abs(belief.weights - decision.weights).sum(axis=1)))
        if len(comparisons) >= answers or until(run):
            return run
        pair = choose(elicitation, comparisons, belief, rng)
        if pair is None:
            return run
        first, second = (elicitation.candidates[k].rewards for k in pair)
        choice = "first" if user.chooses_first(first, second, rng) else "second"
        comparisons.append(elicitation.comparison(pair, choice))
