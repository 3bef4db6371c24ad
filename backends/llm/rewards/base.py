"""What a reward is, and the checks that every score goes through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backends.llm.identity import identity
from backends.llm.texts import as_completion
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.errors import BackendError, InputError
from palm_theory.geometry.simplex import Array

Measure = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""The one signature of a reward function: (prompts, completions), each (n,), to n floats. Prompts are ``Prompt`` and
completions ``Completion`` objects: strings with a few facts attached."""

EXCERPT = 200


@dataclass(frozen=True)
class Reward:
    """r(x, y) = normalizer(measure(x, y)), in [0, R_max]: one objective of the portfolio.

    ``measure`` is any callable of the signature ``Measure``; ``normalizer`` maps its measurements to rewards.
    ``measured`` tells the measure from others (``backends.llm.identity``): scores and policies are kept under it.
    Raises InputError on an empty name, a measure that cannot be called, or one that cannot be told from another.
    """

    name: str
    measure: Measure
    normalizer: Normalizer = IDENTITY
    # Taken once: a measure may load a model into itself when it is first called.
    measured: Any = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.name, str):
            raise InputError(f"a reward needs a non-empty name, got {self.name!r}")
        if not callable(self.measure):
            raise InputError(f"the reward {self.name!r} must be a callable (prompts, completions) -> list of floats")
        try:
            measured = identity(self.measure)
        except InputError as error:
            raise InputError(
                f"the reward {self.name!r} {error}; results are kept by what was measured: a function at the top of a "
                "module, a frozen dataclass of plain values, or an object with a method identity() that returns plain "
                "data saying what it is"
            ) from error
        object.__setattr__(self, "measured", measured)


def score(reward: Reward, prompts: Sequence[str], completions: Sequence[str], reward_max: float) -> Array:
    """Rewards of n prompt–completion pairs, shape (n,), each in [0, R_max].

    Raises BackendError, naming the reward and the offending text, where the function raises, returns a wrong number
    of values, NaN, infinity, or a value that the normaliser does not bring into [0, R_max].
    """
    answers = [as_completion(text) for text in completions]
    try:
        measured = list(reward.measure(list(prompts), answers))
    except InputError:
        raise
    except Exception as error:
        raise BackendError(f"the reward {reward.name!r} raised {type(error).__name__}: {error}") from error
    if len(measured) != len(answers):
        raise BackendError(
            f"the reward {reward.name!r} returned {len(measured)} values for {len(answers)} completions; it must "
            "return one float a completion"
        )
    try:
        rewards = reward.normalizer.apply(measured)
    except (TypeError, ValueError) as error:
        raise BackendError(f"the reward {reward.name!r} must return floats: {error}") from error
    # A reward at the edge of its range may leave it by rounding in the normaliser.
    edge = 1e-6 * reward_max
    with np.errstate(invalid="ignore"):
        wrong = ~((rewards >= -edge) & (rewards <= reward_max + edge))
    if rewards.shape != (len(answers),) or wrong.any():
        bad = int(np.argmax(wrong)) if rewards.shape == (len(answers),) else 0
        raise BackendError(
            f"the reward {reward.name!r} gave {np.ravel(rewards)[bad]} (measured {measured[bad]}) where it must lie in "
            f"[0, {reward_max}]; prompt: {str(prompts[bad])[:EXCERPT]!r}; completion: {str(answers[bad])[:EXCERPT]!r}"
        )
    return np.clip(rewards, 0.0, reward_max)


def reward_parameters(reward: Reward) -> Mapping[str, Any]:
    """What identifies a reward, as plain data: name, what is measured, the normaliser."""
    return {"name": reward.name, "measure": reward.measured, "normalizer": reward.normalizer.to_dict()}
