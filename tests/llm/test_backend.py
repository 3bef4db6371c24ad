"""LLMBackend as the core sees it, and what happens when things go wrong around it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backends.llm import Adapter, DecodingMixture, GibbsResampling, LLMBackend, Reference, Training, Workers, make_soup
from backends.llm.measure.planning import forecast_quality
from backends.llm.measure.pools import SCORES_FILE, TEXTS_FILE
from backends.llm.work.jobs import PROGRESS_FILE
from palm_theory import Planned, Portfolio, Status, build_portfolio
from palm_theory.cli.app import app
from palm_theory.errors import ArtifactError, BackendError, InputError
from palm_theory.testing import check_conformance

from .patient import GO, patient

E0, E1 = np.eye(2)
HALF = np.array([0.5, 0.5])


def test_it_obeys_the_contract(make_backend):
    backend = make_backend(training=Training(steps=1, prompts_per_step=2, generations=2, lora_rank=2))
    report = check_conformance(backend, weights=1)
    report.raise_on_failure()


def test_a_portfolio_is_planned_built_saved_loaded_and_served(make_backend, tmp_path: Path):
    backend = make_backend()
    portfolio = build_portfolio(backend, path=tmp_path / "portfolio")
    assert [member.label for member in portfolio][:2] == ["brevity 1.00", "happiness 1.00"]
    assert portfolio.strategy["strategy"] == "Planned"
    assert 2 <= len(portfolio) <= 3
    assert portfolio.certificate.kind.value in ("bounded", "unknown")
    assert "policies solved" in portfolio.certificate.reference
    loaded = Portfolio.load(tmp_path / "portfolio", backend)
    weights = {"brevity": 0.9, "happiness": 0.1}
    chosen, original = loaded.select(weights).policy, portfolio.select(weights).policy
    assert isinstance(chosen, Adapter)
    assert chosen.generate(["I like tea"], seed=1) == original.generate(["I like tea"], seed=1)


def test_evaluations_and_trained_policies_are_kept(make_backend, monkeypatch: pytest.MonkeyPatch):
    backend = make_backend()
    first = backend.optimize(E0)
    assert first.status is Status.TRAINED
    assert first.value.samples == 2
    assert first.value.is_estimate

    def done_again(*_: object) -> None:
        raise AssertionError("it was done already")

    for work in ("train", "measure"):
        monkeypatch.setattr(f"backends.llm.work.jobs.{work}", done_again)
    again = make_backend().optimize(E0)
    assert again.value.same_numbers(first.value)


def test_soups_mixtures_and_resampling_are_measured_like_any_policy(make_backend, tmp_path: Path):
    backend = make_backend()
    adapters = [backend.optimize(w).policy for w in (E0, E1)]
    chat, rewards = backend.problem.chat, backend.problem.rewards
    policies = [
        make_soup(adapters, [0.5, 0.5], tmp_path / "soup"),
        DecodingMixture(chat, tuple(a.folder for a in adapters), (0.5, 0.5)),
        GibbsResampling(chat, rewards, (0.5, 0.5), backend.problem.beta, samples=8),
        Reference(chat),
    ]
    for policy in policies:
        value = backend.evaluate(policy)
        assert value.rewards.shape == (2,)
        assert value.samples == 2
    assert backend.evaluate(Reference(chat)).regularizer == 0


def test_different_settings_never_share_results(make_backend):
    jobs = [
        make_backend().runs.training(E0).folder,
        make_backend(beta=0.1).runs.training(E0).folder,
        make_backend(seed=1).runs.training(E0).folder,
        make_backend(rewards=["brevity", "positivity"]).runs.training(E0).folder,
        make_backend().runs.training(E1).folder,
    ]
    assert len(set(jobs)) == len(jobs)
    assert make_backend().runs.training(E0).folder == jobs[0]


def test_another_processor_goes_on_with_a_run_where_its_type_is_named(make_backend, monkeypatch: pytest.MonkeyPatch):
    """The type that a processor is fastest in is part of the problem, unless it was named."""
    unnamed = []
    for fastest in ("float32", "bfloat16"):
        monkeypatch.setattr("backends.llm.backend.fastest_dtype", lambda fastest=fastest: fastest)
        unnamed.append(make_backend(dtype=None).runs.training(E0).folder)
    assert unnamed[0] != unnamed[1]
    assert make_backend(dtype="float32").runs.training(E0).folder == unnamed[0]
    for command in (["build", "llm"], ["extend", "llm", "nothing", "--weights", "1,0,0"]):
        refused = CliRunner().invoke(app, [*command, "--dtype", "int8"])
        assert "dtype must be one of bfloat16, float16, float32" in str(refused.exception)


def test_planning_samples_are_kept_and_their_worth_is_told(make_backend):
    backend = make_backend()
    rewards = backend.runs.planning_samples()
    assert rewards.shape == (3, 12, 2)
    (folder,) = (backend.runs.folder / "plans").iterdir()
    assert len((folder / TEXTS_FILE).read_text().splitlines()) == 36
    assert (folder / SCORES_FILE).stat().st_size < 10_000
    quality = forecast_quality(backend.surrogate(), 12)
    assert 1 <= quality.worst <= quality.median <= 12
    hopeless = forecast_quality(make_backend(beta=1e-4).surrogate(), 12)
    assert hopeless.is_worthless
    assert "worthless" in str(hopeless)
    forecast = Planned().forecast(backend.surrogate(), 4)
    assert np.all(np.diff(forecast.epsilon) <= 1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": ["kindness"]}, "unknown reward 'kindness'"),
        ({"rewards": ["brevity", "brevity"]}, "unique names"),
        ({"beta": 0}, "beta must be finite and > 0"),
        ({"preset_name": "huge"}, "unknown preset 'huge'"),
        ({"prompts": []}, "at least one training prompt"),
        ({"held_out": ["I like tea", "b"]}, "must not be training prompts"),
        ({"held_out": ["b"]}, "at least 2 held-out"),
        ({"held_out": ["b", "c", "b"]}, "'b' occurs twice"),
        ({"dtype": "int8"}, "dtype must be one of"),
        ({"max_new_tokens": -1}, "max_new_tokens must be an integer >= 1"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(make_backend, changes: dict, message: str):
    with pytest.raises(InputError, match=message):
        make_backend(**changes)


def test_an_unknown_model_is_named_with_a_way_out(make_backend, tmp_path: Path):
    with pytest.raises(InputError, match=r"folder .*nowhere does not exist; name a Hugging Face"):
        make_backend(model=str(tmp_path / "nowhere")).optimize(E0)
    with pytest.raises(InputError, match="'no/such-model' cannot be loaded"):
        make_backend(model="no/such-model").optimize(E0)


def test_weights_of_an_unknown_objective_are_refused(make_backend, tmp_path: Path):
    portfolio = build_portfolio(make_backend(), path=tmp_path / "p")
    with pytest.raises(InputError, match="unknown objective 'kindness'"):
        portfolio.select({"kindness": 1.0})


ISOLATED = Workers(count=1, threads=1, retries=1)
BUILT_IN = ["brevity", "positivity"]


def test_a_worker_process_gives_the_same_policy(make_backend, tmp_path: Path):
    here = make_backend(rewards=BUILT_IN, folder=tmp_path / "here").optimize(E1)
    there = make_backend(rewards=BUILT_IN, folder=tmp_path / "there", workers=ISOLATED).optimize(E1)
    assert there.value.same_numbers(here.value)


class Held:
    """A measure that another process cannot get."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def identity(self) -> str:
        return "held"

    def __call__(self, prompts, completions) -> list[float]:
        return [0.5] * len(completions)


