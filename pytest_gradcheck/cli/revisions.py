"""The baselines of two git revisions, or of one and the work tree: those whose files differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck import git, store
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.serialize import parse_baseline

if TYPE_CHECKING:
    from pytest_gradcheck.records import Kept

__all__ = ["both"]


def both(old: str, new: str | None) -> tuple[dict[str, Kept], dict[str, Kept]]:
    """Return the entries on both sides, by ``file::key``.

    Args:
        old: a revision, or two as ``A..B`` or ``A...B``, where git's meaning of the latter holds:
            since B left A.
        new: the other revision; the work tree by default.

    Raises:
        UsageError: there is no such revision, or this is no repository.
    """
    here = Path.cwd()
    try:
        top = git.top(here)
    except UsageError as error:
        msg = f"{old!r} is no file, and no revision either: {error}"
        raise UsageError(msg) from None
    first, second = _named(top, old, new)
    changed = _changed(top, first, second)
    return (
        _read(top, first, changed),
        _read(top, second, changed) if second else _work_tree(top, changed),
    )


def _named(top: Path, old: str, new: str | None) -> tuple[str, str | None]:
    """Return the commits that the words of the command line name."""
    for dots in ("...", ".."):
        before, found, after = old.partition(dots)
        if not found:
            continue
        if new is not None:
            msg = f"{old!r} names two revisions already; what is {new!r}?"
            raise UsageError(msg)
        first, second = git.resolve(top, before or "HEAD"), git.resolve(top, after or "HEAD")
        if dots == "...":
            first = git.output(top, "merge-base", first, second).strip()
        return first, second
    return _commit(top, old), None if new is None else _commit(top, new)


def _commit(top: Path, word: str) -> str:
    """Return the commit of a word that may have been meant as a file."""
    try:
        return git.resolve(top, word)
    except UsageError:
        msg = f"there is no file {word!r}, and no revision of that name"
        if Path(word).exists():
            msg = f"{word!r} is a file, and its other side is none: give two files, or revisions"
        raise UsageError(msg) from None


def _changed(top: Path, first: str, second: str | None) -> list[str]:
    """Return the baseline files that differ, from the top of the repository."""
    commits = [first, *([second] if second else [])]
    text = git.output(top, "diff", "--name-only", "--no-renames", "-z", *commits, "--")
    if second is None:
        text += git.output(top, "ls-files", "--others", "--exclude-standard", "-z")
    names = dict.fromkeys(filter(None, text.split("\0")))
    return [name for name in names if _is_baseline(name)]


def _is_baseline(name: str) -> bool:
    """Return whether a path is that of a baseline file."""
    parts = name.split("/")
    return name.endswith(".json") and parts[-3:-2] == [store.FOLDER]


def _read(top: Path, commit: str, names: list[str]) -> dict[str, Kept]:
    """Return the entries of files as they were in a commit; of those that were there."""
    there = git.output(top, "ls-tree", "-r", "-z", "--name-only", commit).split("\0")
    found: dict[str, Kept] = {}
    for name in sorted(set(names) & set(there)):
        text = git.text_at(top, commit, name)
        _, entries = parse_baseline(text, source=f"{name} in {commit[:10]}")
        found |= {f"{name}::{key}": entry for key, entry in entries.items()}
    return found


def _work_tree(top: Path, names: list[str]) -> dict[str, Kept]:
    """Return the entries of files as they are."""
    found: dict[str, Kept] = {}
    for name in names:
        entries = store.read(top / name).entries
        found |= {f"{name}::{key}": entry for key, entry in entries.items()}
    return found
