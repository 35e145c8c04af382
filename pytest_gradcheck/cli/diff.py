"""``gradcheck diff``: whether two baselines, reports or revisions drifted from each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.cli.comparing import Pair, compared
from pytest_gradcheck.cli.loading import Item, chosen, from_path, norm_of
from pytest_gradcheck.cli.output import coloured, line, number, print_json, table
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Measurement

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from pytest_gradcheck.records import Kept

__all__ = ["run"]

_COLOURS = {"same": "dim", "moved": "yellow", "added": "green", "removed": "yellow"}


def run(arguments: argparse.Namespace) -> int:
    """Compare; exit 1 where something drifted."""
    if arguments.min_drift is not None and not arguments.min_drift >= 0:
        msg = f"--min-drift={arguments.min_drift}: a relative distance is not negative"
        raise UsageError(msg)
    old, new = _sides(arguments.old, arguments.new)
    pairs = [
        pair
        for pair in compared(old, new, min_drift=arguments.min_drift)
        if chosen(pair.label, arguments.select)
    ]
    if arguments.json:
        print_json([_plain(pair) for pair in pairs])
    else:
        _say(pairs)
    return 1 if any(pair.drifted for pair in pairs) else 0


def _sides(old: str, new: str | None) -> tuple[Mapping[str, Kept], Mapping[str, Kept]]:
    """Return the entries of both sides by label."""
    if new is not None and Path(old).exists() and Path(new).exists():
        return _named(Path(old), Path(new))
    from pytest_gradcheck.cli.revisions import both

    return both(old, new)


def _named(old: Path, new: Path) -> tuple[Mapping[str, Kept], Mapping[str, Kept]]:
    """Return what two paths hold.

    Entries are known by their place below each folder, by their key alone in two files, and by
    their place in the project where one side is a report, which is what it knows.
    """
    both = [(path, from_path(path)) for path in (old, new)]
    reported = any(item.entry is not None for _, items in both for item in items)
    sides = [{_label(i, path, reported): i.kept for i in items} for path, items in both]
    if sides[0] and sides[1] and not set(sides[0]) & set(sides[1]):
        msg = f"{old} and {new} have no entry in common"
        raise UsageError(msg)
    return sides[0], sides[1]


def _label(item: Item, path: Path, reported: bool) -> str:  # noqa: FBT001 - a fact of both sides
    """Return what an entry is known by on both sides."""
    if reported:
        return item.label
    if path.is_file():
        return item.key
    return f"{_below(item.file, path)}::{item.key}"


def _below(file: str, folder: Path) -> str:
    """Return a path from a folder."""
    return Path(file).absolute().relative_to(folder.absolute()).as_posix()


def _say(pairs: list[Pair]) -> None:
    """Print a table of what differs, then what is to be said of each."""
    from pytest_gradcheck.explain import finding_lines

    different = [pair for pair in pairs if pair.status != "same"]
    if different:
        table(["entry", "status", "norm", "was", "distance"], map(_row, different))
    for pair in different:
        if pair.result is None or not pair.result.findings or pair.new is None:
            continue
        line()
        line(coloured(pair.label, "bold"))
        new = pair.new
        names = {p.name for p in new.native.parameters} if isinstance(new, Measurement) else set()
        for text in finding_lines(pair.result, names):
            line(text)
        for sentence in pair.result.diagnosis:
            line(f"  cause: {sentence}")
    counts: dict[str, int] = {}
    for pair in pairs:
        counts[pair.status] = counts.get(pair.status, 0) + 1
    if different:
        line()
    said = ", ".join(f"{n} {status}" for status, n in counts.items())
    line(said or "no baseline differs")


def _row(pair: Pair) -> list[str]:
    """Return the row of one entry."""
    return [
        pair.label,
        pair.status,
        number(norm_of(pair.new), 6),
        number(norm_of(pair.old), 6),
        number(_distance(pair), 3),
    ]


def _distance(pair: Pair) -> float | None:
    """Return how far the whole gradient moved, relative."""
    from pytest_gradcheck.checks.drift import walked
    from pytest_gradcheck.drift.structure import structure_findings

    old, new = pair.old, pair.new
    if not isinstance(old, Measurement) or not isinstance(new, Measurement):
        return None
    return None if structure_findings(new, old) else walked(new, old)


def _plain(pair: Pair) -> dict[str, Any]:
    """Return one entry as plain data."""
    result = pair.result
    findings = [{"subject": f.subject, "text": f.text} for f in (result.findings if result else ())]
    return {
        "entry": pair.label,
        "status": pair.status,
        "drifted": pair.drifted,
        "norm": norm_of(pair.new),
        "was": norm_of(pair.old),
        "distance": _distance(pair),
        "findings": findings,
        "diagnosis": list(result.diagnosis) if result else [],
    }
