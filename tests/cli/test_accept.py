"""``gradcheck accept``: what a run measured becomes the baselines here."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Project

REPORT = "--grad-report=r.out.json"
ONE = "tests/__gradients__/test_m/test_one.json"


def updated(project: Project, path: Path, **environ: str) -> dict[str, bytes]:
    """Return the baselines that an update writes in a copy of a project."""
    shutil.copytree(project.path, path)
    twin = type(project)(path, project.monkeypatch, project.capsys)
    twin.pytest("--grad-baseline-update", scale=1.01, **environ)
    return twin.baselines()


@pytest.mark.parametrize("mode", ["check", "update"])
def test_the_baselines_become_those_of_an_update(
    project: Project, tmp_path: Path, mode: str
) -> None:
    """Accepting a report must write what an update would have, byte for byte, and no more."""
    before = project.baselines()
    project.pytest(REPORT, f"--grad-baseline={mode}", scale=1.01, CI="1")
    project.git("checkout", "-q", ".")
    assert project.baselines() == before
    code, said, _ = project.call("accept", "r.out.json")
    assert code == 0
    assert said.count("rewritten") == 4
    assert project.baselines() == updated(project, tmp_path / "twin")
    assert project.baselines() != before
    assert "4 checked" in project.pytest(scale=1.01)
    code, said, _ = project.call("accept", "r.out.json")
    assert (code, said.count("unchanged")) == (0, 4)


def test_missing_baselines_of_a_variant_become_those_of_an_update(
    project: Project, tmp_path: Path
) -> None:
    """A variant that only another machine can measure must be recorded from its report."""
    flags = (REPORT, "--grad-variant=h100")
    project.pytest(*flags, CI="1")
    code, said, _ = project.call("accept", "r.out.json")
    assert (code, said.count("created")) == (0, 4)
    there = tmp_path / "twin"
    shutil.copytree(project.path, there)
    twin = type(project)(there, project.monkeypatch, project.capsys)
    for path in there.rglob("*@h100.json"):
        path.unlink()
    twin.pytest("--grad-baseline-update", "--grad-variant=h100")
    assert project.baselines() == twin.baselines()
    assert sum("@h100" in name for name in project.baselines()) == 3


def test_a_selection_leaves_the_rest_alone(project: Project) -> None:
    """Only what was selected may be written."""
    before = project.baselines()
    project.pytest(REPORT, scale=1.01)
    code, said, _ = project.call("accept", "r.out.json", "test_one")
    assert (code, said.count("rewritten")) == (0, 1)
    changed = {name for name, data in project.baselines().items() if data != before[name]}
    assert changed == {ONE}
    code, _, wrong = project.call("accept", "r.out.json", "nothing")
    assert code == 2
    assert "none of the 4 entries to accept is 'nothing'" in wrong


def test_a_dry_run_writes_nothing(project: Project) -> None:
    """``--dry-run`` must say what would be written, and write nothing."""
    before = project.baselines()
    project.pytest(REPORT, scale=1.01)
    code, said, _ = project.call("accept", "r.out.json", "--dry-run", "--json")
    assert code == 0
    assert len(json.loads(said)["rewritten"]) == 4
    assert project.baselines() == before


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("gradcheck(W, value_and_grad=bowl())\n    assert True", "stopped here"),
        ("for k in 'ab':\n        gradcheck(W, value_and_grad=bowl(), name=k)", "stopped"),
        ("gradcheck(W, value_and_grad=bowl(), max_norm=0.1)", "norm failed"),
        (
            "with pytest.raises(AssertionError):\n        gradcheck(W, value_and_grad=bowl())",
            "the test caught the failure",
        ),
        (
            "request.addfinalizer(lambda: 1 / 0)\n    gradcheck(W, value_and_grad=bowl())",
            "the tear-down failed",
        ),
        (
            "request.applymarker(pytest.mark.xfail)\n    gradcheck(W, value_and_grad=bowl())",
            "expected to fail",
        ),
        ("gradcheck(W, value_and_grad=bowl(float('nan')))", "finite"),
    ],
)
def test_what_an_update_might_withhold_is_refused(project: Project, body: str, reason: str) -> None:
    """A call of a test that did not pass, or may not have, must not become a baseline."""
    project.write(
        "tests/test_n.py",
        f"import pytest\nfrom bowl import W, bowl\ndef test_n(gradcheck, request):\n    {body}\n",
    )
    project.pytest(REPORT, "tests/test_n.py")
    before = project.baselines()
    code, said, _ = project.call("accept", "r.out.json")
    assert project.baselines() == before
    assert (code, reason in said) == (1, True), said


TWO = """
from bowl import W, bowl
def test_two(gradcheck):
    gradcheck(W, value_and_grad=bowl(), name="a")
    gradcheck(W, value_and_grad=bowl(), name="b")
