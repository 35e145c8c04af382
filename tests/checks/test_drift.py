"""Drift: every fault is seen and named, and nothing that is none."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, settings
from hypothesis import given as hypothesis
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from pytest_gradcheck.checks.drift import (
    ACCEPT,
    compare,
    moved_parameters,
    recordable,
    refreshed,
    walked,
)
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Perturbation, Plan
from pytest_gradcheck.recording import recorded
from pytest_gradcheck.records import CheckResult, Measurement, Objective, Sample
from tests.gradients import noise
from tests.objectives import Arrays, constant, given, of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Array = NDArray[Any]
Grads = dict[str, Array]

DTYPES = ["float64", "float32"]
HEAD = {"head": noise(3, 4, seed=1), "tail": noise(3, 4, seed=2), "bias": noise(4, seed=3)}


def grads(dtype: str = "float64") -> Grads:
    """Return a gradient of three parameters, the last one the smallest."""
    return {k: g.astype(dtype) for k, g in HEAD.items()}


def baseline(measurement: Measurement) -> Measurement:
    """Return a baseline with allowances by dtype."""
    return recordable(measurement)


def stored(found: Mapping[str, ArrayLike | None], **options: Any) -> Measurement:
    """Return a baseline whose noise was measured, of a gradient that has none."""
    objective = constant(found, **options)
    return recorded(objective, measure(objective))


def changed(change: Callable[[Grads], object], dtype: str = "float64") -> CheckResult:
    """Return what comparing says of a gradient that was changed in place."""
    now = grads(dtype)
    change(now)
    return compare(given(now), stored(grads(dtype)))


def subjects(result: CheckResult) -> list[str]:
    """Return what a result is about."""
    return [f.subject for f in result.findings]


@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
def test_the_same_gradient_passes(dtype: str) -> None:
    """Nothing changed must mean no finding, against measured and against fixed allowances."""
    for was in (stored(grads(dtype)), baseline(given(grads(dtype)))):
        assert compare(given(grads(dtype)), was) == CheckResult(check="drift", outcome="passed")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", list(HEAD))
def test_a_flipped_sign_is_named(name: str, dtype: str) -> None:
    """A parameter with the wrong sign must be the one finding, and called so."""
    result = changed(lambda g: g.update({name: -g[name]}), dtype)
    assert (result.outcome, result.reason, result.hints) == ("failed", "drift", (ACCEPT,))
    assert subjects(result) == [name]
    assert result.diagnosis[0] == f"{name}: sign flipped"
    assert result.findings[0].text.endswith("cosine -1")


@pytest.mark.parametrize("dtype", DTYPES)
def test_permuted_rows_are_named(dtype: str) -> None:
    """The same values in another order must be told by distance and called so."""
    result = changed(lambda g: g.update(head=g["head"][[1, 2, 0]]), dtype)
    assert subjects(result) == ["head"]
    assert result.diagnosis[0] == "head: same values in another order: rows permuted?"


@pytest.mark.parametrize("dtype", DTYPES)
def test_swapped_parameters_are_named(dtype: str) -> None:
    """Two gradients of one shape in each other's place must be recognised, last one first."""
    result = changed(lambda g: g.update(head=g["tail"], tail=g["head"]), dtype)
    assert subjects(result) == ["tail", "head"]
    assert result.diagnosis[:2] == (
        "head: has the gradient that was tail's: swapped?",
        "tail: has the gradient that was head's: swapped?",
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (32.0, "scaled by 32, and so is the loss: batch size, accumulation steps? 32: a mean"),
        (1 / 32, "scaled by 0.03125, and so is the loss: batch size, accumulation steps? 1/32: a"),
        (2.0**16, "scaled by 65536, and so is the loss: 65536, a power of two: a loss scale"),
        (-1.0, "every gradient has its sign flipped"),
        (1.5, "every gradient is scaled by 1.5, and so is the loss"),
    ],
)
def test_a_scaled_gradient_is_explained(factor: float, said: str, dtype: str) -> None:
    """One factor on everything must be named, with what such a factor usually stands for."""
    now = {k: g * g.dtype.type(factor) for k, g in grads(dtype).items()}
    result = compare(given(now, value=factor), stored(grads(dtype)))
    assert subjects(result) == ["bias", "tail", "head", "loss"]
    assert said in result.diagnosis[0]


