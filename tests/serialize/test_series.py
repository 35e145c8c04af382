"""Training runs as JSON: whole ones exactly, what is kept of them readably."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.records import (
    CheckResult,
    Finding,
    Measurement,
    Metric,
    MetricBaseline,
    Series,
    SeriesBaseline,
    SeriesVerdict,
)
from pytest_gradcheck.serialize import baseline_text, from_json, parse_baseline, to_json, unstorable
from pytest_gradcheck.series.baseline import kept
from tests.measurements import measurement, names, numbers, scalars
from tests.runs import metric, run

KEY = "test_training"


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    """Draw a metric with gaps, NaN and Inf."""
    steps = sorted(draw(st.sets(st.integers(0, 99), max_size=8)))
    values = draw(st.lists(st.floats(), min_size=len(steps), max_size=len(steps)))
    key, group = draw(st.text(min_size=1)), draw(st.sampled_from(["core", "scale", "policy"]))
    return Metric(key=key, group=group, steps=tuple(steps), values=tuple(values))


@st.composite
def whole(draw: st.DrawFn) -> Series:
    """Draw everything that was seen of a run."""
    return Series(
        objective=draw(st.text()),
        backend="torch",
        device="cpu",
        steps=draw(st.integers(0, 99)),
        metrics=tuple(draw(st.lists(metrics(), max_size=4))),
        epochs=tuple(sorted(draw(st.sets(st.integers(1, 99), max_size=3)))),
        facts=draw(st.dictionaries(st.text(), scalars(), max_size=2)),
        packages=draw(st.dictionaries(st.text(), st.text(), max_size=2)),
        notes=tuple(draw(st.lists(st.text(), max_size=2))),
        seconds=draw(st.floats(0, 1e6)),
    )


@st.composite
def baselines(draw: st.DrawFn) -> SeriesBaseline:
    """Draw what a file can keep of a run."""
    lines = st.builds(
        MetricBaseline,
        head=st.lists(numbers(), max_size=5).map(tuple),
        mean=numbers(),
        tail=numbers(),
        head_allowance=numbers(),
        mean_allowance=numbers(),
        tail_allowance=st.none() | numbers(),
        seen=st.none() | st.integers(0, 99),
    )
    return SeriesBaseline(
        objective=draw(st.text()),
        backend="torch",
        device="cpu",
        steps=draw(st.integers(0, 99)),
        metrics=draw(st.dictionaries(names(), lines, max_size=4)),
        facts=draw(st.dictionaries(st.text(), scalars(), max_size=2)),
        packages={"torch": "2.13.0"},
    )


@given(whole())
def test_a_run_survives_the_way_through_json(series: Series) -> None:
    """Every number, NaN and Inf among them, must come back as it was."""
    text = json.dumps(to_json(series), allow_nan=False)
    assert repr(from_json(Series, json.loads(text))) == repr(series)


@given(whole())
def test_a_verdict_survives_the_way_through_json(series: Series) -> None:
    """What the rules said must come back with the run and with what is kept of it."""
    failed = CheckResult(
        check="loss",
        outcome="failed",
        findings=(Finding(subject="loss", text="rises", observed=2.0),),
    )
    verdict = SeriesVerdict(
        name="warm-up",
        series=series,
        results=(failed,),
        baseline=kept(run()),
        limits={"loss": "trend"},
        next_steps=("lower the learning rate",),
    )
    text = json.dumps(to_json(verdict), allow_nan=False)
    assert repr(from_json(SeriesVerdict, json.loads(text))) == repr(verdict)


@given(st.dictionaries(st.text(), baselines(), max_size=2))
def test_reading_and_writing_a_file_changes_nothing(entries: dict[str, SeriesBaseline]) -> None:
    """What was read must be written as the same text: an update touches only what changed."""
    text = baseline_text({"torch": "2.13.0"}, entries)
    environment, back = parse_baseline(text)
    assert sorted(back) == sorted(entries)
    assert baseline_text(environment, back) == text


@given(baselines())
def test_six_digits_are_kept(baseline: SeriesBaseline) -> None:
    """Numbers must come back to six digits, allowances to three, everything else whole."""
    (back,) = parse_baseline(baseline_text({"torch": "2.13.0"}, {KEY: baseline}))[1].values()
    assert isinstance(back, SeriesBaseline)
    assert (back.steps, back.objective, back.facts) == (
        *(baseline.steps, baseline.objective, baseline.facts),
    )
    assert list(back.metrics) == list(baseline.metrics)
    for name, line in baseline.metrics.items():
        found = back.metrics[name]
        assert found.head == pytest.approx(line.head, rel=1e-5, abs=0)
        assert found.mean == pytest.approx(line.mean, rel=1e-5, abs=0)
        assert found.head_allowance == pytest.approx(line.head_allowance, rel=1e-2, abs=0)
        assert found.late_allowance == pytest.approx(line.late_allowance, rel=1e-2, abs=0)
        assert found.seen == line.seen


def test_a_line_of_before_stays_as_it_is() -> None:
    """What older files do not say must be read as unknown, and not be written into them."""
    text = baseline_text({}, {KEY: kept(run())})
    data = json.loads(text)
    for line in data["entries"][KEY]["metrics"].values():
        del line["tail_allowance"], line["seen"]
    environment, entries = parse_baseline(json.dumps(data))
    again = baseline_text(environment, entries)
    assert json.loads(again) == data
    assert again != text


def test_gradients_and_runs_share_a_file() -> None:
    """One test may record both; each must come back as what it is."""
    entries: dict[str, Measurement | SeriesBaseline] = {"a": measurement(), KEY: kept(run())}
    back = parse_baseline(baseline_text({"torch": "2.13.0"}, entries))[1]
    assert [type(back[key]) for key in ("a", KEY)] == [type(entries[key]) for key in ("a", KEY)]


def test_drift_of_a_metric_changes_one_line() -> None:
    """A metric's name must stand alone, so that a diff shows which numbers went."""
    one = baseline_text({}, {KEY: kept(run())}).splitlines()
    other = baseline_text({}, {KEY: kept(run(metric("lr", *(2e-3,) * 20)))}).splitlines()
    changed = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    assert len(changed) == 1
    assert one[changed[0] - 1].strip() == '"lr":'


def test_a_run_that_was_not_finite_is_not_kept() -> None:
    """NaN must not become a baseline; the reason names the metric."""
    bad = kept(run(metric("loss", 1.0, math.nan)))
    assert "'loss' is NaN or Inf" in unstorable(bad)
    with pytest.raises(BaselineError, match="'loss' is NaN or Inf"):
        baseline_text({}, {KEY: bad})


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: entry.pop("steps"),
        lambda entry: entry["metrics"]["loss"].update(mean="a lot"),
        lambda entry: entry["metrics"]["loss"].update(mean="inf"),
        lambda entry: entry["metrics"]["loss"].update(tail_allowance="inf"),
        lambda entry: entry.update(speed=1),
    ],
)
def test_a_damaged_entry_is_refused(damage: Any) -> None:
    """A file that was changed into nonsense must say at which entry, and what to do."""
    data = json.loads(baseline_text({}, {KEY: kept(run())}))
    damage(data["entries"][KEY])
    with pytest.raises(BaselineError, match=r"a\.json is damaged at 'test_training'"):
        parse_baseline(json.dumps(data), source="a.json")
