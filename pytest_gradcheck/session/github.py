"""Speak to GitHub Actions: a summary of the job, and annotations on the lines of failing calls.

Workflow commands are https://docs.github.com/actions/reference/workflow-commands-for-github-actions;
the runner reads them on standard output, at the start of a line.

Requirements:
    Only the process that the user started speaks, so that workers never say anything twice.
    Nothing in a message can end it or begin another command.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.story import story
from pytest_gradcheck.reporters.summary import LIMIT, summary_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.reporters import Report, ReportEntry

__all__ = ["commands", "summarise"]

MOST = 10
"""Annotations of each level that GitHub shows of one step."""

_LINES = 15  # of one annotation


def commands(report: Report, root: Path) -> Iterator[str]:
    """Yield a workflow command for each failing call, if this is GitHub Actions.

    Args:
        report: what the run found out.
        root: of the project.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    room = {"error": MOST, "warning": MOST}
    for entry in sorted(report.entries, key=lambda e: not e.drifted):
        level = _level(entry)
        if level and room[level]:
            room[level] -= 1
            yield _command(entry, level, root)


def summarise(report: Report) -> list[str]:
    """Append a summary to the file that GitHub Actions names for it, if it does.

    Args:
        report: what the run found out.

    Returns:
        What went wrong, in words.
    """
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return []
    path = Path(name)
    try:
        taken = path.stat().st_size if path.exists() else 0
        text = summary_text(report, limit=LIMIT - taken)
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        return [f"the job summary {name} cannot be written: {error.strerror or error}"]
    return []


def _level(entry: ReportEntry) -> str:
    """Return how loud to be about a call, empty for not at all."""
    if entry.outcome in {"xfailed", "skipped"}:
        return ""
    if entry.failed and entry.outcome != "passed":
        return "error"
    return "warning" if entry.drifted and entry.baseline == "compared" else ""


def _command(entry: ReportEntry, level: str, root: Path) -> str:
    """Return the workflow command of one call."""
    path = _from_workspace(root / (entry.source or entry.node_id.partition("::")[0]))
    what = ", ".join(entry.failed) or "drift"
    title = f"{entry.title.rpartition('/')[2]}: {what}"
    message = _escaped("\n".join(story(entry, most=_LINES)))
    place = f"file={_property(path)},line={max(entry.line, 1)},title={_property(title)}"
    return f"::{level} {place}::{message}"


def _from_workspace(path: Path) -> str:
    """Return a path as GitHub wants it: from where the repository was checked out."""
    workspace = Path(os.environ.get("GITHUB_WORKSPACE", ".")).resolve()
    path = path.resolve()
    return (path.relative_to(workspace) if path.is_relative_to(workspace) else path).as_posix()


def _escaped(text: str) -> str:
    """Return text for a message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Return text for a property, in which colons and commas mean something too."""
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