def test_a_scaled_gradient_of_the_same_loss_is_told() -> None:
    """A factor that the value does not share must be said not to be there."""
    result = changed(lambda g: g.update({k: 3 * v for k, v in g.items()}))
    assert "scaled by 3, the loss is not" in result.diagnosis[0]


@pytest.mark.parametrize("factor", [1.001, 10.0, 0.5])
def test_a_weight_on_one_component_is_named(factor: float) -> None:
    """A component scaled with its value must be named, with the factor, the others unchanged."""
    recon, kl = grads(), {k: noise(*g.shape, seed=9) for k, g in grads().items()}
    kl["bias"] *= 0
    scaled = {k: factor * g for k, g in kl.items()}
    was = stored(grads(), terms={"recon": (2.0, recon), "kl": (0.5, kl)})
    now = given(grads(), terms={"recon": (2.0, recon), "kl": (0.5 * factor, scaled)})
    result = compare(now, was)
    assert subjects(result)[:3] == ["tail", "head", "loss"]
    assert set(subjects(result)[3:]) == {"component kl"}
    assert result.diagnosis[0] == (
        f"component kl x{factor:g}, the other one unchanged: a weight changed?"
    )


def test_a_component_whose_gradient_alone_changed_is_told() -> None:
    """A detach inside one component must be said to have left its value alone."""
    one, two = {"w": np.array([1.0, 2.0])}, {"w": np.array([3.0, 1.0])}
    was = stored(one, terms={"a": (1.0, one), "b": (1.0, two), "c": (1.0, one)})
    now = given(one, terms={"a": (1.0, one), "b": (1.0, {"w": [3.0, 0.0]}), "c": (1.0, one)})
    assert compare(now, was).diagnosis[0] == (
        "gradient of component b changed (norm x0.948683), its value did not; the others unchanged"
    )


def test_a_component_without_its_gradient_is_told() -> None:
    """A component that is detached as a whole must be named."""
    one = {"w": np.array([1.0, 2.0])}
    was = stored(one, terms={"a": (1.0, one), "b": (1.0, one)})
    now = given(one, terms={"a": (1.0, one), "b": (1.0, {"w": None})})
    assert compare(now, was).diagnosis[0] == (
        "component b no longer has a gradient, the other one unchanged"
    )


@pytest.mark.parametrize("lost", [None, np.zeros(4)], ids=["disconnected", "zero"])
def test_a_lost_gradient_is_named(lost: Array | None) -> None:
    """A parameter that no longer receives a gradient must be named, however it was lost."""
    result = compare(given({**grads(), "bias": lost}, point=_ones()), stored(grads()))
    assert subjects(result) == ["bias"]
    assert result.diagnosis[0] == "bias no longer receives a gradient"


def _ones() -> Grads:
    """Return the point at which `given` measures `grads`."""
    return {k: np.ones_like(g) for k, g in grads().items()}


def test_a_gradient_that_arrives_is_named() -> None:
    """A parameter that was disconnected and is not any more must be told."""
    result = compare(given(grads()), stored({**grads(), "bias": None}, point=_ones()))
    assert subjects(result) == ["bias"]
    assert result.findings[0].text.startswith("now receives a gradient (norm 0 -> ")


def test_a_gradient_that_was_zero_has_no_relative_distance() -> None:
    """Against a gradient of exactly zero everywhere, norms must be told and not divided."""
    result = compare(given({"w": [0.0, 1e-9]}), stored({"w": [0.0, 0.0]}))
    assert result.findings[0].text == "norm 0 -> 1e-09; it was exactly zero"


def test_the_whole_gradient_may_be_zero() -> None:
    """Zero must equal zero."""
    assert compare(given({"w": [0.0, 0.0]}), stored({"w": [0.0, 0.0]})).outcome == "passed"


