"""The portfolio: select, extend, prune, show."""

import math
import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import tests.helpers.fault_helpers as fh
from backends.table import TableBackend
from palm_theory import Adaptive, Certificate, Kind, Portfolio, UniformGrid, Value, audit, build_portfolio
from palm_theory.contract.backend import Power
from palm_theory.errors import BackendError, CertificateError, InputError
from palm_theory.geometry.simplex import sample_dirichlet
from tests.helpers import ROOT
from tests.helpers.fault_helpers import TrialBandit
from tests.helpers.instances import declaring

BACKEND = TrialBandit()
# With a policy more, a corner that stays is solved for anew from other rows. Values are at most 1 and sums of some tens
# of products, γ_100 = 1e-14 (float64); the corner itself moves by as much times the condition of its d + 1 rows.
ROUNDING = 1e-12
PORTFOLIO = build_portfolio(BACKEND, UniformGrid(4))


def of_rewards(rewards, objectives=None, reference="all policies of the backend"):
    backend = TableBackend(rewards, objectives=objectives)
    policies = [(k, backend.evaluate(k), None) for k in range(len(rewards))]
    certificate = Certificate(0.0, 0.0, None, Kind.EXACT, size=len(rewards), reference=reference)
    return Portfolio.of(backend, policies, certificate), backend


def brute_force(portfolio, weights):
    """argmax over policies, written out."""
    chosen = []
    for row in weights:
        scores = [
            math.fsum(w * r for w, r in zip(row, m.value.rewards, strict=True)) - m.value.regularizer for m in portfolio
        ]
        chosen.append(max(scores))
    return np.array(chosen)


def test_select_is_the_best_policy():
    weights = sample_dirichlet(3, 300, seed=1)
    chosen = PORTFOLIO.select(weights)
    reached = PORTFOLIO.values(weights)[np.arange(300), chosen]
    assert reached == pytest.approx(brute_force(PORTFOLIO, weights), abs=1e-14)
    assert (PORTFOLIO.best_value(weights) == reached).all()
    assert len(set(chosen.tolist())) > 5


def test_one_weight_and_many_agree_bit_for_bit():
    weights = sample_dirichlet(3, 20_000, seed=2)
    chosen, best, values = PORTFOLIO.select(weights), PORTFOLIO.best_value(weights), PORTFOLIO.values(weights)
    for k in range(0, 20_000, 97):
        member = PORTFOLIO.select(weights[k])
        assert member is PORTFOLIO.members[chosen[k]]
        assert float(PORTFOLIO.best_value(weights[k])).hex() == float(best[k]).hex()
        assert PORTFOLIO.values(weights[k]).tobytes() == values[k].tobytes()


def test_select_by_name():
    by_name = PORTFOLIO.select({"r3": 0.75, "r1": 0.25})
    assert by_name is PORTFOLIO.select([0.25, 0.0, 0.75])
    with pytest.raises(InputError, match=r"unknown objective 'r9'; the objectives are r1, r2, r3"):
        PORTFOLIO.select({"r9": 1.0})
    with pytest.raises(InputError, match=r"weights must sum to 1, the vector sums to 0.5"):
        PORTFOLIO.select({"r1": 0.5})


