"""``gradcheck review``: step through what failed for its baseline in the last run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.cli.review import PENDING

if TYPE_CHECKING:
    from tests.cli.conftest import Project

SECOND = "tests/__gradients__/test_m/test_two.json"


@pytest.fixture
def drifted(project: Project) -> Project:
    """Return a project whose last run drifted everywhere."""
    project.pytest(scale=1.01)
    return project


def test_each_entry_is_accepted_rejected_or_skipped(drifted: Project) -> None:
    """An answer must hold for its entry alone: written, dropped, or asked again next time."""
    before = drifted.baselines()
    code, said, _ = drifted.call("review", answers="s\nwhat?\na\nr\ns\n")
    assert code == 1
    assert "1/4  tests/__gradients__/test_m/test_one.json::test_one" in said
    assert "cause: every gradient is scaled by 1.01, and so is the loss" in said
    assert "a accept, r reject" in said
    changed = {name for name, data in drifted.baselines().items() if data != before[name]}
    assert changed == {SECOND}
    code, said, _ = drifted.call("review", "--list")
    assert (code, len(said.splitlines())) == (1, 2)
    code, said, _ = drifted.call("review", answers="A\n")
    assert (code, said.count("rewritten")) == (0, 2)
    code, said, _ = drifted.call("review")
    assert (code, said) == (0, "nothing to review: no baseline failed in that run\n")


@pytest.mark.parametrize("answers", ["", "q\n"])
def test_quitting_keeps_what_was_answered(drifted: Project, answers: str) -> None:
    """What was accepted before the end of the answers must be written, and no more."""
    code, said, _ = drifted.call("review", answers=f"a\n{answers}")
    assert (code, said.count("rewritten"), "3 left to review" in said) == (1, 1, True)


def test_a_run_that_passes_leaves_nothing_to_review(drifted: Project) -> None:
    """The next run must replace what the last one left, and one that passes clears it."""
    assert json.loads((drifted.path / PENDING).read_text(encoding="utf-8"))["calls"]
    drifted.pytest()
    assert drifted.call("review")[0] == 0
    drifted.pytest("--grad-baseline-update", scale=1.01)
    assert drifted.call("review")[0] == 0


def test_what_cannot_be_accepted_says_why(drifted: Project) -> None:
    """An entry that must not become a baseline must not be offered for it."""
    drifted.write(
        "tests/test_n.py",
        "from bowl import W, bowl\n"
        "def test_n(gradcheck):\n"
        "    gradcheck(W, value_and_grad=bowl())\n"
        "    print()\n",
    )
    drifted.pytest("tests/test_n.py")
    before = drifted.baselines()
    code, said, _ = drifted.call("review", answers="a\nr\n")
    assert "cannot be accepted: the test stopped here" in said
    assert (code, drifted.baselines()) == (0, before)


def test_nothing_is_kept_in_ci_or_without_a_cache(project: Project) -> None:
    """A machine that nobody reviews on must not pay for it."""
    project.pytest(scale=1.01, CI="1")
    project.pytest("-p", "no:cacheprovider", scale=1.01)
    code, _, wrong = project.call("review")
    assert (code, "run pytest first" in wrong) == (2, True)


def test_the_report_of_another_run_can_be_reviewed(project: Project) -> None:
    """A report must do in place of the last run, and stay as it is."""
    project.pytest("--grad-report=r.out.json", scale=1.01, CI="1")
    before = (project.path / "r.out.json").read_bytes()
    code, said, _ = project.call("review", "r.out.json", answers="A\n")
    assert (code, said.count("rewritten")) == (0, 4)
    assert (project.path / "r.out.json").read_bytes() == before
