"""Every page of the documentation is a script: what it shows is run, in order, and must happen.

A block whose first line names a file writes that file, a diff changes the file that holds its old
lines, a console block runs its commands, and text is what the last command printed.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.pages import ROOT, Block, blocks, file_name, masked

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
MODULES = {"gradcheck": "pytest_gradcheck", "pytest": "pytest"}  # commands that are run


def page(path: Path) -> object:
    """Return a page's parameter, marked with the extras that its code imports."""
    text = path.read_text(encoding="utf-8")
    marks = [getattr(pytest.mark, e) for e in ("pymc", "torch") if f"import {e}" in text]
    return pytest.param(text, marks=marks, id=path.relative_to(DOCS).as_posix())


@pytest.mark.parametrize("text", [page(path) for path in PAGES])
def test_what_a_page_shows_is_what_happens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    """Files, edits and commands of a page, one after the other, must lead to what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    for variable in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(variable, raising=False)
    found = blocks(text)
    printed = ""
    for i, block in enumerate(found):
        name = file_name(block)
        if name and block.language in {"python", "toml"}:
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.language == "diff":
            edit(tmp_path, block)
        elif block.language == "console":
            red = i + 1 < len(found) and found[i + 1].language == "text"
            printed = run(block, tmp_path, fails=red)
        elif block.language == "text" and printed:
            known = [masked(line) for line in printed.splitlines()]
            missing = [s for s in map(masked, block.text.splitlines()) if not inside(s, known)]
            assert missing == [], printed


def edit(folder: Path, block: Block) -> None:
    """Apply a diff of single lines to the one file that holds its old lines."""
    lines = block.text.splitlines()
    old = "\n".join(line[1:] for line in lines if not line.startswith("+"))
    new = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    (path,) = [p for p in folder.rglob("*.py") if old in p.read_text(encoding="utf-8")]
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def run(block: Block, folder: Path, *, fails: bool) -> str:
    """Run the commands of a block that are ours, and return what the last one printed.

    Args:
        block: of commands, each after a dollar sign.
        folder: to run them in.
        fails: whether the last one is meant to fail, which the page goes on to show.
    """
    commands = [shlex.split(line[1:], comments=True) for line in block.text.splitlines()]
    ours = [
        [word for word in words if word not in {"-n", "auto"}]  # the same, only slower
        for words in commands
        if words and words[0] in MODULES
    ]
    printed = ""
    for i, (program, *arguments) in enumerate(ours):
        result = subprocess.run(
            [sys.executable, "-m", MODULES[program], *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        printed = result.stdout + result.stderr
        empty = program == "pytest" and result.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
        expected = 1 if fails and i == len(ours) - 1 else 0
        assert empty or result.returncode == expected, printed
    return printed


def inside(line: str, known: list[str]) -> bool:
    """Return whether a line, or a part of one, was printed."""
    return any(line in other for other in known)


def test_every_flag_is_in_the_reference(pytester: pytest.Pytester) -> None:
    """Each flag that the help shows must be explained, and no other one."""
    shown = pytester.runpytest_subprocess("--help").stdout.str()
    flags = re.compile(r"--grad-[a-z]+(?:-[a-z]+)*")
    reference = (DOCS / "reference/limits.md").read_text(encoding="utf-8")
    assert set(flags.findall(reference)) == set(flags.findall(shown))


def test_every_limit_is_in_the_reference() -> None:
    """Each limit must have its row, and no row may name what is no limit."""
    from pytest_gradcheck.limits import LIMITS

    text = (DOCS / "reference/limits.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text.partition("## Arguments")[0], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {*LIMITS, "checks"}


def test_every_page_is_in_the_navigation() -> None:
    """A page that no menu leads to is not read."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    menu = set(re.findall(r": ([\w/-]+\.md)$", text, re.MULTILINE))
    assert menu == {path.relative_to(DOCS).as_posix() for path in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(DOCS).as_posix())
def test_workflows_are_yaml(path: Path) -> None:
    """Each workflow that a page shows must be readable."""
    yaml = pytest.importorskip("yaml", reason="only the development environment has it")
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.language == "yaml":
            assert yaml.safe_load(block.text)
