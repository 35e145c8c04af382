"""``--grad-report`` and ``--grad-top``: the reports of a run."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

ONE = """
    def test_one(gradcheck):
        gradcheck(W, value_and_grad=bowl())

    def test_two(gradcheck):
        gradcheck(W, value_and_grad=bowl(), max_norm=1e-3, name="tight")
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_every_format_is_written(suite: Suite, workers: int) -> None:
    """Each path must get a report in the format of its suffix, workers or not."""
    suite.write("test_m", ONE)
    flags = [f"--grad-report=out.{suffix}" for suffix in ("json", "jsonl", "md", "html", "pkl")]
    result = suite.update(*flags, workers=workers)
    result.assert_outcomes(passed=1, failed=1)
    whole = json.loads((suite.path / "out.json").read_text(encoding="utf-8"))
    lines = (suite.path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    text = (suite.path / "out.md").read_text(encoding="utf-8")
    plain = pickle.loads((suite.path / "out.pkl").read_bytes())
    calls = sorted(whole["calls"], key=lambda call: call["node_id"])
    assert [c["outcome"] for c in calls] == ["passed", "failed"]
    assert [c["baseline"] for c in calls] == ["recorded", "withheld"]
    assert [c["failed"] for c in calls] == [[], ["norm"]]
    assert calls[0]["verdict"]["measurement"]["native"]["parameters"]["name"] == ["w", "b"]
    assert whole["config"]["grad_baseline"] == "update"
    assert "numpy" in whole["environment"]
    assert len(lines) == 2
    assert "test_m.py::test_two" in text
    assert plain["metrics"]["checked"] == 2
    assert suite.said(result).count("report written to") == 5


def test_a_report_of_a_run_without_gradients_is_written(suite: Suite) -> None:
    """Who asks for a report must get one, be it empty."""
    suite.write("test_m", "def test_one():\n    pass\n")
    suite.run("--grad-report=out.json").assert_outcomes(passed=1)
    assert json.loads((suite.path / "out.json").read_text(encoding="utf-8"))["calls"] == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("out.csv", "*--grad-report: out.csv*.json .jsonl .md .html .pkl*"),
        ("out", "*--grad-report: out*suffix*"),
        ("nowhere/out.json", "*there is no folder*nowhere*create it first*"),
        ("taken.json", "*taken.json: this is a folder*"),
    ],
)
def test_a_path_that_cannot_be_written_stops_the_run(suite: Suite, path: str, message: str) -> None:
    """An impossible report must be refused before the first test, not after the last."""
    (suite.path / "taken.json").mkdir()
    suite.write("test_m", ONE)
    result = suite.run(f"--grad-report={path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(message)
    assert "test_m" not in result.stdout.str()


def test_a_report_that_fails_at_the_end_fails_the_run(suite: Suite) -> None:
    """When the folder of a report is gone at the end, the run must fail and say so."""
    (suite.path / "out").mkdir()
    suite.write("test_m", "import os\n\ndef test_one():\n    os.rmdir('out')\n")
    result = suite.run("--grad-report=out/r.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "r.json cannot be written" in suite.said(result)
    assert "report written" not in suite.said(result)


def test_the_number_of_rows_can_be_chosen(suite: Suite) -> None:
    """``--grad-top`` must bound the elements that a report lists."""
    suite.write("test_m", "def test_one(gradcheck):\n    gradcheck(W, value_and_grad=bowl())\n")
    suite.update("--grad-top=1", "--grad-report=out.json")
    call = json.loads((suite.path / "out.json").read_text(encoding="utf-8"))["calls"][0]
    parameters = call["verdict"]["measurement"]["native"]["parameters"]
    assert parameters["top_of"] == [0, 1]


@pytest.mark.parametrize("top", ["0", "-3", "many"])
def test_a_table_without_rows_is_refused(suite: Suite, top: str) -> None:
    """A number of rows that is none must stop the run."""
    result = suite.run(f"--grad-top={top}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*--grad-top*")