def test_ties_go_to_the_lowest_index():
    portfolio, _ = of_rewards([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.5, 0.5]])
    assert portfolio.select([1.0, 0.0]).index == 1
    assert portfolio.select([0.5, 0.5]).index == 0
    assert portfolio.select(np.full((100_000, 2), 0.5)).max() == 0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, 0.5], "weights must have 3 entries, one an objective, got 2"),
        ([0.5, 0.6, 0.1], "weights must sum to 1, the vector sums to 1.2"),
        ([[1, 0, 0], [0.5, 0.5, -0.02]], "weights must be >= 0, row 1 has -0.02 at position 2"),
        ([math.nan, 0.5, 0.5], "weights must be finite"),
        ("heavy", "weights must be an array of numbers"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    for method in (PORTFOLIO.select, PORTFOLIO.values, PORTFOLIO.best_value):
        with pytest.raises(InputError, match=message):
            method(weights)


def run_python(code):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_million_weights_among_64_policies_need_little_memory():
    # The whole table of values would take 512 MB.
    extra = run_python(
        """
        import resource
        import numpy as np
        from backends.table import TableBackend
        from palm_theory import Certificate, Kind, Portfolio
        from palm_theory.geometry.simplex import sample_dirichlet

        backend = TableBackend(np.random.default_rng(0).random((64, 4)))
        policies = [(k, backend.evaluate(k), None) for k in range(64)]
        portfolio = Portfolio.of(backend, policies, Certificate(0.0, 0.0, None, Kind.EXACT))
        weights = sample_dirichlet(4, 1_000_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        chosen = portfolio.select(weights)
        assert chosen.shape == (1_000_000,)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
        """
    )
    assert float(extra) < 300


def test_the_import_pulls_in_nothing_heavy():
    heavy = ("torch", "transformers", "gymnasium", "cvxpy", "matplotlib", "pandas")
    loaded = run_python(f"import sys, palm_theory; print([name for name in {heavy!r} if name in sys.modules])")
    assert loaded == "[]"


def test_more_policies_never_worsen_a_gap():
    portfolio = build_portfolio(BACKEND, UniformGrid(1))
    weights = sample_dirichlet(3, 6, seed=4)
    for row in weights:
        extended = portfolio.extend(BACKEND, row)
        assert len(extended) == len(portfolio) + 1
        assert extended.certificate.epsilon <= portfolio.certificate.epsilon + ROUNDING
        assert extended.certificate.additive_gap <= portfolio.certificate.additive_gap + ROUNDING
        assert extended.certificate.kind is Kind.EXACT
        assert extended.certificate.size == len(extended)
        assert extended.certificate.oracle_calls > portfolio.certificate.oracle_calls
        assert audit(extended, BACKEND).epsilon == extended.certificate.epsilon
        assert extended.select(row).value.same_numbers(BACKEND.optimize(row).value)
        portfolio = extended
    many = build_portfolio(BACKEND, UniformGrid(1)).extend(BACKEND, weights)
    assert many.vertex_values.tobytes() == portfolio.vertex_values.tobytes()
    assert [m.index for m in many] == list(range(9))


def test_extending_by_what_is_there_changes_nothing():
    extended = PORTFOLIO.extend(BACKEND, np.eye(3))
    assert extended.vertex_values.tobytes() == PORTFOLIO.vertex_values.tobytes()
    assert extended.certificate.epsilon == PORTFOLIO.certificate.epsilon


def test_a_claim_with_a_delta_is_extended_at_that_delta():
    portfolio = build_portfolio(BACKEND, UniformGrid(1))
    claim = portfolio.audit(BACKEND, epsilon=0.0)
    extended = portfolio.with_certificate(claim).extend(BACKEND, [0.2, 0.3, 0.5])
    assert claim.delta > 0
    assert extended.certificate.epsilon <= claim.epsilon + ROUNDING
    assert extended.certificate.delta <= claim.delta + ROUNDING
    assert extended.certificate.additive_gap <= claim.additive_gap + ROUNDING


class Unknown(TrialBandit):
    """A solver that knows nothing of its own quality."""

    oracle_error = None
    powers = frozenset()

    def optimize(self, weights):
        return replace(super().optimize(weights), upper_bound=None)


def test_a_claim_against_a_reference_set_is_kept_by_extend():
    portfolio = build_portfolio(Unknown(), UniformGrid(2))
    assert portfolio.certificate.is_proof
    assert portfolio.certificate.reference == "the 6 policies solved"
    extended = portfolio.extend(Unknown(), [0.2, 0.3, 0.5])
    assert extended.certificate.reference == "the 6 policies solved"
    assert extended.certificate.epsilon == portfolio.certificate.epsilon
    assert extended.certificate.size == len(extended) == 7


class Paired(Unknown):
    """The same solver with per-unit values: each policy's value with noise that depends on the unit alone."""

    powers = frozenset({Power.PAIRED_VALUES})

    def paired_values(self, policy):
        noise = np.random.default_rng(0).normal(0, 0.01, (20, 1))
        return self.evaluate(policy).vertex_values + noise - noise.mean()

    def paired_reference(self):
        return {"the base model": [np.zeros((20, 3))]}


def test_an_audit_from_paired_values_is_over_the_members_and_does_not_claim_all_that_were_solved():
    backend = Paired()
    portfolio = build_portfolio(backend, UniformGrid(2), progress=False)
    assert portfolio.certificate.reference == "the 6 policies solved, the base model"
    certificate = portfolio.subset([0, 1]).audit(backend)
    assert certificate.reference == "its own members, the base model"
    assert not certificate.certifies(1.0)


def test_extend_refuses_what_it_cannot_use():
    with pytest.raises(InputError, match="not the problem the portfolio was made for"):
        PORTFOLIO.extend(TrialBandit(seed=1), [1, 0, 0])
    with pytest.raises(InputError, match="weights must sum to 1"):
        PORTFOLIO.extend(BACKEND, [1, 1, 0])
    with pytest.raises(BackendError, match="the solver broke down"):
        PORTFOLIO.extend(TrialBandit(fault="raises", fault_weights=[0.2, 0.3, 0.5]), [0.2, 0.3, 0.5])


@pytest.mark.parametrize("method", ["exact", "greedy"])
def test_pruning_keeps_its_certificate(method):
    pruned = PORTFOLIO.prune(BACKEND, epsilon=0.1, method=method)
    assert len(pruned) < len(PORTFOLIO)
    assert pruned.certificate.certifies(0.1 + 1e-9)
    assert audit(pruned.policy_values, BACKEND).epsilon == pytest.approx(pruned.certificate.epsilon, abs=1e-9)
    assert [member.index for member in pruned] == list(range(len(pruned)))
    kept = {member.value.vertex_values.tobytes() for member in PORTFOLIO}
    assert {member.value.vertex_values.tobytes() for member in pruned} <= kept
    own = PORTFOLIO.prune(BACKEND, method=method)
    assert own.certificate.epsilon <= PORTFOLIO.certificate.epsilon + 1e-9


def test_pruning_against_itself_drops_only_what_is_never_best():
    portfolio, _ = of_rewards([[0.0, 1.0], [0.4, 0.4], [1.0, 0.0], [1.0, 0.0], [0.7, 0.7]])
    pruned = portfolio.prune()
    assert pruned.rewards.tolist() == [[0.0, 1.0], [1.0, 0.0], [0.7, 0.7]]
    assert pruned.certificate.epsilon == 0
    assert pruned.certificate.reference == "the 5 policies of a reference set"


def quarter_circle(n: int, stderr: float):
    angles = np.linspace(0, np.pi / 2, n)
    frame = pd.DataFrame({"x": np.cos(angles), "y": np.sin(angles), "e": stderr})
    return TableBackend(frame, objectives=["x", "y"], stderr={"x": "e", "y": "e"})


@given(st.integers(3, 9), st.sampled_from([0.0, 0.005, 0.02]), st.sampled_from([None, 0.05, 0.1, 0.2]), st.booleans())
def test_pruning_of_measured_values_meets_its_target_as_an_audit_sees_it_or_is_refused(n, stderr, epsilon, alone):
    backend = quarter_circle(n, stderr)
    portfolio = build_portfolio(backend, UniformGrid(16), progress=False)
    given_backend = None if alone else backend
    whole = portfolio.certificate.epsilon
    if epsilon is not None and epsilon < whole:
        with pytest.raises(CertificateError, match="no candidate meets the target"):
            portfolio.prune(given_backend, epsilon=epsilon, method="greedy")
        return
    pruned = portfolio.prune(given_backend, epsilon=epsilon, method="greedy")
    target = whole if epsilon is None else epsilon
    assert pruned.certificate.certifies(target + 1e-12, within_reference=alone)
    assert pruned.certificate.is_against_optimum != alone
    assert pruned.certificate.confidence == portfolio.certificate.confidence


def test_a_measured_portfolio_read_from_disk_meets_its_own_target(tmp_path):
    backend = quarter_circle(9, 0.01)
    build_portfolio(backend, UniformGrid(16), path=tmp_path / "saved", progress=False)
    loaded = Portfolio.load(tmp_path / "saved", backend)
    assert loaded.prune(backend).certificate.certifies(loaded.certificate.epsilon + 1e-12)
    sure = loaded.with_certificate(loaded.audit(backend, confidence=0.999))
    assert sure.prune(backend).certificate.confidence == 0.999


def test_the_range_of_single_evaluations_is_kept(tmp_path):
    frame = pd.DataFrame({"x": [0.2, 0.9], "y": [0.8, 0.1], "e": 0.01})
    backend = TableBackend(frame, objectives=["x", "y"], stderr={"x": "e"}, samples=5000, reward_max=1.0)
    build_portfolio(backend, UniformGrid(1), path=tmp_path / "saved", progress=False)
    loaded = Portfolio.load(tmp_path / "saved")
    assert loaded.evaluation_max == backend.evaluation_max == 1.0
    assert loaded.prune().certificate.interval == "empirical-bernstein"


def test_pruning_of_measured_values_without_a_reference_or_an_interval_is_refused():
    once = Value([0.5, 0.5], rewards_stderr=[0.1, 0.1], samples=1)
    portfolio = declaring(of_rewards([[0.5, 0.5]])[0], evaluation_max=1.0)
    portfolio = replace(portfolio, members=(replace(portfolio[0], value=once),))
    with pytest.raises(InputError, match="measured only once"):
        portfolio.prune(epsilon=0.5)
    with pytest.raises(InputError, match="give the epsilon to prune to"):
        portfolio.prune()
    unlisted = build_portfolio(Unknown(), UniformGrid(1), progress=False)
    noisy = replace(unlisted, members=(replace(unlisted[0], value=Value([0.5] * 3, rewards_stderr=[0.1] * 3)),))
    with pytest.raises(InputError, match="does not list all its values"):
        noisy.prune(Unknown(), epsilon=0.5)


def test_pruning_to_what_is_out_of_reach_is_refused():
    with pytest.raises(CertificateError, match="no candidate meets the target"):
        build_portfolio(BACKEND, UniformGrid(1)).prune(BACKEND, epsilon=0.0)
    sampled = PORTFOLIO.with_certificate(PORTFOLIO.audit(BACKEND, kind="sampled", samples=10))
    with pytest.raises(InputError, match="the certificate is sampled: give the epsilon"):
        sampled.prune(BACKEND)
    with pytest.raises(CertificateError, match="gives no upper bound on J"):
        build_portfolio(Unknown(), UniformGrid(1)).prune(Unknown(), epsilon=0.5)


def test_a_data_frame_holds_every_number():
    table = PORTFOLIO.to_dataframe()
    assert list(table.columns) == ["name", "label", "w_r1", "w_r2", "w_r3", "r1", "r2", "r3", "regularizer"]
    assert table[["r1", "r2", "r3"]].to_numpy().tobytes() == PORTFOLIO.rewards.tobytes()
    assert table["regularizer"].to_numpy().tobytes() == PORTFOLIO.regularizers.tobytes()
    assert table["name"].tolist() == [member.name for member in PORTFOLIO]
    assert table[["w_r1", "w_r2", "w_r3"]].sum(axis=1).to_numpy() == pytest.approx(1.0)


def test_a_data_frame_of_estimates_holds_their_errors():
    certificate = Certificate(0.0, 0.0, None, Kind.UNKNOWN)
    values = [Value([0.5, 0.25, 0.1], rewards_stderr=[0.1, 0.2, 0.3]), Value([0.1, 0.2, 0.3])]
    portfolio = Portfolio.of(BACKEND, [(None, value, None) for value in values], certificate)
    table = portfolio.to_dataframe()
    assert table.loc[0, ["r1_stderr", "r2_stderr", "r3_stderr"]].tolist() == [0.1, 0.2, 0.3]
    assert math.isnan(table.loc[1, "r1_stderr"])
    assert "w_r1" not in table


NASTY = ["<script>alert('&')</script>", "[/bold] [red]cost[/]"]


def test_html_is_escaped():
    portfolio, _ = of_rewards([[0.0, 1.0], [1.0, 0.0]], objectives=NASTY, reference="<b>all</b>")
    shown = portfolio._repr_html_()
    assert "<script>" not in shown
    assert "R &lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;" in shown
    assert "&lt;b&gt;all&lt;/b&gt;" in shown
    assert shown.count("<tr>") == 3


def test_the_terminal_shows_names_as_they_are():
    portfolio, _ = of_rewards([[0.0, 1.0], [1.0, 0.0]], objectives=NASTY, reference="[b]all[/b]")
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(portfolio)
    shown = console.export_text()
    assert "R [/bold] [red]cost[/]" in shown
    assert "over [b]all[/b]" in shown
    assert "Portfolio of 2 policies" in shown


def test_repr_says_how_many_over_what_and_how_good():
    assert repr(PORTFOLIO).startswith("<Portfolio of 15 policies over r1, r2, r3; exact to 1e-12: J_w >= (1 - 0.0")


def test_it_is_a_sequence_of_members():
    assert len(PORTFOLIO) == 15
    assert [member.index for member in PORTFOLIO] == list(range(15))
    assert PORTFOLIO[3] is PORTFOLIO.members[3]
    assert PORTFOLIO[3].name == "p03"
    assert list(range(20))[PORTFOLIO[3]] == 3
    assert PORTFOLIO.rewards.shape == (15, 3)
    assert (PORTFOLIO.vertex_values == PORTFOLIO.rewards - PORTFOLIO.regularizers[:, None]).all()


def test_portfolios_are_immutable():
    with pytest.raises(AttributeError):
        PORTFOLIO.members = ()
    before = fh.contents(PORTFOLIO)
    PORTFOLIO.extend(BACKEND, [0.1, 0.1, 0.8])
    PORTFOLIO.prune(BACKEND, epsilon=0.2)
    assert fh.contents(PORTFOLIO) == before


def test_impossible_portfolios_are_refused():
    certificate = Certificate(0.0, 0.0, None, Kind.UNKNOWN)
    with pytest.raises(InputError, match="at least one policy"):
        Portfolio.of(BACKEND, [], certificate)
    with pytest.raises(InputError, match="every policy needs 3 rewards"):
        Portfolio.of(BACKEND, [(None, Value([0.5, 0.5]), None)], certificate)


def test_auditing_with_another_problems_backend_is_refused():
    with pytest.raises(InputError, match="not the problem the portfolio was made for"):
        PORTFOLIO.audit(TrialBandit(seed=1))


def test_corner_weights_are_where_policies_meet_or_the_simplex_ends():
    adaptive = build_portfolio(BACKEND, Adaptive(epsilon=0.05))
    corners = adaptive.corner_weights()
    values = np.sort(adaptive.values(corners), axis=1)
    for row, weights in zip(values, corners, strict=True):
        ties = (row >= row[-1] - 1e-9).sum()
        assert ties + (weights < 1e-12).sum() >= 3
