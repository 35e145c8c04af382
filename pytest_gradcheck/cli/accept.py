"""``gradcheck accept``: what a run measured becomes the baselines here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck.cli.loading import chosen
from pytest_gradcheck.cli.output import coloured, line, print_json
from pytest_gradcheck.cli.placing import Placed, place, root_of
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.reporters.document import read_report

if TYPE_CHECKING:
    import argparse

__all__ = ["run", "say"]


def run(arguments: argparse.Namespace) -> int:
    """Write what a report offers; exit 1 where something was refused."""
    report = read_report(Path(arguments.report))
    offered = [entry for entry in report.entries if entry.offer]
    wanted = [e for e in offered if chosen(f"{e.file}::{e.key}", arguments.select)]
    if offered and not wanted:
        msg = f"none of the {len(offered)} entries to accept is {arguments.select!r}"
        raise UsageError(msg)
    root = root_of(report, arguments.root)
    placed = place(report, wanted, root, force=arguments.force, dry=arguments.dry_run)
    if arguments.json:
        print_json(
            {
                "created": placed.created,
                "rewritten": placed.rewritten,
                "unchanged": placed.unchanged,
                "refused": placed.refused,
                "lost": placed.lost,
            }
        )
    else:
        say(placed, dry=arguments.dry_run)
    return 1 if placed.refused else 0


def say(placed: Placed, *, dry: bool = False) -> None:
    """Print what became of each entry."""
    would = "would be " if dry else ""
    for label in placed.created:
        line(f"{coloured(f'{would}created', 'green')}    {label}")
    for label in placed.rewritten:
        line(f"{coloured(f'{would}rewritten', 'green')}  {label}")
    for label in placed.unchanged:
        line(f"unchanged  {label}")
    for label, why in placed.refused.items():
        line(f"{coloured('refused', 'red')}    {label}: {why}")
    for label in placed.lost:
        line(f"lost       {label}: its file could not be read and was made anew")
    written = len(placed.created) + len(placed.rewritten)
    if written and not dry:
        line(f"{written} written; look at them with git diff, then commit")
    elif not (written or placed.refused or placed.unchanged):
        line("nothing to accept: every call was within its allowance")
