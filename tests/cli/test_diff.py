"""``gradcheck diff`` and ``gradcheck history``: how baselines moved between files and revisions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Project

FILE = "tests/__gradients__/test_m/test_one.json"
ONE = f"{FILE}::test_one"


@pytest.fixture
def moved(project: Project) -> Project:
    """Return a project in which one entry was recorded anew twice, and another test removed."""
    for i, scale in enumerate((1.01, 1.02)):
        project.pytest("--grad-baseline-update", "tests/test_m.py::test_one", scale=scale)
        if i:
            project.git("rm", "-q", "tests/__gradients__/test_m/test_three.json")
        project.commit(f"scale {scale}")
    return project


def statuses(said: str) -> dict[str, str]:
    """Return the status of each entry of a comparison in JSON."""
    return {one["entry"].rpartition("/")[2]: one["status"] for one in json.loads(said)}


def test_revisions_are_compared_by_the_stored_allowances(moved: Project) -> None:
    """Between two commits the entries that drifted must be found, and named with the cause."""
    code, said, _ = moved.call("diff", "HEAD~2..HEAD")
    assert code == 1
    assert "every gradient is scaled by 1.02, and so is the loss" in said
    assert said.splitlines()[-1] == "1 drift, 1 removed"
    code, said, _ = moved.call("diff", "HEAD~2", "HEAD", "--json")
    assert (code, statuses(said)) == (
        1,
        {
            "test_one.json::test_one": "drift",
            "test_three.json::TestMore::test_three::plain": "removed",
        },
    )


def test_a_commit_is_compared_with_the_work_tree(moved: Project) -> None:
    """One revision alone must be held against the files as they are, untracked ones included."""
    assert moved.call("diff", "HEAD")[:2] == (0, "no baseline differs\n")
    moved.git("mv", FILE, "tests/__gradients__/test_m/test_new.json")
    moved.git("reset", "-q")
    code, said, _ = moved.call("diff", "HEAD", "--json")
    assert (code, statuses(said)) == (
        0,
        {"test_one.json::test_one": "removed", "test_new.json::test_one": "added"},
    )


def test_three_dots_begin_where_the_branches_parted(moved: Project) -> None:
    """``A...B`` must leave out what A did since the two parted, unlike ``A..B``."""
    moved.git("branch", "side", "HEAD~2")
    assert moved.call("diff", "main...side")[0] == 0
    assert moved.call("diff", "main..side")[0] == 1


def test_files_and_folders_are_compared(moved: Project) -> None:
    """Two files, and two folders, must be held against each other entry by entry."""
    old = moved.write("old.json", moved.git("show", f"HEAD~1:{FILE}"))
    code, said, _ = moved.call("diff", str(old), FILE)
    assert (code, said.splitlines()[-1]) == (1, "1 drift")
    assert moved.call("diff", FILE, FILE)[:2] == (0, "1 same\n")
    assert moved.call("diff", "tests", "tests")[:2] == (0, "3 same\n")


def test_drift_below_a_bound_can_be_ignored(moved: Project) -> None:
    """``--min-drift`` must ignore what moved less, and a selection what was not asked for."""
    assert moved.call("diff", "HEAD~2..HEAD", "--min-drift=0.1")[0] == 0
    assert moved.call("diff", "HEAD~2..HEAD", "--select=test_two")[0] == 0
    code, _, wrong = moved.call("diff", "HEAD", "--min-drift=-1")
    assert (code, "not negative" in wrong) == (2, True)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("nowhere",), "there is no file 'nowhere', and no revision of that name"),
        (("HEAD~1..HEAD", "HEAD"), "names two revisions already"),
        ((FILE, "nowhere"), "is a file, and its other side is none"),
        (("HEAD..--output=x",), "'--output=x' is no revision that git knows here"),
        (("bowl.py", "bowl.py"), "there are no baselines in bowl.py"),
        (("pytest.ini", "pytest.ini"), "is not JSON"),
    ],
)
def test_misuse_is_one_line(project: Project, words: tuple[str, ...], complaint: str) -> None:
    """What cannot be compared must be said in one line, with exit code 2."""
    code, said, wrong = project.call("diff", *words)
    assert (code, said, wrong.count("\n")) == (2, "", 1)
    assert complaint in wrong


def test_history_shows_each_step_and_how_far_in_all(moved: Project) -> None:
    """Each commit that changed an entry must be shown, with its step and the distance in all."""
    code, said, _ = moved.call("history", FILE, "--json")
    steps = json.loads(said)
    assert code == 0
    assert [s["change"] for s in steps] == ["recorded", "moved", "moved"]
    assert [s["subject"] for s in steps] == ["baselines", "scale 1.01", "scale 1.02"]
    assert [s["walked"] for s in steps][1:] == pytest.approx([0.01, 0.01 / 1.01])
    assert [s["in_all"] for s in steps][1:] == pytest.approx([0.01, 0.02])
    code, said, _ = moved.call("history", "tests", "test_one")
    assert said.splitlines()[-1] == "in 2 steps it has walked 0.02 from where it began"


def test_history_knows_files_that_are_gone_and_renamed(moved: Project) -> None:
    """A removed file must still have a history, and a renamed one that of its old name."""
    code, said, _ = moved.call("history", "tests/__gradients__/test_m/test_three.json", "--json")
    assert (code, [s["change"] for s in json.loads(said)]) == (0, ["recorded", "removed"])
    moved.git("mv", FILE, "tests/__gradients__/test_m/test_new.json")
    moved.commit("rename")
    code, said, _ = moved.call("history", "tests/__gradients__/test_m/test_new.json", "--json")
    assert (code, len(json.loads(said))) == (0, 3)


def test_history_of_nothing_is_misuse(project: Project) -> None:
    """Where git knows no such file, that must be said."""
    code, _, wrong = project.call("history", "tests/__gradients__/test_m/none.json")
    assert (code, "git knows no commit" in wrong) == (2, True)
