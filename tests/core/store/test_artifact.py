"""The folder of a portfolio: the same after a round trip, or refused."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import tests.helpers.fault_helpers as fh
from backends.table import TableBackend
from palm_theory import Portfolio, UniformGrid, build_portfolio
from palm_theory.errors import ArtifactError, BackendError, InputError
from palm_theory.files import canonical_json
from palm_theory.geometry.simplex import sample_dirichlet
from tests.helpers.fault_helpers import STRATEGIES, TrialBandit

pytest_plugins = ["tests.helpers.fault_fixtures"]

PORTFOLIO = build_portfolio(TrialBandit(), STRATEGIES["grid"])


@pytest.fixture
def saved(fast_path):
    return PORTFOLIO.save(fast_path / "portfolio", TrialBandit())


def rewritten(folder, change):
    """Change the content of portfolio.json and give it the checksum that goes with it."""
    path = folder / "portfolio.json"
    data = json.loads(path.read_text())
    del data["sha256"]
    change(data)
    data["sha256"] = hashlib.sha256(canonical_json(data).encode()).hexdigest()
    path.write_text(json.dumps(data))


def test_a_loaded_portfolio_gives_the_same_answers_bit_for_bit(saved):
    weights = sample_dirichlet(3, 500)
    for loaded in (Portfolio.load(saved, TrialBandit()), Portfolio.load(saved), Portfolio.load(str(saved))):
        assert fh.contents(loaded) == fh.contents(PORTFOLIO)
        assert loaded.select(weights).tobytes() == PORTFOLIO.select(weights).tobytes()
        assert loaded.values(weights).tobytes() == PORTFOLIO.values(weights).tobytes()
        assert loaded.corner_weights().tobytes() == PORTFOLIO.corner_weights().tobytes()
        assert loaded.audit(TrialBandit()).to_dict() == PORTFOLIO.audit(TrialBandit()).to_dict()
        assert str(loaded.certificate) == str(PORTFOLIO.certificate)


def test_estimates_normalizers_and_open_ends_survive(fast_path):
    table = {"speed": [1.0, 2.0, 3.0], "cost": [9.0, 5.0, 7.0], "speed_se": [0.1, 0.2, 1 / 3], "name": ["a", "b", "ç"]}
    pd = pytest.importorskip("pandas")
    backend = TableBackend(
        pd.DataFrame(table),
        objectives=["speed"],
        minimize=["cost"],
        name="name",
        stderr={"speed": "speed_se"},
        samples=40,
        reward_max=10.0,
    )
    portfolio = build_portfolio(backend, UniformGrid(4))
    loaded = Portfolio.load(portfolio.save(fast_path, backend), backend)
    assert loaded.normalizers == portfolio.normalizers
    assert [member.label for member in loaded] == [member.label for member in portfolio]
    for ours, theirs in zip(loaded.policy_values, portfolio.policy_values, strict=True):
        assert ours.same_numbers(theirs)
        assert ours.samples == 40
    unknown = replace(portfolio.certificate, epsilon=float("inf"), additive_gap=float("inf"), worst_weight=None)
    portfolio.with_certificate(unknown).save(fast_path, backend)
    assert Portfolio.load(fast_path).certificate.to_dict() == unknown.to_dict()
    assert Portfolio.load(fast_path).certificate.epsilon == float("inf")


def test_saving_twice_gives_the_same_bytes(fast_path, saved):
    again = PORTFOLIO.save(fast_path / "again", TrialBandit())
    assert fh.artifact_files(again) == fh.artifact_files(saved)


def test_the_folder_is_laid_out_as_promised_and_readable_by_others(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["policies", "portfolio.json"]
    assert sorted(path.name for path in (saved / "policies").iterdir()) == [member.name for member in PORTFOLIO]
    assert (saved / "policies").stat().st_mode & 0o055 == 0o055
    assert (saved / "portfolio.json").stat().st_mode & 0o044 == 0o044


def test_saving_over_a_portfolio_replaces_all_of_it(saved):
    smaller = build_portfolio(TrialBandit(), UniformGrid(1))
    smaller.save(saved, TrialBandit())
    assert fh.contents(Portfolio.load(saved, TrialBandit())) == fh.contents(smaller)
    assert sorted(path.name for path in (saved / "policies").iterdir()) == ["p00", "p01", "p02"]
    assert sorted(path.name for path in saved.iterdir()) == ["policies", "portfolio.json"]


def test_a_failed_save_keeps_the_old_portfolio(saved):
    class Failing(TrialBandit):
        def save_policy(self, policy, folder):
            if folder.name == "p02":
                raise KeyError("adapter")
            super().save_policy(policy, folder)

    before = fh.artifact_files(saved)
    portfolio = build_portfolio(Failing(), STRATEGIES["grid"])
    with pytest.raises(InputError, match="not the problem the portfolio was made for"):
        portfolio.save(saved, TrialBandit())
    with pytest.raises(BackendError, match=r"Failing.save_policy raised KeyError: 'adapter'"):
        portfolio.save(saved, Failing())
    assert fh.artifact_files(saved) == before
    assert sorted(path.name for path in saved.iterdir()) == ["policies", "portfolio.json"]


def test_a_foreign_folder_is_refused_and_left_alone(fast_path):
    (fast_path / "policies").mkdir()
    (fast_path / "policies" / "insurance.txt").write_text("precious")
    with pytest.raises(ArtifactError, match="not empty and holds no portfolio; choose another folder"):
        PORTFOLIO.save(fast_path, TrialBandit())
    assert (fast_path / "policies" / "insurance.txt").read_text() == "precious"
    with pytest.raises(ArtifactError, match="cannot write"):
        PORTFOLIO.save(fast_path / "policies" / "insurance.txt", TrialBandit())


def test_what_an_interrupted_save_leaves_does_not_block_the_next(fast_path):
    (fast_path / ".portfolio.abc" / "policies").mkdir(parents=True)
    PORTFOLIO.save(fast_path, TrialBandit())
    assert sorted(path.name for path in fast_path.iterdir()) == ["policies", "portfolio.json"]


def test_without_its_backend_a_policy_in_its_own_format_is_left_as_its_folder(fast_path):
    class Own(TrialBandit):
        def save_policy(self, policy, folder):
            (folder / "policy.json").write_text('{"adapter": true}')

        def load_policy(self, folder):
            return (folder / "policy.json").read_text()

    portfolio = build_portfolio(Own(), UniformGrid(1), path=fast_path)
    assert [member.policy for member in portfolio] == ['{"adapter": true}'] * 3
    loaded = Portfolio.load(fast_path)
    assert [member.policy for member in loaded] == [fast_path / "policies" / member.name for member in portfolio]
    assert loaded.select([1, 0, 0]).index == portfolio.select([1, 0, 0]).index


def test_another_problems_backend_is_refused_before_it_reads_a_policy(saved):
    class Never(TrialBandit):
        def load_policy(self, folder):
            raise AssertionError("it read a policy of another problem")

    with pytest.raises(InputError, match="not the problem the portfolio was made for"):
        Portfolio.load(saved, Never(seed=1))


def test_a_policy_that_its_backend_cannot_read_says_why(saved):
    class Unreading(TrialBandit):
        pass

    portfolio = build_portfolio(Unreading(), UniformGrid(1))
    portfolio.save(saved, Unreading())
    Unreading.load_policy = lambda self, folder: 1 / 0
    with pytest.raises(BackendError, match=r"Unreading.load_policy raised ZeroDivisionError"):
        Portfolio.load(saved, Unreading())


def test_every_bit_flip_in_portfolio_json_loads_the_same_or_is_refused(saved):
    path = saved / "portfolio.json"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    expected = fh.contents(PORTFOLIO)
    refused = 0
    for position in rng.choice(len(whole), size=min(700, len(whole)), replace=False):
        data = bytearray(whole)
        data[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        try:
            loaded = Portfolio.load(saved, TrialBandit())
        except ArtifactError:
            refused += 1
        else:
            # Only white space and the like may change unseen.
            assert json.loads(bytes(data)) == json.loads(whole)
            assert fh.contents(loaded) == expected
    assert refused > 400


def test_every_truncation_of_portfolio_json_is_refused(saved):
    path = saved / "portfolio.json"
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match="is corrupt"):
            Portfolio.load(saved)
    path.write_bytes(whole[:-1])
    assert fh.contents(Portfolio.load(saved)) == fh.contents(PORTFOLIO)


def test_every_changed_cut_lost_or_added_policy_file_is_refused(saved):
    rng = np.random.default_rng(1)
    files = [path for path in (saved / "policies").rglob("*") if path.is_file()]
    assert len(files) == 5 * len(PORTFOLIO)
    for path in files:
        whole = path.read_bytes()
        damaged = [whole[:length] for length in {0, len(whole) // 2, len(whole) - 1}]
        for position in rng.integers(len(whole), size=4):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << int(rng.integers(8))
            damaged.append(bytes(flipped))
        for data in damaged:
            path.write_bytes(data)
            with pytest.raises(ArtifactError, match="are not those that were saved"):
                Portfolio.load(saved, TrialBandit())
        path.unlink()
        with pytest.raises(ArtifactError, match="are not those that were saved"):
            Portfolio.load(saved)
        path.mkdir()
        with pytest.raises(ArtifactError, match="are not those that were saved"):
            Portfolio.load(saved)
        path.rmdir()
        path.write_bytes(whole)
    (saved / "policies" / "p00" / "extra.py").write_text("print('hello')")
    with pytest.raises(ArtifactError, match="are not those that were saved"):
        Portfolio.load(saved)
    (saved / "policies" / "p00" / "extra.py").unlink()
    shutil.rmtree(saved / "policies" / "p03")
    with pytest.raises(ArtifactError, match=r"policy p03 .* interrupted save"):
        Portfolio.load(saved)


def test_a_newer_schema_is_refused(saved):
    rewritten(saved, lambda data: data.update(schema_version=2, invented="later"))
    with pytest.raises(ArtifactError, match="schema version 2, newer than this program's 1; upgrade"):
        Portfolio.load(saved)


def drop(name):
    return lambda data: data.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("policies"), "policies: Field required"),
        (drop("seed"), "seed: Field required"),
        (lambda data: data.update(policies=[]), "policies: "),
        (lambda data: data.update(extra=1), "extra: Extra inputs"),
        (lambda data: data.update(reward_max=-1), "reward_max must be finite and > 0, got -1.0"),
        (lambda data: data.update(schema_version="one"), "schema_version: "),
        (lambda data: data["policies"][0].update(name="../../etc"), "policies.0.name: "),
        (lambda data: data["policies"][0].update(name="p00\n"), "policies.0.name: "),
        (lambda data: data["policies"][1]["value"].update(rewards=[0.1]), "needs 3 rewards"),
        (lambda data: data["policies"][1]["value"].update(rewards=[]), "rewards must have shape"),
        (lambda data: data["policies"][1]["value"].update(samples=0), "samples must be an integer >= 1"),
        (lambda data: data.update(certificate={}), "not a certificate"),
        (lambda data: data["certificate"].update(kind="divine"), "not a certificate"),
        (lambda data: data["normalizers"][0].update(scale=0.0), "normaliser needs a finite scale"),
        (lambda data: data["normalizers"][0].update(unit="m"), "normalizers.0.unit: Unexpected"),
        (lambda data: data["normalizers"].pop(), "normalizers must be 3, one an objective"),
        (lambda data: data.update(reward_max="high"), "not a valid portfolio: reward_max: "),
        (lambda data: data.update(declarations={}), "not a valid portfolio: objectives: Field required"),
        (drop("regularizer_max"), "not a valid portfolio: regularizer_max: Field required"),
    ],
)
def test_content_that_breaks_the_schema_is_refused_though_its_checksum_is_right(saved, change, message):
    rewritten(saved, change)
    with pytest.raises(ArtifactError, match=message):
        Portfolio.load(saved)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"3", b'"x"', b"{}", b'{"sha256": "x"}', b'{"seed": NaN}', b'{"seed": 1e999}', b"\xff\xfe"],
)
def test_a_file_that_is_no_portfolio_is_refused(saved, content):
    (saved / "portfolio.json").write_bytes(content)
    with pytest.raises(ArtifactError, match="is corrupt"):
        Portfolio.load(saved)


def test_endless_nesting_is_refused(saved):
    (saved / "portfolio.json").write_bytes(b"[" * 200_000)
    with pytest.raises(ArtifactError, match="is corrupt"):
        Portfolio.load(saved)


def test_missing_portfolios_are_told_apart(fast_path):
    with pytest.raises(ArtifactError, match=r"has no portfolio.json \(not a portfolio\)"):
        Portfolio.load(fast_path / "nowhere")
    (fast_path / "journal.jsonl").write_text("")
    with pytest.raises(ArtifactError, match=r"an interrupted build\? run it again"):
        Portfolio.load(fast_path)
    (fast_path / "portfolio.json").mkdir()
    with pytest.raises(ArtifactError, match="cannot read"):
        Portfolio.load(fast_path)
