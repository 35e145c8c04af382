"""Find the measurements that a command is to look at: in baselines, folders and reports."""

from __future__ import annotations

import dataclasses
import fnmatch
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck import store
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Kept, Measurement, Scalar
from pytest_gradcheck.reporters import ReportEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_gradcheck.reporters import Report

__all__ = [
    "Item",
    "baseline_files",
    "chosen",
    "from_file",
    "from_path",
    "from_report",
    "of_gradients",
    "shown",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Hold one measurement and where it is from.

    Attributes:
        file: of the baseline, to be shown.
        key: of the entry.
        measurement: with its allowances, where they are known.
        environment: in which it was recorded.
        entry: of the report that it is from, if it is from one.
    """

    file: str
    key: str
    measurement: Measurement
    environment: Mapping[str, Scalar] = field(default_factory=dict)
    entry: ReportEntry | None = None

    @property
    def label(self) -> str:
        """What SELECT is matched with."""
        return f"{self.file}::{self.key}"


def from_path(path: Path) -> list[Item]:
    """Return what a baseline file, a folder of baselines or a report holds.

    Raises:
        UsageError: there is nothing there, or it cannot be read.
    """
    if path.is_dir():
        files = baseline_files([path])
        return [item for file in files for item in from_file(file)]
    if not path.exists():
        msg = f"there is no {path}"
        raise UsageError(msg)
    if is_baseline(path):
        return from_file(path)
    from pytest_gradcheck.reporters.document import read_report

    return list(from_report(read_report(path)))


def is_baseline(path: Path) -> bool:
    """Return whether a file is a baseline, by its place or by its first lines."""
    if path.absolute().parent.parent.name == store.FOLDER:
        return True
    with path.open("rb") as file:
        return b'"gradcheck-baseline/' in file.read(100)


def from_file(path: Path) -> list[Item]:
    """Return what a baseline file holds."""
    file = store.read(path)
    return [
        Item(file=shown(path), key=key, measurement=entry, environment=file.environment)
        for key, entry in of_gradients(file.entries, shown(path)).items()
    ]


def of_gradients(entries: Mapping[str, Kept], source: str) -> dict[str, Measurement]:
    """Return the entries that keep gradients, and say on standard error that there are others.

    Args:
        entries: by key.
        source: what they are from.
    """
    found = {key: entry for key, entry in entries.items() if isinstance(entry, Measurement)}
    others = [key for key in entries if key not in found]
    if others:
        text = f"note: {source} keeps training runs, left out here: {', '.join(others)}"
        sys.stderr.write(f"{ascii(text)[1:-1] if not text.isprintable() else text}\n")
    return found


def from_report(report: Report) -> Iterator[Item]:
    """Yield what a report holds; a call of which only the outcome is known has no measurement."""
    for entry in report.entries:
        measurement = _measured(entry)
        if measurement is not None:
            yield Item(
                file=entry.file or entry.node_id.partition("::")[0],
                key=entry.key or entry.title,
                measurement=measurement,
                environment=report.environment,
                entry=entry,
            )


def baseline_files(paths: Sequence[Path]) -> list[Path]:
    """Return the baseline files at or under some paths, sorted.

    Raises:
        UsageError: a path is not there, or no baselines are.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += store.find(path)
            if path.absolute().parent.name == store.FOLDER:  # of one test module
                found += sorted(path.glob("*.json"))
        elif path.exists():
            found.append(path)
        else:
            msg = f"there is no {path}"
            raise UsageError(msg)
    if not found:
        where = ", ".join(map(str, paths))
        msg = f"there are no baselines in {where}; pytest --grad-baseline-update records them"
        raise UsageError(msg)
    return list(dict.fromkeys(found))


def chosen(label: str, select: str | None) -> bool:
    """Return whether a label is among those that the user asked for."""
    if not select:
        return True
    return select in label or fnmatch.fnmatchcase(label, f"*{select}*")


def shown(path: Path) -> str:
    """Return a path from here, where it is below."""
    here = Path.cwd()
    whole = path.absolute()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else str(path)


def _measured(entry: ReportEntry) -> Measurement | None:
    """Return the measurement of a call, with the allowances that it was judged by."""
    if entry.offer is not None and isinstance(entry.offer.entry, Measurement):
        return entry.offer.entry
    verdict = entry.gradients
    if verdict is None:
        return None
    found, baseline = verdict.measurement, verdict.baseline
    if baseline is None:
        return found
    return dataclasses.replace(
        found,
        allowances=baseline.allowances,
        shadow_allowances=baseline.shadow_allowances,
    )
