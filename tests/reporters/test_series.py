"""What reports say of a training run."""

from __future__ import annotations

import html
import json
import math
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gradcheck import RULES
from pytest_gradcheck.records import SeriesVerdict
from pytest_gradcheck.reporters import Report, ReportEntry, write_reports
from pytest_gradcheck.reporters.as_json import json_text
from pytest_gradcheck.reporters.markdown import markdown_text
from pytest_gradcheck.serialize import from_json
from pytest_gradcheck.series import judge_series, summarise
from tests.runs import STEPS, metric, run

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_gradcheck.records import Series

NODE = "tests/test_net.py::test_training"
CLIPPED = metric("clipped", *(1.0,) * STEPS)


def report(series: Series | None = None) -> Report:
    """Return the report of a session in which one run was watched."""
    limits = {rule.name: "on" for rule in RULES}
    verdict = judge_series(series or run(), RULES, name="warm-up", limits=limits)
    entry = ReportEntry.of(verdict, node_id=NODE, outcome="passed", baseline="compared")
    return Report(entries=(entry,), settings={"mode": "check"})


def sections(series: Series | None = None, *, top: int = 20) -> dict[str, list[str]]:
    """Return the lines under each heading of the page, empty ones left out."""
    found: dict[str, list[str]] = {}
    for line in html.unescape(markdown_text(report(series), top=top)).splitlines():
        if line.startswith("#"):
            found[line.lstrip("# ")] = current = []
        elif line:
            current.append(line)
    return found


def rows(lines: list[str]) -> list[list[str]]:
    """Return the cells of a table, its heading and its rule left out."""
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_has_every_section_in_order() -> None:
    """Run, health, scales, core and probe metrics, samples and next steps must follow."""
    titles = [title for title in sections() if NODE not in title and title != "Settings"]
    assert titles[1:] == [
        *("Run", "Health: PASS", "Scale checks", "Core metrics", "Epochs", "Components"),
        *("Probe metrics: `policy`", "Gradient norms of parameters"),
        *("Samples: head", "Samples: tail", "Next steps"),
    ]


def test_run_info() -> None:
    """What was trained, for how long, with what, and under which rules."""
    found = dict(rows(sections()["Run"]))
    assert found["objective"] == "Net"
    assert (found["steps"], found["epochs"], found["seconds"]) == ("20", "2", "1.50")
    assert (found["optimizers"], found["batch"]) == ("Adam", "16")
    assert found["rule clip_ratio"] == "on"
    assert found["version of torch"] == "2.13.0"


def test_health_of_a_sound_run() -> None:
    """Every rule must be listed with its outcome."""
    assert [row[:2] for row in rows(sections()["Health: PASS"])] == [
        [rule.name, "passed"] for rule in RULES
    ]
    assert sections()["Next steps"] == ["1. none: every rule holds"]


def test_health_of_a_run_that_is_not() -> None:
    """The failed rule must show what was seen, the story must follow, then what to try."""
    found = sections(run(CLIPPED))
    table = "\n".join(found["Health: FAIL"])
    assert re.search(r"\| clip_ratio +\| FAILED +\| `clipped` mean 1 over steps 0 to 19", table)
    assert "training of 'Net' (torch), 20 steps in 'warm-up': 1 of 6 rules failed" in table
    assert found["Next steps"][0].startswith("1. loss reduction: average the loss")
    assert len(found["Next steps"]) == 3


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Scale checks", ["input.min", "input.max", "input.mean", "input.std", "input.max_abs"]),
        ("Components", ["component.fit", "component.prior"]),
        ("Probe metrics: `policy`", ["policy.entropy"]),
        ("Gradient norms of parameters", ["norm.encoder.weight", "norm.encoder.bias"]),
    ],
)
def test_metrics_stand_in_their_sections(title: str, names: list[str]) -> None:
    """Each group of metrics must have its own table, and no metric two of them."""
    assert [row[0] for row in rows(sections()[title])] == names


