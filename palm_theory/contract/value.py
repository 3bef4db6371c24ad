"""What a policy is worth: its reward vector and regulariser, with standard errors where they are estimates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array, as_float_array


def as_number(value: Any, name: str) -> float:
    """``value`` as a float; raises InputError where it is no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a number, got {value!r}") from None


def frozen_array(values: ArrayLike, name: str) -> Array:
    """A read-only float64 copy of ``values``, same shape. Raises InputError where they are not numbers."""
    array = np.array(as_float_array(values, name))
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Value:
    """R(π) and f(π) of one policy π.

    Parameters
    ----------
    rewards : R(π), shape (d,), finite, each in [0, R_max] of its backend.
    regularizer : f(π) ≥ 0 up to rounding or sampling error, same unit as the rewards; 0 where there is none.
    rewards_stderr : standard errors of ``rewards``, shape (d,), or None where the rewards are exact.
    regularizer_stderr : standard error of ``regularizer``, or None where it is exact.
    samples : how many independent evaluations the standard errors come from, or None.

    Raises InputError on a wrong shape, on non-finite entries and on negative standard errors.
    """

    rewards: Array
    regularizer: float = 0.0
    rewards_stderr: Array | None = None
    regularizer_stderr: float | None = None
    samples: int | None = None
    vertex_values: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rewards = frozen_array(self.rewards, "rewards")
        if rewards.ndim != 1 or rewards.size == 0:
            raise InputError(f"rewards must have shape (d,) with d >= 1, got {rewards.shape}")
        if not np.all(np.isfinite(rewards)):
            raise InputError(f"rewards must be finite, got {rewards.tolist()}")
        regularizer = as_number(self.regularizer, "the regulariser")
        if not math.isfinite(regularizer):
            raise InputError(f"the regulariser must be finite, got {regularizer}")
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "regularizer", regularizer)
        object.__setattr__(self, "vertex_values", frozen_array(rewards - regularizer, "rewards"))
        if self.rewards_stderr is not None:
            stderr = frozen_array(self.rewards_stderr, "rewards_stderr")
            if stderr.shape != rewards.shape or not np.all(np.isfinite(stderr) & (stderr >= 0)):
                raise InputError(f"rewards_stderr must be finite and >= 0, of shape {rewards.shape}")
            object.__setattr__(self, "rewards_stderr", stderr)
        if self.regularizer_stderr is not None:
            error = as_number(self.regularizer_stderr, "regularizer_stderr")
            if not (math.isfinite(error) and error >= 0):
                raise InputError(f"regularizer_stderr must be finite and >= 0, got {error}")
            object.__setattr__(self, "regularizer_stderr", error)
        if self.samples is not None:
            if isinstance(self.samples, bool) or not isinstance(self.samples, int | np.integer) or self.samples < 1:
                raise InputError(f"samples must be an integer >= 1, got {self.samples!r}")
            object.__setattr__(self, "samples", int(self.samples))

    @property
    def is_estimate(self) -> bool:
        """Whether any number here carries a standard error."""
        return self.rewards_stderr is not None or self.regularizer_stderr is not None

    @property
    def exact_vertex_values(self) -> tuple[Fraction, ...]:
        """R − f·1 as rational numbers, (d,): ``vertex_values`` without the rounding of the difference."""
        regularizer = Fraction(self.regularizer)
        return tuple(Fraction(float(reward)) - regularizer for reward in self.rewards)

    def scalarize(self, weights: ArrayLike) -> float:
        """J_w(π) = ⟨w, R(π)⟩ − f(π) for one weight vector (d,)."""
        return float(as_float_array(weights, "weights") @ self.rewards - self.regularizer)

    def same_numbers(self, other: Value) -> bool:
        """Whether both hold the same numbers, bit for bit."""
        return self.to_dict() == other.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """The value as plain data, exactly (JSON round-trips float64)."""
        data: dict[str, Any] = {"rewards": self.rewards.tolist(), "regularizer": self.regularizer}
        if self.rewards_stderr is not None:
            data["rewards_stderr"] = self.rewards_stderr.tolist()
        if self.regularizer_stderr is not None:
            data["regularizer_stderr"] = self.regularizer_stderr
        if self.samples is not None:
            data["samples"] = self.samples
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Value:
        """The inverse of ``to_dict``."""
        return cls(**data)
