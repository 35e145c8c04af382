"""``gradcheck merge``: join the reports of the shards of one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Project

SHARDS = """
import os

def pytest_collection_modifyitems(config, items):
    shard = int(os.environ.get("SHARD", "-1"))
    if shard >= 0:
        items[:] = [item for i, item in enumerate(items) if i % 2 == shard]
"""


@pytest.fixture
def sharded(project: Project) -> Project:
    """Return a project of which two shards ran, with a baseline that no test uses."""
    project.write("conftest.py", SHARDS)
    home = project.path / "tests/__gradients__/test_m"
    text = (home / "test_one.json").read_text(encoding="utf-8")
    gone = text.replace(' "test_one": {', ' "test_gone": {')
    (home / "test_gone.json").write_text(gone, encoding="utf-8")
    for shard in ("0", "1"):
        project.pytest(f"--grad-report={shard}.out.json", SHARD=shard)
    return project


def merged(project: Project, *words: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code, and the joined report."""
    code, said, _ = project.call("merge", *words)
    return code, json.loads(said)


def test_shards_that_cover_everything_know_what_is_unused(sharded: Project) -> None:
    """Together two shards must hold all calls, and find the baseline that neither used."""
    code, whole = merged(sharded, "0.out.json", "1.out.json")
    assert code == 0
    assert whole["metrics"]["checked"] == 4
    assert whole["unused"] == ["tests/__gradients__/test_m/test_gone.json: test_gone"]
    assert not any("unused" in note for note in whole["notes"])


@pytest.mark.parametrize(
    ("shards", "reason"),
    [
        (("0.out.json",), "ran 2 of 4 tests"),
        (("0.out.json", "0.out.json"), "ran 4 of 4 tests"),
    ],
)
def test_shards_that_leave_a_test_out_know_nothing(
    sharded: Project, shards: tuple[str, ...], reason: str
) -> None:
    """One shard, or one of them twice, must not call anything unused."""
    _, whole = merged(sharded, *shards)
    assert whole["unused"] == []
    assert any(reason in note for note in whole["notes"])
    assert whole["metrics"]["checked"] == 2


def test_a_joined_report_can_be_joined_and_accepted(sharded: Project) -> None:
    """What comes out must be a report like those that went in."""
    for shard in ("0", "1"):
        sharded.pytest(f"--grad-report={shard}.out.json", scale=1.01, SHARD=shard)
    code, said, _ = sharded.call("merge", "0.out.json", "1.out.json", "-o", "w.out.json")
    assert (code, said.split(": ")[1].startswith("4 checked, 4 failed")) == (1, True)
    code, whole = merged(sharded, "w.out.json")
    assert (code, whole["metrics"]["checked"]) == (1, 4)
    assert any("failed" in note for note in whole["notes"])
    code, said, _ = sharded.call("accept", "w.out.json")
    assert (code, said.count("rewritten")) == (0, 4)


def test_other_formats_are_written_by_suffix(sharded: Project) -> None:
    """The joined report must be had in every format, and no other."""
    words = ("merge", "0.out.json", "1.out.json")
    code, _, _ = sharded.call(*words, "-o", "w.md", "-o", "w.codequality.json")
    assert code == 0
    assert "test_three" in (sharded.path / "w.md").read_text(encoding="utf-8")
    assert (sharded.path / "w.codequality.json").read_text(encoding="utf-8") == "[]\n"
    code, _, wrong = sharded.call(*words, "-o", "w.txt")
    assert (code, "told by its suffix" in wrong) == (2, True)


def test_findings_are_placed_from_the_root_of_the_repository(
    sharded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project that is a folder of a GitLab repository must have its paths begin with it."""
    for shard in ("0", "1"):
        sharded.pytest(f"--grad-report={shard}.out.json", scale=1.01, SHARD=shard)
    monkeypatch.setenv("CI_PROJECT_DIR", str(sharded.path.parent))
    code, _, _ = sharded.call("merge", "0.out.json", "1.out.json", "-o", "w.codequality.json")
    found = json.loads((sharded.path / "w.codequality.json").read_text(encoding="utf-8"))
    paths = {finding["location"]["path"] for finding in found}
    assert (code, paths) == (1, {f"{sharded.path.name}/tests/test_m.py"})
