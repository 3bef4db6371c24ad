"""How far apart two computations of one quantity may lie, by the arithmetic that makes them and by nothing else.

A sum of n products in a type of unit round-off u (2⁻²⁴ in float32, 2⁻⁸ in bfloat16) is, in whatever order and with
whatever instructions a processor adds it up, the exact sum of products that are each off by a little:

    fl(Σ aᵢbᵢ) = Σ aᵢbᵢ(1 + θᵢ),   |θᵢ| ≤ γ_n = nu/(1 − nu),   so   |fl(Σ aᵢbᵢ) − Σ aᵢbᵢ| ≤ γ_n Σ|aᵢbᵢ|

(Higham 2002, Accuracy and Stability, §3.1). The scale is Σ|aᵢbᵢ|, what is summed: where terms cancel, the error is any
multiple of the sum itself, and a tolerance relative to a single element is wrong. Each θᵢ is made of at most n
round-offs that are as often up as down, so its size is √n·u rather than γ_n (Higham and Mary 2019, SIAM J. Sci.
Comput. 41(5)). AVX2, AVX-512, AMX and GPUs differ in the order, hence in the θᵢ, hence in the last bits; blocks and
fused multiply-adds only shorten the chains.

``gamma`` is for one such sum. A network is many, one behind the other. The formula read backwards (give 1 + θᵢ to the
weight aᵢ) says that what a processor computes is what exact arithmetic would compute with weights off by √n·u, relative
to each. So the question of how the errors of early sums grow through later ones is put to the network:
``rounding_error`` moves every weight by ±√n·u, with random signs, and looks how far the result goes. For n products of
random sign the movement of a sum is u·n·rms(aᵢbᵢ), and the error of adding them one after the other is
u·n/√2·rms(aᵢbᵢ): so one standard deviation of the movement is one of the difference between two such computations.

bfloat16 is multiplied exactly and added up in float32; what is rounded to it are the two factors and the sum.

Differences are measured in the norm of a whole tensor, which bounds every element of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

DRAWS = 16
DEVIATIONS = 4.0  # of a normal error, 6 in 100,000 lie further out


def unit_roundoff(dtype: torch.dtype) -> float:
    """u: the relative error of one rounding to the nearest number of ``dtype``."""
    return torch.finfo(dtype).eps / 2


def gamma(terms: int, dtype: torch.dtype = torch.float32) -> float:
    """γ_n for a chain of n round-offs: the largest relative error of any term of a sum."""
    product = terms * unit_roundoff(dtype)
    return product / (1 - product)


def rounding_error(
    model: Any, result: Callable[[], Sequence[torch.Tensor]], tokens: int = 1, dtype: torch.dtype = torch.float32
) -> list[float]:
    """One standard deviation of ‖computed − computed otherwise‖ for each tensor of ``result()``.

    ``model`` (float32) computes it in ``dtype``, by sums along the sides of its weights; gradients are sums over
    ``tokens`` too. The longest counts for all.
    """
    weights = list(model.parameters())
    terms = max(tokens, *(side for weight in weights for side in weight.shape))
    size = math.sqrt(terms) * unit_roundoff(torch.float32)
    if dtype != torch.float32:
        size += math.sqrt(3) * unit_roundoff(dtype)
    kept = [weight.detach().clone() for weight in weights]
    base = [tensor.detach() for tensor in result()]
    squares = [0.0] * len(base)
    signs = torch.Generator().manual_seed(0)
    try:
        for _ in range(DRAWS):
            for weight, value in zip(weights, kept, strict=True):
                sign = 2.0 * torch.randint(0, 2, value.shape, generator=signs) - 1
                weight.data.copy_(value * (1 + size * sign))
            for i, (moved, tensor) in enumerate(zip(result(), base, strict=True)):
                squares[i] += float((moved.detach() - tensor).norm()) ** 2 / DRAWS
    finally:
        for weight, value in zip(weights, kept, strict=True):
            weight.data.copy_(value)
    return [math.sqrt(square) for square in squares]


def assert_equal_but_for_rounding(
    found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor], error: Sequence[float]
) -> None:
    """Each tensor of ``found`` is its neighbour in ``expected`` up to ``DEVIATIONS`` times its ``rounding_error``."""
    for i, (ours, theirs, deviation) in enumerate(zip(found, expected, error, strict=True)):
        assert ours.shape == theirs.shape, f"tensor {i}: {tuple(ours.shape)} and {tuple(theirs.shape)}"
        apart = float((ours.detach() - theirs.detach()).norm())
        assert apart <= DEVIATIONS * deviation, (
            f"tensor {i}: {apart:.2e} apart in norm, rounding explains {DEVIATIONS * deviation:.2e}"
            f" (norm {float(theirs.norm()):.2e})"
        )
