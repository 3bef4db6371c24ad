"""The tolerances of the LLM tests let rounding pass, in any order of summation, and nothing that is an error."""

from __future__ import annotations

import pytest
import torch

from .tolerance import assert_equal_but_for_rounding, rounding_error

TERMS = 256


def in_order(weights: torch.Tensor, inputs: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Σ weights·inputs (outputs,), one product after the other: the longest chain of round-offs there is."""
    total = torch.zeros(len(weights))
    for j in order.tolist():
        total = total + weights[:, j] * inputs[j]
    return total


@pytest.mark.parametrize("seed", range(5))
def test_sums_in_another_order_pass_and_sums_that_cancel_too(seed: int):
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Linear(TERMS, 20, bias=False)
    model.weight.data.normal_(generator=generator)
    inputs = torch.randn(TERMS, generator=generator)
    model.weight.data[:, -1] -= model.weight.data @ inputs / inputs[-1]  # every sum is near 0, its terms are not
    error = rounding_error(model, lambda: [model(inputs)], TERMS)
    exact = (model.weight.double() @ inputs.double()).float()
    for _ in range(5):
        order = torch.randperm(TERMS, generator=generator)
        assert_equal_but_for_rounding([in_order(model.weight.detach(), inputs, order)], [exact], error)


def test_a_term_that_is_one_percent_too_large_is_no_rounding():
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Linear(TERMS, 20, bias=False)
    inputs = torch.randn(TERMS, generator=generator)
    right = model(inputs).detach()
    error = rounding_error(model, lambda: [model(inputs)], TERMS)
    assert torch.equal(model(inputs), right), "the weights are as they were"
    assert_equal_but_for_rounding([right], [right], error)
    wrong = right + 0.01 * model.weight[:, 0].detach() * inputs[0]
    with pytest.raises(AssertionError, match="apart in norm"):
        assert_equal_but_for_rounding([wrong], [right], error)
