"""Traffic logs, what they say of a portfolio, one policy more, one objective more."""

from __future__ import annotations

import json
import resource
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.bandit import BanditBackend
from backends.table import TableBackend
from palm_theory import Adaptive, Portfolio, UniformGrid, build_portfolio
from palm_theory.errors import ArtifactError, InputError
from palm_theory.extend import add_objective
from palm_theory.geometry.hull import UpperHull
from palm_theory.traffic.drift import drift, known_optimum, weights_change
from palm_theory.traffic.log import ServedRequest, Traffic, TrafficLog, read_traffic
from tests.core.users.test_elicitation import palm
from tests.helpers.instances import random_mdp_arrays, rng_of, seeds, simplex_points

BANDIT = BanditBackend(rng_of(0).random((4, 8, 3)), beta=0.02)


@pytest.fixture(scope="module")
def small() -> Portfolio:
    """The three vertices only: badly covered in the middle."""
    return build_portfolio(BANDIT, UniformGrid(1), progress=False)


def logged(path, portfolio: Portfolio, weights: np.ndarray, *, users: bool = True) -> None:
    with TrafficLog(path) as log:
        for k, row in enumerate(weights):
            name = f"u{k % 40}" if users else None
            log.append(ServedRequest.of(portfolio, 1000.0 + k, row, portfolio.select(row.tolist()).name, name, 0.01))


def test_a_log_comes_back_in_order_and_a_torn_line_is_dropped(tmp_path, small):
    path = tmp_path / "log.jsonl"
    logged(path, small, rng_of(1).dirichlet(np.ones(3), 5))
    with TrafficLog(path) as log:
        log.append(ServedRequest(1.0, None, "p01"))
    with path.open("a") as file:
        file.write('{"time": 3, "wei')
    traffic = read_traffic(path, small.objectives)
    assert len(traffic) == 6
    assert traffic.policies[0] == "p01"
    assert traffic.has_weights.tolist() == [False] + [True] * 5
    assert traffic.users[0] is None
    np.testing.assert_array_equal(traffic.weights[1:], rng_of(1).dirichlet(np.ones(3), 5))


@pytest.mark.parametrize("lost", [1, 20, 60, 100])
@pytest.mark.parametrize("servers", [1, 3])
def test_a_log_torn_by_a_power_cut_goes_on(tmp_path, small, lost, servers):
    path = tmp_path / "log.jsonl"
    logged(path, small, rng_of(1).dirichlet(np.ones(3), 2))
    path.write_bytes(path.read_bytes()[:-lost])
    assert len(read_traffic(path, small.objectives)) == 1
    request = ServedRequest(1.0, None, "p01")
    logs = [TrafficLog(path) for _ in range(servers)]
    # Opened while another writes, the end of the file is not the end of a line: nothing of it may be lost.
    for log in logs * 2:
        log.append(request)
        assert path.read_bytes().endswith(b"\n")
    for log in logs:
        log.close()
    assert len(read_traffic(path, small.objectives)) == 1 + 2 * servers
    with path.open("ab") as file:
        file.write(b'{"time": 3, "wei\xc3')
    assert len(read_traffic(path, small.objectives)) == 1 + 2 * servers


