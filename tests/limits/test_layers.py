"""The vocabulary of limits: who wins, what is refused, what the ini file may say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gradcheck.api import SourceOptions
from pytest_gradcheck.checks import (
    Balance,
    Concentration,
    Finite,
    NormBounds,
    Numeric,
    PerturbationStability,
    Reaches,
)
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.limits import LIMITS, Limits, parse, parse_ini
from pytest_gradcheck.limits.vocabulary import ARGUMENTS, LimitOptions
from pytest_gradcheck.plan import Directions, Perturbation, Plan
from pytest_gradcheck.records import CheckResult, Measurement

DEFAULTS = (Finite(), Reaches(), PerturbationStability())


def of(**limits: Any) -> Limits:
    """Return the limits of one call."""
    return parse(("the call", limits))


def refused(**limits: Any) -> str:
    """Return the message with which limits are refused."""
    with pytest.raises(UsageError) as caught:
        of(**limits)
    return str(caught.value)


def test_without_limits_the_defaults_hold() -> None:
    """Finite, reaching and stable near the point must be checked unasked, and drift."""
    for found in (parse(), of()):
        assert found == Limits(checks=DEFAULTS)
        assert (found.drift, found.shadow, found.min_drift, dict(found.given)) == (
            True,
            True,
            None,
            {},
        )


def test_equal_limits_are_parsed_once() -> None:
    """What ten thousand tests say alike must not be read ten thousand times, wherever it stands."""
    one = parse(("the ini file", {}), ("the call in test_a[1]", {"max_norm": 3.0}))
    assert parse(("the ini file", {}), ("the call in test_a[2]", {"max_norm": 3.0})) is one


def test_values_that_are_equal_and_mean_different_things_are_kept_apart() -> None:
    """``True`` equals 1, and is the default scale."""
    scales = [of(perturb=value).checks[-1] for value in (1, True, 1.0)]
    assert scales == [PerturbationStability(scale=value) for value in (1, 1e-3, 1.0)]


def test_a_mistake_that_was_made_before_names_its_own_place() -> None:
    """Of two equal mistakes each must say where it stands."""
    for where in ("test_a", "test_b"):
        with pytest.raises(UsageError, match=f"^{where}: "):
            parse((where, {"max_norm": -1.0}))


def test_the_vocabulary_is_the_typed_one() -> None:
    """Every limit must be typed for users, and nothing beside the limits but ``checks``."""
    assert set(LimitOptions.__annotations__) - {"checks"} == set(LIMITS)


def test_every_limit_says_what_it_is_for() -> None:
    """Each help must be one line that an ini option can show."""
    for limit in LIMITS.values():
        assert limit.help
        assert "\n" not in limit.help


@pytest.mark.parametrize(
    ("limits", "checks"),
    [
        ({"finite": False}, (Reaches(), PerturbationStability())),
        ({"reaches": False}, (Finite(), PerturbationStability())),
        ({"perturb": False}, (Finite(), Reaches())),
        ({"finite": True, "reaches": True, "perturb": True}, DEFAULTS),
        ({"balance": False, "balance_parameters": False, "numeric": False}, DEFAULTS),
        (
            {"allow_missing": "a", "allow_zero": ["b"]},
            (
                Finite(),
                Reaches(allow_missing=("a",), allow_zero=("b",)),
                PerturbationStability(),
            ),
        ),
        (
            {"max_norm": 10, "min_norm": 1, "max_abs": 5, "per_parameter": {"a": {"max_norm": 1}}},
            (
                Finite(),
                Reaches(),
                NormBounds(
                    max_norm=10, min_norm=1, max_abs=5, per_parameter={"a": {"max_norm": 1}}
                ),
                PerturbationStability(),
            ),
        ),
        (
            {"perturb": 1e-2, "samples": 8, "max_norm_ratio": 3, "min_cosine": 0.5},
            (
                Finite(),
                Reaches(),
                PerturbationStability(scale=1e-2, samples=8, max_norm_ratio=3, min_cosine=0.5),
            ),
        ),
        (
            {"balance": 100.0, "max_share": 0.9, "balance_parameters": 1e3},
            (*DEFAULTS, Balance(max_ratio=100.0, max_share=0.9, max_parameter_ratio=1e3)),
        ),
        ({"numeric": True}, (*DEFAULTS, Numeric())),
        ({"replicates": 8}, (*DEFAULTS, Concentration())),
        (
            {"replicates": 16, "max_cv": 0.5, "min_ess": 2},
            (*DEFAULTS, Concentration(replicates=16, max_cv=0.5, min_ess=2)),
        ),
        ({"numeric": Numeric(directions=1)}, (*DEFAULTS, Numeric(directions=1))),
    ],
)
def test_limits_become_checks(limits: dict[str, Any], checks: tuple[object, ...]) -> None:
    """Every limit must set the check it belongs to, and the others stay as they are."""
    assert of(**limits).checks == checks


@pytest.mark.parametrize(("drift", "shown"), [(True, "on"), (False, "off")])
def test_drift_is_a_limit_like_any(drift: bool, shown: str) -> None:  # noqa: FBT001 - a table
    """Drift must be switched and shown though it is no check of one measurement."""
    found = of(drift=drift, min_drift=1e-3)
    assert (found.drift, found.min_drift, found.text()["drift"]) == (drift, 1e-3, shown)


def test_the_text_shows_what_was_written() -> None:
    """Reports must show each limit in force, as short as it was written."""
    found = of(max_norm=10.0, finite=False, numeric=True, allow_zero=("a",), perturb=1e-3)
    assert found.text() == {
        "reaches": "on",
        "norm": "on",
        "perturb": "0.001",
        "numeric": "on",
        "max_norm": "10",
        "finite": "off",
        "allow_zero": "('a',)",
        "drift": "on",
    }


def test_the_checks_say_what_to_measure() -> None:
    """The plan must hold what every check needs, and the shadow only for a baseline."""
    found = of(numeric=True, samples=2)
    wanted = Plan(top=5, perturbation=Perturbation(samples=2), directions=Directions(), shadow=True)
    assert found.plan(top=5) == wanted
    assert not found.plan(baseline=False).shadow
    assert not of(drift=False).plan().shadow
    assert not of(shadow=False).plan().shadow
    assert of(perturb=False).plan().perturbation is None


# Precedence.


LAYERS = ("the ini file", "the marker on the module", "the marker on the class", "the marker", "it")


@given(st.lists(st.none() | st.integers(1, 9).map(float), min_size=5, max_size=5))
@settings(max_examples=60, deadline=None)
def test_the_nearest_place_that_says_something_wins(values: list[float | None]) -> None:
    """Of five places the last that names a limit must decide."""
    layers = [
        (where, {} if value is None else {"max_norm": value})
        for where, value in zip(LAYERS, values, strict=True)
    ]
    written = [v for v in values if v is not None]
    wanted = [NormBounds(max_norm=written[-1])] if written else []
    assert [c for c in parse(*layers).checks if c.name == "norm"] == wanted


def test_limits_win_one_by_one() -> None:
    """A nearer place must leave alone what it does not name."""
    found = parse(("ini", {"max_norm": 1.0, "max_abs": 2.0}), ("call", {"max_norm": 3.0}))
    assert NormBounds(max_norm=3.0, max_abs=2.0) in found.checks


def test_none_takes_a_limit_back_to_its_default() -> None:
    """A test must be able to undo what the ini file says."""
    assert parse(("ini", {"max_norm": 1.0, "finite": False}), ("call", {"max_norm": None})) == (
        parse(("ini", {"finite": False}))
    )


def test_check_values_stand_for_their_limits() -> None:
    """A check that is passed as a value must be taken as it is."""
    check = NormBounds(max_norm=3.0)
    for value in (check, [check], (check, Finite())):
        assert check in of(checks=value).checks
    assert of(checks=check).text()["norm"] == repr(check)


def test_a_nearer_check_value_wins_over_farther_limits() -> None:
    """A check value must replace the whole check that farther places describe."""
    found = parse(("ini", {"max_norm": 1.0}), ("call", {"checks": NormBounds(max_abs=9.0)}))
    assert [c for c in found.checks if c.name == "norm"] == [NormBounds(max_abs=9.0)]


def test_a_nearer_limit_wins_over_a_farther_check_value() -> None:
    """A limit in the call must not be ignored because the module's marker holds a check."""
    found = parse(("marker", {"checks": [NormBounds(max_norm=10.0)]}), ("call", {"max_norm": 5.0}))
    assert [c for c in found.checks if c.name == "norm"] == [NormBounds(max_norm=5.0)]


