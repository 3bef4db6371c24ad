"""Corner weights in rational arithmetic: the vertices of an upper envelope of planes, none merged and none missed."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from palm_theory.geometry.rational import rational_dot

Rational = tuple[Fraction, ...]


def exact_corners(rows: Sequence[Sequence[Fraction]]) -> dict[Rational, Fraction]:
    """The corner weights w of L(w) = max_k ⟨w, G_k⟩ on the simplex (Theorem 3), each with L(w).

    ``rows`` (K, d) are the G_k. The vertices of {(w, t): t ≥ ⟨w, G_k⟩, w ∈ Δ} by double description (Motzkin et al.
    1953), one policy after another; two vertices share an edge where no third is tight on all that both are tight on.
    Time grows with the square of the number of corners and more: for portfolios, not for tables.
    """
    d = len(rows[0])
    unit = [tuple(Fraction(i == j) for j in range(d)) for i in range(d)]
    # Bit i: w_i ≥ 0 is tight. Bit d + k: policy k is best. On the ray straight up all w_i ≥ 0 are.
    upwards = (1 << d) - 1
    corners = {w: (rows[0][i], upwards ^ 1 << i | 1 << d) for i, w in enumerate(unit)}
    for bit, row in enumerate(rows[1:], d + 1):
        slack = {w: value - rational_dot(w, row) for w, (value, _) in corners.items()}
        lifted = [w for w in corners if slack[w] < 0]
        kept = {
            w: (value, tight | 1 << bit if slack[w] == 0 else tight)
            for w, (value, tight) in corners.items()
            if slack[w] >= 0
        }
        sets = [(w, tight) for w, (_, tight) in corners.items()]
        for below in lifted:
            if below in unit:
                kept[below] = (rational_dot(below, row), corners[below][1] & upwards | 1 << bit)
            for above in corners:
                edge = corners[above][1] & corners[below][1]
                if slack[above] <= 0 or edge.bit_count() < d - 1 or not edge & ~upwards:
                    continue
                if any(edge & tight == edge for w, tight in sets if w != above and w != below):
                    continue
                share = slack[above] / (slack[above] - slack[below])
                w = tuple(a + share * (b - a) for a, b in zip(above, below, strict=True))
                kept[w] = (rational_dot(w, row), edge | 1 << bit)
        corners = kept
    return {w: value for w, (value, _) in corners.items()}
