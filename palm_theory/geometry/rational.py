"""Between float64 and the rational numbers that floats are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction


def rational_dot(one: Sequence[Fraction], other: Sequence[Fraction]) -> Fraction:
    """⟨one, other⟩ of two vectors (d,), exactly."""
    return sum((x * y for x, y in zip(one, other, strict=True)), Fraction(0))


def float_above(number: Fraction) -> float:
    """The least float64 that is not below ``number``."""
    near = float(number)
    return near if Fraction(near) >= number else math.nextafter(near, math.inf)
