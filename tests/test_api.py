"""The library without pytest: check, assert, measure, and the probe."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import api
from pytest_gradcheck.api import (
    Probe,
    assert_gradients,
    check_gradients,
    judged,
    measure_gradients,
    source,
)
from pytest_gradcheck.checks import NormBounds, Numeric
from pytest_gradcheck.errors import GradientError, UsageError, UsageTypeError
from pytest_gradcheck.limits import parse
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Perturbation, Plan
from pytest_gradcheck.recording import record
from pytest_gradcheck.records import Measurement, Objective
from tests.gradients import noise
from tests.objectives import Arrays, Counted, half_square, of

W = {"w": np.array([3.0, 4.0])}


def checked(**options: Any) -> Any:
    """Check half the squared norm at (3, 4)."""
    return check_gradients(W, value_and_grad=half_square, **options)


def test_checking_returns_the_verdict() -> None:
    """A failed check must be returned, not raised."""
    assert checked().passed
    verdict = checked(max_norm=4.0)
    assert [r.check for r in verdict.failures] == ["norm"]
    assert verdict.measurement.norm == 5.0


def test_a_check_without_a_baseline_judges_no_drift() -> None:
    """Nothing to compare with must not be a failure, nor cost a shadow."""
    counted = Counted(half_square)
    verdict = check_gradients({"w": np.ones(3, np.float32)}, value_and_grad=counted, perturb=False)
    assert (counted.calls, verdict.result("drift")) == (1, None)


def test_asserting_returns_the_verdict_of_what_passes() -> None:
    """A passed assertion must be as good as a check."""
    verdict = assert_gradients(W, value_and_grad=half_square, max_norm=5.0)
    assert verdict.passed


def test_asserting_raises_with_the_whole_story() -> None:
    """The error must be an assertion error whose message says what failed and by how much."""
    with pytest.raises(GradientError) as caught:
        assert_gradients(W, value_and_grad=half_square, max_norm=4.0, name="bowl")
    assert isinstance(caught.value, AssertionError)
    assert str(caught.value).splitlines()[:2] == [
        "gradients of 'bowl' (arrays): 1 of 4 checks failed",
        "  norm [total]  norm 5, max_norm 4",
    ]


def test_limits_are_those_of_the_vocabulary() -> None:
    """Limits must be validated before the model is touched."""
    counted = Counted(half_square)
    with pytest.raises(UsageError, match=r"^the call: unknown limit 'max_nrom'; did you mean"):
        check_gradients(W, value_and_grad=counted, max_nrom=1.0)  # type: ignore[call-arg] # refused
    assert counted.calls == 0


def test_checks_may_be_passed_as_values() -> None:
    """A frozen check must do in the place of its limits."""
    assert not checked(checks=NormBounds(max_norm=1.0)).passed
    assert checked(numeric=Numeric(directions=1)).passed


def test_another_point_may_be_named() -> None:
    """The gradient must be that of the point given, and the user's array stay as it is."""
    verdict = checked(at={"w": [6.0, 8.0]})
    assert (verdict.measurement.norm, W["w"].tolist()) == (10.0, [3.0, 4.0])


def test_an_earlier_measurement_is_a_baseline() -> None:
    """Drift must be judged against what was measured before, by dtype where no noise is known."""
    probe = measure_gradients(W, value_and_grad=half_square)
    assert checked(baseline=probe.measurement).result("drift").outcome == "passed"

    def wrong(p: Arrays) -> tuple[float, Arrays]:
        return half_square(p)[0], {"w": 1.001 * p["w"]}

    verdict = check_gradients(W, value_and_grad=wrong, baseline=probe.measurement)
    assert [r.check for r in verdict.failures] == ["drift"]
    assert verdict.baseline is not None
    assert verdict.baseline.native == probe.measurement.native


def test_drift_may_be_switched_off() -> None:
    """With ``drift=False`` a baseline must not matter."""
    was = measure_gradients({"w": np.array([1.0, 1.0])}, value_and_grad=half_square).measurement
    assert not checked(baseline=was).passed
    assert checked(baseline=was, drift=False).passed


def test_a_float32_model_is_held_against_both_precisions_of_its_baseline() -> None:
    """A recorded shadow must be compared with one, so that small drift shows."""
    arrays = {"w": noise(20).astype("float32")}
    was = record(of(half_square, arrays), parse())

    def nearly(p: Arrays) -> tuple[float, Arrays]:
        return half_square(p)[0], {"w": p["w"] * p["w"].dtype.type(1 + 1e-6)}

    assert check_gradients(arrays, value_and_grad=half_square, baseline=was).passed
    assert not check_gradients(arrays, value_and_grad=nearly, baseline=was).passed


# The point that a baseline keeps.


def stored(function: Any, w: Any) -> Objective:
    """Return an objective whose baseline keeps the point."""
    return dataclasses.replace(of(function, {"w": np.array(w)}), stores_point=True)


def cubes(p: Arrays) -> tuple[float, Arrays]:
    """Return a function whose gradient depends on the point."""
    return float(np.sum(p["w"] ** 3)), {"w": 3 * p["w"] ** 2}


def test_where_the_start_moved_the_old_point_is_used() -> None:
    """A gradient must be judged at the baseline's own point, and the reader be told."""
    was = record(stored(cubes, [1.0, 2.0]), parse())
    verdict = judged(stored(cubes, [1.5, 2.0]), parse(), baseline=was)
    assert verdict.passed
    assert verdict.measurement.notes == (
        "the starting point moved (w); drift is judged at the baseline's own point",
    )
    assert verdict.measurement.native["w"].max_abs == 12.0


