"""``gradcheck history``: how entries moved over the commits of their file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck import git
from pytest_gradcheck.cli.loading import baseline_files, chosen, norm_of, shown
from pytest_gradcheck.cli.output import coloured, line, number, print_json, table
from pytest_gradcheck.errors import BaselineError, UsageError
from pytest_gradcheck.records import Measurement, SeriesBaseline
from pytest_gradcheck.serialize import parse_baseline

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_gradcheck.records import Kept

__all__ = ["run"]

_MARK = "\x1e"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Hold a commit that touched a file: where the file was, and whether it went."""

    name: str
    day: str
    subject: str
    path: str
    deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Hold one change of one entry.

    Attributes:
        entry: ``file::key``.
        commit, day, subject: of the commit.
        change: ``recorded``, ``moved``, ``structure`` or ``removed``; ``unreadable`` for a file.
        norm: of the gradient from then on; of a training run, its mean over the steps.
        walked: relative distance to the entry before.
        in_all: relative distance to the first entry of the same structure.
        allowed: the widest allowance of a parameter.
    """

    entry: str
    commit: str
    day: str
    subject: str
    change: str
    norm: float | None = None
    walked: float | None = None
    in_all: float | None = None
    allowed: float | None = None


def run(arguments: argparse.Namespace) -> int:
    """Print the history of each entry, oldest first."""
    path = Path(arguments.path)
    files = [path] if path.suffix == ".json" else baseline_files([path])  # it may be gone
    steps = [
        step for file in files for step in _steps(file) if chosen(step.entry, arguments.select)
    ]
    if not steps:
        msg = f"git knows no commit of {arguments.path} with such an entry"
        raise UsageError(msg)
    if arguments.json:
        print_json([asdict(step) for step in steps])
        return 0
    entries = list(dict.fromkeys(step.entry for step in steps))
    for i, entry in enumerate(entries):
        if i:
            line()
        line(coloured(entry, "bold"))
        own = [step for step in steps if step.entry == entry]
        table(
            ["commit", "day", "change", "norm", "walked", "in all", "allowed", "subject"],
            map(_row, own),
        )
        far = own[-1].in_all
        if far and len(own) > 2:  # noqa: PLR2004 - one step is no creep
            line(f"in {len(own) - 1} steps it has walked {number(far, 3)} from where it began")
    return 0


def _row(step: Step) -> list[str]:
    """Return the row of one step."""
    return [
        step.commit[:10],
        step.day,
        step.change,
        number(step.norm, 6),
        number(step.walked, 3),
        number(step.in_all, 3),
        number(step.allowed, 2),
        step.subject,
    ]


def _steps(file: Path) -> Iterator[Step]:
    """Yield the changes of each entry of a file, oldest first."""
    folder = next(p for p in file.absolute().parents if p.is_dir())
    top = git.top(folder)
    was: dict[str, Kept] = {}
    first: dict[str, Kept] = {}
    for commit in _commits(folder, file.absolute()):
        text = None if commit.deleted else git.text_at(top, commit.name, commit.path)
        try:
            now = parse_baseline(text, source=commit.path)[1] if text is not None else {}
        except BaselineError:
            yield _step(commit, shown(file), "unreadable")
            continue
        for key in sorted({*was, *now}):
            label = f"{shown(file)}::{key}"
            if key not in now:
                yield _step(commit, label, "removed")
                first.pop(key, None)
            elif key not in was:
                first[key] = now[key]
                yield _measured(commit, label, "recorded", now[key])
            elif _differs(now[key], was[key]):
                yield _moved(commit, label, now[key], was[key], first)
        was = now


def _moved(commit: Commit, label: str, now: Kept, was: Kept, first: dict[str, Kept]) -> Step:
    """Return the step of an entry that changed; a new structure begins anew."""
    key = label.partition("::")[2]
    if _restructured(now, was):
        first[key] = now
        return _measured(commit, label, "structure", now)
    step, in_all = _walked(now, was), _walked(now, first[key])
    return _measured(commit, label, "moved", now, step=step, in_all=in_all)


def _restructured(now: Kept, was: Kept) -> bool:
    """Return whether two entries cannot be held against each other."""
    if isinstance(now, Measurement) and isinstance(was, Measurement):
        from pytest_gradcheck.drift.structure import structure_findings

        return bool(structure_findings(now, was))
    if isinstance(now, SeriesBaseline) and isinstance(was, SeriesBaseline):
        return now.steps != was.steps or now.metrics.keys() != was.metrics.keys()
    return True


def _walked(now: Kept, was: Kept) -> float | None:
    """Return the relative distance of two gradients; a training run has none."""
    if not isinstance(now, Measurement) or not isinstance(was, Measurement):
        return None
    from pytest_gradcheck.checks.drift import walked

    return walked(now, was)


def _measured(
    commit: Commit,
    label: str,
    change: str,
    now: Kept,
    *,
    step: float | None = None,
    in_all: float | None = None,
) -> Step:
    """Return a step with the numbers of the entry from then on."""
    return Step(
        entry=label,
        commit=commit.name,
        day=commit.day,
        subject=commit.subject,
        change=change,
        norm=norm_of(now),
        walked=step,
        in_all=in_all,
        allowed=_widest(now),
    )


def _widest(now: Kept) -> float | None:
    """Return the widest allowance of a parameter; a training run's are of another kind."""
    if isinstance(now, SeriesBaseline):
        return None
    allowed = now.shadow_allowances or now.allowances
    return max((allowed[p.name] for p in now.native.parameters if p.name in allowed), default=None)


def _step(commit: Commit, label: str, change: str) -> Step:
    """Return a step without numbers."""
    return Step(
        entry=label, commit=commit.name, day=commit.day, subject=commit.subject, change=change
    )


def _differs(now: Kept, was: Kept) -> bool:
    """Return whether an entry changed in anything but the versions it was recorded with."""
    from pytest_gradcheck.filing import digest

    return digest(now) != digest(was)


def _commits(folder: Path, file: Path) -> Iterator[Commit]:
    """Yield the commits that touched a file, oldest first, through renames."""
    text = git.output(
        folder,
        *("log", "--follow", "--name-status", "-z"),
        f"--format={_MARK}%H%x1f%cs%x1f%s%x1f",
        *("--", str(file)),
    )
    for record in reversed(text.split(_MARK)[1:]):
        name, day, subject, rest = record.split("\x1f", 3)
        parts = [part.strip("\n") for part in rest.split("\0") if part.strip("\n")]
        if parts:  # a merge touches nothing by itself
            yield Commit(
                name=name, day=day, subject=subject, path=parts[-1], deleted=parts[0] == "D"
            )
