"""The conformance suite finds what breaks a law, in a report and as tests of pytest."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest

from backends.bandit import BanditBackend
from palm_theory import OracleError, Power, Solution, Value
from palm_theory.testing import LAWS, BackendConformance, check_conformance


class Sound(BanditBackend):
    """A bandit with regulariser, which every law holds for."""

    def __init__(self) -> None:
        super().__init__(np.random.default_rng(0).random((2, 5, 3)), beta=0.05)


class Forgetful(Sound):
    """Its answers hang on how often it was asked."""

    asked = 0

    def optimize(self, weights: Any) -> Solution:
        self.asked += 1
        value = super().optimize(weights).value
        return Solution(None, Value(value.rewards * (1 - 0.01 * self.asked), 0.0))


class Boastful(Sound):
    """It claims optima that it does not reach."""

    def optimize(self, weights: Any) -> Solution:
        return super().optimize(weights[::-1])


class Modest(Sound):
    """Its upper bounds lie below what its own policies reach elsewhere."""

    oracle_error = None

    def optimize(self, weights: Any) -> Solution:
        good = super().optimize(weights)
        poor = Value(good.value.rewards / 2, 0.0)
        reached = poor.scalarize(weights) if weights.max() < 1 else good.value.scalarize(weights)
        return Solution(good.policy, good.value if weights.max() == 1 else poor, upper_bound=reached)


class Careless(Sound):
    """Its values are not those of its policies."""

    def optimize(self, weights: Any) -> Solution:
        found = super().optimize(weights)
        return Solution(found.policy, Value(found.value.rewards / 2, found.value.regularizer))


class Scattered(Sound):
    """It writes beside its folder."""

    def save_policy(self, policy: Any, folder: Path) -> None:
        super().save_policy(policy, folder.parent)


class Silent(Sound):
    """It can more than it says."""

    @property
    def powers(self) -> frozenset[Power]:
        return super().powers - {Power.OPTIMAL_VALUE}


class Generous(Sound):
    """Its optimal values are too large, and so are the brackets made of them."""

    def optimal_value(self, weights: Any) -> float:
        return super().optimal_value(weights) + 1


class Denying(Sound):
    """Every policy has f = 0, and none is said to."""

    @property
    def has_reference(self) -> bool:
        return False

    @property
    def regularizer_max(self) -> float:
        return 0.0


class Moody(Sound):
    """It describes itself otherwise each time."""

    described = 0

    def describe(self) -> dict[str, Any]:
        self.described += 1
        return {"described": self.described}


BROKEN = {
    Forgetful: "repeatable",
    Boastful: "optimal",
    Modest: "optimal",
    Careless: "evaluate",
    Scattered: "saved",
    Silent: "powers",
    Generous: "optimal_value",
    Denying: "declarations",
    Moody: "describe",
}


def outcomes(suite: BackendConformance) -> dict[str, str]:
    """What each test of a suite comes to, by the law's name."""
    found = {}
    for name in (name for name in dir(suite) if name.startswith("test_")):
        try:
            getattr(suite, name)()
        except SkipTest:
            found[name[5:]] = "skipped"
        except Exception:
            found[name[5:]] = "failed"
        else:
            found[name[5:]] = "passed"
    return found


def suite_of(backend: Any) -> BackendConformance:
    return type("TestIt", (BackendConformance,), {"make": lambda self: backend})()


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_law_is_found_by_both(kind: type[Sound]) -> None:
    report = check_conformance(kind())
    assert not report.passed
    with pytest.raises(AssertionError, match="NOT conformant"):
        report.raise_on_failure()
    found = outcomes(suite_of(kind()))
    assert found[BROKEN[kind]] == "failed"


def test_a_test_a_law_says_what_the_report_says() -> None:
    report = check_conformance(Sound())
    assert report.passed
    found = outcomes(suite_of(Sound()))
    names = [law.__name__[1:] for _, law in LAWS]
    assert found == {name: result.outcome for name, result in zip(names, report.results, strict=True)}
    assert {"passed", "skipped"} == set(found.values())


def test_each_test_stands_alone_and_the_backend_is_made_once() -> None:
    made = []

    class TestIt(BackendConformance):
        def make(self) -> Sound:
            made.append(Sound())
            return made[-1]

    TestIt().test_pickles()  # type: ignore[attr-defined]
    TestIt().test_evaluate()  # type: ignore[attr-defined]
    assert len(made) == 1


def test_a_backend_that_solves_nothing_fails_once_and_is_skipped_elsewhere() -> None:
    class Failing(Sound):
        tried = 0

        def optimize(self, weights: Any) -> Solution:
            type(self).tried += 1
            raise ZeroDivisionError("oh")

    report = check_conformance(Failing())
    failed = [result.law.split(":")[0] for result in report.results if result.outcome == "failed"]
    assert failed[0] == "optimize"
    assert [result.detail for result in report.results if "no solve succeeded" in result.detail]
    suite = suite_of(Failing())
    Failing.tried = 0
    found = outcomes(suite)
    assert found["optimize"] == "failed"
    assert found["evaluate"] == found["repeatable"] == "skipped"
    assert Failing.tried <= 3


def test_a_suite_without_a_backend_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match=r"BackendConformance.make must return the backend to test"):
        BackendConformance().test_describe()  # type: ignore[attr-defined]


def test_weights_and_tolerance_are_the_suite_s() -> None:
    class Rough(Sound):
        oracle_error = OracleError(0.0, 0.1)

        def optimize(self, weights: Any) -> Solution:
            found = super().optimize(weights)
            return Solution(found.policy, Value(found.value.rewards - 1e-4, found.value.regularizer))

    class TestIt(BackendConformance):
        weights, tolerance = 0, 1e-3

        def make(self) -> Sound:
            return Rough()

    TestIt().test_evaluate()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(vars(TestIt)["_trial"].weights, np.eye(3))
    TestIt.tolerance = 1e-5
    del TestIt._trial  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match="at weights"):
        TestIt().test_evaluate()  # type: ignore[attr-defined]
