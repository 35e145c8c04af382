"""What a worker found, one JSON line for each model, change and fault."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Recorded", "Row", "read", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Hold what recording the baseline of one model took and gave.

    Attributes:
        model: its name.
        family: its framework.
        parameters, elements: counts.
        evaluations: of the gradient, in either precision, that recording took.
        native: seconds of one evaluation.
        shadow: seconds of one evaluation in float64, 0 where there is no shadow.
        sensitivity: the smallest drift that every parameter shows, relative to its gradient.
        size: characters of the stored entry.
    """

    model: str
    family: str
    parameters: int
    elements: int
    evaluations: int
    native: float
    shadow: float
    sensitivity: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Hold the alarms of every rule for one model in one configuration.

    Attributes:
        model: its name.
        configuration: where it ran.
        fault: what was broken, nothing for a harmless change.
        size: true relative size of the fault.
        turns: whether only directions changed.
        alarms: by rule.
        margin: our largest observed change over its allowance.
        text: our first finding.
    """

    model: str
    configuration: str
    fault: str = ""
    size: float = 0.0
    turns: bool = False
    alarms: Mapping[str, bool]
    margin: float
    text: str = ""


def write(path: Path, rows: Iterable[Recorded | Row]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(f"{json.dumps(dataclasses.asdict(row))}\n" for row in rows))


def read(path: Path) -> list[Recorded | Row]:
    """Return the rows of a file."""
    found: list[Recorded | Row] = []
    for line in path.read_text().splitlines():
        data = json.loads(line)
        found.append(Row(**data) if "alarms" in data else Recorded(**data))
    return found