@dataclass(frozen=True)
class Sparse:
    """Promise that most of the gradient is exactly zero: a check as a user writes one."""

    share: float = 0.5
    name: str = "sparse"

    def plan(self, plan: Plan) -> Plan:
        """Need nothing beyond the point."""
        return plan

    def judge(self, measurement: Measurement) -> CheckResult:
        """Say nothing here."""
        return CheckResult(check=self.name, outcome="passed")


def test_a_check_of_the_users_own_comes_after_ours() -> None:
    """A value that can plan and judge must be taken as a check, reported behind the built-in."""
    assert of(checks=Sparse()).checks == (*DEFAULTS, Sparse())
    assert parse(("far", {"checks": Sparse()}), ("near", {"checks": Sparse(0.9)})).checks == (
        *DEFAULTS,
        Sparse(0.9),
    )


@pytest.mark.parametrize("name", ["", " ", "finite", "norm", "max_norm", 3])
def test_a_check_without_a_name_of_its_own_is_refused(name: Any) -> None:
    """A user's check must not pass for a built-in one, nor be nameless."""
    assert f"needs a name of its own, not {name!r}" in refused(checks=Sparse(name=name))


def test_a_check_value_beside_its_own_limit_is_refused() -> None:
    """In one place, two ways of setting one check must not leave one of them without effect."""
    assert refused(checks=NormBounds(max_norm=10.0), max_abs=5.0).startswith(
        "the call: max_abs=5.0 stands beside NormBounds(max_norm=10.0, "
    )


