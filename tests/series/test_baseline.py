"""What is kept of a run, and what a later run may differ in."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.series.allowance import GROWTH, HEAD
from pytest_gradcheck.series.baseline import compare_series, kept, refreshed
from tests.runs import STEPS, falling, metric, run, with_values

if TYPE_CHECKING:
    from pytest_gradcheck.records import Series

NAMES = [one.name for one in run().metrics]
NORM = falling(2.0)


def drifted(
    series: Series, base: Series | None = None, *, min_drift: float | None = None
) -> dict[str, str]:
    """Return what drifted, by metric, against the healthy run or another one."""
    result = compare_series(series, kept(base or run()), min_drift=min_drift)
    assert (result.outcome == "failed") == bool(result.findings)
    return {finding.subject: finding.text for finding in result.findings}


def cause(series: Series) -> str:
    """Return what kind of change it is said to be."""
    return "; ".join(compare_series(series, kept(run())).diagnosis)


def scaled(values: tuple[float, ...], factor: float) -> tuple[float, ...]:
    """Return values times a factor."""
    return tuple(factor * value for value in values)


def test_a_run_is_its_own_baseline() -> None:
    """The same numbers must not drift."""
    assert compare_series(run(), kept(run())).outcome == "passed"


@given(st.lists(st.floats(-1, 1), min_size=STEPS, max_size=STEPS))
def test_rounding_that_doubles_is_no_drift(noise: list[float]) -> None:
    """What grows from rounding at the rate that is allowed must be let pass, at every step."""
    values = tuple(
        value + 5e-4 * NORM[0] * GROWTH ** min(i, HEAD) * one
        for i, (value, one) in enumerate(zip(NORM, noise, strict=True))
    )
    assert not drifted(with_values(run(), "norm", *values))


@pytest.mark.parametrize("step", range(HEAD))
def test_the_first_steps_are_compared_one_by_one(step: int) -> None:
    """A step that is off by more than its allowance must be named, with both numbers."""
    allowed = 1e-3 * NORM[0] * GROWTH**step
    for factor, fails in ((0.99, False), (1.01, True)):
        values = (*NORM[:step], NORM[step] + factor * allowed, *NORM[step + 1 :])
        found = drifted(with_values(run(), "norm", *values))
        assert list(found) == ["norm"] * fails
        if fails:
            assert found["norm"].startswith(f"step {step}: {NORM[step]:.6g} -> {values[step]:.6g}")


@pytest.mark.parametrize(
    ("precision", "least", "most"),
    [("float64", 1e-7, 1e-5), ("float32", 1e-4, 1e-2), ("bfloat16", 1e-2, 0.1), ("", 1e-4, 1e-2)],
)
def test_the_allowance_is_that_of_the_precision(precision: str, least: float, most: float) -> None:
    """Coarser numbers must be allowed more, and numbers of an unknown kind what float32 is."""
    base = run(facts={"precision": precision} if precision else {})
    for change, fails in ((least, False), (most, True)):
        values = (NORM[0] * (1 + change), *NORM[1:])
        assert bool(drifted(with_values(base, "norm", *values), base)) == fails


def test_late_drift_is_seen_in_the_means() -> None:
    """A run that parts only later must be seen by the mean of its last steps."""
    late = (*NORM[:10], *scaled(NORM[10:], 1.5))
    found = drifted(with_values(run(), "norm", *late))
    assert list(found) == ["norm"]
    assert found["norm"].startswith("mean of the last 10 steps")
    assert "parts later" in cause(with_values(run(), "norm", *late))


def test_a_run_that_varies_is_allowed_to() -> None:
    """The allowance of means must grow with the scatter of the recorded run."""
    noisy = metric("norm", *(1.0 + (-1.0) ** i * 0.9 for i in range(STEPS)))
    moved = tuple(v + 0.2 * (i >= HEAD) for i, v in enumerate(noisy.values))
    assert not drifted(with_values(run(noisy), "norm", *moved), run(noisy))
    level = metric("norm", *(1.0,) * STEPS)
    assert drifted(with_values(run(level), "norm", *(1.0,) * HEAD, *(1.2,) * 15), run(level))


@pytest.mark.parametrize("key", ["lr", "clip_threshold"])
def test_what_the_loop_sets_is_compared_exactly(key: str) -> None:
    """A rate or a threshold that is off in the fifth digit must be seen."""
    values = run()[key].values
    assert not drifted(with_values(run(), key, *scaled(values, 1 + 1e-6)))
    assert list(drifted(with_values(run(), key, *scaled(values, 1 + 1e-4)))) == [key]


def test_steps_that_flip_by_a_hair() -> None:
    """One more step clipped in ten must pass, three must not."""
    one = (1.0, 1.0, *(0.0,) * 18)
    assert not drifted(with_values(run(), "clipped", *one))
    three = (1.0, *(0.0,) * 9, 1.0, 1.0, 1.0, *(0.0,) * 7)
    assert list(drifted(with_values(run(), "clipped", *three))) == ["clipped"]


def test_what_is_small_beside_the_whole_is_noise() -> None:
    """A parameter with a millionth of the norm must be free to change by its own size."""
    tiny = metric("norm.bias", *(1e-6,) * STEPS, group="parameter")
    assert not drifted(with_values(run(tiny), "norm.bias", *(2e-6,) * STEPS), run(tiny))
    assert drifted(with_values(run(tiny), "norm.bias", *(0.1,) * STEPS), run(tiny))


def test_the_knob() -> None:
    """Relative changes below *min_drift* must be ignored."""
    other = with_values(run(), "norm", *scaled(NORM, 1.01))
    assert drifted(other)
    assert not drifted(other, min_drift=0.02)


def test_a_metric_that_is_no_number_any_more_drifts() -> None:
    """NaN must not pass for within the allowance."""
    assert list(drifted(with_values(run(), "norm", math.nan, *NORM[1:]))) == ["norm"]


@pytest.mark.parametrize(
    ("series", "found"),
    [
        (run(metric("score", 1.0)), {"score": "not in the baseline"}),
        (replace(run(), metrics=run().metrics[:-1]), {"norm.encoder.bias": "no longer seen"}),
        (run(steps=STEPS + 1), {"steps": "20 -> 21 steps"}),
    ],
)
def test_other_metrics_or_steps_are_another_structure(
    series: Series, found: dict[str, str]
) -> None:
    """What was watched and what is watched must be the same before numbers are compared."""
    assert drifted(series) == found
    assert compare_series(series, kept(run())).reason == "structure"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("loss", "differs from its first step on"),
        ("input.max", "differs from its first step on"),
        ("lr", "the learning rate is not what it was"),
        ("update_ratio", "the optimizer changed"),
        ("clip_threshold", "gradients are clipped at another norm"),
    ],
)
def test_the_probable_cause(name: str, words: str) -> None:
    """Where the drift begins must tell what kind of change it is."""
    assert words in cause(with_values(run(), name, *scaled(run()[name].values, 1.5)))


def test_a_loss_on_another_scale_is_told_with_its_factor() -> None:
    """Where loss and gradient of the first step share a factor it must be named, else not."""
    other = with_values(run(), "loss", *scaled(run()["loss"].values, 32.0))
    both = with_values(other, "norm", *scaled(run()["norm"].values, 32.0))
    assert cause(both).startswith("loss and gradient are x32 from the first step on: a weight, or")
    near = with_values(other, "norm", *scaled(run()["norm"].values, 31.9))
    assert "differs from its first step on" in cause(near)


def test_gradients_that_add_up_are_told_from_a_changed_step() -> None:
    """Same weights and loss, another gradient in the second step: no optimizer does that."""
    one, *others = run()["norm"].values
    norm = (one, *scaled(tuple(others), 1.5))
    added = with_values(run(), "norm", *norm)
    assert "is zero_grad() gone" in cause(added)
    loss = run()["loss"].values
    apart = with_values(added, "loss", loss[0], *scaled(loss[1:], 1.5))
    assert "zero_grad" not in cause(apart)


def test_the_cause_with_several_optimizers() -> None:
    """The optimizer's name before a metric must not hide what drifted."""
    base = run(*(metric(key, *falling(), source="actor") for key in ("loss", "norm")))
    other = with_values(base, "actor.loss", *falling(8.0))
    (words,) = compare_series(other, kept(base)).diagnosis
    assert "differs from its first step on" in words


@pytest.mark.parametrize("name", NAMES)
def test_an_update_touches_what_drifted(name: str) -> None:
    """Lines of metrics within their allowance must stay as they are."""
    nudged = run()
    for one in NAMES:
        values = nudged[one].values
        nudged = with_values(
            nudged, one, *(v * (3.0 if one == name else 1 + 1e-9) + (one == name) for v in values)
        )
    old, new = kept(run()), kept(nudged)
    again = refreshed(new, old, compare_series(nudged, old))
    assert {one for one in NAMES if again.metrics[one] != old.metrics[one]} == {name}
    assert compare_series(nudged, again).outcome == "passed"


def test_another_number_of_steps_is_recorded_anew() -> None:
    """Means over other steps must not stand beside each other."""
    other = run(*(metric("loss", *falling()[:10]),), steps=10)
    old, new = kept(run()), kept(other)
    assert refreshed(new, old, compare_series(other, old)) == new


def test_what_was_not_finite_cannot_be_kept() -> None:
    """The line of such a metric must be NaN, which no file takes."""
    line = kept(run(metric("loss", 1.0, math.inf))).metrics["loss"]
    assert math.isnan(line.mean)
    assert line.head == ()
