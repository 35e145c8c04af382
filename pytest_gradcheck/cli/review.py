"""``gradcheck review``: step through what failed for its baseline, and accept or reject each.

Requirements:
    Answers are lines of standard input, so that a script can give them. What was accepted is
    written at the end, also after ``q``; an interrupt writes nothing.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck.atomic import replace_file
from pytest_gradcheck.cli.accept import say
from pytest_gradcheck.cli.loading import chosen
from pytest_gradcheck.cli.output import coloured, line, print_json
from pytest_gradcheck.cli.placing import place, refusal, root_of
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.reporters.as_json import json_text
from pytest_gradcheck.reporters.document import parse_report, read_report
from pytest_gradcheck.reporters.story import cause_of, story

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_gradcheck.reporters import Report, ReportEntry

__all__ = ["PENDING", "run"]

PENDING = Path(".pytest_cache/v/gradcheck/pending")
"""Where a run keeps what there is to review, from the root of the project."""

_HELP = "a accept, r reject, s skip, A accept all that are left, q quit"


def run(arguments: argparse.Namespace) -> int:
    """Ask about each entry; exit 1 where some are left undecided or were refused."""
    given = arguments.report is not None
    path = Path(arguments.report) if given else _pending()
    report = read_report(path) if given else _read(path)
    waiting = [e for e in report.entries if e.offer and chosen(_label(e), arguments.select)]
    if arguments.json:
        root = root_of(report, arguments.root) if waiting else Path()
        print_json([_plain(entry, root) for entry in waiting])
        return 1 if waiting else 0
    if not waiting:
        line("nothing to review: no baseline failed in that run")
        return 0
    root = root_of(report, arguments.root)
    if arguments.list:
        for entry in waiting:
            line(_listed(entry, root))
        return 1
    answers = dict(_answers(waiting, root))
    accepted = [e for i, e in enumerate(waiting) if answers.get(i) == "a"]
    placed = place(report, accepted, root)
    line()
    say(placed) if accepted else line("nothing was written")
    gone = {_label(e) for i, e in enumerate(waiting) if answers.get(i) == "r"}
    gone |= {*placed.created, *placed.rewritten, *placed.unchanged}
    left = tuple(e for e in report.entries if _label(e) not in gone)
    if not given:
        _keep(path, dataclasses.replace(report, entries=left))
    undecided = sum(_label(entry) not in gone for entry in waiting)
    if undecided:
        line(f"{undecided} left to review")
    return 1 if undecided else 0


def _answers(waiting: list[ReportEntry], root: Path) -> Iterator[tuple[int, str]]:
    """Yield what the user says to each entry by number: ``a``, ``r`` or ``s``; until they quit."""
    every = False
    for i, entry in enumerate(waiting):
        line()
        line(coloured(f"{i + 1}/{len(waiting)}  {_label(entry)}", "bold"))
        for text in story(entry):
            line(text)
        why = refusal(entry, root)
        if why:
            line(f"{coloured('cannot be accepted', 'red')}: {why}")
        answer = "A" if every and not why else _ask(acceptable=not why)
        if answer == "q":
            return
        every = every or answer == "A"
        yield i, "a" if answer == "A" else answer


def _ask(*, acceptable: bool) -> str:
    """Return one answer; the end of the input quits."""
    allowed = "arsAq" if acceptable else "rsq"
    while True:
        sys.stdout.write(f"[{'/'.join(allowed)}] ")
        sys.stdout.flush()
        text = sys.stdin.readline()
        if not text:
            line()
            return "q"
        answer = text.strip()
        if answer and answer in allowed:
            return answer
        line(_HELP if acceptable else "r reject, s skip, q quit")


def _pending() -> Path:
    """Return the file of the last run.

    Raises:
        UsageError: there is none from here upwards.
    """
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / PENDING).is_file():
            return folder / PENDING
    msg = (
        f"no run left anything to review ({PENDING} is not here nor above): run pytest first, "
        "or name the .json report of a run"
    )
    raise UsageError(msg)


def _read(path: Path) -> Report:
    """Return what the last run left; the file holds ``null`` where that is nothing."""
    from pytest_gradcheck.reporters import Report

    text = path.read_text(encoding="utf-8")
    return Report() if text.strip() == "null" else parse_report(text, source=str(path))


def _keep(path: Path, report: Report) -> None:
    """Leave in the file what is still to be reviewed."""
    replace_file(path, (json_text(report) if report.entries else "null").encode())


def _plain(entry: ReportEntry, root: Path) -> dict[str, str]:
    """Return one entry as plain data; ``refused`` says why it cannot be accepted."""
    return {
        "entry": _label(entry),
        "status": "drifted" if entry.drifted else entry.baseline,
        "cause": cause_of(entry),
        "refused": refusal(entry, root),
    }


def _listed(entry: ReportEntry, root: Path) -> str:
    """Return the line of one entry."""
    why = refusal(entry, root)
    what = "drifted" if entry.drifted else entry.baseline
    return f"{what:<10} {_label(entry)}{f' (cannot be accepted: {why})' if why else ''}"


def _label(entry: ReportEntry) -> str:
    """Return what an entry is called."""
    return f"{entry.file}::{entry.key}"