@pytest.mark.parametrize("value", [3, "ab", [None], object, {"a": Finite()}])
def test_what_is_no_check_is_refused(value: object) -> None:
    """A class, a number or text in the place of a check must be named, with what there is."""
    with pytest.raises(UsageTypeError) as caught:
        of(checks=value)
    shown = value[0] if isinstance(value, list) else value
    assert str(caught.value).startswith(f"the call: {shown!r} is not a check; ")
    assert str(caught.value).endswith(
        "is not a check; write limits by keyword, or pass one of Finite, Reaches, NormBounds, "
        "PerturbationStability, Balance, Numeric, Concentration, or a value with name, "
        "plan(plan) and judge(measurement) (pytest_gradcheck.Check)"
    )


# What is refused.


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("max_nrom", "max_norm"),
        ("maxnorm", "max_norm"),
        ("purturb", "perturb"),
        ("numerics", "numeric"),
        ("allow_zeros", "allow_zero"),
        ("min_drft", "min_drift"),
        ("sed", "seed"),
        ("nme", "name"),
    ],
)
def test_a_mistyped_limit_names_the_nearest(name: str, nearest: str) -> None:
    """A typing error must never be a limit that does nothing."""
    assert refused(**{name: 1}) == f"the call: unknown limit {name!r}; did you mean {nearest!r}?"


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_of_the_call_is_no_limit(name: str) -> None:
    """What only a call can say must be sent there, not likened to some limit."""
    told = f"the call: {name!r} is no limit but an argument: write it in the call, gradcheck(..., "
    assert refused(**{name: 1}) == f"{told}{name}=)"


def test_the_arguments_of_a_call_are_those_that_it_takes() -> None:
    """The list that limits are told from must be the one that calls are read by."""
    assert set(ARGUMENTS) == {"name", *SourceOptions.__annotations__}


def test_an_unknown_limit_names_all() -> None:
    """What resembles nothing must be met by the whole vocabulary."""
    assert refused(zzz=1) == f"the call: unknown limit 'zzz'; known: {', '.join(LIMITS)}"


