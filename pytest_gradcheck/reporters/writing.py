"""Write a report into files, each in the format that its path asks for.

Requirements:
    A report is complete or absent, never half a file. A path whose format is unknown is refused by
    `check_suffix` before the first test runs, not after the last one.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from pytest_gradcheck.errors import MissingExtraError, UsageError
from pytest_gradcheck.uncollected import uncollected

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_gradcheck.reporters import Report

__all__ = ["SUFFIXES", "check_suffix", "write_report", "write_reports"]

SUFFIXES = (".json", ".jsonl", ".md", ".html", ".pkl", ".codequality.json")

_WHOLE = (".json", ".jsonl", ".pkl")  # hold everything, and are written together


def check_suffix(path: Path) -> str:
    """Return the format that a path asks for.

    Raises:
        UsageError: there is no such format; the message lists those there are.
        MissingExtraError: the format needs a package that is not installed.
    """
    suffix = path.suffix.lower()
    double = "".join(path.suffixes[-2:]).lower()
    if double not in SUFFIXES and suffix not in SUFFIXES:
        known = " ".join(SUFFIXES)
        msg = f"{path.name}: the format of a report is told by its suffix, one of {known}"
        raise UsageError(msg)
    if suffix == ".html" and importlib.util.find_spec("jinja2") is None:
        msg = (
            f"{path.name}: a page needs Jinja2, which is not installed; "
            'install it with: pip install "pytest-gradcheck[html]"'
        )
        raise MissingExtraError(msg)
    return double if double in SUFFIXES else suffix


def write_report(path: Path, report: Report, *, top: int = 20) -> None:
    """Write a report in the format that its path asks for.

    Args:
        path: of the file; its folder must exist.
        report: what to write.
        top: the most rows in a table of elements.

    Raises:
        UsageError: the format is unknown, or the file cannot be written; it is as before.
    """
    for problem in write_reports([path], report, top=top).values():
        raise UsageError(problem)


def write_reports(paths: Sequence[Path], report: Report, *, top: int = 20) -> dict[Path, str]:
    """Write a report into several files, each in the format that its path asks for.

    Args:
        paths: of the files; their folders must exist.
        report: what to write.
        top: the most rows in a table of elements.

    Returns:
        Why files could not be written, which are as before; the others are.

    Raises:
        UsageError: a format is unknown; nothing was written.
    """
    from pytest_gradcheck.atomic import replace_file

    formats = {path: check_suffix(path) for path in paths}
    whole = {path: suffix for path, suffix in formats.items() if suffix in _WHOLE}
    failed: dict[Path, OSError] = {}
    with uncollected():  # each collection would walk the whole run, and find nothing
        if whole:
            from pytest_gradcheck.reporters.machine import write_machine

            failed |= write_machine(report, whole)
        for path, suffix in formats.items():
            if path not in whole:
                text = _render(suffix, report, top)
                try:
                    replace_file(path, text.encode("utf-8", "backslashreplace"))
                except OSError as error:
                    failed[path] = error
    return {
        path: f"the report {path} cannot be written: {failed[path].strerror or failed[path]}"
        for path in paths
        if path in failed
    }


def _render(suffix: str, report: Report, top: int) -> str:
    """Return the text of a report for people; only the module of its format is loaded."""
    if suffix == ".codequality.json":
        from pytest_gradcheck.reporters.codequality import codequality_text

        return codequality_text(report)
    if suffix == ".html":
        from pytest_gradcheck.reporters.html import html_text

        return html_text(report, top=top)
    from pytest_gradcheck.reporters.markdown import markdown_text

    return markdown_text(report, top=top)
