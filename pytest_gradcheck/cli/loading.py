"""Find the entries that a command is to look at: in baselines, folders and reports."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck import store
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Kept, Scalar, SeriesBaseline, SeriesVerdict
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
    "norm_of",
    "shown",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Hold one entry and where it is from.

    Attributes:
        file: of the baseline, to be shown.
        key: of the entry.
        kept: a measurement, or what is kept of a training run; with allowances, where they are
            known.
        environment: in which it was recorded.
        entry: of the report that it is from, if it is from one.
    """

    file: str
    key: str
    kept: Kept
    environment: Mapping[str, Scalar] = field(default_factory=dict)
    entry: ReportEntry | None = None

    @property
    def label(self) -> str:
        """What SELECT is matched with."""
        return f"{self.file}::{self.key}"


def from_path(path: Path) -> list[Item]:
    """Return what a baseline file, a folder or a test module with baselines, or a report holds.

    Raises:
        UsageError: there is nothing there, or it cannot be read.
    """
    if path.is_dir() or path.suffix == ".py":
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
        Item(file=shown(path), key=key, kept=entry, environment=file.environment)
        for key, entry in file.entries.items()
    ]


def from_report(report: Report) -> Iterator[Item]:
    """Yield what a report holds; a call of which only the outcome is known has nothing."""
    for entry in report.entries:
        kept = _kept(entry)
        if kept is not None:
            yield Item(
                file=entry.file or entry.node_id.partition("::")[0],
                key=entry.key or entry.title,
                kept=kept,
                environment=report.environment,
                entry=entry,
            )


def baseline_files(paths: Sequence[Path]) -> list[Path]:
    """Return the baseline files at or under some paths, or of test modules, sorted.

    Raises:
        UsageError: a path is not there, or no baselines are.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += store.find(path)
            if path.absolute().parent.name == store.FOLDER:  # of one test module
                found += sorted(path.glob("*.json"))
        elif path.suffix == ".py" and path.is_file():
            found += sorted(store.locate(path, "any").parent.glob("*.json"))
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


def norm_of(kept: Kept | None) -> float | None:
    """Return the gradient norm of an entry; of a training run, the mean over its steps."""
    if isinstance(kept, SeriesBaseline):
        line = next((v for n, v in kept.metrics.items() if n.rpartition(".")[2] == "norm"), None)
        return None if line is None or math.isnan(line.mean) else line.mean
    return None if kept is None else kept.norm


def shown(path: Path) -> str:
    """Return a path from here, where it is below."""
    here = Path.cwd()
    whole = path.absolute()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else str(path)


def _kept(entry: ReportEntry) -> Kept | None:
    """Return what there is of a call, with the allowances that it was judged by."""
    if entry.offer is not None and entry.offer.entry is not None:
        return entry.offer.entry
    verdict = entry.verdict
    if isinstance(verdict, SeriesVerdict):
        return _series(verdict)
    if verdict is None:
        return None
    if verdict.baseline is None:
        return verdict.measurement
    return dataclasses.replace(
        verdict.measurement,
        allowances=verdict.baseline.allowances,
        shadow_allowances=verdict.baseline.shadow_allowances,
    )


def _series(verdict: SeriesVerdict) -> SeriesBaseline:
    """Return what would be kept of a training run, with the allowances of its baseline."""
    from pytest_gradcheck.series.baseline import kept

    found = kept(verdict.series)
    old = verdict.baseline.metrics if verdict.baseline else {}
    metrics = {
        name: dataclasses.replace(
            line,
            head_allowance=old[name].head_allowance,
            mean_allowance=old[name].mean_allowance,
            tail_allowance=old[name].tail_allowance,
        )
        if name in old
        else line
        for name, line in found.metrics.items()
    }
    return dataclasses.replace(found, metrics=metrics)