@pytest.mark.parametrize(
    ("now", "text"),
    [
        ({**HEAD, "new": np.ones(2)}, [("new", "parameter added (shape [2])")]),
        (
            {"head": HEAD["head"], "tail": HEAD["tail"]},
            [
                (
                    "bias",
                    f"parameter removed (shape [4], norm was {np.linalg.norm(HEAD['bias']):.4g})",
                )
            ],
        ),
        (
            {"head": HEAD["head"], "tail": HEAD["tail"], "offset": HEAD["bias"]},
            [("bias", "parameter renamed to offset")],
        ),
        ({**HEAD, "bias": np.ones((2, 2))}, [("bias", "shape [4] -> [2, 2]")]),
        ({**HEAD, "bias": np.ones(4, np.float32)}, [("bias", "dtype float64 -> float32")]),
        (
            {k: HEAD[k] for k in ("tail", "head", "bias")},
            [("total", "the 3 parameters stand in another order")],
        ),
    ],
    ids=["added", "removed", "renamed", "reshaped", "dtype", "order"],
)
def test_another_structure_is_no_drift(now: Grads, text: list[tuple[str, str]]) -> None:
    """What cannot be compared must be told as such, by name, and not as numbers."""
    result = compare(given(now), stored(grads()))
    assert (result.outcome, result.reason, result.diagnosis) == ("failed", "structure", ())
    assert [(f.subject, f.text) for f in result.findings] == text


def test_the_loss_alone_may_drift() -> None:
    """A changed value with every gradient as it was must fail and be called so."""
    result = compare(given(grads(), value=1.0001), stored(grads()))
    assert subjects(result) == ["loss"]
    assert result.findings[0].text == "1 -> 1.0001, relative change 0.0001, allowed 1e-07"
    assert result.diagnosis == ("only the loss moved; every gradient is unchanged",)


def test_a_loss_that_was_zero_has_no_relative_change() -> None:
    """A loss of exactly zero must not be a denominator."""
    result = compare(given(grads(), value=0.25), stored(grads(), value=0.0))
    assert result.findings[0].text == "0 -> 0.25, allowed 0"


def test_a_component_may_drift_against_another() -> None:
    """Two components that move against each other must fail though their sum is the same."""
    one = {"w": np.array([1.0, 2.0])}
    was = stored(one, terms={"a": (1.0, one), "b": (3.0, one)})
    result = compare(given(one, terms={"a": (2.0, one), "b": (2.0, one)}), was)
    assert subjects(result) == ["component a", "component b"]
    assert result.findings[0].text.startswith("value 1 -> 2, relative change 1, allowed 1")
    told = "only the values of component a, component b moved; every gradient is unchanged"
    assert result.diagnosis == (told,)


def test_a_component_norm_may_drift_alone() -> None:
    """A gradient that moves from one component to another must fail though the total stays."""
    was = stored({"w": [0.0]}, terms={"a": (1.0, {"w": [1.0]}), "b": (1.0, {"w": [3.0]})})
    now = given({"w": [0.0]}, terms={"a": (1.0, {"w": [2.0]}), "b": (1.0, {"w": [2.0]})})
    result = compare(now, was)
    assert subjects(result) == ["component a", "component b"]
    assert result.findings[0].text.startswith("gradient norm 1 -> 2, relative change 1")


def test_the_first_finding_is_the_last_parameter() -> None:
    """Parameters must be listed as the backward pass meets them."""
    result = changed(lambda g: g.update({k: v + 1 for k, v in g.items()}))
    assert subjects(result) == ["bias", "tail", "head"]


def test_nothing_that_fits_is_said_of_a_random_change() -> None:
    """A gradient that became another one altogether must get no story."""
    result = changed(lambda g: g.update({k: noise(*v.shape, seed=50) for k, v in g.items()}))
    assert subjects(result) == ["bias", "tail", "head"]
    assert result.diagnosis == ()


# The point.


def test_a_point_that_moved_is_no_drift() -> None:
    """Where the start moved and the gradient with it, the start must be blamed, by name."""
    now = {**grads(), "head": 2 * grads()["head"]}
    point = {**_ones(), "tail": 1.5 * _ones()["tail"]}
    result = compare(given(now, point=point), stored(grads()))
    assert (result.outcome, result.reason, result.diagnosis) == ("failed", "point", ())
    assert [(f.subject, f.text) for f in result.findings] == [
        (
            "tail",
            "the value at the start moved: norm 3.4641 -> 5.19615, relative distance 0.5",
        )
    ]


