"""Proofs: accepted by the checker, which shares no line with us, and refused when any of their numbers is changed."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from backends.bandit import BanditBackend
from backends.graph import GraphBackend
from backends.linear import LinearBackend
from backends.mdp import MDPBackend
from backends.programs.program import LinearProgram
from backends.table import TableBackend
from palm_theory import Adaptive, Value, build_portfolio
from palm_theory.certify.proof import Proof, prove
from palm_theory.errors import CertificateError, InputError
from tools import check_certificate

ROOT = Path(__file__).parents[3]


def verdict(data: dict) -> str | None:
    """None where the checker accepts, else what it says; in this process, which is faster."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "proof.json"
        file.write_text(json.dumps(data), encoding="utf-8")
        try:
            check_certificate.check(check_certificate.read(file))
        except SystemExit as refused:
            return str(refused)
    return None


def program(d: int, upper: float, seed: int) -> LinearProgram:
    rng = np.random.default_rng(seed)
    return LinearProgram(
        costs=rng.random((d, 5)),
        minimize=(False,) * (d - 1) + (upper < np.inf,),
        matrix=sparse.csr_matrix(rng.random((4, 5))),
        row_lower=np.full(4, -np.inf),
        row_upper=np.ones(4),
        lower=np.zeros(5),
        upper=np.full(5, upper),
        integer=np.zeros(5, dtype=bool),
        objectives=tuple(f"o{i}" for i in range(d)),
        constants=np.zeros(d),
    )


