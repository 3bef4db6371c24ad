"""The contract of a backend as the core enforces it: declarations, solves, values."""

import math
import pickle

import numpy as np
import pytest

from palm_theory import OracleError, PolicyBackend, Power, Solution, Status, Value, audit
from palm_theory.contract.backend import seed_for
from palm_theory.contract.calls import check_backend, optimal_bracket, solve, upper_bound_at
from palm_theory.contract.normalizer import IDENTITY, Normalizer
from palm_theory.contract.problem import problem_description, problem_fingerprint
from palm_theory.contract.registry import resolve_backend
from palm_theory.errors import BackendError, InputError
from tests.helpers.fault_helpers import FAULTS, TrialBandit

WEIGHTS = np.array([0.2, 0.3, 0.5])


def declaring(**declarations):
    """A backend that declares something else."""
    members = {name: property(lambda self, value=value: value) for name, value in declarations.items()}
    return type("Declaring", (TrialBandit,), members)()


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"objectives": ()}, "objectives must be one or more non-empty names"),
        ({"objectives": "abc"}, "objectives must be one or more non-empty names, got 'abc'"),
        ({"objectives": ("a", "")}, "objectives must be one or more non-empty names"),
        ({"objectives": ("a", 3)}, "objectives must be one or more non-empty names"),
        ({"objectives": ("a", "b", "a")}, "objectives must be unique"),
        ({"reward_max": 0.0}, "reward_max must be finite and > 0, got 0.0"),
        ({"reward_max": math.inf}, "reward_max must be finite and > 0, got inf"),
        ({"reward_max": math.nan}, "reward_max must be finite and > 0, got nan"),
        ({"reward_max": None}, "reward_max must be a number, got None"),
        ({"regularizer_max": -1.0}, "regularizer_max must be None or finite and >= 0"),
        ({"regularizer_max": math.inf}, "regularizer_max must be None or finite and >= 0"),
        ({"regularizer_max": "none"}, "regularizer_max must be a number, got 'none'"),
        ({"oracle_error": OracleError(-0.1, 0.0)}, "oracle_error must be None or OracleError"),
        ({"oracle_error": OracleError(0.0, math.nan)}, "oracle_error must be None or OracleError"),
        ({"oracle_error": 0.1}, "oracle_error must be None or OracleError"),
        ({"evaluation_max": 0.0}, "evaluation_max must be None or finite and > 0, got 0"),
        ({"evaluation_max": "wide"}, "evaluation_max must be a number"),
        ({"normalizers": (IDENTITY,)}, "normalizers must be 3, one an objective"),
    ],
)
def test_bad_declarations_are_refused(declaration, message):
    with pytest.raises(BackendError, match=message):
        check_backend(declaring(**declaration))


def test_good_declarations_pass():
    check_backend(TrialBandit())
    check_backend(declaring(regularizer_max=None, oracle_error=None))
    check_backend(declaring(evaluation_max=np.float64(100.0)))
    check_backend(declaring(reward_max=np.float64(2.0), oracle_error=OracleError(0.1, 0.2)))


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_a_solve_is_a_backend_error_with_backend_and_weights(fault):
    backend = TrialBandit(fault=fault, fault_weights=WEIGHTS.tolist())
    with pytest.raises(BackendError, match=FAULTS[fault][1]) as caught:
        solve(backend, WEIGHTS)
    assert "TrialBandit.optimize at weights [0.2, 0.3, 0.5]" in str(caught.value)
    assert solve(backend, WEIGHTS[::-1]).value.same_numbers(TrialBandit().optimize(WEIGHTS[::-1]).value)


def test_rounding_beyond_a_range_is_forgiven():
    class Rounding(TrialBandit):
        value = Value([-1e-12, 1.0 + 1e-12, 0.5], -1e-12)

        @property
        def reward_max(self):
            return 1.0

        def optimize(self, weights):
            return Solution(None, self.value, upper_bound=self.value.scalarize(weights) - 1e-12)

    assert solve(Rounding(), WEIGHTS).value is Rounding.value


def test_a_failed_solve_needs_no_value():
    class Failed(TrialBandit):
        def optimize(self, weights):
            return Solution(None, None, status=Status.FAILED)

    with pytest.raises(BackendError, match="failed: no reason given"):
        solve(Failed(), WEIGHTS)


@pytest.mark.parametrize("bad", [[0.5, 0.5], [0.5, 0.6, 0.1], [-0.5, 0.5, 1.0], [math.nan, 0.5, 0.5]])
def test_bad_weights_never_reach_a_backend(bad):
    class Untouched(TrialBandit):
        def optimize(self, weights):
            raise AssertionError("it was asked")

    with pytest.raises(InputError, match="weights must"):
        solve(Untouched(), np.array(bad))


def test_interrupts_are_not_swallowed():
    class Interrupted(TrialBandit):
        def optimize(self, weights):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(Interrupted(), WEIGHTS)


