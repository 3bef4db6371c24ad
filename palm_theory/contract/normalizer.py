"""How a measured column became a reward in [0, R_max]: stored with every result, so that it can be undone."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array


@dataclass(frozen=True)
class Normalizer:
    """reward = scale·measurement + offset; a negative scale means that the measurement was minimised.

    Raises InputError unless scale is finite and not 0 and offset is finite.
    """

    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale != 0 and math.isfinite(self.offset)):
            raise InputError(f"a normaliser needs a finite scale other than 0 and a finite offset, got {self}")

    def apply(self, measurements: ArrayLike) -> Array:
        """Rewards from measurements of any shape: scale·x + offset."""
        return self.scale * np.asarray(measurements, dtype=np.float64) + self.offset

    def invert(self, rewards: ArrayLike) -> Array:
        """Measurements from rewards of any shape: (r − offset)/scale."""
        return (np.asarray(rewards, dtype=np.float64) - self.offset) / self.scale

    def to_dict(self) -> dict[str, Any]:
        """The normaliser as plain data."""
        return asdict(self)


IDENTITY = Normalizer()