def test_at_the_old_point_a_fault_is_drift() -> None:
    """A moved start must not hide a wrong gradient."""

    def wrong(p: Arrays) -> tuple[float, Arrays]:
        value, grads = cubes(p)
        return value, {"w": -grads["w"]}

    was = record(stored(cubes, [1.0, 2.0]), parse())
    verdict = judged(stored(wrong, [1.5, 2.0]), parse(), baseline=was)
    (drift,) = verdict.failures
    assert (drift.check, drift.reason) == ("drift", "drift")


def test_where_the_start_did_not_move_nothing_is_measured_twice() -> None:
    """A stored point that is the current one must cost no evaluation."""
    was = record(stored(cubes, [1.0, 2.0]), parse())
    counted = Counted(cubes)
    assert judged(stored(counted, [1.0, 2.0]), parse(), baseline=was).passed
    assert counted.calls == 1 + 4


def test_several_parameters_are_put_back_in_their_shapes() -> None:
    """The stored values must go back to the parameters they came from."""

    def function(p: Arrays) -> tuple[float, Arrays]:
        value = float(np.sum(p["a"] ** 3) + p["b"] ** 3)
        return value, {"a": 3 * p["a"] ** 2, "b": 3 * p["b"] ** 2}

    def made(a: Any, b: Any) -> Objective:
        arrays = {"a": np.array(a), "b": np.array(b)}
        return dataclasses.replace(of(function, arrays), stores_point=True)

    was = record(made([[1.0, 2.0]], 3.0), parse())
    assert judged(made([[9.0, 9.0]], 9.0), parse(), baseline=was).passed


def test_without_the_old_point_the_moved_start_is_told() -> None:
    """A baseline that kept no values must say that the start moved, and judge nothing."""
    was = record(of(cubes, {"w": np.array([1.0, 2.0])}), parse())
    verdict = judged(of(cubes, {"w": np.array([1.5, 2.0])}), parse(), baseline=was)
    assert [r.reason for r in verdict.failures] == ["point"]


def test_another_structure_has_no_old_point() -> None:
    """A reshaped parameter must be told as such though the baseline kept its point."""
    was = record(stored(cubes, [1.0, 2.0]), parse())
    verdict = judged(stored(cubes, [1.0, 2.0, 3.0]), parse(), baseline=was)
    assert [r.reason for r in verdict.failures] == ["structure"]


def test_a_measurement_to_keep_has_its_shadow() -> None:
    """What may become a baseline must be measured in both precisions."""
    objective = of(half_square, {"w": np.ones(3, np.float32)})
    assert judged(objective, parse(), keep=True).measurement.shadow is not None
    assert judged(objective, parse()).measurement.shadow is None


# The probe.


def test_a_probe_shows_its_measurement() -> None:
    """Every attribute and every parameter of the measurement must be there."""
    g = measure_gradients(W, value_and_grad=half_square, name="bowl")
    assert isinstance(g.measurement, Measurement)
    assert (g.finite, g.norm, g["w"].norm, g.objective) == (True, 5.0, 5.0, "bowl")
    assert repr(g) == "<gradient of 'bowl' (arrays): norm 5, finite True>"


def test_a_probe_has_nothing_else() -> None:
    """An unknown attribute must be an error, private names without looking further."""
    g = measure_gradients(W, value_and_grad=half_square)
    for name in ("nrom", "_nothing"):
        with pytest.raises(AttributeError, match=name):
            getattr(g, name)
    assert copy.copy(g).norm == 5.0


def test_a_probe_measures_around_its_point_on_demand() -> None:
    """More points must be those that a plan would have asked for, at one gradient each."""
    counted = Counted(half_square)
    g = measure_gradients(W, value_and_grad=counted)
    near = g.perturbed(scale=1e-2, samples=3, seed=5)
    assert isinstance(near, Probe)
    assert counted.calls == 1 + 3
    wanted = measure(
        of(half_square, W), Plan(perturbation=Perturbation(scale=1e-2, samples=3, seed=5))
    )
    assert near.samples == wanted.samples
    assert near.max_norm_ratio > 1.0
    assert (g.samples, g.max_norm_ratio) == ((), 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples must be at least 1, not 0"),
        ({"samples": 1.5}, "samples must be a whole number"),
        ({"scale": 0.0}, "scale must be a finite number > 0"),
        ({"scale": "x"}, "scale must be a number"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_a_probe_around_nothing_is_refused(options: dict[str, Any], message: str) -> None:
    """Asking for no points must not make an assertion about them pass."""
    with pytest.raises(UsageError, match=message):
        measure_gradients(W, value_and_grad=half_square).perturbed(**options)


def test_measuring_takes_no_limits() -> None:
    """A limit that nobody judges by must not pass in silence."""
    with pytest.raises(UsageTypeError) as caught:
        measure_gradients(W, value_and_grad=half_square, max_norm=1.0)  # type: ignore[call-arg] # refused
    assert str(caught.value) == (
        "measure() judges nothing, so it takes no limits: max_norm; "
        "known: value_and_grad, wrt, name, seed, mode, data, streaming, at"
    )


def test_the_source_of_a_call_is_an_objective_at_its_point() -> None:
    """What describes the model and where must become one objective."""
    found = source(W, value_and_grad=half_square, at={"w": [0.0, 1.0]}, name="it", seed=3)
    assert (found.name, found.seed, found.value()) == ("it", 3, 0.5)


def test_the_public_names_are_there() -> None:
    """What the module promises must exist."""
    assert all(hasattr(api, name) for name in api.__all__)
