"""Reports to show on a page: what failed and what passed, odd names, a large model, NaN."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_gradcheck.records import (
    CheckResult,
    ComponentStats,
    Finding,
    GradientStats,
    Measurement,
    Metric,
    PointStats,
    Series,
    Table,
    Verdict,
)
from pytest_gradcheck.records.replicates import Estimate, Replicate, Replicates
from pytest_gradcheck.reporters import Report, ReportEntry
from pytest_gradcheck.series.baseline import kept
from pytest_gradcheck.series.judge import judge_series
from pytest_gradcheck.series.rules import RULES, Rule
from tests.measurements import measurement, parameter, sketch, tier, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = "<script>window.broken = 1</script>"
IMAGE = '"><img src=x onerror="window.broken = 2">'
LARGE = 300


def odd() -> ReportEntry:
    """Return a call that failed, with names that look like markup everywhere."""
    parameters = parameter(SCRIPT, 0.1, -0.2, 0.0), parameter("encoder.bias", 1 / 3)
    native = GradientStats(
        value=1.0,
        parameters=parameters,
        components=tuple(
            ComponentStats(name=name, value=1.0, norm=0.5, share=0.5, cosines=cosines)
            for name, cosines in ((IMAGE, (1.0, -0.4)), ("kl", (-0.4, 1.0)))
        ),
    )
    now = measurement(
        native=native,
        facts={SCRIPT: IMAGE},
        packages={"torch": "2.13.0"},
        notes=(SCRIPT,),
        histograms={SCRIPT: (0,) * 36 + (1, 2) + (0,) * 26, "encoder.bias": (0,) * 64},
    )
    old = replace(
        now,
        native=replace(native, parameters=(parameter(SCRIPT, 0.1, 0.2, 0.0), parameters[1])),
        allowances={SCRIPT: 1e-3, "encoder.bias": 1e-3},
        packages={"torch": "2.12.0"},
    )
    drift = CheckResult(
        check="drift",
        outcome="failed",
        reason="drift",
        findings=(Finding(subject=SCRIPT, text=f"norm 0.2 -> 0.2 {IMAGE}"),),
        diagnosis=(f"{SCRIPT}: sign flipped",),
        hints=("run again with --grad-baseline-update",),
    )
    return entry("test_vae.py::test_odd[<b>]", verdict(now, baseline=old, results=(drift,)))


def entry(node_id: str, said: Verdict, **changes: object) -> ReportEntry:
    """Return the entry of a call."""
    outcome = "failed" if said.failures else "passed"
    one = ReportEntry.of(said, node_id=node_id, outcome=outcome, baseline="compared")
    return replace(one, command=f"pytest {node_id}", **changes)  # type: ignore[arg-type]


def large(count: int = LARGE) -> ReportEntry:
    """Return a call that passed, of many parameters, the fifth with most of its allowance used."""
    names = [f"layers.{i}.attention.weight" for i in range(count)]
    now = tuple(parameter(name, 1.0 + i / count, 0.5) for i, name in enumerate(names))
    far = [{4: 0.9e-3, 0: 1e-5}.get(i, 1e-4 * (1 + i / count)) for i in range(count)]
    old = tuple(
        parameter(name, (1.0 + i / count) * (1 + far[i]), 0.5 * (1 + far[i]))
        for i, name in enumerate(names)
    )
    point = PointStats(sketches=(sketch(1.0),) * count, dtypes=("float32",) * count)
    m = measurement(native=tier(*now), point=point, backend="pymc", samples=())
    was = replace(m, native=tier(*old), allowances=dict.fromkeys(names, 1e-3))
    passed = CheckResult(check="drift", outcome="passed")
    return entry("deep/test_large.py::test_large", verdict(m, baseline=was, results=(passed,)))


def broken() -> ReportEntry:
    """Return a call without a baseline whose gradient is not finite."""
    bad = replace(parameter("w", 1.0, 2.0), nans=1, nonfinite=((1,),), sketch=None)
    finite = CheckResult(
        check="finite",
        outcome="failed",
        findings=(Finding(subject="w", text="1 / 2 NaN at [1]"),),
    )
    m: Measurement = measurement(native=tier(bad, value=math.nan))
    return entry(
        "test_vae.py::test_broken",
        verdict(m, baseline=None, results=(finite,)),
        name="second",
        baseline="missing",
    )


def noisy() -> ReportEntry:
    """Return a call that was measured under ten seeds, one of which gave no finite gradient."""
    each = tuple(Replicate(seed=i, value=1.0 + i / 10, norm=2.0 + i / 7) for i in range(9))
    near = Estimate(value=2.5, low=2.0, high=3.0)
    found = Replicates(
        seed=0,
        count=10,
        each=each,
        parameters=(),
        mean_norm=2.2,
        norm=near,
        cv=near,
        variance=near,
        snr_squared=Estimate(value=None),
        lost=(9,),
    )
    table = Table(
        title="Sweep", head=("k", "norm", IMAGE), rows=((1, 0.5, "a"), (2, math.nan, None))
    )
    said = verdict(
        measurement(replicates=found),
        baseline=measurement(),
        results=(),
        tables=(table,),
        warnings=(Finding(subject=SCRIPT, text="drowns the others"),),
    )
    return entry("test_vae.py::test_noisy", said)


def trained() -> ReportEntry:
    """Return a training run that blew up, with a baseline, and clipped too often."""
    steps = tuple(range(30))
    loss = (3.0, 2.0, math.nan, *(1.0 + i / 10 for i in range(27)))
    norm = tuple(10.0 ** (i / 10) for i in steps)

    def metric(key: str, values: Sequence[float], group: str = "core") -> Metric:
        return Metric(key=key, group=group, steps=steps, values=tuple(values))

    series = Series(
        objective="vae",
        backend="torch",
        device="cpu",
        steps=30,
        metrics=(
            metric("loss", loss),
            metric("norm", norm),
            metric("clipped", [float(i > 9) for i in steps]),
            metric("clip_threshold", [1.0] * 30),
            metric("component.kl", [0.5] * 30, "component"),
            metric("norm.encoder.weight", norm, "parameter"),
            metric(SCRIPT, [1.0, -1.0] * 15, "logged"),
        ),
    )
    said = judge_series(series, (*RULES, Rule(metric="norm", healthy=(0.1, 10), next_step=IMAGE)))
    was = kept(
        replace(
            series, metrics=tuple(m for m in series.metrics if all(map(math.isfinite, m.values)))
        )
    )
    said = replace(said, baseline=was)
    return ReportEntry.of(
        said, node_id="test_vae.py::test_trained", outcome="failed", baseline="compared"
    )


def report() -> Report:
    """Return a report with one call of each kind."""
    return Report(
        environment={"python": "3.11.7", SCRIPT: IMAGE},
        settings={"grad_baseline": "check", "grad_variant": None},
        entries=(
            large(),
            odd(),
            broken(),
            noisy(),
            trained(),
            ReportEntry.of(
                verdict(results=()),
                node_id="test_vae.py::test_plain",
                outcome="passed",
                baseline="off",
            ),
        ),
        unused=(f"{IMAGE}.json: test_old",),
        notes=(SCRIPT,),
    )