BAD = [
    ("finite", [1, "yes"]),
    ("reaches", [0, "no"]),
    ("allow_missing", [3, (1,), True]),
    ("allow_zero", [3, ("",), {"a": 1}]),
    ("max_norm", [0, -1.0, "10", True, float("nan"), float("inf")]),
    ("min_norm", [-1.0, "10", float("nan")]),
    ("max_abs", [0, "10"]),
    ("per_parameter", [3, {"a": 1}, {"a": {"norm": 1}}, {"a": {"max_norm": 0}}]),
    ("perturb", [0, -1e-3, "x"]),
    ("samples", [0, 1.5, "4", True]),
    ("max_norm_ratio", [0.5, "x", True]),
    ("min_cosine", [2, "x", {}, {"pertub": 0.5}, {"perturb": 3}]),
    ("balance", [0.5, "x", True]),
    ("max_share", [0, 1.5, "x"]),
    ("balance_parameters", [0.5, "x", True]),
    ("numeric", [1, "yes", 1e-3]),
    ("replicates", [0, 3, 8.0, True, "8"]),
    ("max_cv", [0, -1.0, "x", True]),
    ("min_snr", [0, "x", float("nan")]),
    ("min_ess", [0, "x", float("inf")]),
    ("max_weight", [0, -1, "x"]),
    ("drift", [1, "warn"]),
    ("min_drift", [-1, 2, "x"]),
    ("shadow", [1, "off"]),
]


def test_bad_values_are_known_for_every_limit() -> None:
    """The table below must leave no limit out."""
    assert {name for name, _ in BAD} == set(LIMITS)


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD for v in values])
def test_every_bad_value_is_refused_where_it_is_written(name: str, value: object) -> None:
    """A value that a limit does not accept must be refused with place and name."""
    message = refused(**{name: value})
    assert message.startswith(f"the call: {name}")
    assert any(word in message for word in ("must be", "must hold", "must map", "takes"))


def test_the_place_of_a_bad_value_is_named() -> None:
    """Of several places the one with the bad value must be blamed."""
    with pytest.raises(UsageError, match=r"^the ini file: max_norm must be"):
        parse(("the ini file", {"max_norm": "x"}), ("the call", {"max_norm": 1.0}))


def test_limits_that_contradict_each_other_are_refused() -> None:
    """Bounds that nothing can meet must be refused though each is fine and far from the other."""
    with pytest.raises(UsageError, match=r"^the call: min_norm 5 is above max_norm 1: nothing can"):
        parse(("the ini file", {"max_norm": 1.0}), ("the call", {"min_norm": 5.0}))


@pytest.mark.parametrize(
    ("limits", "shown"),
    [
        ({"samples": 8}, "samples=8"),
        ({"max_norm_ratio": 2.0}, "max_norm_ratio=2.0"),
        ({"min_cosine": {"perturb": 0.5}}, "min_cosine['perturb']=0.5"),
    ],
)
def test_a_limit_with_nothing_to_act_on_is_refused(limits: dict[str, Any], shown: str) -> None:
    """What belongs to a check that is off must not pass in silence."""
    message = refused(perturb=False, **limits)
    assert message == f"the call: {shown} has nothing to act on: perturb is off"


# The cosine, which two checks know.


def cosines(**limits: Any) -> tuple[float | None, float | None]:
    """Return the cosine of the perturbed points and that of the components."""
    found = {check.name: check for check in of(**limits).checks}
    perturb, balance = found.get("perturb"), found.get("balance")
    return (getattr(perturb, "min_cosine", None), getattr(balance, "min_cosine", None))


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({"min_cosine": 0.5}, (0.5, None)),
        ({"min_cosine": 0.5, "perturb": 1e-2}, (0.5, None)),
        ({"min_cosine": 0.5, "balance": 10.0}, (None, 0.5)),
        ({"min_cosine": 0.5, "max_share": 0.9}, (None, 0.5)),
        ({"min_cosine": 0.5, "max_share": 0.9, "perturb": False}, (None, 0.5)),
        ({"min_cosine": {"perturb": 0.5, "balance": -0.5}}, (0.5, -0.5)),
        ({"min_cosine": {"balance": -0.5}}, (None, -0.5)),
        ({"min_cosine": {"perturb": 0.5}, "balance": 10.0}, (0.5, None)),
    ],
)
def test_a_cosine_goes_to_the_check_beside_it(
    limits: dict[str, Any], wanted: tuple[float | None, float | None]
) -> None:
    """A number must go to the one check that is written beside it, a mapping to each it names."""
    assert cosines(**limits) == wanted