"""


def test_a_refusal_names_the_command_that_records_the_rest(project: Project) -> None:
    """A test that stopped at its first drift must be refused with the command to type instead."""
    project.write("tests/test_n.py", TWO)
    project.pytest("tests/test_n.py", "--grad-baseline-update")
    before = project.baselines()
    project.pytest(REPORT, "tests/test_n.py", scale=1.01)
    code, said, _ = project.call("accept", "r.out.json")
    command = "pytest tests/test_n.py::test_two --grad-baseline-update"
    assert (code, said.count(f"not measured; record all of it with: {command} (or")) == (1, 1)
    assert project.baselines() == before
    project.pytest(*command.split()[1:], scale=1.01)
    changed = {name for name, data in project.baselines().items() if data != before[name]}
    assert changed == {"tests/__gradients__/test_n/test_two.json"}
    assert "1 passed" in project.pytest("tests/test_n.py", scale=1.01)


def test_a_run_that_goes_on_after_drift_offers_every_call(project: Project) -> None:
    """Where drift only warns, every call is measured, and all of them can be accepted."""
    project.write("tests/test_n.py", TWO)
    project.pytest("tests/test_n.py", "--grad-baseline-update")
    project.pytest(REPORT, "tests/test_n.py", "--grad-drift=warn", scale=1.01)
    code, said, _ = project.call("accept", "r.out.json")
    assert (code, said.count("rewritten")) == (0, 2)
    assert "1 passed" in project.pytest("tests/test_n.py", scale=1.01)


def test_an_entry_that_changed_since_is_refused(project: Project) -> None:
    """What the run was compared with must still be there, unless the user insists."""
    project.pytest(REPORT, scale=1.01)
    project.pytest("--grad-baseline-update", "tests/test_m.py::test_one", scale=1.02)
    before = project.baselines()
    code, said, _ = project.call("accept", "r.out.json", "test_one")
    assert code == 1
    assert "not the one that the run was compared with" in said
    assert project.baselines() == before
    code, said, _ = project.call("accept", "r.out.json", "test_one", "--force")
    assert (code, said.count("rewritten")) == (0, 1)
    assert project.baselines()[ONE] != before[ONE]


def test_an_unreadable_file_is_made_anew(project: Project) -> None:
    """A damaged file must be replaced, as by an update, and what else it held be named."""
    path = project.path / "tests/__gradients__/test_m/test_two.json"
    path.write_text(path.read_text(encoding="utf-8") + "<<<<<<< ours\n", encoding="utf-8")
    project.pytest(REPORT, "tests/test_m.py::test_two")
    code, said, _ = project.call("accept", "r.out.json", "[1]")
    assert code == 0
    assert "lost       tests/__gradients__/test_m/test_two.json::test_two[2]" in said


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "is not a JSON report"),
        ('{"schema_version": 99, "calls": []}', "install the version of pytest-gradcheck"),
        ('{"schema_version": 1, "calls": [], "metrics": 3}', "is damaged"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(
    project: Project, text: str | None, complaint: str
) -> None:
    """A file that is no report must be called so, with exit code 2."""
    if text is not None:
        project.write("r.out.json", text)
    code, _, wrong = project.call("accept", "r.out.json")
    assert (code, wrong.count("\n")) == (2, 1)
    assert complaint in wrong


def test_a_report_of_another_project_is_refused(project: Project, tmp_path: Path) -> None:
    """Where the report's tests are nowhere to be found, nothing may be written."""
    project.pytest(REPORT, scale=1.01)
    other = tmp_path / "other"
    other.mkdir()
    code, _, wrong = project.call("accept", "r.out.json", "--root", str(other))
    assert code == 2
    assert "the report is about tests/test_m.py" in wrong


def test_a_report_cannot_write_outside_of_the_project(project: Project) -> None:
    """A path in a report that leads out of the project, or to no baseline, must be refused."""
    project.pytest(REPORT, scale=1.01)
    path = project.path / "r.out.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    for call, file in zip(data["calls"], ["../x/__gradients__/m/t.json", "t.json"], strict=False):
        call["file"] = file
    path.write_text(json.dumps(data), encoding="utf-8")
    _, said, _ = project.call("accept", "r.out.json")
    assert said.count("is not a place for baselines in this project") == 2
    assert not (project.path.parent / "x").exists()
