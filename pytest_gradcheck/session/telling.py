"""What a report says of a run: its calls, its settings, its environment.

Requirements:
    Paths are from the root of the project, so that a report of one machine is of use on another.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_gradcheck import __version__
from pytest_gradcheck.records import SeriesVerdict, Verdict
from pytest_gradcheck.reporters import ReportEntry
from pytest_gradcheck.reporters.offer import Offer
from pytest_gradcheck.serialize import from_json
from pytest_gradcheck.session.commit import kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_gradcheck.records import Scalar
    from pytest_gradcheck.reporters import BaselineStatus
    from pytest_gradcheck.session.commit import Changes
    from pytest_gradcheck.session.ledger import Attempt, Call
    from pytest_gradcheck.session.run import Run

__all__ = ["entries", "environment", "settings", "shown"]


def entries(run: Run, changes: Changes, root: Path) -> Iterator[ReportEntry]:
    """Yield what the report says of each call.

    Args:
        run: that is over.
        changes: that were written.
        root: of the project.
    """
    for attempt, call in run.ledger.calls:
        yield _entry(run, attempt, call, changes, root)


def environment(run: Run, machine: Mapping[str, Scalar]) -> dict[str, Any]:
    """Return the versions and the platform of the run.

    Args:
        run: that is over.
        machine: what is to be known of the machine.
    """
    found: dict[str, Any] = {**machine, "pytest-gradcheck": __version__}
    for _, call in run.ledger.calls:
        if call.verdict:
            found |= call.verdict["series" if call.kind == "series" else "measurement"]["packages"]
    return found


def settings(run: Run) -> dict[str, Any]:
    """Return what the user asked for, by the names of the options."""
    settings = run.settings
    found: dict[str, Any] = {
        "grad_baseline": settings.mode,
        "grad_baseline_prune": settings.prune,
        "grad_drift": "warn" if settings.warn else "fail",
        "grad_variant": settings.variant,
        "grad_top": settings.top,
    }
    return found | {f"grad_{name}": str(value) for name, value in settings.limits.items()}


def shown(path: Path, root: Path) -> str:
    """Return a path as pytest shows it: from the root of the project, where it is below."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _entry(run: Run, attempt: Attempt, call: Call, changes: Changes, root: Path) -> ReportEntry:
    """Return what the report says of a call."""
    status: BaselineStatus = call.baseline
    reason = call.reason
    refused = run.ledger.obstacle(attempt, call) if call.action or call.offer else ""
    if call.action:
        reason = refused or changes.problems.get(Path(call.path), "")
        status = "withheld" if reason else "recorded"
        reason = reason or call.sees
    return ReportEntry(
        node_id=attempt.nodeid,
        name=call.name,
        outcome=attempt.outcome,
        baseline=status,
        reason=reason,
        drifted=call.drifted,
        failed=tuple(call.failed),
        warnings=tuple(call.warnings),
        seconds=call.seconds,
        verdict=_verdict(call),
        command=call.command,
        source=_origin(call.source, root) if call.source else "",
        line=call.line,
        file=_file(call.path, root) if call.baseline != "off" else "",
        key=call.key,
        offer=_offer(call, refused),
    )


@lru_cache(maxsize=64)
def _origin(source: str, root: Path) -> str:
    """Return the file that a call is made in, as pytest shows it."""
    return shown(Path(os.path.realpath(source)), root)


@lru_cache(maxsize=64)
def _file(path: str, root: Path) -> str:
    """Return a baseline file, as pytest shows it."""
    return shown(Path(path), root)


def _verdict(call: Call) -> Verdict | SeriesVerdict | None:
    """Return the verdict that a call sent, if it sent one."""
    if not call.verdict:
        return None
    if call.kind == "series":
        return from_json(SeriesVerdict, call.verdict)
    return from_json(Verdict, call.verdict)


def _offer(call: Call, refused: str) -> Offer | None:
    """Return what may be recorded of a call from the report."""
    action = call.action or call.offer
    if not action:
        return None
    entry = None if refused or call.entry is None else kept(call)
    return Offer(action=action, entry=entry, refused=refused, replaces=call.replaces)
