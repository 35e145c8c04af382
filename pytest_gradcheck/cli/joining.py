"""Make one report of those of several shards.

Requirements:
    A baseline is called unused only where the shards are known to have run every test: they were
    given the same arguments, found the same tests, and ran each once (`Coverage`).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pytest_gradcheck import store
from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.reporters import Report
from pytest_gradcheck.reporters.offer import Coverage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_gradcheck.records import Scalar
    from pytest_gradcheck.reporters import ReportEntry

__all__ = ["joined"]

_WHOLE = 1 << 64


def joined(reports: Sequence[Report], root: Path | None) -> Report:
    """Return the report of all shards.

    Args:
        reports: of the shards.
        root: of the project, where its baselines can be looked at.
    """
    notes = list(dict.fromkeys(note for report in reports for note in report.notes))
    environment: dict[str, Scalar] = {}
    for name in dict.fromkeys(name for report in reports for name in report.environment):
        values = [r.environment[name] for r in reports if name in r.environment]
        environment[name] = values[0]
        if any(value != values[0] for value in values):
            text = ", ".join(dict.fromkeys(map(str, values)))
            notes.append(f"the shards differ in {name}: {text}; the report keeps the first")
    reasons = _reasons([report.coverage for report in reports])
    unused: list[str] = []
    if reasons:
        notes.append(f"nobody can say which baselines are unused: {'; '.join(reasons)}")
    elif root is not None:
        unused = _unused(reports, root)
    return Report(
        environment=environment,
        settings=_common([report.settings for report in reports]),
        entries=_entries(reports, notes),
        unused=tuple(unused),
        pruned=tuple(line for report in reports for line in report.pruned),
        notes=tuple(notes),
        coverage=_coverage([r.coverage for r in reports if r.coverage], reasons),
    )


def _entries(reports: Iterable[Report], notes: list[str]) -> tuple[ReportEntry, ...]:
    """Return all calls; of one that several shards made, the one that failed."""
    found: dict[tuple[str, str, str], ReportEntry] = {}
    twice = 0
    for report in reports:
        variant = str(report.coverage.variant) if report.coverage else ""
        for entry in report.entries:
            place = (entry.node_id, entry.name, entry.file or variant)
            twice += place in found
            if place not in found or entry.failed:
                found[place] = entry
    if twice:
        notes.append(f"{twice} calls were made in more than one shard: the failed one is kept")
    return tuple(found.values())


def _common(settings: Sequence[Mapping[str, Scalar]]) -> dict[str, Scalar]:
    """Return the settings that all shards share."""
    first, *others = settings
    return {k: v for k, v in first.items() if all(o.get(k) == v for o in others)}


def _reasons(shards: Sequence[Coverage | None]) -> list[str]:
    """Return why the shards together cannot know which baselines are used, in words."""
    known = [shard for shard in shards if shard is not None]
    if len(known) < len(shards):
        return ["a report does not say which tests it covered"]
    found = list(dict.fromkeys(reason for shard in known for reason in shard.reasons))
    groups: dict[tuple[tuple[str, ...], str | None], list[Coverage]] = {}
    for shard in known:
        groups.setdefault((shard.arguments, shard.variant), []).append(shard)
    for (arguments, _), group in groups.items():
        where = ", ".join(arguments) or "the project"
        if len({(shard.collected, shard.collected_sum) for shard in group}) > 1:
            found.append(f"the shards of {where} found different tests")
        elif _missing(group):
            ran = sum(shard.selected for shard in group)
            found.append(f"the shards of {where} ran {ran} of {group[0].collected} tests")
    return found


def _missing(group: Sequence[Coverage]) -> bool:
    """Return whether tests that the shards found were run by none of them, or by several."""
    count = sum(shard.selected for shard in group)
    total = sum(shard.selected_sum for shard in group) % _WHOLE
    return (count, total) != (group[0].collected, group[0].collected_sum)


def _unused(reports: Iterable[Report], root: Path) -> list[str]:
    """Return the entries that no shard used, of the modules that they collected."""
    used: set[tuple[Path, str]] = set()
    variants: set[str | None] = set()
    folders: set[Path] = set()
    for report in reports:
        for entry in report.entries:
            if entry.file:
                path = root / entry.file
                used.add((store.plain(path), entry.key))
                variants.add(store.variant_of(path))
        for module in report.coverage.modules if report.coverage else ():
            folders.add(store.locate(root / module, "any").parent)
    lines = []
    for path in sorted(path for folder in folders for path in folder.glob("*.json")):
        if store.variant_of(path) not in variants:
            continue
        try:
            keys = store.read(path).entries
        except BaselineError:
            continue
        name = path.relative_to(root).as_posix()
        lines += [f"{name}: {key}" for key in sorted(keys) if (store.plain(path), key) not in used]
    return lines


def _coverage(shards: Sequence[Coverage], reasons: Sequence[str]) -> Coverage | None:
    """Return what the shards covered together."""
    if not shards:
        return None
    merged = Coverage(
        arguments=tuple(sorted({name for shard in shards for name in shard.arguments})),
        modules=tuple(sorted({name for shard in shards for name in shard.modules})),
        selected=sum(shard.selected for shard in shards),
        selected_sum=sum(shard.selected_sum for shard in shards) % _WHOLE,
        variant=shards[0].variant if len({shard.variant for shard in shards}) == 1 else None,
        reasons=tuple(reasons),
    )
    if reasons:
        most = max(shards, key=lambda shard: shard.collected)
        return dataclasses.replace(
            merged, collected=most.collected, collected_sum=most.collected_sum
        )
    return dataclasses.replace(merged, collected=merged.selected, collected_sum=merged.selected_sum)
