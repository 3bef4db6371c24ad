"""Sums that float64 holds exactly: what is left after cancellation is then as precise as what went in."""

from __future__ import annotations

import numpy as np

from palm_theory.geometry.simplex import Array

UNIT = 2.0**-53
"""u: a float64 operation errs by at most this, relatively."""

ROW_BITS, VECTOR_BITS = 30, 21
"""Leading bits of probabilities, and of vectors: rows that sum to 1 keep their products' sum within 53 bits."""

ROW_SHIFT = 1.5 * 2.0 ** (52 - ROW_BITS)
"""Added to a number in [0, 1] and taken off again, it rounds the number to ``ROW_BITS`` bits."""

SPLITTER = 2.0**27 + 1

BLOCK_ELEMENTS = 65_536
"""Rows are taken in blocks that stay in the processor's cache."""


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """s and e (…,) with s + e = a + b exactly, s the rounded sum (Knuth), elementwise."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: float, b: Array) -> tuple[Array, Array]:
    """p and e (…,) with p + e = a·b exactly, p the rounded product, where nothing overflows or underflows (Dekker)."""
    a_wide, b_wide = SPLITTER * a, SPLITTER * b
    a_high, b_high = a_wide - (a_wide - a), b_wide - (b_wide - b)
    a_low, b_low = a - a_high, b - b_high
    product = a * b
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def split_product(rows: Array, vectors: Array) -> tuple[Array, Array]:
    """(high, low), each (m, k), whose sum is ``rows`` (m, n) times ``vectors`` (n, k); rows ≥ 0 sum to about 1.

    ``high`` is exact whatever the order of summation: the product of the leading bits. ``low``, all the rest, is
    smaller by 2^-20, and so are its rounding errors: ``leftover`` bounds them.
    """
    exponents = np.frexp(np.abs(vectors).max(axis=0))[1] - VECTOR_BITS
    leading = np.ldexp(np.rint(np.ldexp(vectors, -exponents)), exponents)
    trailing = vectors - leading
    high, low = np.empty((len(rows), vectors.shape[1])), np.empty((len(rows), vectors.shape[1]))
    block = max(1, BLOCK_ELEMENTS // rows.shape[1])
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        coarse = (rows[part] + ROW_SHIFT) - ROW_SHIFT
        high[part] = coarse @ leading
        low[part] = coarse @ trailing + (rows[part] - coarse) @ vectors
    return high, low


def leftover(count: int, largest: float) -> float:
    """How large Σ |terms| of ``low`` are in ``split_product`` at most, for rows of ``count`` numbers above 0."""
    return (2.0**-VECTOR_BITS + count * 2.0**-ROW_BITS) * largest
