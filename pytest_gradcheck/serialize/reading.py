"""Turn an entry of a baseline file back into the measurement that it keeps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import (
    ComponentStats,
    GradientStats,
    Measurement,
    ParameterStats,
    PointStats,
    Sample,
    Sketch,
)
from pytest_gradcheck.serialize.kinds import refuse_other_kinds
from pytest_gradcheck.serialize.packing import unpacked, unpacked_coarse, unpacked_near
from pytest_gradcheck.serialize.replicates import replicates_of
from pytest_gradcheck.serialize.shapes import Entry, ParameterLines, ReplicatesBlock, SampleLine
from pytest_gradcheck.serialize.values import from_json
from pytest_gradcheck.serialize.writing import DTYPE, SHADOW_DTYPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_gradcheck.records import Replicates

__all__ = ["measurement_of"]

_LARGEST_SIZE = 2**63
_NOTHING: Final[Mapping[str, Any]] = {}


def measurement_of(entry: Mapping[str, Any], packages: Mapping[str, str]) -> Measurement:
    """Return the measurement that an entry keeps.

    Args:
        entry: JSON data, as `pytest_gradcheck.serialize.writing.entry_data` makes them. Of others
            there is an error of any kind, or a measurement whose entry they are not.
        packages: of the file, which is all that is known of them.

    Raises:
        UsageError: packed numbers are damaged, missing or left over.
    """
    refuse_other_kinds(Entry, entry)
    exact = _Numbers(entry["exact"])
    lines, components = entry["parameters"], entry.get("components", {})
    for line in lines.values():
        refuse_other_kinds(ParameterLines, line)
    native = GradientStats(
        value=exact.next(),
        components=_components(components, exact),
        parameters=tuple([_native(name, line) for name, line in lines.items()]),
    )
    samples = tuple([_sample(line, exact) for line in entry.get("samples", ())])
    shadow = None
    if "shadow" in entry:
        shadow = GradientStats(
            value=exact.next(),
            components=_components(components, exact),
            parameters=tuple([_shadow(name, line) for name, line in lines.items()]),
        )
    exact.finish()
    allowances, shadow_allowances = _allowances(entry, lines)
    return Measurement(
        objective=entry["objective"],
        backend=entry["backend"],
        device=entry["device"],
        sense=entry["sense"],
        seed=entry["seed"],
        native=native,
        shadow=shadow,
        point=PointStats(
            sketches=tuple([unpacked_coarse(line["point"]) for line in lines.values()]),
            dtypes=tuple([line.get("point_dtype") or _dtype(line) for line in lines.values()]),
            values=unpacked(entry["point"]) if "point" in entry else None,
        ),
        samples=samples,
        replicates=_replicates(entry["replicates"]) if "replicates" in entry else None,
        allowances=allowances,
        shadow_allowances=shadow_allowances,
        walked=float(entry.get("walked", 0.0)),
        facts=entry.get("facts", _NOTHING),
        structure=entry.get("structure", _NOTHING),
        policy=entry.get("policy", _NOTHING),
        packages=packages,
    )


class _Numbers:
    """Hand out packed numbers one by one, none missing and none left over."""

    def __init__(self, text: str) -> None:
        """Start at the first number."""
        self._left: Iterator[float] = iter(unpacked(text))

    def next(self) -> float:
        """Return the next number."""
        for number in self._left:
            return number
        msg = "packed numbers are missing"
        raise UsageError(msg)

    def finish(self) -> None:
        """Check that every number was used."""
        for _ in self._left:
            msg = "there are more packed numbers than lines to hold them"
            raise UsageError(msg)


def _components(lines: Mapping[str, Any], exact: _Numbers) -> tuple[ComponentStats, ...]:
    """Return the components with their exact numbers."""
    return tuple(
        [
            ComponentStats(
                name=name,
                value=exact.next(),
                norm=exact.next(),
                share=exact.next(),
                cosines=tuple([exact.next() for _ in line.get("cosines", ())]),
            )
            for name, line in lines.items()
        ]
    )


def _sample(line: Mapping[str, Any], exact: _Numbers) -> Sample:
    """Return a perturbed point with its exact numbers."""
    refuse_other_kinds(SampleLine, line)
    return Sample(
        label=line["label"],
        seed=line["seed"],
        scale=float(line["scale"]),
        value=exact.next(),
        norm=exact.next(),
        cosine=exact.next() if "cosine" in line else math.nan,
        dead=tuple(line.get("dead", ())),
    )


def _replicates(data: object) -> Replicates:
    """Return the replicates that an entry keeps."""
    return replicates_of(from_json(ReplicatesBlock, data))


def _native(name: str, line: Mapping[str, Any]) -> ParameterStats:
    """Return a parameter in its own precision."""
    sketch, shape = None, tuple(line["shape"])
    if "sketch" in line and "shadow" in line:
        sketch = unpacked_near(line["sketch"], _split(line["shadow"], beside=2)[0])
    elif "sketch" in line:
        sketch, _ = _split(line["sketch"], beside=0)
    if min(shape, default=0) < 0 or math.prod(shape) >= _LARGEST_SIZE:
        msg = f"no array has the shape {list(shape)!s:.60}"
        raise UsageError(msg)
    return ParameterStats(
        name=name,
        shape=shape,
        dtype=_dtype(line),
        disconnected=line.get("disconnected", False),
        norm=sketch.norm if sketch else float(line["norm"]),
        max_abs=float(line["max_abs"]),
        mean=float(line["mean"]),
        zeros=line.get("zeros", 0),
        sketch=sketch,
    )


def _shadow(name: str, line: Mapping[str, Any]) -> ParameterStats:
    """Return a parameter in float64."""
    sketch, norm, max_abs, mean = None, 0.0, 0.0, 0.0
    if "shadow" in line:
        sketch, (max_abs, mean) = _split(line["shadow"], beside=2)
        norm = sketch.norm
    return ParameterStats(
        name=name,
        shape=tuple(line["shape"]),
        dtype=line.get("shadow_dtype") or SHADOW_DTYPE,
        disconnected=line.get("shadow_disconnected", line.get("disconnected", False)),
        norm=norm,
        max_abs=max_abs,
        mean=mean,
        zeros=line.get("shadow_zeros", line.get("zeros", 0)),
        sketch=sketch,
    )


def _dtype(line: Mapping[str, Any]) -> str:
    """Return the type of a parameter's gradient."""
    found: str = line.get("dtype", DTYPE)
    return found


def _allowances(
    entry: Mapping[str, Any], lines: Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what noise explains in each tier: of parameters, and of whatever else there is."""
    found = dict(entry.get("allowances", ())), dict(entry.get("shadow_allowances", ()))
    for name, line in lines.items():
        for tier, allowed in zip(found, line.get("allowance", ()), strict=False):
            if allowed is not None:
                tier[name] = allowed
    return found


def _split(text: str, *, beside: int) -> tuple[Sketch, tuple[float, ...]]:
    """Return an exact sketch, and the numbers that stand between its norm and its values."""
    numbers = unpacked(text)
    if len(numbers) <= beside:
        msg = "packed numbers are missing"
        raise UsageError(msg)
    return Sketch(norm=numbers[0], values=numbers[beside + 1 :]), numbers[1 : beside + 1]