@pytest.mark.parametrize("name", ["max_cv", "min_snr", "min_ess", "max_weight"])
def test_a_limit_of_replicates_needs_replicates(name: str) -> None:
    """A limit on what varies between seeds must not stand where only one seed is taken."""
    assert refused(**{name: 2.0}) == (
        f"the call: {name}=2.0 has nothing to act on: replicates is off"
    )


def test_a_cosine_for_either_of_two_checks_is_refused() -> None:
    """With both checks written, a bare number must not be guessed about."""
    assert refused(min_cosine=0.5, perturb=1e-3, balance=10.0) == (
        "the call: min_cosine=0.5 could be for perturb or for balance; "
        "write min_cosine={'perturb': ..., 'balance': ...}"
    )


def test_a_cosine_for_no_check_is_refused() -> None:
    """With neither check on, a cosine must not pass in silence."""
    assert refused(min_cosine=0.5, perturb=False) == (
        "the call: min_cosine=0.5 has nothing to act on: perturb is off and balance is not set"
    )


# The ini file.


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_norm", "10", 10),
        ("max_norm", " 1e3 ", 1e3),
        ("min_norm", "0", 0),
        ("max_abs", "1", 1),
        ("samples", "8", 8),
        ("finite", "off", False),
        ("finite", "True", True),
        ("reaches", "no", False),
        ("numeric", "on", True),
        ("drift", "yes", True),
        ("perturb", "false", False),
        ("perturb", "1e-3", 1e-3),
        ("allow_zero", "head.* tail.*", ("head.*", "tail.*")),
        ("allow_zero", "head.*, tail.*", ("head.*", "tail.*")),
        ("allow_zero", "head", ("head",)),
        ("allow_zero", "('a', 'b')", ("a", "b")),
        ("allow_missing", "", ()),
        ("per_parameter", "{'a.*': {'max_norm': 1.0}}", {"a.*": {"max_norm": 1.0}}),
        ("min_cosine", "{'perturb': 0.9}", {"perturb": 0.9}),
        ("max_norm", "None", None),
    ],
)
def test_an_ini_option_is_read_as_its_limit(name: str, text: str, value: object) -> None:
    """Switches, numbers, patterns and tables must be read from the text of an ini file."""
    found = parse_ini(name, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("max_norm", "ten", "grad_max_norm = ten: max_norm must be a number, not 'ten'"),
        ("max_norm", "", "grad_max_norm = : max_norm must be a number, not ''"),
        ("max_norm", "-1", "grad_max_norm = -1: max_norm must be a finite number > 0, not -1"),
        ("finite", "1", "grad_finite = 1: finite must be True or False, not 1"),
        ("samples", "4.0", "grad_samples = 4.0: samples must be a whole number, not 4.0"),
        (
            "per_parameter",
            "{'a': 1}",
            (
                "grad_per_parameter = {'a': 1}: per_parameter['a'] takes max_norm, min_norm, "
                "max_abs, not 1"
            ),
        ),
        (
            "per_parameter",
            "{[1]: 2}",
            (
                "grad_per_parameter = {[1]: 2}: per_parameter must map patterns to bounds, such as "
                "{'encoder.*': {'max_norm': 1.0}}, not '{[1]: 2}'"
            ),
        ),
    ],
)
def test_a_bad_ini_option_is_refused(name: str, text: str, message: str) -> None:
    """What the limit does not accept must be shown as it stands in the file."""
    with pytest.raises(UsageError) as caught:
        parse_ini(name, text)
    assert str(caught.value) == message


def test_an_unknown_ini_option_names_the_nearest() -> None:
    """A mistyped option must not be a limit that does nothing."""
    with pytest.raises(UsageError, match="unknown limit 'max_nrom'; did you mean 'max_norm'"):
        parse_ini("max_nrom", "1")


@pytest.mark.parametrize("name", ["allow_missing", "allow_zero"])
def test_exceptions_from_what_is_off_are_refused(name: str) -> None:
    """An exception from a check that does not run must not be silent."""
    with pytest.raises(UsageError, match=f"{name}=.* has nothing to act on: reaches is off"):
        parse(("the call", {"reaches": False, name: ("head.*",)}))
