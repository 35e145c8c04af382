"""The reports that machines read: JSON, JSON lines, pickle."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.records import Verdict
from pytest_gradcheck.reporters import Report, ReportEntry, write_report, write_reports
from pytest_gradcheck.reporters.as_json import json_text
from pytest_gradcheck.reporters.offer import Offer
from pytest_gradcheck.serialize import from_json
from tests.measurements import measurement, verdict

if TYPE_CHECKING:
    import pytest

NODE = "tests/test_vae.py::test_vae"


def broken() -> Verdict:
    """Return a verdict on a gradient with NaN and an infinite loss."""
    one = measurement(shadow=True)
    bad = replace(one.native.parameters[0], nans=1, sketch=None)
    native = replace(one.native, value=math.inf, parameters=(bad, one.native.parameters[1]))
    return verdict(replace(one, native=native))


def report(of: Verdict | None = None) -> Report:
    """Return the report of a run with one whole call and one of which little is known."""
    return Report(
        environment={"torch": "2.13.0"},
        settings={"mode": "update", "rate": math.nan},
        entries=(
            ReportEntry.of(
                of or verdict(), node_id=NODE, outcome="failed", baseline="withheld", reason="drift"
            ),
            ReportEntry(node_id="b", name="", outcome="passed", baseline="off"),
        ),
        unused=("old",),
        notes=("nothing was pruned",),
    )


def strict(text: str) -> Any:
    """Return what a JSON text holds, refusing what is no JSON."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


def test_json_holds_the_run_and_its_calls() -> None:
    """One document must hold version, settings, environment, numbers and lists of the run."""
    data = strict(json_text(report()))
    calls = data.pop("calls")
    assert data == {
        "schema_version": 1,
        "environment": {"torch": "2.13.0"},
        "config": {"mode": "update", "rate": "nan"},
        "metrics": {**report().counts, "seconds": 0.25},
        "withheld": [{"node_id": NODE, "name": "", "reason": "drift"}],
        "unused": ["old"],
        "pruned": [],
        "notes": ["nothing was pruned"],
        "coverage": None,
    }
    assert [call["node_id"] for call in calls] == [NODE, "b"]


def test_json_of_an_empty_run_is_json() -> None:
    """A run without calls must still leave a document that parses."""
    assert strict(json_text(Report()))["calls"] == []


def test_a_call_has_its_configuration_and_its_numbers() -> None:
    """Each call must say what was asked of it, and give its numbers as one flat table."""
    first, second = strict(json_text(report(verdict(measurement(shadow=True)))))["calls"]
    assert first["schema_version"] == 1
    assert first["failed"] == ["drift"]
    assert first["drifted"] is True
    assert first["config"] == {
        "objective": "vae",
        "backend": "torch",
        "device": "cpu",
        "sense": "loss",
        "seed": 7,
        "limits": {"max_norm": "10.0"},
        "facts": {"data x": "float32[8, 6]", "frozen": 0},
        "structure": {"reduction": "mean"},
        "policy": {},
        "packages": {"torch": "2.13.0"},
    }
    one = measurement(shadow=True)
    assert one.shadow is not None
    assert first["metrics"] == {
        "value": one.value,
        "norm": one.norm,
        "max_abs": one.max_abs,
        "parameters": 2,
        "elements": 4,
        "nans": 0,
        "infs": 0,
        "zeros": 1,
        "disconnected": 0,
        "float64.value": one.shadow.value,
        "float64.norm": one.shadow.norm,
        "component.recon.value": 1.0,
        "component.recon.norm": 0.3,
        "component.recon.share": 0.75,
        "component.kl.value": 0.23456789,
        "component.kl.norm": 0.1,
        "component.kl.share": 0.25,
        "perturbed": 1,
        "perturbed.finite": 1,
        "perturbed.max_norm_ratio": one.max_norm_ratio,
        "perturbed.log_spread": 0.0,
        "seconds": 0.25,
    }
    assert (second["config"], second["metrics"], second["verdict"]) == ({}, {}, None)


def test_a_measurement_without_perturbed_points_has_no_numbers_of_them() -> None:
    """Numbers that were not measured must be absent, not zero."""
    first = strict(json_text(report(verdict(measurement(samples=())))))["calls"][0]
    assert not [name for name in first["metrics"] if name.startswith("perturbed")]


def test_the_verdict_can_be_made_again_from_json() -> None:
    """A report must hold everything: a verdict read from it must equal the one written."""
    data = strict(json_text(report(broken())))["calls"][0]
    assert data["metrics"]["value"] == "inf"
    assert repr(from_json(Verdict, data["verdict"])) == repr(broken())


