"""Learning which policy serves a user, from as few pairwise choices as that takes.

J_w is linear in w, so under any belief about w the best choice is the policy that serves the mean weights, and what it
is expected to lose against knowing w is the Jensen gap of the portfolio's lower envelope:

    expected regret = E[L(w)] − L(E[w]) ≥ 0,    L(w) = max_k ⟨w, R_k⟩ − f_k.

Questions are chosen to make it small and asked until it is: weights need not be known where every one that is
plausible leads to the same policy. These numbers are expectations under the model of ``preference`` (its temperature,
its prior). They are no certificate: a user who answers otherwise than the model says may lose more.

Example
-------
>>> import numpy as np
>>> from backends.bandit import BanditBackend
>>> from palm_theory import Adaptive, build_portfolio
>>> from palm_theory.users.elicitation import Elicitation
>>> portfolio = build_portfolio(BanditBackend(np.random.default_rng(0).random((4, 9, 3)), beta=0.1), Adaptive(0.02))
>>> elicitation = Elicitation.of(portfolio, epsilon=0.02)
>>> comparisons = []
>>> state = elicitation.state(comparisons)  # JSON-able: what to ask, and the result so far
>>> while not state["done"]:
...     question = state["question"]  # {"number", "prompt", "first": {"name", "text", "rewards", ...}, "second": {...}}
...     likes_first = question["first"]["rewards"]["r1"] > question["second"]["rewards"]["r1"]  # ask the user instead
...     choice = "first" if likes_first else "second"  # or "equal"
...     comparisons.append(elicitation.answer(comparisons, question["number"], choice))
...     state = elicitation.state(comparisons)
>>> sorted(state["result"]["weights"]) == ["r1", "r2", "r3"]
True
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.contract.normalizer import Normalizer
from palm_theory.errors import InputError
from palm_theory.geometry.envelope import lower_envelope
from palm_theory.geometry.simplex import Array, as_float_array
from palm_theory.portfolio import Portfolio
from palm_theory.users.preference import ChoiceModel, Comparison, Posterior, logistic, posterior

DEFAULT_TEMPERATURE = 0.1
"""The default T, as a share of the widest range of one reward over the answers that can be shown."""

MAX_PAIRS = 1000
SCORING_SAMPLES = 1024

Choice = Literal["first", "second", "equal"]
PREFERRED: dict[str, float] = {"first": 1.0, "second": 0.0, "equal": 0.5}


class Reason(Enum):
    """Why no further question is asked; the member's value is the text shown to people."""

    REGRET = "the expected regret is below epsilon"
    QUESTIONS = "the limit of questions is reached"
    PAIRS = "every pair of different answers has been compared"


@dataclass(frozen=True)
class Candidate:
    """An answer that can be shown: ``rewards`` (d,) as the portfolio normalises them, a ``name``, its ``text`` and the
    ``prompt`` it answers where there are such. Only answers to one prompt are compared with each other."""

    name: str
    rewards: tuple[float, ...]
    text: str | None = None
    prompt: str | None = None

    @classmethod
    def measured(
        cls,
        name: str,
        measurements: ArrayLike,
        normalizers: Sequence[Normalizer],
        text: str | None = None,
        prompt: str | None = None,
    ) -> Candidate:
        """A candidate from raw measurements (d,), by a portfolio's ``normalizers``. Refuses another shape."""
        values = as_float_array(measurements, "measurements")
        if values.shape != (len(normalizers),):
            raise InputError(f"{name!r} needs {len(normalizers)} measurements, one an objective, got {values.shape}")
        rewards = tuple(float(n.apply(v)) for n, v in zip(normalizers, values, strict=True))
        return cls(name, rewards, text, prompt)


class Recommendation(NamedTuple):
    """The policy to use under a belief, and what it is expected to lose.

    ``policy`` k = argmax_k J_{E[w]}(π_k); ``weights`` E[w]; ``regret`` E[L(w)] − L(E[w]), in the unit of the rewards,
    with its Monte Carlo standard error; ``relative_regret`` the same over E[L(w)]; ``within`` the probability, under
    the model, that the regret at the user's true weights is at most ε·E[L(w)].
    """

    policy: int
    weights: Array
    regret: float
    regret_stderr: float
    relative_regret: float
    within: float


