"""What a run is asked for: the multiplicative target, and the additive one that makes the peer reach the same."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.instances import INSTANCES
from palm_theory.build import build_portfolio
from palm_theory.geometry.envelope import corner_weights, lower_envelope
from palm_theory.strategies.adaptive import Adaptive

STORE = Path(__file__).resolve().parent / "results" / "peer_epsilon.json"


def epsilon_of(name: str) -> float:
    """1% up to four objectives, 5% for five, 10% for six."""
    d = INSTANCES[name].objectives
    return {5: 0.05, 6: 0.1}.get(d, 0.01)


@cache
def peer_epsilon(name: str) -> float:
    """δ = ε·min_w L(w) ≤ ε·min_w J*_w for the portfolio of Adaptive(ε), to six digits.

    LinearSupport's ``epsilon`` is additive, L ≥ J* − δ. The largest δ that implies L ≥ (1−ε)J* everywhere, and so the
    same certified quality, is ε times the least J*.
    """
    known = json.loads(STORE.read_text()) if STORE.exists() else {}
    if name not in known:
        portfolio = build_portfolio(INSTANCES[name].make(), Adaptive(epsilon_of(name)))
        values = np.stack([value.vertex_values for value in portfolio.policy_values])
        least = float(lower_envelope(values, corner_weights(values)).best.min())
        known[name] = float(f"{epsilon_of(name) * least:.6g}")
        STORE.parent.mkdir(parents=True, exist_ok=True)
        STORE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    return known[name]
