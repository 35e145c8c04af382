"""Write what a report offers into the baselines of this project.

Requirements:
    What is written is what ``--grad-baseline-update`` would have written where the report is from,
    byte for byte. What it would have withheld is refused, with the reason, and so is an entry that
    was changed here since: it is not the one that the run was compared with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck import store
from pytest_gradcheck.errors import BaselineError, UsageError
from pytest_gradcheck.filing import digest, file_entries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_gradcheck.records import Kept
    from pytest_gradcheck.reporters import Report, ReportEntry

__all__ = ["Placed", "place", "refusal", "root_of"]


@dataclass(slots=True)
class Placed:
    """Gather what was done with the entries of a report.

    Attributes:
        created, rewritten, unchanged: entries, as ``file::key``.
        refused: why not, by entry.
        lost: entries that an unreadable file held and its replacement does not.
    """

    created: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def root_of(report: Report, given: str | None) -> Path:
    """Return the folder that the paths of a report are from.

    Args:
        report: with paths from the root of its project.
        given: what the user said it is.

    Raises:
        UsageError: no folder from here upwards has the report's tests.
    """
    modules = sorted({entry.node_id.partition("::")[0] for entry in report.entries if entry.file})
    folders = [Path(given)] if given is not None else [Path.cwd(), *Path.cwd().parents]
    for folder in folders:
        if not modules or any((folder / module).is_file() for module in modules):
            return folder
    where = f"in {given}" if given is not None else "here or in a folder above; --root names it"
    msg = f"the report is about {modules[0]}, which is not {where}"
    raise UsageError(msg)


def place(
    report: Report,
    entries: Iterable[ReportEntry],
    root: Path,
    *,
    force: bool = False,
    dry: bool = False,
) -> Placed:
    """Write entries of a report into the baselines of a project.

    Args:
        report: that they are from.
        entries: to write, in the report's order.
        root: of the project.
        force: whether to replace entries that are not those that the run was compared with.
        dry: whether to write nothing.
    """
    placed = Placed()
    ready: dict[Path, dict[str, Kept]] = {}
    for entry in entries:
        why = refusal(entry, root, force=force)
        if why:
            placed.refused[_label(entry)] = why
        elif _is_there(entry, root):
            placed.unchanged.append(_label(entry))
        elif entry.offer is not None and entry.offer.entry is not None:
            ready.setdefault(root / entry.file, {})[entry.key] = entry.offer.entry
    for path, new in sorted(ready.items()):
        name = path.relative_to(root).as_posix()
        try:
            known = set(store.read(path).entries)
        except BaselineError:
            known = set()
        if not dry:
            try:
                filed = file_entries(path, new, report.environment)
            except BaselineError as error:
                placed.refused |= {f"{name}::{key}": str(error) for key in new}
                continue
            placed.lost += [f"{name}::{key}" for key in filed.lost or ()]
        for key in sorted(new):
            (placed.rewritten if key in known else placed.created).append(f"{name}::{key}")
    return placed


def refusal(entry: ReportEntry, root: Path, *, force: bool = False) -> str:
    """Return why a call's measurement must not be written, empty where nothing speaks against."""
    offer = entry.offer
    if offer is None:
        return "it was within its allowance, so there is nothing to record"
    if offer.refused or offer.entry is None:
        return offer.refused or "the report does not hold what to record"
    path = (root / entry.file).resolve()
    if not path.is_relative_to(root.resolve()) or path.parent.parent.name != store.FOLDER:
        return f"{entry.file} is not a place for baselines in this project"
    if force or _is_there(entry, root) or _stored(root / entry.file, entry.key) == offer.replaces:
        return ""
    return "the baseline here is not the one that the run was compared with (--force writes it)"


def _stored(path: Path, key: str) -> str:
    """Return the digest of an entry, empty where there is none that can be read."""
    try:
        stored = store.read(path).entries.get(key)
    except BaselineError:
        return ""  # an update makes it anew, too
    return digest(stored) if stored is not None else ""


def _is_there(entry: ReportEntry, root: Path) -> bool:
    """Return whether a baseline holds already what a call offers."""
    if entry.offer is None or entry.offer.entry is None:
        return False
    return _stored(root / entry.file, entry.key) == digest(entry.offer.entry)


def _label(entry: ReportEntry) -> str:
    """Return what an entry is called."""
    return f"{entry.file or entry.node_id.partition('::')[0]}::{entry.key or entry.title}"
