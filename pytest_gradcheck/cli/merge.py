"""``gradcheck merge``: join the reports of the shards of one run."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck.cli.joining import joined
from pytest_gradcheck.cli.output import line
from pytest_gradcheck.cli.placing import root_of
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.reporters import check_suffix, write_reports
from pytest_gradcheck.reporters.as_json import json_text
from pytest_gradcheck.reporters.codequality import folder_of
from pytest_gradcheck.reporters.document import read_report

if TYPE_CHECKING:
    import argparse

    from pytest_gradcheck.reporters import Report

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Write one report of several; exit 1 where one of its calls failed."""
    outputs = [Path(name) for name in arguments.output or ()]
    for path in outputs:
        check_suffix(path)
    reports = [read_report(Path(name)) for name in arguments.reports]
    root = _root(reports, arguments.root)
    whole = joined(reports, root)
    if root is not None:
        whole = dataclasses.replace(whole, folder=folder_of(root))
    for problem in write_reports(outputs, whole).values():
        raise UsageError(problem)
    if not outputs:
        sys.stdout.write(json_text(whole))
    else:
        counts = ", ".join(f"{n} {name}" for name, n in whole.counts.items() if n)
        line(f"{len(reports)} reports: {counts or 'no calls'}")
    return 0 if whole.passed else 1


def _root(reports: list[Report], given: str | None) -> Path | None:
    """Return the project's folder, ``None`` where it is not here: then nobody looks for unused."""
    try:
        roots = {root_of(report, given) for report in reports}
    except UsageError:
        if given is not None:
            raise
        return None
    return roots.pop() if len(roots) == 1 else None