def test_upper_bounds_come_from_the_solver_or_the_declared_error():
    value = Value([0.4, 0.4, 0.4], 0.1)
    assert upper_bound_at(Solution(None, value), WEIGHTS, None) is None
    assert upper_bound_at(Solution(None, value, 0.7), WEIGHTS, None) == 0.7
    assert upper_bound_at(Solution(None, value), WEIGHTS, OracleError(0.25, 0.3)) == pytest.approx(0.8)
    assert upper_bound_at(Solution(None, value, 0.7), WEIGHTS, OracleError(0.25, 0.3)) == 0.7
    assert upper_bound_at(Solution(None, value, 0.9), WEIGHTS, OracleError(0.25, 0.3)) == pytest.approx(0.8)


def test_the_bound_of_an_exact_oracle_s_own_solve_says_how_far_rounding_went():
    value = Value([0.4, 0.4, 0.4], 0.1)
    assert upper_bound_at(Solution(None, value), WEIGHTS, OracleError()) == pytest.approx(0.3)
    assert upper_bound_at(Solution(None, value, 0.31), WEIGHTS, OracleError()) == 0.31


def bracketing(answer):
    """A backend with cheap J*, in a bracket that ``answer`` makes of the value it reaches."""

    class Bracketing(TrialBandit):
        powers = frozenset({Power.OPTIMAL_VALUE})

        def optimal_value(self, weights):
            return self.optimize(weights).value.scalarize(weights)

        def optimal_bracket(self, weights):
            return answer(self.optimal_value(weights))

    return Bracketing()


def test_certificates_rest_on_the_upper_end_of_the_bracket():
    exact, wide = (bracketing(lambda reached, more=more: (reached, reached + more)) for more in (0.0, 0.25))
    values = [exact.optimize(w).value for w in np.eye(3)]
    best, worst = audit(values, exact), audit(values, wide)
    assert best.kind.value == "exact"
    assert worst.kind.value == "bounded"
    assert worst.additive_gap == pytest.approx(best.additive_gap + 0.25)
    assert worst.slack > 0


def test_without_a_bracket_of_its_own_the_optimal_value_is_both_ends():
    backend = bracketing(None)
    value = backend.optimal_value(WEIGHTS)
    assert PolicyBackend.optimal_bracket(backend, WEIGHTS) == (value, value)


def test_a_bracket_that_rounding_turned_round_is_put_right():
    low, high = optimal_bracket(bracketing(lambda reached: (reached, reached - 1e-13)), WEIGHTS)
    assert low == high


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda v: (v, v - 0.1), "reached <= upper"),
        (lambda v: (math.nan, v), "two finite numbers"),
        (lambda v: (v, math.nan), "two finite numbers"),
        (lambda v: (v, math.inf), "two finite numbers"),
        (lambda v: (-math.inf, v), "two finite numbers"),
        (lambda v: (v,), "raised ValueError"),
        (lambda v: v, "raised TypeError"),
        (lambda v: 1 / 0, "raised ZeroDivisionError"),
    ],
)
def test_bad_brackets_are_refused(answer, message):
    with pytest.raises(BackendError, match=message):
        optimal_bracket(bracketing(answer), WEIGHTS)


def test_upper_bounds_become_plain_floats():
    solution = Solution(None, Value([0.5]), np.float32(0.75))
    assert type(solution.upper_bound) is float
    assert solution.upper_bound == 0.75


def test_equal_problems_have_equal_fingerprints_and_different_ones_do_not():
    assert problem_fingerprint(TrialBandit()) == problem_fingerprint(TrialBandit(pause=1.0, padding=3))
    different = [
        TrialBandit(seed=1),
        declaring(),
        declaring(objectives=("a", "b", "c")),
        declaring(reward_max=2.0),
        declaring(regularizer_max=None),
        declaring(normalizers=(IDENTITY, IDENTITY, Normalizer(-1.0, 2.0))),
    ]
    fingerprints = {problem_fingerprint(backend) for backend in [TrialBandit(), *different]}
    assert len(fingerprints) == 7


def describing(description):
    class Describing(TrialBandit):
        def describe(self):
            return description

    return Describing()


@pytest.mark.parametrize("description", [{"a": np.zeros(2)}, {"a": math.nan}, {"a": {1, 2}}, {("a", 1): 2}, [1, 2]])
def test_descriptions_that_are_not_data_are_refused(description):
    with pytest.raises(BackendError, match=r"Describing.describe\(\) must return JSON-able data"):
        problem_fingerprint(describing(description))


def test_descriptions_are_plain_data_as_they_will_be_read_back():
    description = problem_description(describing({"layers": {10: (1, 2), 2: "x"}}))["parameters"]
    assert description == {"layers": {"10": [1, 2], "2": "x"}}