def test_core_metrics_are_summed_up() -> None:
    """Last, extremes, means and the slope of the tail with its interval, as summarised."""
    (row,) = (row for row in rows(sections()["Core metrics"]) if row[0] == "loss")
    summary = summarise(run()["loss"])
    low, high = map(float, row[7].split(" to "))
    numbers = [float(cell) for cell in (*row[1:5], row[6])]
    expected = [summary.last, summary.low, summary.high, summary.mean, summary.trend.slope]
    assert numbers == pytest.approx(expected, rel=1e-3)
    assert row[5] == f"{summary.tail_mean:.6g} (10)"
    assert (low, high) == pytest.approx((summary.trend.low, summary.trend.high), rel=1e-3)


def test_samples_are_the_first_and_the_last_steps() -> None:
    """Three steps of each end, with every core number as it was."""
    head, tail = sections()["Samples: head"], sections()["Samples: tail"]
    assert [row[0] for row in rows(head)] == ["0", "1", "2"]
    assert [row[0] for row in rows(tail)] == ["17", "18", "19"]
    names = [cell.strip(" `") for cell in head[0].strip("|").split("|")]
    at = names.index("loss")
    assert float(rows(tail)[-1][at]) == pytest.approx(run()["loss"].values[-1], rel=1e-3)


def test_the_clip_ratio_of_each_epoch() -> None:
    """Epochs must show how often each was clipped."""
    found = rows(sections()["Epochs"])
    assert [row[:3] for row in found] == [["0", "0", "0.1"], ["1", "10", "0"]]


def test_many_parameters_are_cut_to_the_largest() -> None:
    """Only the largest must be shown where rows are limited, and the title must say so."""
    found = sections(top=1)["Gradient norms of parameters (1 of 2)"]
    assert [row[0] for row in rows(found)] == ["norm.encoder.weight"]


def contents(folder: Path) -> dict[str, Any]:
    """Return what each format of machines says of the same call."""
    one = report(run(metric("norm.encoder.bias", math.nan, 1.0, group="parameter")))
    paths = [folder / f"report{suffix}" for suffix in (".json", ".jsonl", ".pkl")]
    assert write_reports(paths, one) == {}
    whole, lines, pickled = (path.read_bytes() for path in paths)
    return {
        ".json": json.loads(whole)["calls"][0],
        ".jsonl": json.loads(lines),
        ".pkl": pickle.loads(pickled)["calls"][0],
    }


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".pkl"])
def test_machines_read_the_run_step_by_step(suffix: str, tmp_path: Path) -> None:
    """Version, what was asked, summaries and every step must be there in every format."""
    call = contents(tmp_path)[suffix]
    series = run()
    assert call["schema_version"] == 1
    assert call["config"]["objective"] == "Net"
    assert call["config"]["limits"]["clip_ratio"] == "on"
    assert call["config"]["facts"]["batch"] == 16
    assert call["metrics"]["steps"] == STEPS
    assert call["metrics"]["clipped.epoch.0"] == pytest.approx(0.1)
    assert call["metrics"]["loss.last"] == series["loss"].values[-1]
    assert {f"loss.{one}" for one in ("min", "max", "mean", "tail_mean", "slope")} < set(
        call["metrics"]
    )
    assert call["metrics"]["loss.slope_low"] < call["metrics"]["loss.slope_high"] < 0
    assert list(call["series"]) == [one.name for one in series.metrics]
    loss = call["series"]["loss"]
    assert loss == {
        "group": "core",
        "steps": list(range(STEPS)),
        "values": list(series["loss"].values),
    }
    assert call["failed"] == ["finite"]
    assert call["next_steps"][0].startswith("clipping")


def test_nan_is_told_in_every_format(tmp_path: Path) -> None:
    """Text must spell NaN in a way that is JSON, a pickle must hold it."""
    found = contents(tmp_path)
    assert found[".json"]["series"]["norm.encoder.bias"]["values"] == ["nan", 1.0]
    assert math.isnan(found[".pkl"]["series"]["norm.encoder.bias"]["values"][0])


def test_the_verdict_comes_back_from_a_report() -> None:
    """What the rules said must be readable as the record that it was."""
    call = json.loads(json_text(report()))["calls"][0]
    assert from_json(SeriesVerdict, call["verdict"]) == report().entries[0].verdict