def test_a_reward_that_cannot_be_sent_is_refused(make_backend):
    with pytest.raises(InputError, match=r"cannot be sent to a worker process .*lock"):
        make_backend(rewards=[Held()], workers=ISOLATED).optimize(np.ones(1))


def wait_for(path: Path, text: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{path} never said {text}"
        time.sleep(0.05)


def test_killed_training_goes_on_by_itself_and_ends_the_same(make_backend, tmp_path: Path, monkeypatch):
    """Kill the worker after its first checkpoint: the retry resumes there and ends with the same adapter."""
    training = Training(steps=6, prompts_per_step=2, generations=4, checkpoint_every=2, lora_rank=4)
    rewards = ["brevity", patient]
    undisturbed = make_backend(rewards=rewards, training=training, folder=tmp_path / "a").optimize(HALF)
    backend = make_backend(rewards=rewards, training=training, folder=tmp_path / "b", workers=ISOLATED)
    job = backend.runs.training(HALF)
    monkeypatch.setenv(GO, str(tmp_path / "go"))

    def kill_child() -> None:
        wait_for(job.folder / PROGRESS_FILE, '"done": 3')
        listing = subprocess.check_output(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], text=True)
        for line in listing.splitlines():
            if "backends.llm.work.child" in line:
                os.kill(int(line.split()[0]), signal.SIGKILL)
        (tmp_path / "go").touch()

    killer = threading.Thread(target=kill_child)
    killer.start()
    solution = backend.optimize(HALF)
    killer.join()
    assert (job.folder / "log.txt").read_text().count("Loading weights") >= 2
    assert solution.value.same_numbers(undisturbed.value)


def dies(prompts, completions) -> list[float]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def test_a_job_that_keeps_dying_is_given_up_with_its_log(make_backend):
    backend = make_backend(rewards=["brevity", dies], workers=ISOLATED)
    with pytest.raises(BackendError, match=r"ended with signal 9, 2 time\(s\); what is finished is kept"):
        ISOLATED.run(backend.runs.training(E1), backend.runs.folder / "slots")


def test_a_full_disk_is_explained_and_nothing_finished_is_lost(make_backend, tmp_path: Path):
    target = tmp_path / "full"
    target.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(target)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs more rights")
    try:
        with pytest.raises(ArtifactError, match=r"No space left|no room left"):
            make_backend(folder=target).optimize(E0)
    finally:
        subprocess.run(["umount", "--lazy", str(target)], check=True)


def test_importing_the_package_loads_no_heavy_library():
    code = "import sys, backends.llm; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'trl', 'peft')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert LLMBackend().objectives == ("brevity", "relevance", "positivity")
