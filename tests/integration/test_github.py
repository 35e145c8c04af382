"""GitHub Actions: annotations on the lines of failing calls, and a summary of the job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.reporters import Report, ReportEntry
from pytest_gradcheck.session.github import commands as told

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

ODD = """
def test_odd(gradcheck):
    gradcheck(
        W, value_and_grad=bowl(), max_norm=1e-3, name="50%, a:b"
    )
"""


@pytest.fixture
def github(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Return a suite on a machine of GitHub's, whose checkout is one folder up."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(suite.path.parent))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(suite.path / "summary.md"))
    return suite


def commands(result: pytest.RunResult) -> list[str]:
    """Return the workflow commands that a run printed, where the runner reads them."""
    return [line for line in result.outlines if line.startswith("::")]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failing_call_is_annotated_on_its_line(github: Suite, workers: int) -> None:
    """Each failing call must be one command, escaped, on its own line of the file."""
    github.write("test_m", ODD)
    result = github.run("--grad-baseline=off", workers=workers)
    (command,) = commands(result)
    place, _, message = command.removeprefix("::error ").partition("::")
    assert place == (
        f"file={github.path.name}/test_m.py,line=6,"
        "title=test_m.py%3A%3Atest_odd%3A%3A50%25%2C a%3Ab%3A norm"
    )
    assert "%0A" in message
    assert "'50%25, a:b'" in message


def test_nothing_in_a_name_ends_or_begins_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Per cent, line breaks and, in properties, colons and commas must be escaped, nothing else.

    As ``escapeData`` and ``escapeProperty`` do in
    https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts, the per cent first.
    """
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", "/w")
    odd = ReportEntry(
        node_id="t.py::t[100%25,\r\n::error::x]",
        name="",
        outcome="failed",
        baseline="compared",
        failed=("drift",),
        reason="a: 5 %, b;c=d\r\n::warning::e",
        source="p,q:r%/t.py",
        line=3,
    )
    (command,) = told(Report(entries=(odd,)), Path("/w"))
    name = "t.py%3A%3At[100%2525%2C%0D%0A%3A%3Aerror%3A%3Ax]"
    assert command == (
        f"::error file=p%2Cq%3Ar%25/t.py,line=3,title={name}%3A drift::"
        "t.py::t[100%2525,%0D%0A::error::x]: drift: a: 5 %25, b;c=d%0D%0A::warning::e"
    )
    assert len(command.splitlines()) == 1


def test_tolerated_drift_is_a_warning_and_a_pass_is_silent(github: Suite) -> None:
    """Drift that only warns must warn there too; what passes must print nothing."""
    github.write("test_m", "def test_one(gradcheck):\n    gradcheck(W, value_and_grad=bowl())\n")
    assert commands(github.update()) == []
    assert commands(github.run()) == []
    github.write("test_m", "def test_one(gradcheck):\n    gradcheck(W, value_and_grad=bowl(2.0))\n")
    (command,) = commands(github.run("--grad-drift=warn"))
    assert command.startswith("::warning file=")


def test_gitlab_is_told_paths_from_the_root_of_the_repository(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project below the checkout of a GitLab job must be told with its folder."""
    suite.write("test_m", ODD)
    monkeypatch.setenv("CI_PROJECT_DIR", str(suite.path.parent))
    suite.run("--grad-baseline=off", "--grad-report=gl.codequality.json")
    (found,) = json.loads((suite.path / "gl.codequality.json").read_text(encoding="utf-8"))
    assert found["location"]["path"] == f"{suite.path.name}/test_m.py"


def test_elsewhere_nothing_is_printed_or_written(suite: Suite) -> None:
    """Without GitHub's variables a failing run must print no commands and write no summary."""
    suite.write("test_m", ODD)
    assert commands(suite.run("--grad-baseline=off")) == []
    assert not (suite.path / "summary.md").exists()


def test_the_summary_is_appended(github: Suite) -> None:
    """What an earlier step wrote must stay, and a second run must follow."""
    (github.path / "summary.md").write_text("before\n", encoding="utf-8")
    github.write("test_m", ODD)
    github.run("--grad-baseline=off")
    github.run("--grad-baseline=off")
    text = (github.path / "summary.md").read_text(encoding="utf-8")
    assert text.startswith("before\n### Gradients: FAILED")
    assert text.count("### Gradients") == 2


def test_a_summary_that_cannot_be_written_is_said(
    github: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A summary that fails must be a line, and the run must not pass for complete."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(github.path / "no" / "summary.md"))
    github.write("test_m", "def test_one(gradcheck):\n    gradcheck(W, value_and_grad=bowl())\n")
    result = github.run("--grad-baseline=off")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "summary.md cannot be written: No such file" in github.said(result)
