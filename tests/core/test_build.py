"""build_portfolio: from what, how resumed, how in parallel, how refused."""

import os
import sys
import textwrap
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import pytest

import tests.helpers.fault_helpers as fh
from backends.bandit import BanditBackend
from palm_theory import Adaptive, Palm, Planned, Portfolio, RandomWeights, Strategy, UniformGrid, build_portfolio
from palm_theory.contract.backend import PolicyBackend, Power
from palm_theory.errors import ArtifactError, BackendError, InputError, JournalError
from tests.helpers.fault_helpers import FAULTS, STRATEGIES, TrialBandit

pytest_plugins = ["tests.helpers.fault_fixtures"]


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        yield pool


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_serial_threads_processes_and_journal_give_the_same(fast_path, strategy, processes):
    expected = fh.contents(build_portfolio(TrialBandit(), STRATEGIES[strategy]))
    with ThreadPoolExecutor(4) as threads:
        for name, executor in (("serial", None), ("threads", threads), ("processes", processes)):
            log = fast_path / f"{name}.log"
            built = build_portfolio(TrialBandit(log), STRATEGIES[strategy], path=fast_path / name, executor=executor)
            assert fh.contents(built) == expected
            assert fh.contents(build_portfolio(TrialBandit(), STRATEGIES[strategy], executor=executor)) == expected
            assert fh.artifact_files(fast_path / name) == fh.artifact_files(fast_path / "serial")
            assert set(fh.solves(log)) == fh.journaled(fast_path / name)
            # Run again, in another way: nothing is solved.
            again = build_portfolio(TrialBandit(log), STRATEGIES[strategy], path=fast_path / name)
            assert fh.contents(again) == expected
            assert len(fh.solves(log)) == len(fh.journaled(fast_path / name))


def test_another_strategy_reuses_what_was_solved(fast_path):
    log = fast_path / "log"
    build_portfolio(TrialBandit(log), UniformGrid(2), path=fast_path / "build")
    assert len(fh.solves(log)) == 6
    build_portfolio(TrialBandit(log), UniformGrid(4), path=fast_path / "build")
    assert len(fh.solves(log)) == 15
    assert len(set(fh.solves(log))) == 15


def test_the_saved_portfolio_is_the_returned_one(fast_path):
    built = build_portfolio(TrialBandit(), STRATEGIES["palm"], path=fast_path / "build")
    assert fh.contents(Portfolio.load(fast_path / "build", TrialBandit())) == fh.contents(built)


class Ready(TrialBandit):
    """A backend that needs no arguments."""

    def __init__(self) -> None:
        super().__init__()


def test_from_a_class():
    built = build_portfolio(Ready, UniformGrid(2))
    assert built.vertex_values.tobytes() == build_portfolio(Ready(), UniformGrid(2)).vertex_values.tobytes()


@pytest.fixture
def third_party(fast_path, monkeypatch):
    """An installed distribution of someone else's, with three entry points."""
    (fast_path / "theirs_palm.py").write_text(
        textwrap.dedent(
            """
            import numpy as np
            from backends.bandit import BanditBackend

            class Theirs(BanditBackend):
                def __init__(self):
                    super().__init__(np.random.default_rng(3).random((1, 4, 2)))

            not_a_backend = 3
            """
        )
    )
    info = fast_path / "theirs_palm-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs-palm\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[palm_theory.backends]\n"
        "theirs = theirs_palm:Theirs\n"
        "absent = theirs_absent:Backend\n"
        "misspelt = theirs_palm:Their\n"
        "number = theirs_palm:not_a_backend\n"
    )
    monkeypatch.syspath_prepend(fast_path)
    yield
    sys.modules.pop("theirs_palm", None)


def test_from_the_name_of_a_third_partys_entry_point(third_party):
    built = build_portfolio("theirs", UniformGrid(3))
    assert built.problem["backend"] == "theirs_palm.Theirs"
    assert built.objectives == ("r1", "r2")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nonsense", r"no backend named 'nonsense'; installed: .*bandit.*theirs"),
        ("absent", r"backend 'absent' cannot be imported \(No module named 'theirs_absent'\)"),
        ("misspelt", "backend 'misspelt' cannot be imported .*no attribute 'Their'"),
        ("number", "backend must be a PolicyBackend"),
        ("bandit", "BanditBackend needs arguments"),
    ],
)
def test_names_that_do_not_work_say_why(third_party, name, message):
    with pytest.raises(InputError, match=message):
        build_portfolio(name)