def decide(values: Array, belief: Posterior, epsilon: float = 0.01) -> Recommendation:
    """The Bayes choice among policies with vertex values G (K, d). The ratio is inf where E[L] ≤ 0 < regret."""
    mean = belief.mean
    chosen = lower_envelope(values, mean[None, :])
    k = int(chosen.policy[0])
    best = lower_envelope(values, belief.weights).best
    losses = best - belief.weights @ values[k]
    regret = max(0.0, float(belief.masses @ losses))
    error = math.sqrt(float(np.sum((belief.masses * (losses - regret)) ** 2)))
    expected = float(belief.masses @ best)
    relative = regret / expected if expected > 0 else (0.0 if regret == 0 else math.inf)
    within = float(belief.masses @ (losses <= epsilon * max(expected, 0.0)))
    return Recommendation(k, mean, regret, error, relative, min(within, 1.0))


@dataclass(frozen=True, eq=False)
class Elicitation:
    """What can be asked of a user of a portfolio, and when to stop. Immutable, and a function of the comparisons alone:
    equal comparisons, equal questions and results, in any process.

    Parameters
    ----------
    portfolio : whose policies are chosen among.
    candidates : the answers that can be shown; ``of`` takes the policies themselves by default.
    model : temperature and prior; see ``preference.ChoiceModel``.
    epsilon : stop where the expected regret of the policy that would be chosen is at most ε·E[L(w)].
    max_questions : stop there in any case.
    level : of the credible intervals reported.
    samples, seed : of the posterior's Monte Carlo.
    """

    portfolio: Portfolio
    candidates: tuple[Candidate, ...]
    model: ChoiceModel
    epsilon: float = 0.01
    max_questions: int = 50
    level: float = 0.9
    samples: int = 4096
    seed: int = 0

    def __post_init__(self) -> None:
        _check_candidates(self.candidates, len(self.portfolio.objectives))
        if not 0 < self.epsilon < 1:
            raise InputError(f"epsilon must lie in (0, 1), got {self.epsilon!r}")
        if isinstance(self.max_questions, bool) or not isinstance(self.max_questions, int) or self.max_questions < 0:
            raise InputError(f"max_questions must be an integer >= 0, got {self.max_questions!r}")

    @classmethod
    def of(
        cls,
        portfolio: Portfolio,
        candidates: Iterable[Candidate] | None = None,
        *,
        temperature: float | None = None,
        concentration: float = 1.0,
        epsilon: float = 0.01,
        max_questions: int = 50,
        level: float = 0.9,
        samples: int = 4096,
        seed: int = 0,
    ) -> Elicitation:
        """An elicitation with defaults that fit the portfolio.

        Without ``candidates`` the policies stand for themselves, by their reward vectors. ``temperature`` defaults to
        a tenth of the widest range of one reward over the candidates: a difference of that size is chosen right with
        probability σ(10), one of a tenth of it with 73%.
        """
        if candidates is None:
            candidates = (Candidate(m.name, tuple(m.value.rewards.tolist())) for m in portfolio)
        shown = tuple(candidates)
        _check_candidates(shown, len(portfolio.objectives))
        if temperature is None:
            rewards = np.array([candidate.rewards for candidate in shown]).reshape(len(shown), -1)
            spread = float(np.ptp(rewards, axis=0).max()) if rewards.size else 0.0
            temperature = DEFAULT_TEMPERATURE * (spread or portfolio.reward_max)
        model = ChoiceModel(temperature, concentration)
        return cls(portfolio, shown, model, epsilon, max_questions, level, samples, seed)

    def belief(self, comparisons: Sequence[Comparison]) -> Posterior:
        """The posterior of w; see ``preference.posterior``."""
        d = len(self.portfolio.objectives)
        return posterior(comparisons, self.model, d, samples=self.samples, seed=self.seed)

    def decide(self, belief: Posterior) -> Recommendation:
        """The policy to use, and what it is expected to lose."""
        return decide(self.portfolio.vertex_values, belief, self.epsilon)

    def pairs(self, comparisons: Sequence[Comparison] = ()) -> list[tuple[int, int]]:
        """The pairs of candidates worth asking: of one prompt, with different rewards, not compared before."""
        asked = {frozenset(((c.prompt, c.first), (c.prompt, c.second))) for c in comparisons}
        found, seen = [], set(asked)
        for i, j in itertools.combinations(range(len(self.candidates)), 2):
            a, b = self.candidates[i], self.candidates[j]
            key = frozenset(((a.prompt, tuple(a.rewards)), (b.prompt, tuple(b.rewards))))
            if a.prompt == b.prompt and len(key) == 2 and key not in seen:
                seen.add(key)
                found.append((i, j))
        if len(found) > MAX_PAIRS:
            chosen = np.random.default_rng(self.seed).choice(len(found), MAX_PAIRS, replace=False)
            found = [found[k] for k in np.sort(chosen)]
        return found

    def scores(self, belief: Posterior, pairs: Sequence[tuple[int, int]]) -> Array:
        """How much each question is expected to lower the expected regret, shape (len(pairs), 2).

        First column: the expected reduction, Σ_y P(y)·L(E[w|y]) − L(E[w]) ≥ 0 (the value of information of decision
        theory; E[L(w)] does not change in expectation). It sees one answer ahead, and is 0 where no single one would
        change the policy. Second column, which decides where the first is below a tenth of the regret everywhere: the
        mutual information, in nats, of the answer and the policy that serves w.
        """
        values = self.portfolio.vertex_values
        rng = np.random.default_rng(self.seed)
        weights, masses = belief.weights, belief.masses
        if len(weights) > SCORING_SAMPLES:
            kept = rng.choice(len(weights), SCORING_SAMPLES, p=masses)
            weights, masses = weights[kept], np.full(SCORING_SAMPLES, 1.0 / SCORING_SAMPLES)
        rewards = np.array([candidate.rewards for candidate in self.candidates])
        first, second = np.array(pairs).T
        chosen = logistic(weights @ (rewards[first] - rewards[second]).T / self.model.temperature)
        weighted = masses[:, None] * weights
        total = weighted.sum(axis=0)
        # ⟨Σ mass·P(y|w)·w, G_k⟩ = P(y)·J_{E[w|y]}(π_k), so no division by a vanishing P(y).
        one = chosen.T @ weighted
        reached = lower_envelope(values, one).best + lower_envelope(values, total - one).best
        reduction = np.maximum(reached - lower_envelope(values, total[None, :]).best, 0.0)
        serves = lower_envelope(values, weights).policy
        labels, group = np.unique(serves, return_inverse=True)
        membership = np.zeros((len(labels), len(weights)))
        membership[group, np.arange(len(weights))] = masses
        shares = membership.sum(axis=1)
        conditional = np.clip((membership @ chosen) / shares[:, None], 0.0, 1.0)
        information = _entropy(masses @ chosen) - shares @ _entropy(conditional)
        return np.column_stack([reduction, np.maximum(information, 0.0)])

    def next_pair(self, comparisons: Sequence[Comparison], belief: Posterior) -> tuple[int, int] | None:
        """The pair of candidates to ask about, or None where none is left."""
        pairs = self.pairs(comparisons)
        if not pairs:
            return None
        scores = self.scores(belief, pairs)
        column = 0 if scores[:, 0].max() > MIN_REDUCTION * self.decide(belief).regret else 1
        return pairs[int(scores[:, column].argmax())]

    def reason_to_stop(self, comparisons: Sequence[Comparison], decision: Recommendation) -> Reason | None:
        """Why no further question would be asked, or None where one would."""
        if decision.relative_regret <= self.epsilon:
            return Reason.REGRET
        if len(comparisons) >= self.max_questions:
            return Reason.QUESTIONS
        return None if self.pairs(comparisons) else Reason.PAIRS

    def comparison(self, pair: tuple[int, int], choice: Choice) -> Comparison:
        """The comparison of two candidates, answered. Raises InputError on another choice."""
        if choice not in PREFERRED:
            raise InputError(f"a choice is first, second or equal, got {choice!r}")
        a, b = self.candidates[pair[0]], self.candidates[pair[1]]
        return Comparison(a.rewards, b.rewards, PREFERRED[choice], (a.name, b.name), a.prompt)

    def answer(self, comparisons: Sequence[Comparison], number: int, choice: Choice) -> Comparison:
        """The comparison to append after the user's choice in question ``number`` of ``state(comparisons)``.

        Raises InputError where another question is open (an answer sent twice), or none.
        """
        if number != len(comparisons) + 1:
            raise InputError(f"question {number} is not open; {len(comparisons)} are answered")
        belief = self.belief(comparisons)
        pair = self.next_pair(comparisons, belief)
        if self.reason_to_stop(comparisons, self.decide(belief)) is not None or pair is None:
            raise InputError("no question is open")
        return self.comparison(pair, choice)

    def state(self, comparisons: Sequence[Comparison]) -> dict[str, Any]:
        """Where the elicitation stands, as JSON-able data.

        ``done``, ``reason``; ``answered``, the number of comparisons; ``question``, None or {number, prompt, first,
        second}, each answer with name, text, rewards and measurements (in the unit before normalisation); ``result``,
        see ``result``.
        """
        belief = self.belief(comparisons)
        decision = self.decide(belief)
        reason = self.reason_to_stop(comparisons, decision)
        pair = None if reason is not None else self.next_pair(comparisons, belief)
        return {
            "objectives": list(self.portfolio.objectives),
            "answered": len(comparisons),
            "done": reason is not None,
            "reason": None if reason is None else reason.value,
            "question": None if pair is None else self._question(pair, len(comparisons) + 1),
            "result": self.result(belief, decision),
        }

    def result(self, belief: Posterior, decision: Recommendation) -> dict[str, Any]:
        """Weights with intervals, the policy to use, and its expected regret, as JSON-able data."""
        member = self.portfolio[decision.policy]
        intervals = belief.interval(self.level).tolist()
        return {
            "weights": self._named(decision.weights),
            "interval": dict(zip(self.portfolio.objectives, intervals, strict=True)),
            "level": self.level,
            "policy": member.name,
            "label": member.label,
            "index": member.index,
            "expected_regret": decision.regret,
            "expected_regret_stderr": decision.regret_stderr,
            "relative_regret": decision.relative_regret if math.isfinite(decision.relative_regret) else None,
            "probability_within_epsilon": decision.within,
            "epsilon": self.epsilon,
            "temperature": self.model.temperature,
            "concentration": self.model.concentration,
            "basis": "expectation under the model, not a certificate",
        }

    def _named(self, vector: ArrayLike) -> dict[str, float]:
        return dict(zip(self.portfolio.objectives, np.asarray(vector).tolist(), strict=True))

    def _question(self, pair: tuple[int, int], number: int) -> dict[str, Any]:
        first, second = (self._shown(self.candidates[k]) for k in pair)
        return {"number": number, "prompt": self.candidates[pair[0]].prompt, "first": first, "second": second}

    def _shown(self, candidate: Candidate) -> dict[str, Any]:
        normalizers = self.portfolio.normalizers
        measured = [float(n.invert(r)) for n, r in zip(normalizers, candidate.rewards, strict=True)]
        return {
            "name": candidate.name,
            "text": candidate.text,
            "rewards": self._named(candidate.rewards),
            "measurements": self._named(measured),
        }


MIN_REDUCTION = 0.1
"""Where no single answer is expected to lower the regret by this share, one looks further ahead: information counts."""


def _check_candidates(candidates: Sequence[Candidate], d: int) -> None:
    for candidate in candidates:
        rewards = as_float_array(candidate.rewards, f"the rewards of {candidate.name!r}")
        if rewards.shape != (d,) or not np.all(np.isfinite(rewards)):
            raise InputError(f"{candidate.name!r} needs {d} finite rewards, one an objective")


def _entropy(p: Array) -> Array:
    """−p·log p − (1−p)·log(1−p), in nats; 0 at 0 and 1."""
    q = 1.0 - p
    return -p * np.log(np.where(p > 0, p, 1.0)) - q * np.log(np.where(q > 0, q, 1.0))