def test_a_model_that_is_drawn_anew_is_told_from_one_that_starts_elsewhere() -> None:
    """Most parameters as far apart as strangers: that is a seed, and recording again is no cure."""

    def start(seed: int, bias: float = 0.0) -> Grads:
        return {
            "head": noise(3, 4, seed=seed),
            "tail": noise(3, 4, seed=seed + 1),
            "bias": bias + np.zeros(4),
        }

    def said(now: Grads) -> tuple[str, ...]:
        was = given(grads(), point=start(7))
        return compare(
            given({k: 2.0 * g for k, g in HEAD.items()}, point=now), recordable(was)
        ).diagnosis

    drawn = ("most parameters start elsewhere: is a seed set before they are drawn?",)
    assert said(start(17)) == drawn
    assert said(start(17, bias=1.0)) == drawn
    assert said({**start(7), "head": noise(3, 4, seed=17)}) == ()
    assert said({k: 1.1 * v for k, v in start(7).items()}) == ()


def test_a_point_that_moved_without_its_gradient_is_noted() -> None:
    """Where the gradient does not depend on what moved, the check must pass and mention it."""
    point = {**_ones(), "bias": np.zeros(4)}
    result = compare(given(grads(), point=point), stored(grads()))
    assert (result.outcome, subjects(result)) == ("passed", ["bias"])


def test_a_point_that_moved_with_the_loss_alone_is_no_drift() -> None:
    """A linear model has the same gradient everywhere: its loss must not be said to drift."""
    point = {**_ones(), "bias": np.zeros(4)}
    result = compare(given(grads(), value=5.0, point=point), stored(grads()))
    assert (result.reason, subjects(result)) == ("point", ["bias"])


def test_a_start_that_was_zero_has_no_relative_distance() -> None:
    """A parameter that no longer starts at zero must be told without dividing by its norm."""
    was = stored(grads(), point={"bias": np.zeros(4)})
    result = compare(given(grads(), value=2.0), was)
    assert result.findings[0].text == (
        "the value at the start moved: norm 0 -> 2, distance 2 from 0"
    )


@pytest.mark.parametrize(("dtype", "size"), [("float64", 1e-9), ("float32", 1e-6)])
def test_a_start_within_rounding_has_not_moved(dtype: str, size: float) -> None:
    """Initial values may differ by what another processor's rounding explains."""
    point = {"w": noise(100).astype(dtype)}
    near = {"w": (noise(100) * (1 + size * noise(100, seed=1))).astype(dtype)}
    w = {"w": np.ones(100, dtype)}
    assert moved_parameters(given(w, point=near), given(w, point=point)) == []
    far = {"w": point["w"] * point["w"].dtype.type(1.001)}
    assert moved_parameters(given(w, point=far), given(w, point=point)) == ["w"]


# Noise.


@hypothesis(seed=st.integers(0, 10_000), size=st.sampled_from([3, 40, 5000]))
@settings(max_examples=60, deadline=None)
def test_noise_of_rounding_size_never_alarms_in_float32(seed: int, size: int) -> None:
    """Float32 gradients may differ by a millionth, element by element, in any direction."""
    g = {"a": noise(size, seed=seed), "b": 1e-3 * noise(size, seed=seed + 1)}
    home = {k: v.astype("float32") for k, v in g.items()}
    near = {k: (v * (1 + 1e-6 * noise(size, seed=7))).astype("float32") for k, v in home.items()}
    for was in (baseline(given(home)), stored(home)):
        assert compare(given(near), was).outcome == "passed"


@hypothesis(seed=st.integers(0, 10_000), size=st.sampled_from([3, 40, 5000]))
@settings(max_examples=60, deadline=None)
def test_in_float64_nothing_below_a_billionth_and_everything_above_a_millionth(
    seed: int, size: int
) -> None:
    """Float64 must be sharp: noise of 1e-9 passes, a turn of 1e-6 in any parameter fails."""
    g = {"a": noise(size, seed=seed), "b": 1e-2 * noise(size, seed=seed + 1)}
    # Below a thousandth of the whole, the floor of the whole is wider than a millionth.
    assume(float(np.linalg.norm(g["b"])) > 2e-3 * float(np.linalg.norm(g["a"])))
    was = stored(g)
    turn = np.where(noise(size, seed=99) > 0, 1.0, -1.0)
    near = {k: v * (1 + 1e-9 * turn) for k, v in g.items()}
    assert compare(given(near), was).outcome == "passed"
    far = {**g, "b": g["b"] * (1 + 1e-6 * turn)}
    assert subjects(compare(given(far), was)) == ["b"]


