"""The end of a run: baselines and reports are written, and what there is to say is gathered.

Requirements:
    Only the process that the user started comes here. Nothing is deleted unless the run can know
    that no test uses it; otherwise it says why not.
"""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_gradcheck import __version__, store
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Verdict
from pytest_gradcheck.reporters import Report, ReportEntry, write_report
from pytest_gradcheck.serialize import from_json
from pytest_gradcheck.session import commit
from pytest_gradcheck.session.census import Scope, filters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest

    from pytest_gradcheck.reporters import BaselineStatus
    from pytest_gradcheck.session.ledger import Attempt, Call
    from pytest_gradcheck.session.run import Run

__all__ = ["Ending", "close"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Hold what a run found out, and whether it could write it down.

    Attributes:
        report: for the terminal and the report files.
        written: the report files.
        problems: what could not be written, and why.
    """

    report: Report
    written: tuple[Path, ...] = ()
    problems: tuple[str, ...] = ()


def close(run: Run, config: pytest.Config, status: int) -> Ending:
    """Write the baselines and the reports of a run.

    Args:
        run: with what all its tests said.
        config: of pytest.
        status: that the run ended with.

    Returns:
        What there is to say.
    """
    changes = commit.Changes()
    if run.settings.records:
        commit.record(run.ledger.ready(), changes)
    notes = list(_notes(run))
    unused: dict[Path, list[str]] = {}
    if run.settings.mode != "off" and (run.ledger.calls or run.settings.prune):
        scope = Scope.of(config.args, config.invocation_params.dir)
        reasons = [*filters(config), *scope.reasons, *_reasons(run)]
        if status and not reasons:
            reasons = [f"the run ended with status {int(status)}"]
        if not reasons:
            unused = _unused(run, scope)
        elif run.settings.prune:
            notes.append(f"no baseline was pruned, for this run cannot know: {'; '.join(reasons)}")
    if run.settings.prune:
        commit.prune(unused, changes)
        unused = {}
    for path, keys in changes.lost.items():
        also = f"; what else it held is lost: {', '.join(keys)}" if keys else ""
        notes.append(f"{_shown(path, config)} could not be read and was made anew{also}")
    report = Report(
        environment=_environment(run),
        settings=_settings(run),
        entries=tuple(_entry(run, attempt, call, changes) for attempt, call in run.ledger.calls),
        unused=tuple(_lines(unused, config)),
        pruned=tuple(_lines(changes.deleted, config)),
        notes=tuple(notes),
    )
    problems = list(changes.problems.values())
    written = []
    for path in run.settings.reports:
        try:
            write_report(path, report, top=run.settings.top)
            written.append(path)
        except UsageError as error:
            problems.append(str(error))
    return Ending(report=report, written=tuple(written), problems=tuple(problems))


def _reasons(run: Run) -> Iterator[str]:
    """Yield what came of the run that keeps it from knowing which baselines are used."""
    yield from run.census.reasons()
    yield from (f"worker {name} was lost" for name in run.lost)
    outcomes = Counter(_fate(attempt) for attempt in run.ledger)
    never = run.census.selected - len({attempt.nodeid for attempt in run.ledger})
    if never > 0:
        outcomes["never ran"] += never
    bad = [(fate, count) for fate, count in outcomes.items() if fate != "passed"]
    yield from (f"{count} test{'s' * (count > 1)} {fate}" for fate, count in sorted(bad))


def _fate(attempt: Attempt) -> str:
    """Return what became of a test, as a verb."""
    fates = {"skipped": "skipped", "failed": "failed", "xfailed": "failed as expected"}
    if attempt.outcome in fates:
        return fates[attempt.outcome]
    return "passed" if attempt.complete else "did not finish"


def _unused(run: Run, scope: Scope) -> dict[Path, list[str]]:
    """Return the keys that no test used, by file, in what the run covers."""
    calls = [call for _, call in run.ledger.calls if call.baseline != "off"]
    variants = {store.variant_of(Path(call.path)) for call in calls}
    if run.settings.variant is not None or not variants:
        variants.add(run.settings.variant or None)
    homes = [store.locate(module, "any").parent for module in scope.modules]
    files = {path for folder in scope.folders for path in store.find(folder)}
    files |= {path for home in homes for path in home.glob("*.json")}
    return commit.unused(
        sorted(files),
        map(Path, run.census.modules),
        {(commit.plain(Path(call.path)), call.key) for call in calls},
        variants,
    )


def _entry(run: Run, attempt: Attempt, call: Call, changes: commit.Changes) -> ReportEntry:
    """Return what the report says of a call."""
    status: BaselineStatus = call.baseline
    reason = call.reason
    if call.action:
        reason = run.ledger.obstacle(attempt, call) or changes.problems.get(Path(call.path), "")
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
        verdict=from_json(Verdict, call.verdict) if call.verdict else None,
    )


def _notes(run: Run) -> Iterator[str]:
    """Yield what the reader should know beside the results."""
    if run.settings.ci and run.settings.records:
        asked = f"--grad-baseline={run.settings.mode}"
        yield f"CI is set and {asked} was asked for: baselines are written on this machine"
    for attempt in run.ledger:
        if attempt.idle:
            yield f"{attempt.nodeid} asked for gradcheck and never called it: nothing was checked"
    for attempt, call in run.ledger.calls:
        if call.moved:
            names = ", ".join(call.moved)
            yield f"{attempt.nodeid}: the starting point moved ({names}), the gradient did not"
    yield from (f"worker {name} was lost, and with it what its test said" for name in run.lost)


def _environment(run: Run) -> dict[str, Any]:
    """Return the versions and the platform of the run."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "pytest-gradcheck": __version__,
    }
    for _, call in run.ledger.calls:
        if call.verdict:
            found |= call.verdict["measurement"]["packages"]
    return found


def _settings(run: Run) -> dict[str, Any]:
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


def _lines(found: dict[Path, list[str]], config: pytest.Config) -> Iterable[str]:
    """Return one line for each key."""
    return [f"{_shown(path, config)}: {key}" for path, keys in found.items() for key in keys]


def _shown(path: Path, config: pytest.Config) -> str:
    """Return a path as pytest shows it: from the root of the project."""
    root = config.rootpath
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
