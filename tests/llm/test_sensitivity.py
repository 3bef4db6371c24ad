"""The sensitivity report, on samples of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from backends.llm.app.sensitivity import sensitivity
from palm_theory import Planned
from palm_theory.errors import InputError

NAMES = ("a", "b", "c")


def samples(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((4, 20, 3))


def test_a_factor_of_one_changes_nothing():
    for row in sensitivity(samples(), 0.1, NAMES, Planned(), factors=(1.0,)):
        assert row.moved == 0
        assert row.epsilon == pytest.approx(row.epsilon_kept, abs=1e-12)


def test_every_reward_is_rescaled_and_replanning_is_compared_with_keeping():
    rows = sensitivity(samples(), 0.1, NAMES, Planned(max_policies=5))
    assert [(row.objective, row.factor) for row in rows] == [(n, f) for n in NAMES for f in (0.5, 2.0)]
    assert all(0 <= row.epsilon < 1 and 0 <= row.epsilon_kept < 1 and 0 <= row.moved <= 2 for row in rows)
    assert any(row.moved > 0 for row in rows)


def test_a_factor_must_be_positive():
    with pytest.raises(InputError, match="finite factor > 0"):
        sensitivity(samples(), 0.1, NAMES, Planned(), factors=(0.0,))