def test_what_people_look_up_is_plain_and_what_they_do_not_is_packed() -> None:
    """Names and norms must be columns of text and numbers, sketches one text."""
    native = strict(json_text(report()))["calls"][0]["verdict"]["measurement"]["native"]
    columns = native["parameters"]
    assert columns["name"] == ["encoder.weight", "encoder.bias"]
    assert columns["norm"] == [p.norm for p in measurement().native.parameters]
    assert columns["sketch"]["sizes"] == [4, 2]
    assert isinstance(columns["sketch"]["numbers"], str)


def without(data: Any) -> Any:
    """Return plain data without the numbers of sketches."""
    if isinstance(data, dict):
        parts = {name: without(part) for name, part in data.items()}
        return parts | {"numbers": ""} if data.keys() == {"sizes", "numbers"} else parts
    return [without(part) for part in data] if isinstance(data, list) else data


def written(of: Report, suffix: str) -> bytes:
    """Return a report in a format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"report{suffix}"
        write_report(path, of)
        return path.read_bytes()


def test_json_lines_hold_one_call_each() -> None:
    """Every line must stand alone: version, environment, configuration, numbers, verdict."""
    lines = [strict(line) for line in written(report(broken()), ".jsonl").decode().splitlines()]
    whole = strict(json_text(report(broken())))
    for line in lines:
        assert without(line) == line
    assert lines == [
        {"environment": {"torch": "2.13.0"}, **without(call)} for call in whole["calls"]
    ]
    assert written(Report(), ".jsonl") == b""


def test_a_pickle_holds_the_same_with_real_numbers() -> None:
    """A pickle must hold what the JSON holds, with NaN and Inf as floats."""
    data = pickle.loads(written(report(broken()), ".pkl"))
    assert math.isnan(data["config"]["rate"])
    assert data["calls"][0]["metrics"]["value"] == math.inf
    assert data["calls"][0]["verdict"]["measurement"]["native"]["value"] == math.inf
    parameters = data["calls"][0]["verdict"]["measurement"]["native"]["parameters"]
    assert parameters["shape"] == [[3], [1]]
    assert data["calls"][1]["verdict"] is None


def test_formats_that_are_written_together_are_as_written_alone(tmp_path: Path) -> None:
    """Sharing the work must change no byte, with several files of one format as well."""
    names = ("a.json", "b.json", "a.jsonl", "a.pkl")
    of = report(broken())
    assert write_reports([tmp_path / name for name in names], of) == {}
    for name in names:
        assert (tmp_path / name).read_bytes() == written(of, Path(name).suffix)
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == json_text(of)


def test_a_file_that_cannot_be_written_costs_no_other(tmp_path: Path) -> None:
    """Each file must fail for itself, and say so."""
    bad, good = tmp_path / "none" / "a.json", tmp_path / "a.json"
    assert write_reports([bad, good], report()) == {
        bad: f"the report {bad} cannot be written: No such file or directory"
    }
    assert good.read_text(encoding="utf-8") == json_text(report())


def test_a_disk_that_is_full_leaves_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that was cut short must not take the place of a whole one."""

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in write_reports([path], report())[path]
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"old"]


def test_a_pickle_is_read_without_our_package(tmp_path: Path) -> None:
    """A pickle must contain built-in types only, so that any Python reads it anywhere."""

    class Odd:
        def __str__(self) -> str:
            return "odd"

    odd = Report(environment={"device": Odd()}, entries=report().entries)  # type: ignore[dict-item]
    (tmp_path / "report.pkl").write_bytes(written(odd, ".pkl"))
    code = (
        "import pickle, sys; sys.modules['pytest_gradcheck'] = sys.modules['numpy'] = None; "
        "print(pickle.load(open('report.pkl', 'rb'))['environment'])"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "{'device': 'odd'}"


def test_how_far_baselines_walk_is_a_number() -> None:
    """The distance of an entry to its predecessor must be among the metrics, where it has one."""
    stored = replace(measurement(), walked=0.0125)
    entry = replace(
        ReportEntry.of(
            verdict(baseline=stored), node_id="t", outcome="failed", baseline="compared"
        ),
        offer=Offer(action="rewrite", entry=replace(measurement(), walked=0.5)),
    )
    (call,) = strict(json_text(Report(entries=(entry,))))["calls"]
    assert (call["metrics"]["baseline.walked"], call["metrics"]["walked"]) == (0.0125, 0.5)
    assert not {"walked", "baseline.walked"} & set(
        strict(json_text(report(verdict(baseline=measurement()))))["calls"][0]["metrics"]
    )


def test_nobodys_names_are_taken_for_packed_numbers() -> None:
    """A fact that is called like a packed row, or holds its text, must come back as it was."""
    odd = measurement(facts={"sizes": 1, "numbers": ""}, structure={"a": '"numbers": ""'})
    data = strict(json_text(report(verdict(odd))))["calls"][0]
    assert from_json(Verdict, data["verdict"]).measurement == odd
