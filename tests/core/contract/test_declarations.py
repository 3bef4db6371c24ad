"""One value for all that a backend declares, whichever way it does."""

from dataclasses import fields, replace

import pytest

from palm_theory import OracleError, PolicyBackend, Solution, Value
from palm_theory.contract.calls import check_backend
from palm_theory.contract.declarations import KEPT_FACTS, Declarations
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.errors import BackendError, InputError
from palm_theory.testing import check_conformance

SHIFTED = (IDENTITY, Normalizer(1.0, 2.0))
ALL = Declarations(("a", "b"), 2.0, 0.5, 4.0, SHIFTED, True, OracleError(0.1, 0.2))


class Bare(PolicyBackend):
    """One policy, worth nothing, and not a word about it."""

    def optimize(self, weights):
        return Solution(0, self.evaluate(0))

    def evaluate(self, policy):
        return Value([0.0, 0.0])


class ByValue(Bare):
    def __init__(self):
        self.declared = ALL


class ByAttributes(Bare):
    def __init__(self):
        for fact in fields(Declarations):
            setattr(self, fact.name, getattr(ALL, fact.name))


ByClass = type("ByClass", (Bare,), {fact.name: getattr(ALL, fact.name) for fact in fields(Declarations)})
ByProperties = type(
    "ByProperties",
    (Bare,),
    {fact.name: property(lambda _, name=fact.name: getattr(ALL, name)) for fact in fields(Declarations)},
)
WAYS = [ByValue, ByAttributes, ByClass, ByProperties]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_declare_says_the_same(way):
    backend = way()
    assert Declarations.of(backend) == ALL
    assert all(getattr(backend, fact.name) == getattr(ALL, fact.name) for fact in fields(Declarations))
    check_backend(backend)


def test_attributes_set_by_the_constructor_are_enough_for_every_law():
    class Set(Bare):
        def __init__(self):
            self.objectives, self.reward_max, self.regularizer_max = ["a", "b"], 1, 0

    assert Declarations.of(Set()) == Declarations(("a", "b"), 1.0, 0.0)
    check_conformance(Set()).raise_on_failure()


@pytest.mark.parametrize("limit", [0.0, 0.5, None])
def test_what_is_not_said_follows_from_what_is(limit):
    declared = Declarations(("a", "b"), 1.0, limit)
    assert declared.has_reference == (limit == 0)
    assert declared.normalizers == (IDENTITY, IDENTITY)
    assert declared.evaluation_max is declared.oracle_error is None
    backend = type("Terse", (Bare,), {"objectives": ("a", "b"), "reward_max": 1.0, "regularizer_max": limit})()
    assert Declarations.of(backend) == declared


def test_a_class_says_otherwise_than_what_it_inherits_and_may_ask_for_that():
    class Other(ByValue):
        @property
        def reward_max(self):
            return super().reward_max + 1

        @property
        def has_reference(self):
            return not super().has_reference

    assert Declarations.of(Other()) == replace(ALL, reward_max=3.0, has_reference=False)

    class OfDefaults(ByClass):
        @property
        def normalizers(self):
            return (*Bare.normalizers.__get__(self)[:1], SHIFTED[1])

    assert Declarations.of(OfDefaults()).normalizers == SHIFTED


@pytest.mark.parametrize("missing", ["objectives", "reward_max", "regularizer_max"])
def test_what_must_be_declared_is_asked_for_by_name(missing):
    facts = {name: getattr(ALL, name) for name in ("objectives", "reward_max", "regularizer_max") if name != missing}
    backend = type("Silent", (Bare,), facts)()
    with pytest.raises(BackendError, match=f"Silent does not declare {missing}: define it, or set self.declared"):
        check_backend(backend)


def test_a_declaration_that_raises_is_a_backend_error():
    broken = type("Broken", (ByValue,), {"reward_max": property(lambda self: 1 / 0)})()
    with pytest.raises(BackendError, match="what Broken declares cannot be read: ZeroDivisionError"):
        check_backend(broken)


def test_a_portfolio_keeps_what_its_file_holds():
    assert KEPT_FACTS == ("objectives", "reward_max", "regularizer_max", "evaluation_max", "normalizers")
    assert ALL.kept() == replace(ALL, has_reference=None, oracle_error=None)
    assert ALL.to_dict() == {
        "objectives": ("a", "b"),
        "reward_max": 2.0,
        "regularizer_max": 0.5,
        "evaluation_max": 4.0,
        "normalizers": ({"scale": 1.0, "offset": 0.0}, {"scale": 1.0, "offset": 2.0}),
    }


def test_impossible_facts_are_named():
    assert ALL.validated() is ALL
    with pytest.raises(InputError, match="evaluation_max must be None or finite and > 0, got -1"):
        replace(ALL, evaluation_max=-1.0).validated()
