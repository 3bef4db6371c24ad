"""Whatever a backend raises or answers, the core gets a checked answer or a BackendError that says where."""

import math

import numpy as np
import pytest

from palm_theory import Value
from palm_theory.contract import calls
from palm_theory.errors import BackendError, InputError
from tests.helpers.fault_helpers import TrialBandit

WEIGHTS = np.array([0.2, 0.3, 0.5])

CALLS = {
    "optimize": lambda backend: calls.solve(backend, WEIGHTS),
    "optimal_value": lambda backend: calls.optimal_value(backend, WEIGHTS),
    "optimal_bracket": lambda backend: calls.optimal_bracket(backend, WEIGHTS),
    "witness": lambda backend: calls.witness(backend, WEIGHTS),
    "witnessed_problem": calls.witnessed_problem,
    "evaluate": lambda backend: calls.evaluate(backend, None, "p03"),
    "all_values": calls.all_values,
    "surrogate": calls.surrogate,
    "paired_values": lambda backend: calls.paired_values(backend, None),
    "paired_reference": calls.paired_reference,
    "label": lambda backend: calls.label(backend, None),
    "save_policy": lambda backend: calls.write_policy(backend, None, None),
    "load_policy": lambda backend: calls.read_policy(backend, None),
}
ADD_WEIGHTS = {"optimize", "optimal_value", "optimal_bracket", "witness"}


def answering(member, answer):
    """A backend whose ``member`` returns ``answer``, or raises it where it is an exception."""

    def call(self, *_):
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return type("Odd", (TrialBandit,), {member: call})()


@pytest.mark.parametrize("member", CALLS)
def test_a_foreign_exception_is_a_backend_error_that_says_where(member):
    with pytest.raises(BackendError, match=rf"Odd\.{member}.* raised ZeroDivisionError: oh") as caught:
        CALLS[member](answering(member, ZeroDivisionError("oh")))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("member", CALLS)
def test_what_is_raised_on_purpose_keeps_its_words(member):
    expected = BackendError if member in ADD_WEIGHTS else InputError
    with pytest.raises(expected, match="no such prompt"):
        CALLS[member](answering(member, InputError("no such prompt")))


@pytest.mark.parametrize("member", CALLS)
def test_interrupts_pass(member):
    with pytest.raises(KeyboardInterrupt):
        CALLS[member](answering(member, KeyboardInterrupt()))


def test_a_full_disk_passes_to_whoever_explains_it():
    with pytest.raises(OSError, match="full"):
        CALLS["save_policy"](answering("save_policy", OSError("full")))


@pytest.mark.parametrize(
    ("member", "answer", "message"),
    [
        ("optimal_value", math.nan, r"optimal_value at weights \[0.2, 0.3, 0.5\] returned nan"),
        ("optimal_value", None, "optimal_value at weights .* raised TypeError"),
        ("optimal_bracket", (0.5, 0.4), "it must be two finite numbers, reached <= upper"),
        ("optimal_bracket", (0.5, math.inf), "it must be two finite numbers, reached <= upper"),
        ("optimal_bracket", 0.5, "optimal_bracket at weights .* raised TypeError"),
        ("witness", 0.5, "witness at weights .* returned 0.5, not a Witness"),
        ("witnessed_problem", {}, "witnessed_problem returned a problem of no type"),
        ("evaluate", None, "evaluate of policy p03 returned a value of type NoneType"),
        ("evaluate", Value([0.5]), "evaluate of policy p03 returned rewards of shape"),
        ("all_values", [], "all_values returned no values"),
        ("all_values", 3, "all_values raised TypeError"),
        ("all_values", [Value([0.1, 0.1, 0.1]), Value([0.1, 9.0, 0.1])], "all_values, value 1, returned 9.0"),
        ("surrogate", "bandit", "surrogate returned str, not a PolicyBackend"),
        ("paired_values", [[1.0, 2.0]], r"paired_values gave an array of shape \(1, 2\)"),
        ("paired_values", [[math.nan] * 3], "or no numbers"),
        ("paired_values", "many", "paired_values raised ValueError"),
        ("paired_reference", 3, "paired_reference raised TypeError"),
    ],
)
def test_nonsense_is_refused(member, answer, message):
    with pytest.raises(BackendError, match=message):
        CALLS[member](answering(member, answer))


def test_a_surrogate_has_the_objectives_of_its_backend():
    other = type("Other", (TrialBandit,), {"objectives": ("a", "b"), "normalizers": TrialBandit().normalizers[:2]})()
    with pytest.raises(BackendError, match="surrogate has 2 objectives, not 3"):
        CALLS["surrogate"](answering("surrogate", other))
