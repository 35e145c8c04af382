"""Write a report as a GitLab code-quality file: one finding for each failed check of a call.

The format is https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format; GitLab
tells findings of two commits apart by their fingerprint.

Requirements:
    The fingerprint is of the call and the check, and of nothing that moves with the numbers or the
    lines of the file: a failure that stays is the same finding, whatever else changes around it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.story import story_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.reporters import Report, ReportEntry

__all__ = ["codequality_text", "folder_of"]

_SEVERITY = {"finite": "critical"}
_FAILED = "major"
_TOLERATED = "minor"


def codequality_text(report: Report) -> str:
    """Return the findings as JSON; an empty list where there are none, as GitLab wants it."""
    found = [one for entry in report.entries for one in _findings(entry, report.folder)]
    return json.dumps(found, indent=1) + "\n"


def folder_of(root: Path) -> str:
    """Return where a project lies in its repository, if this is a job of GitLab's that says it."""
    checkout = os.environ.get("CI_PROJECT_DIR")
    if not checkout:
        return ""
    top, root = Path(checkout).resolve(), root.resolve()
    return root.relative_to(top).as_posix() if root.is_relative_to(top) else ""


def _findings(entry: ReportEntry, folder: str) -> Iterator[dict[str, Any]]:
    """Yield what was wrong with one call; not what its test expects to be wrong."""
    if entry.outcome in {"xfailed", "skipped"}:
        return
    for check in entry.failed:
        yield _finding(entry, check, _SEVERITY.get(check, _FAILED), folder)
    if entry.drifted and "drift" not in entry.failed and entry.baseline == "compared":
        yield _finding(entry, "drift", _TOLERATED, folder)


def _finding(entry: ReportEntry, check: str, severity: str, folder: str) -> dict[str, Any]:
    """Return one finding; its path is from the root of the repository, without a leading ``./``."""
    path = entry.source or entry.node_id.partition("::")[0]
    identity = f"{entry.node_id}\n{entry.name}\n{check}"
    return {
        "description": " | ".join(line.strip() for line in story_of(entry, check)),
        "check_name": f"gradcheck.{check}",
        "fingerprint": hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest(),
        "severity": severity,
        "location": {
            "path": (PurePosixPath(folder) / path).as_posix(),
            "lines": {"begin": max(entry.line, 1)},
        },
    }