def test_the_default_strategy_certifies_one_percent():
    assert build_portfolio(TrialBandit()).certificate.certifies(0.01)


class Failing(Strategy):
    """A strategy that cannot be described as data."""

    def construct(self, given):
        raise AssertionError("never reached")

    def describe(self):
        return {"weights": np.zeros(3)}


class NotADataclass(Failing):
    describe = Strategy.describe


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "adaptive"}, "strategy must be a Strategy"),
        ({"strategy": Adaptive}, "strategy must be a Strategy"),
        ({"strategy": Failing()}, r"Failing.describe\(\) must return JSON-able data"),
        ({"strategy": NotADataclass()}, r"NotADataclass.describe\(\) must return JSON-able data"),
        ({"executor": 4}, "executor must be a concurrent.futures.Executor, got 4"),
        ({"seed": -1}, "seed must be an integer >= 0, got -1"),
        ({"seed": 0.5}, "seed must be an integer >= 0, got 0.5"),
        ({"backend": 3}, "backend must be a PolicyBackend"),
        ({"backend": PolicyBackend}, "PolicyBackend needs arguments"),
    ],
)
def test_bad_arguments_are_refused_before_any_file_is_made(fast_path, arguments, message):
    with pytest.raises(InputError, match=message):
        build_portfolio(**{"backend": TrialBandit(), "path": fast_path / "build", **arguments})
    assert not (fast_path / "build").exists()


def test_seeds_decide_random_weights():
    first, again = (build_portfolio(TrialBandit(), RandomWeights(5), seed=3) for _ in range(2))
    assert fh.contents(first) == fh.contents(again)
    other = build_portfolio(TrialBandit(), RandomWeights(5), seed=np.int64(4))
    assert fh.contents(other)["weights"] != fh.contents(first)["weights"]
    assert (first.seed, other.seed) == (3, 4)
    own = build_portfolio(TrialBandit(), RandomWeights(5, seed=4), seed=3)
    assert fh.contents(own)["weights"] == fh.contents(other)["weights"]


