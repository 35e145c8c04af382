"""Rows to Markdown: the rules against each other, the models, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.power.rules import OTHERS, OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.power.rows import Recorded, Row

__all__ = [
    "LARGE",
    "Totals",
    "alarms",
    "misses",
    "models_table",
    "others_table",
    "rules_table",
    "totals",
]

LARGE = 0.99e-5
"""Relative size from which a fault must be caught: 1e-5, and its own rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Hold what one rule found in a set of rows.

    Attributes:
        rule: its name.
        large, large_all: faults of 1e-5 and more, caught and in all.
        turned, turned_all: those of them that change directions only.
        small, small_all: smaller faults.
        false, harmless: alarms where nothing was broken, and pairs of model and configuration.
        wolves: models with a false alarm.
    """

    rule: str
    large: int
    large_all: int
    turned: int
    turned_all: int
    small: int
    small_all: int
    false: int
    harmless: int
    wolves: int


def totals(rule: str, rows: Sequence[Row]) -> Totals:
    """Count what one rule found."""
    large = [row for row in rows if row.fault and row.size >= LARGE]
    turned = [row for row in large if row.turns]
    small = [row for row in rows if row.fault and row.size < LARGE]
    harmless = [row for row in rows if not row.fault]
    false = [row for row in harmless if row.alarms[rule]]
    return Totals(
        rule=rule,
        large=_caught(rule, large),
        large_all=len(large),
        turned=_caught(rule, turned),
        turned_all=len(turned),
        small=_caught(rule, small),
        small_all=len(small),
        false=len(false),
        harmless=len(harmless),
        wolves=len({row.model for row in false}),
    )


def rules_table(rows: Sequence[Row]) -> list[str]:
    """Return the table of all rules over all models."""
    models = len({row.model for row in rows})
    head = (
        "rule",
        "faults >= 1e-5 caught",
        "of these direction only",
        "smaller faults caught",
        "false alarms",
        "models that cry wolf",
    )
    lines = []
    for rule in (OURS, *(rule.name for rule in OTHERS)):
        t = totals(rule, rows)
        name = f"**{rule}**" if rule == OURS else rule
        lines.append(
            (
                name,
                _share(t.large, t.large_all),
                _share(t.turned, t.turned_all),
                f"{t.small}/{t.small_all}",
                f"{t.false}/{t.harmless}",
                f"{t.wolves}/{models}",
            )
        )
    return _markdown(head, lines)


def models_table(rows: Sequence[Row], recorded: Iterable[Recorded]) -> list[str]:
    """Return the table of our rule on each model."""
    head = (
        "model",
        "elements",
        "faults >= 1e-5",
        "direction only",
        "smaller",
        "false alarms",
        "nearest to one",
        "every drift seen from",
        "evaluations to record",
        "one takes",
        "in float64",
    )
    lines = []
    for model in recorded:
        mine = [row for row in rows if row.model == model.model]
        t = totals(OURS, mine)
        nearest = max((row.margin for row in mine if not row.fault), default=0.0)
        lines.append(
            (
                model.model,
                f"{model.elements:,}",
                f"{t.large}/{t.large_all}",
                f"{t.turned}/{t.turned_all}",
                f"{t.small}/{t.small_all}",
                f"{t.false}/{t.harmless}",
                f"{nearest:.1g}",
                f"{model.sensitivity:.0e}",
                f"{model.evaluations}",
                f"{model.native * 1e3:.1f} ms",
                f"x{model.shadow / model.native:.1f}" if model.shadow else "itself",
            )
        )
    return _markdown(head, lines)


def others_table(rows: Sequence[Row], recorded: Iterable[Recorded]) -> list[str]:
    """Return the table of every rule on each model: faults of 1e-5 and more, false alarms."""
    rules = (OURS, *(rule.name for rule in OTHERS))
    lines = []
    for model in recorded:
        mine = [row for row in rows if row.model == model.model]
        cells = (totals(rule, mine) for rule in rules)
        lines.append((model.model, *(f"{t.large}/{t.large_all}, {t.false}" for t in cells)))
    return _markdown(("model: caught, false alarms", *rules), lines)


def alarms(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a line for each false alarm of ours."""
    for row in rows:
        if not row.fault and row.alarms[OURS]:
            yield f"{row.model}, {row.configuration}: {row.text}"


def misses(rows: Iterable[Row], *, wanted: Callable[[Row], bool]) -> Iterator[str]:
    """Yield a line for each fault that we missed, of those that are wanted."""
    for row in rows:
        if row.fault and not row.alarms[OURS] and wanted(row):
            only = ", direction only" if row.turns else ""
            yield (
                f"{row.model}: {row.fault} (size {row.size:.1e}{only}), "
                f"at {row.margin:.2g} of its allowance"
            )


def _caught(rule: str, rows: Iterable[Row]) -> int:
    """Return how many faults a rule caught."""
    return sum(row.alarms[rule] for row in rows)


def _share(part: int, whole: int) -> str:
    """Return a count with its percentage."""
    return f"{part}/{whole} ({part / whole:.1%})" if whole else "-"


def _markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    rule = ["---", *["---:" for _ in head[1:]]]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *lines)]
