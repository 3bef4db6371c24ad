"""What policies are worth as an audit takes them: exactly, or between confidence limits that all hold at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from palm_theory.contract.value import Value
from palm_theory.errors import InputError
from palm_theory.files import canonical_json
from palm_theory.geometry.intervals import Method as IntervalMethod
from palm_theory.geometry.intervals import empirical_bernstein_halfwidth, normal_halfwidth, split_failure
from palm_theory.geometry.simplex import Array

DEFAULT_CONFIDENCE = 0.95


class HasValues(Protocol):
    """Anything with the values of K policies: a Portfolio, or what a third party makes."""

    @property
    def policy_values(self) -> Sequence[Value]:
        """R_k and f_k of the K ≥ 1 policies, in order."""
        ...


def values_of(portfolio: HasValues | Sequence[Value]) -> list[Value]:
    """The values of K ≥ 1 policies with one d; raises InputError otherwise."""
    values = list(portfolio) if isinstance(portfolio, Sequence) else list(portfolio.policy_values)
    if not values:
        raise InputError("a portfolio needs at least one policy")
    if len({value.rewards.shape for value in values}) > 1:
        raise InputError("all policies of a portfolio need the same number of objectives")
    return values


def stack(values: Sequence[Value]) -> Array:
    """Vertex values G of K policies, shape (K, d)."""
    return np.stack([value.vertex_values for value in values])


def among(values: Sequence[Value], everyone: Sequence[Value]) -> list[Value]:
    """``values`` with those that hold the very numbers of one of ``everyone`` replaced by it.

    A policy read from a file is one of all the backend's, and was measured once: it takes no interval of its own.
    """
    known = {canonical_json(value.to_dict()): value for value in everyone}
    return [known.get(canonical_json(value.to_dict()), value) for value in values]


class Limits(NamedTuple):
    """Vertex values at confidence limits: ``lower`` (K, d) of a portfolio, ``upper`` of the reference and the portfolio
    together, in that order; ``method`` of the intervals, None where every value is exact."""

    lower: Array
    upper: Array
    method: IntervalMethod | None


def confidence_limits(
    values: Sequence[Value], reference: Sequence[Value], confidence: float, evaluation_max: float | None
) -> Limits:
    """Limits that all hold at once with probability ``confidence``: what an audit of estimates compares.

    Infinite where a value was measured only once. ``evaluation_max`` is the range of a single evaluation, None where it
    is unknown. Intervals as in docs/theory/statistics.md.
    """
    everyone = [*reference, *values]
    if not any(value.is_estimate for value in everyone):
        return Limits(stack(values), stack(everyone), None)
    # A policy that stands in both sets is measured once, so it takes one share of the failure probability.
    distinct = {id(value) for value in everyone}
    failure = split_failure(confidence, len(distinct) * (values[0].rewards.size + 1))
    method = _interval_method(everyone, evaluation_max)
    lower = _limits(values, failure, evaluation_max, method, upper=False)
    return Limits(lower, _limits(everyone, failure, evaluation_max, method, upper=True), method)


def _interval_method(values: Sequence[Value], evaluation_max: float | None) -> IntervalMethod:
    """Empirical Bernstein where the number of samples and the ranges are known of all, else the normal approximation:
    a certificate is no better than the weakest interval in it."""
    known = all(v.samples is not None and v.regularizer_stderr is None for v in values if v.is_estimate)
    return "empirical-bernstein" if known and evaluation_max is not None else "normal"


def _limits(
    values: Sequence[Value], failure: float, evaluation_max: float | None, method: IntervalMethod, *, upper: bool
) -> Array:
    """Vertex values (K, d) at the lower or upper confidence limits of R and f."""
    sign = 1.0 if upper else -1.0
    rows = []
    for value in values:
        width = np.zeros_like(value.rewards)
        if value.rewards_stderr is not None:
            if method == "empirical-bernstein":
                assert value.samples is not None
                assert evaluation_max is not None
                width = empirical_bernstein_halfwidth(value.rewards_stderr, value.samples, evaluation_max, failure)
            else:
                width = normal_halfwidth(value.rewards_stderr, failure)
        if value.regularizer_stderr is not None:
            width = width + normal_halfwidth(np.array(value.regularizer_stderr), failure)
        rows.append(value.vertex_values + sign * width)
    return np.stack(rows)
