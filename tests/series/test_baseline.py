"""What is kept of a run, and what a later run may differ in."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.series.allowance import GROWTH, HEAD, parting
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


def long(values: tuple[float, ...], precision: str = "float32") -> Series:
    """Return a run of another length, of which only the loss is known."""
    return run(
        steps=len(values), metrics=(metric("loss", *values),), facts={"precision": precision}
    )


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
    assert found["norm"].startswith("mean of 20 steps")
    assert "parts later" in cause(with_values(run(), "norm", *late))


CONVERGED = tuple(0.001 + 0.9**i for i in range(150))
"""From 1 to a thousandth, without noise."""


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("late", [2.0, 1.5, 0.5])
def test_a_small_tail_that_doubles_is_seen(precision: str, late: float) -> None:
    """The last steps must be held against their own size, however far the run has come."""
    base = long(CONVERGED, precision)
    found = drifted(long((*CONVERGED[:-10], *scaled(CONVERGED[-10:], late)), precision), base)
    assert list(found) == ["loss"]
    assert found["loss"].startswith("mean of the last 10 steps: 0.001")


@given(
    st.lists(st.floats(-1, 1), min_size=150, max_size=150),
    st.floats(0.85, 1.15),
    st.integers(-25, 25),
)
def test_parted_runs_are_two_samples_of_one_loop(
    noise: list[float], factor: float, ahead: int
) -> None:
    """A run that is ahead or behind, or has other noise of the same size, must be let pass."""
    level = [math.exp(-max(i, 0) / 50) for i in range(-50, 250)]
    base = long(tuple(level[i + 50] * (1 + 0.2 * (-1.0) ** i) for i in range(150)))
    late = [
        level[i + 50 + (ahead * i) // 150]
        * (1 + 0.2 * (-1.0) ** i + 0.1 * one)
        * factor ** (i / 149)
        for i, one in enumerate(noise)
    ]
    assert not drifted(long((*base["loss"].values[:HEAD], *late[HEAD:])), base)


@pytest.mark.parametrize(("precision", "seen"), [("float64", True), ("float32", False)])
def test_runs_need_time_to_part(precision: str, seen: bool) -> None:  # noqa: FBT001 - a table
    """A hundredth more from the sixth step on must be seen where rounding needs longer for it."""
    base = run(facts={"precision": precision})
    other = with_values(base, "norm", *NORM[:HEAD], *scaled(NORM[HEAD:], 1.01))
    assert bool(drifted(other, base)) == seen


def test_a_tail_of_nothing_has_no_size() -> None:
    """A hinge that was at rest in the last steps must be free to move a little in other runs."""
    rest = (*(1.0,) * 75, *(0.0,) * 75)
    base = long(rest)
    assert not drifted(long((*rest[:-3], 0.1, 0.0, 0.0)), base)
    assert drifted(long((*rest[:-10], *(1.0,) * 10)), base)


def test_a_cadence_is_not_taken_for_first_steps() -> None:
    """What is seen at every tenth step must be allowed what its steps are, not their number."""
    probe = replace(metric("policy.entropy", *(1.0,) * 5), steps=(0, 10, 20, 30, 40))
    assert not drifted(
        with_values(run(probe), "policy.entropy", 1.0, 1.01, 1.05, 1.05, 1.05), run(probe)
    )
    assert drifted(with_values(run(probe), "policy.entropy", 1.01, 1.0, 1.0, 1.0, 1.0), run(probe))


def test_the_allowance_of_a_step_never_overflows() -> None:
    """Steps of a long run must all have an allowance, and later ones no smaller one."""
    found = [parting(step) for step in (0, 1, 4, 5, 100, 10_000, 10**9)]
    assert found[:2] == [1.0, GROWTH]
    assert found == sorted(found)
    assert math.isfinite(found[-1])


@pytest.mark.parametrize(("count", "fails"), [(20, False), (16, False), (15, True), (5, True)])
def test_clipping_that_stops_is_seen(count: int, fails: bool) -> None:  # noqa: FBT001 - a table
    """A metric that other runs have at many more steps must be told, with both numbers."""
    base = run()
    gone = replace(
        base,
        metrics=tuple(
            replace(one, steps=one.steps[:count], values=one.values[:count])
            if one.name == "clip_threshold"
            else one
            for one in base.metrics
        ),
    )
    found = drifted(gone, base)
    assert list(found) == ["clip_threshold"] * fails
    if fails:
        assert (
            found["clip_threshold"] == f"steps seen: 20 -> {count}, change {20 - count}, allowed 4"
        )


def test_baselines_of_before_hold() -> None:
    """A line without an allowance of its last steps must be judged by that of the mean."""
    new = kept(run())
    old = replace(
        new,
        metrics={
            name: replace(line, mean_allowance=10.0, tail_allowance=None, seen=None)
            for name, line in new.metrics.items()
        },
    )
    late = with_values(run(), "norm", *NORM[:10], *scaled(NORM[10:], 3.0))
    assert compare_series(late, new).outcome == "failed"
    assert compare_series(late, old).outcome == "passed"


def test_inputs_that_stay_the_same_do_not_part() -> None:
    """Where every step is fed the same, another input late must be seen, if it moves little."""
    base = run(facts={"precision": "bfloat16"})
    assert not drifted(with_values(base, "input.max", *(3.0,) * 10, *(3.05,) * 10), base)
    assert drifted(with_values(base, "input.max", *(3.0,) * 10, *(3.2,) * 10), base)


def test_centred_inputs_have_no_mean_of_their_own() -> None:
    """The mean of standardised inputs is rounding, and must be free to be other rounding."""
    base = run(metric("input.mean", *(-6.5e-8,) * STEPS, group="scale"))
    assert not drifted(with_values(base, "input.mean", *(3e-8,) * STEPS), base)
    assert drifted(with_values(base, "input.mean", *(0.01,) * STEPS), base)


def test_a_run_that_varies_is_allowed_to() -> None:
    """The allowance of means must grow with the scatter of the recorded run."""
    coarse = {"precision": "bfloat16"}  # in which runs part at once
    noisy = run(metric("norm", *(1.0 + (-1.0) ** i * 0.9 for i in range(STEPS))), facts=coarse)
    moved = tuple(v + 0.2 * (i >= HEAD) for i, v in enumerate(noisy["norm"].values))
    assert not drifted(with_values(noisy, "norm", *moved), noisy)
    level = run(metric("norm", *(1.0,) * STEPS), facts=coarse)
    assert drifted(with_values(level, "norm", *(1.0,) * HEAD, *(1.2,) * 15), level)


@pytest.mark.parametrize(("precision", "fails"), [("float32", True), ("bfloat16", False)])
def test_steps_that_flip_late(precision: str, fails: bool) -> None:  # noqa: FBT001 - a table
    """Four of the last ten steps clipped must pass where the runs have parted, and only there."""
    base = run(facts={"precision": precision})
    four = (1.0, *(0.0,) * 9, *(1.0,) * 4, *(0.0,) * 6)
    assert bool(drifted(with_values(base, "clipped", *four), base)) == fails


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


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (32.0, "x32 from the first step on: a weight, or a sum in place of a mean?"),
        (1 / 64, "x0.01562 from the first step on: a weight, or a mean in place of a sum?"),
        (1.5, "x1.5 from the first step on: a weight?"),
    ],
)
def test_a_loss_on_another_scale_is_told_with_its_factor(factor: float, words: str) -> None:
    """Where loss and gradient of the first step share a factor it must be named."""
    other = with_values(run(), "loss", *scaled(run()["loss"].values, factor))
    both = with_values(other, "norm", *scaled(run()["norm"].values, factor))
    assert cause(both) == f"loss and gradient are {words}"


def test_a_loss_and_a_gradient_on_scales_of_their_own_are_not() -> None:
    """Two factors that differ must not be made one."""
    other = with_values(run(), "loss", *scaled(run()["loss"].values, 32.0))
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