@hypothesis(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_numerically_zero_parameter_never_alarms(seed: int) -> None:
    """A bias in front of a batch normalisation may carry any noise below rounding of the whole."""
    g = {"w": noise(50).astype("float32"), "b": (1e-8 * noise(9, seed=seed)).astype("float32")}
    other = {**g, "b": (1e-8 * noise(9, seed=seed + 1)).astype("float32")}
    for was in (baseline(given(g)), stored(g)):
        assert compare(given(other), was).outcome == "passed"


def test_a_numerically_zero_parameter_that_grows_is_told() -> None:
    """What was rounding noise and is a gradient now must fail without a cosine or a ratio."""
    g = {"w": noise(50), "b": 1e-12 * noise(4, seed=1)}
    result = compare(given({**g, "b": 0.1 * noise(4, seed=2)}), stored(g))
    assert subjects(result) == ["b"]
    assert result.findings[0].text.endswith(", was numerically zero")
    assert "cosine" not in result.findings[0].text


@pytest.mark.parametrize("share", [1e-6, 1e-7])
def test_a_small_parameter_beside_a_huge_one_is_not_blind(share: float) -> None:
    """In float64 a flipped sign must show in a parameter far below the rest of the gradient."""
    g = {"huge": 1e8 * noise(50), "small": 1e8 * share * noise(9, seed=1)}
    assert subjects(compare(given({**g, "small": -g["small"]}), stored(g))) == ["small"]


@pytest.mark.parametrize(("drift", "outcome"), [(1e-4, "passed"), (1e-2, "failed")])
def test_min_drift_ignores_what_is_smaller(drift: float, outcome: str) -> None:
    """Gradient, loss and components within the user's own tolerance must pass."""
    g = grads()
    was = stored(g, terms={"a": (1.0, g), "b": (2.0, g)})
    more = {k: v * (1 + drift) for k, v in g.items()}
    now = given(g, terms={"a": (1.0 + drift, more), "b": (2.0 + 2 * drift, more)})
    assert compare(now, was).outcome == "failed"
    assert compare(now, was, min_drift=1e-3).outcome == outcome


# What is not finite.


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_any_more_drifted(bad: float) -> None:
    """NaN and Inf must be told by count, where no distance exists."""
    result = compare(given({**grads(), "bias": [bad, 1.0, 2.0, bad]}), stored(grads()))
    kind = "2 NaN, 0 Inf" if math.isnan(bad) else "0 NaN, 2 Inf"
    assert result.findings[0].text == f"is not finite: norm 2.236, {kind}"
    assert subjects(result) == ["bias"]


def test_a_norm_beyond_float64_drifted() -> None:
    """A gradient whose norm overflowed must not pass for want of a sketch."""
    result = compare(given({"w": np.full(4, 1e308)}), stored({"w": np.ones(4)}))
    assert subjects(result) == ["w"]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_any_more_drifted(bad: float) -> None:
    """NaN in the loss must fail: it is within nothing."""
    assert subjects(compare(given(grads(), value=bad), stored(grads()))) == ["loss"]


# The perturbed points.


def wavy(strength: float) -> Measurement:
    """Return the measurement of a function whose gradient's norm wavers around the point."""

    def function(p: Arrays) -> tuple[float, Arrays]:
        return 1.0, {"w": np.ones(3) + strength * (p["w"] - 1.0)}

    return measure(of(function, {"w": np.ones(3)}), Plan(perturbation=Perturbation()))


def test_a_model_that_went_fragile_drifted() -> None:
    """A spread of norms that more than doubles must fail though the point is as it was."""
    result = compare(wavy(100.0), baseline(wavy(0.0)))
    assert subjects(result) == ["perturbed norms"]
    assert result.findings[0].text.startswith(
        "log(max/min) of the norm over 4 perturbed points 0 ->"
    )
    assert result.diagnosis == ()


def test_a_model_that_went_stabler_has_not_drifted() -> None:
    """A spread that shrinks must pass."""
    assert compare(wavy(0.0), baseline(wavy(100.0))).outcome == "passed"


def test_other_perturbations_are_not_compared() -> None:
    """Spreads over different points say nothing about each other."""
    was = baseline(wavy(0.0))
    moved = tuple(replace(s, seed=s.seed + 1) for s in was.samples)
    assert compare(wavy(100.0), replace(was, samples=moved)).outcome == "passed"
    assert compare(given({"w": np.ones(3)}, point={"w": np.ones(3)}), was).outcome == "passed"


# Two precisions.


def two_tier(native: Grads, shadow: Grads | None = None) -> Objective:
    """Return an objective with one gradient in float32 and another one in float64."""
    wide = shadow or native

    def function(p: Arrays) -> tuple[float, Arrays]:
        source = wide if p["head"].dtype == np.float64 else native
        return 1.0, {k: source[k].astype(p[k].dtype) for k in p}

    return of(function, {k: np.ones_like(v) for k, v in grads("float32").items()})


def both(objective: Objective) -> Measurement:
    """Return the measurement in both precisions."""
    return measure(objective, Plan(shadow=True))


def recorded_two(native: Grads, shadow: Grads | None = None) -> Measurement:
    """Return the baseline of such an objective."""
    objective = two_tier(native, shadow)
    return recorded(objective, both(objective))


def test_the_shadow_sees_what_float32_cannot() -> None:
    """A drift of 1e-6 must fail by its float64 gradient and pass without one."""
    now = {k: v * (1 + 1e-6) for k, v in grads().items()}
    was = recorded_two(grads())
    assert subjects(compare(both(two_tier(now)), was)) == ["bias", "tail", "head"]
    assert compare(measure(two_tier(now)), was).outcome == "passed"


def test_a_fault_of_float32_alone_says_so() -> None:
    """A kernel that is wrong in float32 only must fail, and the line say where."""
    wrong = {**grads(), "bias": 1.5 * grads()["bias"]}
    result = compare(both(two_tier(wrong, grads())), recorded_two(grads()))
    assert subjects(result) == ["bias"]
    assert result.findings[0].text.endswith("(in float32 only)")


def test_precisions_that_move_apart_are_told() -> None:
    """A float32 gradient that loses its float64 one must fail though each is within its bounds."""
    was = replace(recorded_two(grads()), shadow_allowances=dict.fromkeys((*HEAD, "[value]"), 1.0))
    result = compare(both(two_tier(grads(), {k: v * 1.001 for k, v in grads().items()})), was)
    assert subjects(result) == ["head", "tail", "bias"]
    assert result.findings[0].text.startswith("float32 and float64 moved apart: distance ")


# Recording.


def test_refreshing_keeps_what_did_not_drift_bit_for_bit() -> None:
    """Only the parameter that drifted may be new; the others stay as they were stored."""
    was = stored(grads())
    near = {k: v * (1 + 1e-12) for k, v in grads().items()}
    now = given({**near, "tail": -near["tail"]}, value=1.0 + 1e-12)
    new = refreshed(recordable(now), was)
    assert new.native["tail"] == now.native["tail"]
    assert new.native["head"] == was.native["head"] != now.native["head"]
    assert new.native["bias"] == was.native["bias"]
    assert new.native.value == was.native.value != now.native.value
    assert new.point == was.point
    assert {k: new.allowances[k] for k in ("head", "bias", "[value]")} == {
        k: was.allowances[k] for k in ("head", "bias", "[value]")
    }


def test_refreshing_keeps_the_components_that_did_not_drift() -> None:
    """A component that stayed must keep its numbers and its allowances, one that moved must not."""
    g = {k: v * (1 + 1e-12) for k, v in grads().items()}
    was = stored(grads(), terms={"a": (1.0, grads()), "b": (2.0, grads())})
    now = given(g, terms={"a": (1.0 + 1e-12, g), "b": (4.0, {k: 2 * v for k, v in g.items()})})
    new = refreshed(recordable(now), was)
    old, fresh = was.components["a"], new.components["a"]
    assert (fresh.value, fresh.norm) == (old.value, old.norm)
    assert new.components["b"] == now.components["b"]
    assert new.allowances["[a norm]"] == was.allowances["[a norm]"]
    assert new.allowances["[b norm]"] != was.allowances["[b norm]"]


def test_refreshing_the_loss_alone_keeps_every_gradient() -> None:
    """Where only the value drifted, only the value may be new."""
    was = stored(grads())
    new = refreshed(recordable(given(grads(), value=2.0)), was)
    assert new.native == replace(was.native, value=2.0)


@pytest.mark.parametrize(
    "now",
    [
        given({**HEAD, "new": np.ones(2)}),
        given(HEAD, point={"bias": np.zeros(4)}),
    ],
    ids=["structure", "point"],
)
def test_refreshing_what_cannot_be_compared_stores_it_anew(now: Measurement) -> None:
    """Where structure or point changed, nothing of the old entry may stay."""
    new = recordable(now)
    was = stored(grads())
    assert refreshed(new, was) == replace(new, walked=walked(new, was))


def test_refreshing_an_entry_without_a_shadow_adds_it() -> None:
    """A baseline of one precision must become one of two."""
    was = recordable(both(two_tier(grads())))
    new = recorded_two(grads())
    assert refreshed(new, was) == replace(new, walked=walked(new, was))


def test_refreshing_keeps_both_precisions() -> None:
    """What did not drift must stay as it was in float64, too."""
    was = recorded_two(grads())
    new = recorded_two({**grads(), "tail": -grads()["tail"]})
    found = refreshed(new, was)
    assert found.shadow is not None
    assert was.shadow is not None
    assert new.shadow is not None
    assert found.shadow["head"] == was.shadow["head"]
    assert found.shadow["tail"] == new.shadow["tail"]


def test_a_refreshed_baseline_fits() -> None:
    """What was measured must pass against what is stored of it."""
    now = given({**grads(), "tail": -grads()["tail"]}, value=3.0)
    assert compare(now, refreshed(recordable(now), stored(grads()))).outcome == "passed"


def test_a_record_by_dtype_has_no_shadow() -> None:
    """Fixed allowances are for the native gradient alone."""
    found = recordable(both(two_tier(grads())))
    assert (found.shadow, set(found.allowances)) == (None, {*HEAD, "[value]"})


@pytest.mark.parametrize(
    ("now", "was", "far"),
    [
        ({"w": [3.0, 4.0]}, {"w": [3.0, 4.0]}, 0.0),
        ({"w": [3.0, 5.0]}, {"w": [3.0, 4.0]}, 0.2),
        ({"w": [0.0, 1.0]}, {"w": [0.0, 0.0]}, 1.0),
        ({"w": [0.0, 0.0]}, {"w": [0.0, 0.0]}, 0.0),
        ({"v": [3.0, 4.0]}, {"w": [3.0, 4.0]}, 1.0),
    ],
)
def test_how_far_a_baseline_walked(now: Grads, was: Grads, far: float) -> None:
    """The relative distance to the entry that is replaced must be kept, 1 where there is none."""
    assert walked(given(now), given(was)) == pytest.approx(far)


def test_how_far_a_baseline_walked_is_measured_in_float64() -> None:
    """A step too small for float32 must count, and one to disconnected by its norm."""
    far = walked(recorded_two({k: v * (1 + 1e-6) for k, v in HEAD.items()}), recorded_two(grads()))
    assert far == pytest.approx(1e-6, rel=1e-6)
    assert walked(given({"w": None}), given({"w": [3.0, 4.0]}, point={"w": [1.0, 1.0]})) == 1.0


def test_a_point_too_large_to_be_stored_says_so() -> None:
    """Where the old point is not kept, that no comparison is possible there must be said."""
    was = recordable(given({"w": np.ones(5000)}, point={"w": np.ones(5000)}))
    now = given({"w": 2 * np.ones(5000)}, point={"w": 1.5 * np.ones(5000)})
    result = compare(now, was)
    said = (
        "no comparison at the old point is possible: of 5,000 values a baseline keeps a sketch and "
        "the seed (0), the values themselves only up to 4,096"
    )
    assert (result.reason, result.diagnosis) == ("point", (said,))


def test_the_spread_over_draws_is_compared_at_the_same_draws() -> None:
    """A draw that has another value is another point: how the norm scatters says nothing then."""
    base = recordable(given({"w": [1.0]}))
    was = [draw(0, 1.0, value=1.0), draw(1, 1.1, value=2.0)]
    wild = [draw(0, 1.0, value=1.0), draw(1, 99.0, value=2.0)]
    other = [draw(0, 1.0, value=1.0), draw(1, 99.0, value=2.1)]
    outcomes = [
        compare(replace(base, samples=tuple(now)), replace(base, samples=tuple(was))).outcome
        for now in (was, wild, other)
    ]
    assert outcomes == ["passed", "failed", "passed"]


def draw(i: int, norm: float, *, value: float) -> Sample:
    """Return a draw from the prior."""
    return Sample(
        label=f"prior draw #{i} (seed {i})", seed=i, scale=0.0, value=value, norm=norm, cosine=1.0
    )
