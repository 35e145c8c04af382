"""What stands in one entry of a baseline file, field by field, in the order of its lines.

An entry shows numbers to read at six significant digits, and keeps packed beside them what a later
run compares with:

* ``exact``: the loss; each component's value, norm, share and cosines; each perturbed point's
  value, norm and cosine; then loss and components once more in float64;
* ``sketch``: a parameter's exact gradient norm and its sketch. Where there is a float64 gradient
  the same line holds ``shadow``, its exact norm, largest element, mean and sketch, and the native
  sketch is kept as its difference from that, to ``2**-28`` of the largest value, ``2**-22`` at
  gaps of half precision;
* ``allowance``: of its own precision, then of float64;
* ``point``: a parameter's own exact norm, and its sketch in as many bytes as its type is worth; for
  the whole entry, every value of the point where the measurement kept them;
* ``replicates``: for each seed in ``exact`` value, norm and cosine, and in ``weights`` instances,
  samples, four numbers and whether there are both signs; for each parameter the exact
  ``norms``, and all ``sketches`` to 32 bits of the largest number among them.

Requirements:
    A field that holds its default is left out of the file. Any other change here changes the
    format, and is a new schema number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from pytest_gradcheck.records import Scalar
from pytest_gradcheck.serialize.values import to_json

__all__ = [
    "ComponentLine",
    "Entry",
    "ParameterLines",
    "ReplicateLine",
    "ReplicatesBlock",
    "SampleLine",
    "Total",
    "lean",
    "lean_entry",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Show one tier of the whole gradient."""

    value: float
    norm: float
    max_abs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentLine:
    """Show one component."""

    value: float
    norm: float
    share: float
    cosines: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleLine:
    """Show one perturbed point; without a cosine where a gradient is zero."""

    label: str
    seed: int
    scale: float
    value: float
    norm: float
    cosine: float | None = None
    dead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterLines:
    """Show one parameter; ``shadow_...`` stands only where the float64 gradient differs."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    norm: float
    max_abs: float
    mean: float
    zeros: int = 0
    disconnected: bool = False
    allowance: tuple[float | None, ...] = ()
    point_dtype: str | None = None
    shadow_dtype: str | None = None
    shadow_zeros: int | None = None
    shadow_disconnected: bool | None = None
    sketch: str | None = None
    shadow: str | None = None
    point: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateLine:
    """Show one parameter's gradient under all seeds."""

    mean_norm: float
    variance: float
    size: int
    allowance: float
    norms: str
    sketches: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicatesBlock:
    """Show what varies between seeds; an estimate is its value and the ends of its interval."""

    seed: int
    count: int
    stream: str
    mean_norm: float
    estimates: Mapping[str, tuple[float | None, ...]]
    allowances: Mapping[str, float]
    ess: float | None = None
    max_weight: float | None = None
    exact: str
    weights: str | None = None
    parameters: Mapping[str, ReplicateLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Show one measurement."""

    objective: str
    backend: str
    device: str
    sense: str
    seed: int
    walked: float = 0.0
    structure: Mapping[str, Scalar] = field(default_factory=dict)
    policy: Mapping[str, Scalar] = field(default_factory=dict)
    facts: Mapping[str, Scalar] = field(default_factory=dict)
    total: Total
    shadow: Total | None = None
    components: Mapping[str, ComponentLine] = field(default_factory=dict)
    samples: tuple[SampleLine, ...] = ()
    replicates: ReplicatesBlock | None = None
    allowances: Mapping[str, float] = field(default_factory=dict)
    shadow_allowances: Mapping[str, float] = field(default_factory=dict)
    exact: str
    point: str | None = None
    parameters: Mapping[str, ParameterLines]


def lean_entry(entry: Entry) -> dict[str, Any]:
    """Return the JSON data of an entry, without the fields that hold their default."""
    data = lean(entry)
    data["parameters"] = {name: lean(line) for name, line in entry.parameters.items()}
    if entry.components:
        data["components"] = {name: lean(line) for name, line in entry.components.items()}
    if entry.replicates:
        data["replicates"] = lean(entry.replicates)
    if entry.samples:
        data["samples"] = [lean(line) for line in entry.samples]
    return data


def lean(
    record: Entry | ParameterLines | ComponentLine | SampleLine | ReplicatesBlock,
) -> dict[str, Any]:
    """Return the JSON data of a record, without the fields that hold their default."""
    data = to_json(record)
    for one in fields(record):
        default = one.default if one.default_factory is MISSING else one.default_factory()
        if getattr(record, one.name) == default:
            del data[one.name]
    return data