def _chain(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Four states, three of which the start leads to, three actions, two objectives."""
    transitions = rng.dirichlet(np.ones(4), size=(4, 3))
    transitions[:3, :, 3] = 0.0
    transitions /= transitions.sum(axis=2, keepdims=True)
    return transitions, rng.random((4, 3, 2)), np.array([0.5, 0.5, 0.0, 0.0])


def backends() -> dict:
    import networkx as nx

    rng = np.random.default_rng(3)
    graph = nx.DiGraph()
    for a in range(4):
        for b in range(a + 1, 5):
            graph.add_edge(a, b, time=float(rng.integers(1, 9)), money=float(rng.integers(1, 9)))
    return {
        "table": TableBackend(rng.random((30, 3))),
        "linear": LinearBackend(program(3, np.inf, 0)),
        "linear, boxed": LinearBackend(program(2, 2.0, 1)),
        "bandit": BanditBackend(rng.random((3, 4, 3))),
        "KL bandit": BanditBackend(rng.random((3, 4, 2)), beta=0.1),
        "bandit of huge beta": BanditBackend(rng.random((2, 3, 2)), beta=1e9),
        "MDP": MDPBackend(*_chain(rng), discount=0.9),
        "soft MDP": MDPBackend(*_chain(rng), discount=0.95, beta=0.2),
        "finite MDP": MDPBackend(*_chain(rng), discount=1.0, horizon=3, beta=0.05),
        "value iteration": MDPBackend(*_chain(rng), discount=0.8, method="value-iteration"),
        "graph": GraphBackend(graph, "shortest-path", costs=["time", "money"], source=0, target=4),
    }


@pytest.fixture(scope="module", params=backends())
def proven(request) -> tuple[Proof, float]:
    backend = backends()[request.param]
    portfolio = build_portfolio(backend, Adaptive(0.05), progress=False)
    return prove(portfolio.policy_values, backend=backend), portfolio.certificate.epsilon


def test_the_checker_accepts_and_the_epsilon_is_the_audits(proven):
    proof, audited = proven
    assert verdict(proof.data) is None
    # An audit's ε is exact to rounding, or an upper bound.
    assert proof.epsilon <= audited + 1e-9


def _numbers(data, path=()):
    """The paths of all hexadecimal numbers and mixtures in a proof."""
    if isinstance(data, dict):
        for key, item in data.items():
            yield from _numbers(item, (*path, key))
    elif isinstance(data, list):
        for i, item in enumerate(data):
            yield from _numbers(item, (*path, i))
    elif isinstance(data, str) and "0x" in data:
        yield path


def _changed(data: dict, path: tuple, factor: float) -> dict:
    other = copy.deepcopy(data)
    at = other
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = (float.fromhex(at[path[-1]]) * factor - (factor < 1) * 1e-6 + (factor > 1) * 1e-6).hex()
    return other


def test_a_smaller_epsilon_is_refused(proven):
    proof, _ = proven
    if proof.epsilon > 1e-6:
        assert verdict({**proof.data, "epsilon": (proof.epsilon - 1e-9).hex()})


def test_what_a_changed_number_claims_is_refused_or_true():
    # A table: change any policy downwards or any rival upwards, and either the claim fails for it or has slack.
    backend = backends()["table"]
    portfolio = build_portfolio(backend, Adaptive(0.05), progress=False)
    proof = prove(portfolio.policy_values, backend=backend)
    for path in _numbers(proof.data):
        if path[0] in ("epsilon", "delta"):
            continue
        changed = _changed(proof.data, path, 0.9 if path[0] == "policies" else 1.1)
        members = [_value(row) for row in changed["policies"]]
        others = [_value(row) for row, _ in changed["rivals"]]
        if verdict(changed) is None:
            assert prove(members, rivals=others).epsilon <= proof.epsilon, path


def _value(row: list[str]) -> Value:
    *rewards, regularizer = map(float.fromhex, row)
    return Value(np.array(rewards), max(regularizer, 0.0))


def test_a_worse_policy_makes_the_proof_fail_where_it_is_needed(proven):
    proof, _ = proven
    k = len(proof.data["policies"]) - 1
    worse = copy.deepcopy(proof.data)
    worse["policies"][k] = [(0.0).hex() for _ in worse["policies"][k]]
    assert verdict(worse)


def test_a_lower_bound_on_the_optimum_needs_its_witness():
    backend = LinearBackend(program(2, 2.0, 1))
    portfolio = build_portfolio(backend, Adaptive(0.05), progress=False)
    proof = prove(portfolio.policy_values, backend=backend)
    assert proof.data["type"] == "linear"
    for i, bound in enumerate(proof.data["bounds"]):
        for j in range(len(bound[1])):
            for factor in (0.5, 2.0):
                changed = copy.deepcopy(proof.data)
                changed["bounds"][i][1][j] = (float.fromhex(bound[1][j]) * factor + 0.01).hex()
                # Other multipliers prove a weaker bound, or none: never a better one than the least.
                said = verdict(changed)
                assert said is None or "NOT PROVEN" in said


@given(st.integers(1, 4), st.data())
def test_epsilon_is_the_least_one_of_any_finite_set(d, data):
    number = st.sampled_from([0.0, 0.25, 1.0, 1.0 + 2**-52, 3.0, 1e-12, 1e12])
    row = st.lists(number, min_size=d, max_size=d)
    rivals = data.draw(st.lists(row, min_size=1, max_size=6))
    members = data.draw(st.lists(st.sampled_from(rivals), min_size=1, max_size=3))
    values = [Value(np.array(r)) for r in members]
    try:
        proof = prove(values, rivals=[Value(np.array(r)) for r in rivals])
    except CertificateError:
        # Only where some user's best rival is worth 0 or less to the portfolio's claim.
        return
    assert verdict(proof.data) is None
    if proof.epsilon > 0:
        smaller = float(np.nextafter(proof.epsilon, 0.0))
        assert verdict({**proof.data, "epsilon": smaller.hex()})
        exact = max(
            1 - max(Fraction(m[i]) for m in members) / Fraction(r[i]) for r in rivals for i in range(d) if r[i] > 0
        )
        assert Fraction(proof.epsilon) >= exact  # at the simplex's vertices at the least


def test_a_useless_policy_of_huge_cost_erases_no_gap():
    members = [Value(np.array([1.0, 0.0])), Value(np.array([0.0, 1.0])), Value(np.array([0.0, 0.0]), 1e12)]
    rivals = [*members, Value(np.array([0.9, 0.9]))]
    assert prove(members, rivals=rivals).epsilon == pytest.approx(4 / 9, rel=1e-15)


def test_what_has_no_proof_is_refused_in_words():
    exact = [Value(np.array([1.0, 0.0]))]
    with pytest.raises(InputError, match="standard errors"):
        prove([Value(np.array([1.0, 0.0]), rewards_stderr=np.array([0.1, 0.1]))], rivals=exact)
    with pytest.raises(InputError, match="rivals or with a backend"):
        prove(exact)
    with pytest.raises(CertificateError, match="no epsilon"):
        prove([Value(np.array([1.0]), 2.0)], rivals=[Value(np.array([1.0]), 1.5)])


def test_the_checker_is_a_program_of_its_own(tmp_path, proven):
    proof, _ = proven
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(proof.data))
    command = [sys.executable, "-I", str(ROOT / "tools" / "check_certificate.py"), str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 0
    assert ran.stdout.startswith("PROVEN")
    file.write_text(json.dumps({**proof.data, "delta": (-0.5).hex()}))
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 1
    assert "NOT PROVEN" in ran.stderr
    source = (ROOT / "tools" / "check_certificate.py").read_text("utf-8")
    assert len(source.splitlines()) <= 100
