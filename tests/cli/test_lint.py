"""``gradcheck lint``: find baselines that something is wrong with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Project

HOME = "tests/__gradients__/test_m"


def text_of(project: Project, name: str = "test_one") -> str:
    """Return a baseline file."""
    return (project.path / HOME / f"{name}.json").read_text(encoding="utf-8")


def problems(project: Project, *words: str) -> tuple[int, list[tuple[str, str, str]]]:
    """Return the exit code, and file, code and level of each problem."""
    code, said, _ = project.call("lint", "--json", *words)
    found = json.loads(said)
    return code, [(p["file"].rpartition("/")[2], p["code"], p["level"]) for p in found]


def test_good_baselines_have_no_problem(project: Project) -> None:
    """Baselines as they were recorded must pass."""
    assert project.call("lint")[:2] == (0, "3 baseline files: no problem\n")


@pytest.mark.parametrize(
    ("name", "damage", "code"),
    [
        ("test_one", lambda t: t[:300], "unreadable"),
        ("test_one", lambda t: t.replace('"norm": 3', '"norm": NaN', 1), "nonfinite"),
        ("test_one", lambda t: f"<<<<<<< HEAD\n{t}", "conflict"),
        ("test_one", lambda t: t.replace('"norm": 3', '"norm": 4', 1), "unreadable"),
        ("test_one", lambda t: t.replace(' "test_one": {', ' "test_gone": {'), "orphan"),
        ("test_gone", lambda t: t, "orphan"),
    ],
)
def test_each_damage_is_called_by_its_name(
    project: Project, name: str, damage: object, code: str
) -> None:
    """A file that no test can use must be an error, of one kind, with its remedy."""
    assert callable(damage)
    project.write(f"{HOME}/{name}.json", damage(text_of(project)))
    assert problems(project) == (1, [(f"{name}.json", code, "error")])


def test_the_folder_of_a_module_that_is_gone_is_orphaned(project: Project) -> None:
    """Baselines beside no test module must be called so."""
    project.write("tests/__gradients__/test_gone/test_one.json", text_of(project))
    code, said, _ = project.call("lint")
    assert code == 1
    assert "there is no test_gone.py beside its folder" in said


@pytest.mark.parametrize(
    "source",
    [
        "from other import *\n",
        "from other import test_one\n",
        "test_one = make()\n",
        "for name in 'a':\n    globals()[name] = 1\n",
        "if True:\n    def test_one(): pass\n",
    ],
)
def test_a_test_that_may_be_there_is_no_orphan(project: Project, source: str) -> None:
    """Where the source does not show all tests, nothing may be called an orphan."""
    project.write("tests/test_n.py", source)
    project.write("tests/__gradients__/test_n/test_one.json", text_of(project))
    assert problems(project, "tests/__gradients__/test_n") == (0, [])


def test_large_files_are_found(project: Project) -> None:
    """A file above the size that the user wants must be an error."""
    code, found = problems(project, "--max-kb=1", f"{HOME}/test_two.json")
    assert (code, found) == (1, [("test_two.json", "oversized", "error")])


def test_a_module_that_cannot_be_parsed_is_a_warning(project: Project) -> None:
    """What nobody can know must not be an error, unless the user is strict."""
    project.write("tests/test_m.py", "def (")
    code, found = problems(project)
    assert (code, {level for _, _, level in found}) == (0, {"warning"})
    assert project.call("lint", "--strict")[0] == 1


def test_variants_that_no_device_explains_are_found(project: Project) -> None:
    """A variant ten times as large must be an error, and one with small differences not."""
    project.pytest("--grad-baseline-update", "--grad-variant=near", scale=1.05)
    assert problems(project) == (0, [])
    project.pytest("--grad-baseline-update", "--grad-variant=far", "-k", "one", scale=20.0)
    code, found = problems(project)
    assert code == 1
    assert {(file, one) for file, one, _ in found} == {
        ("test_one@far.json", "variants"),
        ("test_one@near.json", "variants"),
    }


def test_a_recording_from_a_tree_with_changes_is_remembered(project: Project) -> None:
    """Whether the committed code was measured must be told, and fail only where that is wanted."""
    project.write("bowl.py", (project.path / "bowl.py").read_text(encoding="utf-8") + "\n")
    project.pytest("--grad-baseline-update", "tests/test_m.py::test_one", scale=1.01)
    code, said, _ = project.call("lint")
    assert (code, "1 recorded while the project had uncommitted changes" in said) == (0, True)
    code, said, _ = project.call("lint", "--strict")
    assert (code, "[dirty]" in said) == (1, True)
    project.commit("all")
    project.pytest("--grad-baseline-update", "tests/test_m.py::test_one", scale=1.02)
    assert problems(project) == (0, [])


def test_a_folder_without_baselines_is_misuse(project: Project) -> None:
    """Where there is nothing to look at, the program must say so and not pass."""
    (project.path / "empty").mkdir()
    code, _, wrong = project.call("lint", "empty")
    assert (code, "there are no baselines in empty" in wrong) == (2, True)
