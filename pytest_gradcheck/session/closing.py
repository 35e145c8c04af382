"""The end of a run: baselines and reports are written, and what there is to say is gathered.

Requirements:
    Only the process that the user started comes here. Nothing is deleted unless the run can know
    that no test uses it; otherwise it says why not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck import git, store
from pytest_gradcheck.filing import machine
from pytest_gradcheck.reporters import Report, write_reports
from pytest_gradcheck.reporters.codequality import folder_of
from pytest_gradcheck.reporters.offer import Coverage
from pytest_gradcheck.session import commit, pending, telling
from pytest_gradcheck.session.census import Scope, filters, shards
from pytest_gradcheck.session.github import commands, summarise
from pytest_gradcheck.session.telling import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest

    from pytest_gradcheck.records import Scalar
    from pytest_gradcheck.session.ledger import Attempt
    from pytest_gradcheck.session.run import Run

__all__ = ["Ending", "close"]

_FATES = {"skipped": "skipped", "failed": "failed", "xfailed": "failed as expected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Hold what a run found out, and whether it could write it down.

    Attributes:
        report: for the terminal and the report files.
        written: the report files.
        problems: what could not be written, and why.
        commands: for the machine that runs the tests, to be printed as they are.
    """

    report: Report
    written: tuple[Path, ...] = ()
    problems: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


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
    environment = _machine(run, config)
    if run.settings.records:
        commit.record(run.ledger.ready(), changes, environment)
    notes = list(_notes(run))
    fates = list(_fates(run))
    unused, reasons = _looked_for(run, config, status, fates)
    if run.settings.prune:
        if reasons:
            notes.append(f"no baseline was pruned, for this run cannot know: {'; '.join(reasons)}")
        commit.prune(unused, changes)
        unused = {}
    for path, keys in changes.lost.items():
        also = f"; what else it held is lost: {', '.join(keys)}" if keys else ""
        notes.append(f"{shown(path, config.rootpath)} could not be read and was made anew{also}")
    report = Report(
        environment=telling.environment(run, environment),
        settings=telling.settings(run),
        entries=tuple(telling.entries(run, changes, config.rootpath)),
        coverage=_coverage(run, config, fates),
        unused=tuple(_lines(unused, config)),
        pruned=tuple(_lines(changes.deleted, config)),
        notes=tuple(notes),
        folder=folder_of(config.rootpath),
    )
    failed = write_reports(run.settings.reports, report, top=run.settings.top)
    problems = [*changes.problems.values(), *failed.values()]
    if run.settings.keeps and run.settings.mode != "off":
        pending.keep(report, config)
    problems += summarise(report)
    return Ending(
        report=report,
        written=tuple(path for path in run.settings.reports if path not in failed),
        problems=tuple(problems),
        commands=tuple(commands(report, config.rootpath)),
    )


def _looked_for(
    run: Run, config: pytest.Config, status: int, fates: list[str]
) -> tuple[dict[Path, list[str]], list[str]]:
    """Return the keys that no test used, by file, or else why this run cannot know."""
    if run.settings.mode == "off" or not (run.settings.prune or any(run.ledger.calls)):
        return {}, []
    scope = Scope.of(config.args, config.invocation_params.dir)
    reasons = [*filters(config), *shards(config), *scope.reasons, *run.census.reasons(), *fates]
    if status and not reasons:
        reasons = [f"the run ended with status {int(status)}"]
    return ({}, reasons) if reasons else (_unused(run, scope), [])


def _machine(run: Run, config: pytest.Config) -> dict[str, Scalar]:
    """Return what is to be known of this machine; git is asked only where it will be stored."""
    stored = any(call.action or call.offer for _, call in run.ledger.calls)
    return machine(dirty=stored and git.dirty(config.rootpath, beside=store.FOLDER))


def _coverage(run: Run, config: pytest.Config, fates: list[str]) -> Coverage:
    """Return which tests the run knew and ran."""
    root, census = config.rootpath, run.census
    scope = Scope.of(config.args, config.invocation_params.dir)
    return Coverage(
        arguments=tuple(sorted(shown(path, root) for path in (*scope.folders, *scope.modules))),
        modules=tuple(sorted(shown(Path(name), root) for name in census.modules)),
        collected=census.collected,
        selected=census.selected,
        collected_sum=census.collected_sum,
        selected_sum=census.selected_sum,
        variant=run.settings.variant,
        reasons=(*filters(config), *scope.reasons, *census.reasons(whole=False), *fates),
    )


def _fates(run: Run) -> Iterator[str]:
    """Yield what became of tests and workers that keeps a run from knowing what is used."""
    yield from (f"worker {name} was lost" for name in run.lost)
    outcomes = Counter([_fate(attempt) for attempt in run.ledger])
    never = run.census.selected - run.ledger.tests
    if never > 0:
        outcomes["never ran"] += never
    bad = [(fate, count) for fate, count in outcomes.items() if fate != "passed"]
    yield from (f"{count} test{'s' * (count > 1)} {fate}" for fate, count in sorted(bad))


def _fate(attempt: Attempt) -> str:
    """Return what became of a test, as a verb."""
    found = _FATES.get(attempt.outcome)
    return found or ("passed" if attempt.complete else "did not finish")


def _unused(run: Run, scope: Scope) -> dict[Path, list[str]]:
    """Return the keys that no test used, by file, in what the run covers."""
    calls = [call for _, call in run.ledger.calls if call.baseline != "off"]
    paths = {path: Path(path) for path in {call.path for call in calls}}
    plain = {name: store.plain(path) for name, path in paths.items()}
    variants = set(map(store.variant_of, paths.values()))
    if run.settings.variant is not None or not variants:
        variants.add(run.settings.variant or None)
    homes = [store.locate(module, "any").parent for module in scope.modules]
    files = {path for folder in scope.folders for path in store.find(folder)}
    files |= {path for home in homes for path in home.glob("*.json")}
    return commit.unused(
        sorted(files),
        map(Path, run.census.modules),
        {(plain[call.path], call.key) for call in calls},
        variants,
        run.shelf.keys,
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


def _lines(found: dict[Path, list[str]], config: pytest.Config) -> Iterable[str]:
    """Return one line for each key."""
    root = config.rootpath
    return [f"{shown(path, root)}: {key}" for path, keys in found.items() for key in keys]