def test_only_opening_a_log_writes_nothing(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"time": 3, "wei')
    TrafficLog(path).close()
    assert path.read_text() == '{"time": 3, "wei'


def test_a_broken_line_in_the_middle_is_refused(tmp_path, small):
    path = tmp_path / "log.jsonl"
    logged(path, small, rng_of(1).dirichlet(np.ones(3), 3))
    lines = path.read_bytes().splitlines(keepends=True)
    for broken in (lines[1][:20] + b"\n", b"\x00\x00\n", b'{"time": "\xff"}\n'):
        path.write_bytes(lines[0] + broken + lines[2])
        with pytest.raises(InputError, match="line 2: "):
            read_traffic(path, small.objectives)


def test_lines_of_threads_do_not_mix(tmp_path, small):
    path = tmp_path / "log.jsonl"
    log = TrafficLog(path)
    request = ServedRequest.of(small, 5.0, [0.2, 0.3, 0.5], "p00", "x" * 200)
    threads = [threading.Thread(target=lambda: [log.append(request) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert len(read_traffic(path, small.objectives)) == 800


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "line 1: not a JSON object"),
        ('{"time": 1, "policy": "p00"}', "no 'weights'"),
        ('{"time": 1, "policy": "p00", "weights": {"r1": 0.5}}', "must sum to 1"),
        ('{"time": 1, "policy": "p00", "weights": {"x": 1}}', "unknown objective 'x'"),
        ('{"time": "now", "policy": "p00", "weights": null}', "time must be a number"),
        ("", "holds no request"),
    ],
)
def test_bad_logs_are_refused(tmp_path, small, line, message):
    (tmp_path / "log.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=message):
        read_traffic(tmp_path / "log.jsonl", small.objectives)


def test_a_full_disk_is_an_error(small):
    with TrafficLog("/dev/full") as log, pytest.raises(ArtifactError, match="cannot write"):
        log.append(ServedRequest.of(small, 1.0, [1, 0, 0], "p00"))


def test_a_disk_that_fills_leaves_no_half_line(tmp_path, small):
    path = tmp_path / "log.jsonl"
    request = ServedRequest.of(small, 1.0, [1, 0, 0], "p00")
    whole = len(request.to_line())
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with TrafficLog(path) as log:
        log.append(request)
        resource.setrlimit(resource.RLIMIT_FSIZE, (whole + whole // 2, hard))
        try:
            with pytest.raises(ArtifactError, match="cannot write"):
                log.append(request)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert path.stat().st_size == whole
        log.append(request)
    assert len(read_traffic(path, small.objectives)) == 2


def test_regret_is_exact_where_the_backend_tells(tmp_path, small):
    weights = rng_of(2).dirichlet(np.ones(3), 60)
    logged(tmp_path / "log.jsonl", small, weights)
    traffic = read_traffic(tmp_path / "log.jsonl", small.objectives)
    report = drift(traffic, small, BANDIT)
    true = np.array([BANDIT.optimal_value(row) for row in weights]) - small.best_value(weights)
    assert report.optimum_kind == "exact"
    assert report.regret.mean == pytest.approx(true.mean(), abs=1e-12)
    assert report.regret.maximum == pytest.approx(true.max(), abs=1e-12)
    assert report.rerouted == pytest.approx(true.mean(), abs=1e-12)
    assert sum(row.requests for row in report.policies) == 60
    json.dumps(report.to_dict(), allow_nan=False)


def test_the_weight_to_train_next_pays_and_never_more_than_the_limit(tmp_path, small):
    rng = rng_of(3)
    weights = np.vstack([rng.dirichlet([20, 20, 20], 80), rng.dirichlet([50, 1, 1], 40)])
    logged(tmp_path / "log.jsonl", small, weights)
    report = drift(read_traffic(tmp_path / "log.jsonl", small.objectives), small, BANDIT)
    chosen = report.extension
    assert chosen is not None
    before = report.rerouted

    def gained(at: np.ndarray) -> float:
        extended = small.extend(BANDIT, at)
        return float((extended.best_value(weights) - small.best_value(weights)).mean())

    gain = gained(chosen.weights)
    assert gain <= chosen.limit + 1e-12
    assert chosen.limit == pytest.approx(before, abs=1e-12)
    gains = [gained(row) for row in weights[::6]]
    assert gain >= np.quantile(gains, 0.8)
    assert gain >= 0.5 * max(gains)
    # With J* known at every logged weight, the forecast is close.
    assert chosen.forecast == pytest.approx(gain, rel=0.25)


def test_bounds_are_bounds_and_estimates_say_so(small):
    weights = simplex_points(3, 50, 0)
    true = np.array([BANDIT.optimal_value(row) for row in weights])
    bound = known_optimum(small, weights)
    assert bound.kind == "bound"
    assert np.all(bound.upper >= true - 1e-12)
    assert np.all(bound.guess <= bound.upper)
    unproven = small.subset([0, 1, 2])
    estimate = known_optimum(unproven, weights)
    assert estimate.kind == "estimate"
    assert np.all(estimate.upper >= small.best_value(weights))
    with pytest.raises(InputError, match="not the problem"):
        known_optimum(small, weights, BanditBackend(rng_of(9).random((4, 8, 3))))


@settings(max_examples=20)
@given(seeds, st.booleans())
def test_regret_from_measured_values_is_an_estimate_and_no_bound(seed, told):
    """Exact J* less a measured value, or a certificate's bound less one, lies below the true regret every so often."""
    rng = rng_of(seed)
    frame = pd.DataFrame({"x": rng.random(4), "e": 0.1, "y": rng.random(4)})
    backend = TableBackend(frame, objectives=["x", "y"], stderr={"x": "e"})
    portfolio = build_portfolio(backend, UniformGrid(1), progress=False)
    assert portfolio.certificate.is_against_optimum
    weights = simplex_points(2, 10, seed)
    found = known_optimum(portfolio, weights, backend if told else None)
    assert found.kind == "estimate"
    assert np.all(found.upper >= portfolio.best_value(weights))
    assert ("values are estimates" in found.basis) == told


def test_a_policy_that_is_worth_nothing_to_somebody_still_has_a_finite_regret():
    backend = TableBackend(np.array([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]]))
    portfolio = build_portfolio(backend, UniformGrid(1), progress=False).subset([0])
    portfolio = portfolio.with_certificate(portfolio.audit(backend))
    assert portfolio.certificate.epsilon == 1
    weights = np.array([[1.0, 0.0], [0.0, 1.0]])
    report = drift(traffic_of(weights, [None, None], np.arange(2.0)), portfolio)
    assert report.optimum_kind == "bound"
    assert report.regret.maximum == portfolio.certificate.additive_gap == 1
    json.dumps(report.to_dict(), allow_nan=False)


def test_the_hull_s_plane_touches_it_and_stays_below_every_bound():
    rng = rng_of(4)
    hull = UpperHull(np.array([1.0, 0.8, 0.9]))
    points = rng.dirichlet(np.ones(3), 12)
    bounds = points @ np.array([1.0, 0.8, 0.9]) - 0.1 * rng.random(12)
    for point, bound in zip(points, bounds, strict=True):
        hull.add(point, float(bound))
    for w in rng.dirichlet(np.ones(3), 20):
        plane = hull.plane(w)
        assert np.all(points @ plane <= bounds + 1e-12)
        assert w @ plane == pytest.approx(hull(w), abs=1e-7)


def traffic_of(weights: np.ndarray, users: list[str | None], times: np.ndarray) -> Traffic:
    n = len(weights)
    return Traffic(times, tuple(users), weights, ("p00",) * n, np.full(n, np.nan))


def test_the_change_test_keeps_its_level_with_users_who_repeat_and_finds_a_shift():
    small_p = 0
    for seed in range(40):
        rng = rng_of(seed)
        # 30 users with one weight each, ten requests each, in both periods: 300 requests, but 30 independent ones.
        users = rng.dirichlet(np.ones(3), 30)
        who = np.repeat(np.arange(30), 10)
        times = rng.permutation(len(who)).astype(float)
        order = np.argsort(times)
        traffic = traffic_of(users[who][order], [f"u{k}" for k in who[order]], times[order])
        change = weights_change(traffic, seed=seed)
        assert change is not None
        small_p += change.p_value <= 0.1
        groups = rng.integers(2, size=30)
        times = (1000.0 * groups[who]) + times
        order = np.argsort(times)
        apart = weights_change(traffic_of(users[who][order], [f"u{k}" for k in who[order]], times[order]), 999.5)
        assert apart is not None
        small_p += apart.p_value <= 0.1
    # 80 tests at level 0.1 under the null: 8 expected, 15 is beyond the 99% quantile.
    assert small_p <= 15
    rng = rng_of(0)
    shifted = np.vstack([rng.dirichlet([5, 2, 2], 60), rng.dirichlet([2, 5, 2], 60)])
    change = weights_change(traffic_of(shifted, [None] * 120, np.arange(120.0)), 60.0)
    assert change is not None
    assert change.p_value <= 0.002
    assert change.mean_after[1] > change.mean_before[1]


def test_an_empty_period_has_no_test():
    assert weights_change(traffic_of(np.eye(3), [None] * 3, np.arange(3.0)), 10.0) is None


def test_policies_of_another_portfolio_are_refused(small):
    traffic = Traffic(np.zeros(1), (None,), np.eye(3)[:1], ("p77",), np.zeros(1))
    with pytest.raises(InputError, match="the log has policy 'p77'"):
        drift(traffic, small)


@pytest.mark.parametrize("d", [2, 3])
def test_a_new_objective_reuses_what_is_solved(d):
    rewards = rng_of(d).random((4, 7, d + 1))
    # The new objective comes first: positions are found by name.
    names = ("new", *(f"r{i}" for i in range(d)))
    old = build_portfolio(BanditBackend(rewards[:, :, 1:], beta=0.05, objectives=names[1:]), Adaptive(0.02))
    larger = BanditBackend(rewards, beta=0.05, objectives=names)
    scratch = build_portfolio(larger, Adaptive(0.02), progress=False)
    reused = add_objective(old, larger, epsilon=0.02, progress=False)
    assert reused.certificate.certifies(0.02)
    assert reused.audit(larger, epsilon=0.02).delta <= 1e-9
    assert reused.solves < scratch.solves
    assert reused.objectives == names


def test_a_new_objective_on_an_mdp_survives_save_and_load(tmp_path):
    from backends.mdp import MDPBackend

    transitions, rewards, initial, _ = random_mdp_arrays(1, d=3)
    old = build_portfolio(MDPBackend(transitions, rewards[:, :, :2], initial, discount=0.8), Adaptive(0.02))
    larger = MDPBackend(transitions, rewards, initial, discount=0.8, objectives=("r1", "r2", "r3"))
    reused = add_objective(old, larger, epsilon=0.02, path=tmp_path / "p", progress=False)
    loaded = Portfolio.load(tmp_path / "p", larger)
    np.testing.assert_array_equal(loaded.rewards, reused.rewards)


def test_a_changed_problem_carries_nothing_over():
    rewards = rng_of(5).random((3, 5, 3))
    old = build_portfolio(BanditBackend(rewards[:, :, :2], beta=0.05), Adaptive(0.02), progress=False)
    with pytest.raises(InputError, match="has changed, so nothing carries over"):
        add_objective(old, BanditBackend(rewards**2, beta=0.05))
    with pytest.raises(InputError, match="no new objective"):
        add_objective(old, BanditBackend(rewards[:, :, :2], beta=0.05))
    with pytest.raises(InputError, match="has no objective 'r1'"):
        add_objective(old, BanditBackend(rewards, beta=0.05, objectives=("x", "y", "z")))


def test_drift_and_extend_from_the_command_line(tmp_path):
    scores = tmp_path / "scores.csv"
    scores.write_text("speed,quality\n" + "".join(f"{k},{round(10 - 0.1 * k * k, 3)}\n" for k in range(11)))
    folder = tmp_path / "portfolio"
    palm("build", "table", str(scores), "--strategy", "uniform", "-n", "1", "--out", str(folder))
    portfolio = Portfolio.load(folder)
    log = tmp_path / "log.jsonl"
    logged(log, portfolio, rng_of(0).dirichlet([5, 5], 60))
    report = json.loads(palm("drift", str(log), str(folder), "--against", str(scores), "--json").stdout)
    assert report["optimum"]["kind"] == "exact"
    assert report["change"]["users_before"] == 30 or report["change"]["users_before"] <= 40
    text = palm("drift", str(log), str(folder), "--split", "1970-01-01T00:17:10").stdout
    assert "upper bounds" in text
    assert "one more policy pays most at" in text
    palm("extend", "table", str(folder), str(scores), "--log", str(log))
    extended = Portfolio.load(folder, TableBackend(scores))
    assert len(extended) == len(portfolio) + 1
    after = json.loads(palm("drift", str(log), str(folder), "--against", str(scores), "--json").stdout)
    assert after["mean_regret_if_rerouted"] < report["mean_regret_if_rerouted"]
    assert "already there" in palm("extend", "table", str(folder), str(scores), "--weights", "1,0").stdout
    assert "give either" in str(palm("extend", "table", str(folder), str(scores), expect=2).exception)
