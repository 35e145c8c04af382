"""Ask git, where there is git: revisions, what changed, what a file was.

Requirements:
    Nothing is ever changed. Revisions come from a command line: none that looks like an option
    reaches git as one.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["dirty", "output", "resolve", "text_at", "top"]


def output(folder: Path, *words: str) -> str:
    """Return what a git command prints.

    Raises:
        UsageError: there is no git, or it refuses; the message is its own first line.
    """
    command = ["git", "-c", "core.quotepath=off", "--no-optional-locks", *words]
    try:
        done = subprocess.run(  # noqa: S603 - words of ours, and revisions that cannot be options
            command, cwd=folder, capture_output=True, check=False
        )
    except OSError:
        msg = "git is not installed, or not on the PATH"
        raise UsageError(msg) from None
    if done.returncode:
        first = (done.stderr.decode(errors="replace").strip() or "no reason given").splitlines()[0]
        msg = f"git {words[0]}: {first}"
        raise UsageError(msg)
    return done.stdout.decode(errors="surrogateescape")


def top(folder: Path) -> Path:
    """Return the folder of the repository that a folder is in."""
    return folder / output(folder, "rev-parse", "--show-cdup").strip()


def resolve(folder: Path, revision: str) -> str:
    """Return the commit that a revision names.

    Raises:
        UsageError: there is none.
    """
    try:
        word = f"{revision}^{{commit}}"
        return output(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", word).strip()
    except UsageError:
        msg = f"{revision!r} is no revision that git knows here"
        raise UsageError(msg) from None


def text_at(folder: Path, commit: str, path: str) -> str:
    """Return what a file held in a commit.

    Args:
        folder: of the repository.
        commit: as `resolve` returned it.
        path: from the folder of the repository.
    """
    return output(folder, "show", f"{commit}:{path}")


def dirty(folder: Path, *, beside: str) -> bool:
    """Return whether tracked files hold changes that no commit has; no, where nobody can tell.

    Args:
        folder: in the repository.
        beside: name of the folders whose files do not count.
    """
    try:
        found = output(folder, "status", "--porcelain=v1", "-z", "--untracked-files=no", "--", ".")
    except UsageError:
        return False
    paths = [part[3:] if part[2:3] == " " else part for part in found.split("\0") if part]
    return any(beside not in path.split("/") for path in paths)
