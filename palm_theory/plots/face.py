"""A face of the simplex, or a section parallel to one: weights of which only two or three vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from palm_theory.errors import InputError
from palm_theory.geometry.simplex import Array


@dataclass(frozen=True, eq=False)
class Face:
    """The weights w = fixed + left·s, s in the simplex of the ``varying`` objectives (indices), left = 1 − Σ fixed."""

    names: tuple[str, ...]
    varying: tuple[int, ...]
    fixed: Array

    @property
    def left(self) -> float:
        """The weight that the varying objectives share."""
        return 1.0 - float(self.fixed.sum())

    @property
    def is_whole(self) -> bool:
        """Whether the face is the simplex itself."""
        return len(self.varying) == len(self.fixed)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the varying objectives."""
        return tuple(self.names[i] for i in self.varying)

    def weights(self, inner: Array) -> Array:
        """Weights (n, d) of inner ones (n, m)."""
        rows = np.tile(self.fixed, (len(inner), 1))
        rows[:, list(self.varying)] += self.left * inner
        return rows / rows.sum(axis=1, keepdims=True)

    def values(self, vertex_values: Array) -> Array:
        """Vertex values (K, m) on the face: ⟨w, G_k⟩ = ⟨s, their row k⟩."""
        return self.left * vertex_values[:, list(self.varying)] + (vertex_values @ self.fixed)[:, None]

    def inner(self, weights: Array) -> Array | None:
        """The inner weights (m,) of a weight (d,) that lies on the face, else None."""
        inner = (weights - self.fixed)[list(self.varying)] / self.left
        on_it = np.allclose(self.weights(np.clip(inner, 0, None)[None, :])[0], weights, atol=1e-9)
        return inner if on_it else None

    def describe(self) -> str:
        """One sentence on what is left out; empty for the whole simplex."""
        if self.is_whole:
            return ""
        others = [i for i in range(len(self.fixed)) if i not in self.varying]
        held = ", ".join(f"{self.names[i]} = {self.fixed[i]:g}" for i in others if self.fixed[i] > 0)
        zero = "all other weights are 0" if any(self.fixed[i] == 0 for i in others) else ""
        return f"A section, exact: {', '.join(filter(None, [held, zero]))}."


def face(
    names: Sequence[str], objectives: Sequence[str] | None, fixed: Mapping[str, float] | None, sizes: tuple[int, ...]
) -> Face:
    """The face on which ``objectives`` vary (default: all) and the others have weights ``fixed`` (default 0).

    Raises InputError on unknown or repeated names, fixed weights below 0 or that leave nothing, and where the number of
    varying objectives is not one of ``sizes``.
    """
    fixed = dict(fixed or {})
    chosen = tuple(objectives) if objectives is not None else tuple(name for name in names if name not in fixed)
    for name in [*chosen, *fixed]:
        if name not in names:
            raise InputError(f"unknown objective {name!r}; the objectives are {', '.join(names)}")
    if len(set(chosen)) < len(chosen) or set(chosen) & set(fixed):
        raise InputError(f"an objective is named twice in {', '.join([*chosen, *fixed])}")
    if len(chosen) not in sizes:
        wanted = " or ".join(map(str, sizes))
        raise InputError(
            f"this figure shows {wanted} objectives, not {len(chosen)}: choose them with objectives=... (in a "
            f"shell: --vary NAME, repeated), out of {', '.join(names)}"
            if len(names) >= min(sizes)
            else f"this figure needs {wanted} objectives, the portfolio has {len(names)}"
        )
    held = np.array([float(fixed.get(name, 0.0)) for name in names])
    if not (np.all(np.isfinite(held) & (held >= 0)) and held.sum() < 1):
        raise InputError(f"fixed weights must be >= 0 and sum to less than 1, got {fixed}")
    return Face(tuple(names), tuple(list(names).index(name) for name in chosen), held)