def middle_of(strategy):
    """The weights solved in the middle of a build."""
    recorded = []

    class Watching(TrialBandit):
        def optimize(self, weights):
            recorded.append(weights.tolist())
            return super().optimize(weights)

    build_portfolio(Watching(), STRATEGIES[strategy])
    return recorded[len(recorded) // 2], len(recorded)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_backend_that_fails_in_the_middle(fast_path, fault):
    weights, total = middle_of("adaptive")
    log, folder = fast_path / "log", fast_path / "build"
    broken = TrialBandit(log, fault=fault, fault_weights=weights)
    with pytest.raises(BackendError, match=FAULTS[fault][1]) as caught:
        build_portfolio(broken, STRATEGIES["adaptive"], path=folder)
    assert str(weights) in str(caught.value)
    assert len(fh.journaled(folder)) == total // 2
    assert tuple(weights) not in fh.journaled(folder)
    with pytest.raises(ArtifactError, match="an interrupted build"):
        Portfolio.load(folder)
    repaired = build_portfolio(TrialBandit(log), STRATEGIES["adaptive"], path=folder)
    assert fh.contents(repaired) == fh.contents(build_portfolio(TrialBandit(), STRATEGIES["adaptive"]))
    assert len(set(fh.solves(log)) - {tuple(weights)}) == len(fh.solves(log)) - 1 == total - 1


@pytest.mark.parametrize("kind", ["threads", "processes"])
@pytest.mark.parametrize("fault", ["raises", "nan", "failed"])
def test_one_of_many_parallel_solves_fails(fast_path, kind, fault, processes):
    weights, total = middle_of("grid")
    log, folder = fast_path / "log", fast_path / "build"
    broken = TrialBandit(log, fault=fault, fault_weights=weights)
    with ThreadPoolExecutor(2) as threads:
        executor = threads if kind == "threads" else processes
        with pytest.raises(BackendError, match=FAULTS[fault][1]) as caught:
            build_portfolio(broken, STRATEGIES["grid"], path=folder, executor=executor)
        assert str(weights) in str(caught.value)
        # Whatever was solved before the failure stopped the rest is in the journal.
        assert set(fh.solves(log)) == fh.journaled(folder)
        before = len(fh.solves(log))
        built = build_portfolio(TrialBandit(log), STRATEGIES["grid"], path=folder, executor=executor)
    assert fh.contents(built) == fh.contents(build_portfolio(TrialBandit(), STRATEGIES["grid"]))
    assert len(fh.solves(log)) == len(set(fh.solves(log))) == total
    assert before < total


class Dying(TrialBandit):
    """Its worker dies at the fault."""

    def optimize(self, weights):
        if weights.tolist() == self.fault_weights:
            os._exit(1)
        return super().optimize(weights)


def test_workers_that_die_are_a_backend_error_and_lose_nothing_finished(fast_path):
    weights, _ = middle_of("grid")
    log, folder = fast_path / "log", fast_path / "build"
    with (
        ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool,
        pytest.raises(BackendError, match=r"the solve at weights \[.*\] was lost: BrokenProcessPool"),
    ):
        build_portfolio(Dying(log, fault_weights=weights), STRATEGIES["grid"], path=folder, executor=pool)
    first = fh.solves(log)
    rerun = build_portfolio(Dying(log), STRATEGIES["grid"], path=folder)
    assert len(rerun) > 0
    assert fh.journaled(folder) == set(fh.solves(log))
    # A worker may die with one answer on its way.
    assert len(fh.solves(log)) <= len(set(fh.solves(log))) + 1
    assert len(first) >= 1


class Meeting(TrialBandit):
    """Returns from a solve only when as many run at once as expected; offers its own kind as a surrogate."""

    def __init__(self, together: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(together)

    @property
    def powers(self):
        return super().powers | {Power.SURROGATE}

    def surrogate(self):
        return TrialBandit()

    def optimize(self, weights):
        self.barrier.wait(timeout=60)
        return super().optimize(weights)


@pytest.mark.parametrize(
    ("strategy", "together"),
    [
        (UniformGrid(3), 10),
        (RandomWeights(7), 7),
        (Planned(epsilon=0.0, max_policies=6), 6),
        (Palm(0.9, 0.5, lazy=False), 27),
        (Adaptive(epsilon=0.0, delta=0.02, batch=3, max_solves=9), 3),
    ],
)
def test_all_that_a_strategy_asks_for_at_once_runs_at_once(strategy, together):
    # A barrier that any task waits for in vain would break, and fail the build.
    with ThreadPoolExecutor(together) as threads:
        assert len(build_portfolio(Meeting(together), strategy, executor=threads)) > 0


def test_a_shut_down_executor_is_a_backend_error(fast_path):
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(BackendError, match="cannot schedule new futures after shutdown"):
        build_portfolio(TrialBandit(), UniformGrid(2), executor=pool)


class StopsTaking(Executor):
    """Solves at once, and takes only so many."""

    def __init__(self, limit):
        self.left = limit

    def submit(self, fn, /, *args, **kwargs):
        if self.left == 0:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self.left -= 1
        future = Future()
        future.set_running_or_notify_cancel()
        future.set_result(fn(*args, **kwargs))
        return future


def test_what_an_executor_finished_before_it_stopped_is_journaled(fast_path):
    log, folder = fast_path / "log", fast_path / "build"
    with pytest.raises(BackendError, match="was lost: RuntimeError: cannot schedule"):
        build_portfolio(TrialBandit(log), UniformGrid(2), path=folder, executor=StopsTaking(4))
    assert len(fh.solves(log)) == 4
    assert fh.journaled(folder) == set(fh.solves(log))


class Unpicklable(TrialBandit):
    def __reduce__(self):
        raise TypeError("holds an open connection")


def test_a_backend_that_does_not_pickle_says_so(processes):
    with pytest.raises(BackendError, match="was lost: TypeError: holds an open connection"):
        build_portfolio(Unpicklable(), UniformGrid(2), executor=processes)


def test_an_interrupt_cancels_what_waits_and_keeps_what_is_journaled(fast_path):
    log, folder = fast_path / "log", fast_path / "build"
    released = threading.Event()

    class Interrupted(TrialBandit):
        def optimize(self, weights):
            if len(fh.solves(log)) == 3:
                released.wait()
            return super().optimize(weights)

        def save_policy(self, policy, folder):
            if folder.name == ".000002":
                raise KeyboardInterrupt
            super().save_policy(policy, folder)

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(KeyboardInterrupt):
            build_portfolio(Interrupted(log), UniformGrid(6), path=folder, executor=pool)
        released.set()
    assert len(fh.solves(log)) == 4
    assert fh.journaled(folder) == set(fh.solves(log)[:2])


def test_a_foreign_folder_is_refused_and_left_alone(fast_path):
    folder = fast_path / "home"
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "insurance.txt").write_text("precious")
    with pytest.raises(ArtifactError, match="not empty and holds no portfolio; choose another folder"):
        build_portfolio(TrialBandit(), UniformGrid(1), path=folder)
    assert [path.name for path in folder.rglob("*")] == ["policies", "insurance.txt"]
    assert (folder / "policies" / "insurance.txt").read_text() == "precious"


def test_a_file_in_place_of_the_folder_is_refused(fast_path):
    (fast_path / "build").write_text("x")
    with pytest.raises(ArtifactError, match="cannot write"):
        build_portfolio(TrialBandit(), UniformGrid(1), path=fast_path / "build")


def test_the_portfolio_of_another_problem_is_not_overwritten(fast_path):
    other = TrialBandit(seed=1)
    folder = build_portfolio(other, UniformGrid(1)).save(fast_path / "saved", other)
    before = fh.artifact_files(folder)
    with pytest.raises(JournalError, match="holds the portfolio of another problem"):
        build_portfolio(TrialBandit(), UniformGrid(1), path=folder)
    assert fh.artifact_files(folder) == before
    build_portfolio(other, UniformGrid(2), path=folder)
    assert len(Portfolio.load(folder, other)) == 6


def test_the_journal_of_another_problem_is_refused(fast_path):
    build_portfolio(TrialBandit(), UniformGrid(1), path=fast_path)
    before = fh.artifact_files(fast_path)
    with pytest.raises(JournalError, match="belongs to another problem"):
        build_portfolio(TrialBandit(seed=1), UniformGrid(1), path=fast_path)
    assert fh.artifact_files(fast_path) == before


def test_a_corrupt_stored_policy_is_not_taken_into_a_portfolio(fast_path):
    folder = fast_path / "build"
    build_portfolio(TrialBandit(), UniformGrid(2), path=folder)
    fh.flip_bit(folder / "solves" / "000002" / "policy.npz", 80, 0)
    with pytest.raises(JournalError, match="not the one that was written"):
        build_portfolio(TrialBandit(), UniformGrid(2), path=folder)


def test_many_solves_are_journaled_in_linear_work(fast_path):
    """Bytes written by the process, not time: each solve costs the same, the last as the first."""

    def written():
        with open("/proc/self/io") as file:
            return int(file.read().split("wchar: ")[1].split()[0])

    if not os.path.exists("/proc/self/io"):
        pytest.skip("the system does not count written bytes")
    costs = []
    for n in (6, 14):
        before = written()
        portfolio = build_portfolio(BanditBackend(np.ones((1, 1, 3))), UniformGrid(n), path=fast_path / str(n))
        costs.append((written() - before) / portfolio.solves)
    assert costs[1] < 1.2 * costs[0]


def test_a_progress_bar_shows_solves_and_the_gap(capsys):
    build_portfolio(TrialBandit(), STRATEGIES["adaptive"], progress=True)
    shown = capsys.readouterr().err
    assert "solves" in shown
    assert "epsilon <=" in shown
    build_portfolio(TrialBandit(), UniformGrid(2), progress=False)
    assert capsys.readouterr().err == ""


@dataclass(frozen=True)
class Counting(Strategy):
    """A third party's strategy: the vertices, then their midpoint."""

    note: str = "ours"

    def construct(self, given):
        from palm_theory.geometry.sandwich import SolvedWeights
        from palm_theory.strategies.base import Chosen, Request

        d = given.declared.d
        solved = SolvedWeights(d)
        for weights in (np.eye(d), np.full((1, d), 1 / d)):
            for row, solution in zip(weights, (yield Request(weights)), strict=True):
                reached = solution.value.scalarize(row)
                solved.add(row, reached, reached)
        return Chosen((0, 3), solved)


def test_a_third_partys_strategy(fast_path):
    built = build_portfolio(TrialBandit(), Counting(), path=fast_path)
    assert len(built) == 2
    assert Portfolio.load(fast_path).strategy == {"strategy": "Counting", "note": "ours"}