def test_seeds_depend_on_seed_and_weights_alone():
    assert seed_for(1, WEIGHTS) == seed_for(1, WEIGHTS.tolist()) == seed_for(1, WEIGHTS[::-1][::-1])
    assert len({seed_for(1, WEIGHTS), seed_for(2, WEIGHTS), seed_for(1, WEIGHTS[::-1])}) == 3
    assert 0 <= seed_for(1, WEIGHTS) < 2**63


def test_undeclared_powers_raise():
    class Plain(TrialBandit):
        powers = frozenset()

    backend = resolve_backend(Plain)
    assert Power.SURROGATE not in backend.powers
    with pytest.raises(NotImplementedError, match=r"Plain does not declare Power.SURROGATE"):
        backend.surrogate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rewards": []}, "rewards must have shape"),
        ({"rewards": [[0.5]]}, "rewards must have shape"),
        ({"rewards": 0.5}, "rewards must have shape"),
        ({"rewards": [0.5, math.inf]}, "rewards must be finite"),
        ({"rewards": ["high"]}, "rewards must be an array of numbers"),
        ({"regularizer": math.nan}, "the regulariser must be finite"),
        ({"regularizer": None}, "the regulariser must be a number, got None"),
        ({"rewards_stderr": [0.1]}, "rewards_stderr must be finite and >= 0, of shape"),
        ({"rewards_stderr": [0.1, -0.1]}, "rewards_stderr must be finite and >= 0"),
        ({"regularizer_stderr": -0.1}, "regularizer_stderr must be finite and >= 0"),
        ({"regularizer_stderr": "small"}, "regularizer_stderr must be a number"),
        ({"samples": 0}, "samples must be an integer >= 1, got 0"),
        ({"samples": 2.5}, "samples must be an integer >= 1, got 2.5"),
        ({"samples": True}, "samples must be an integer >= 1, got True"),
    ],
)
def test_bad_values_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Value(**{"rewards": [0.5, 0.25], **arguments})


def test_values_are_immutable_and_own_their_arrays():
    rewards, errors = np.array([0.5, 0.25]), np.array([0.1, 0.2])
    value = Value(rewards, 0.125, rewards_stderr=errors)
    rewards[0] = errors[0] = 9.0
    assert value.rewards.tolist() == [0.5, 0.25]
    assert value.rewards_stderr.tolist() == [0.1, 0.2]
    assert value.vertex_values.tolist() == [0.375, 0.125]
    for array in (value.rewards, value.rewards_stderr, value.vertex_values):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    with pytest.raises(AttributeError):
        value.regularizer = 0.0


def test_values_survive_plain_data_and_pickle_bit_for_bit():
    value = Value(np.random.default_rng(0).random(4) ** 40, 1 / 3, [0.1, 0, 1e-300, 2], 0.7, np.int64(12))
    for copy in (Value.from_dict(value.to_dict()), pickle.loads(pickle.dumps(value))):
        assert copy.same_numbers(value)
        assert copy.vertex_values.tobytes() == value.vertex_values.tobytes()
    assert type(value.to_dict()["samples"]) is int
    exact = Value([0.5])
    assert Value.from_dict(exact.to_dict()).same_numbers(exact)
    assert not exact.is_estimate
    assert value.is_estimate


def test_same_numbers_sees_every_number():
    value = Value([0.5, 0.25], 0.1, [0.1, 0.1], 0.1, 5)
    others = [
        Value([0.5, np.nextafter(0.25, 1)], 0.1, [0.1, 0.1], 0.1, 5),
        Value([0.5, 0.25], 0.2, [0.1, 0.1], 0.1, 5),
        Value([0.5, 0.25], 0.1, [0.1, 0.2], 0.1, 5),
        Value([0.5, 0.25], 0.1, [0.1, 0.1], 0.2, 5),
        Value([0.5, 0.25], 0.1, [0.1, 0.1], 0.1, 6),
        Value([0.5, 0.25], 0.1),
    ]
    assert not any(value.same_numbers(other) for other in others)


def test_scalarize_is_the_weighted_sum_minus_the_regulariser():
    assert Value([0.5, 0.25], 0.125).scalarize([0.5, 0.5]) == 0.25


@pytest.mark.parametrize("scale", [2.0, -0.5, 1e-9])
def test_normalizers_invert(scale):
    normalizer = Normalizer(scale, 3.0)
    assert normalizer.invert(normalizer.apply([1.0, -2.0])) == pytest.approx([1.0, -2.0], rel=1e-6)
    assert Normalizer(**normalizer.to_dict()) == normalizer


@pytest.mark.parametrize("arguments", [(0.0, 0.0), (math.nan, 0.0), (math.inf, 0.0), (1.0, math.inf)])
def test_bad_normalizers_are_refused(arguments):
    with pytest.raises(InputError, match="a normaliser needs a finite scale other than 0"):
        Normalizer(*arguments)
