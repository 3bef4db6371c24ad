"""Bandits and decision processes hold what they claim on hostile instances, in rational arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.exact_oracles import FAULTS, KINDS, Tally, check


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_is_claimed_is_false(kind: str) -> None:
    tally = Tally()
    for number in range(25):
        rng = np.random.default_rng([2026, number])
        check(KINDS[kind](rng), rng, tally, f"{kind} {number}")
    assert not {what: tally.examples[what] for what in FAULTS if what in tally.examples}
    assert tally.counts["not tight to 1e-9"] <= 0.1 * tally.counts["solves"]
