"""Turn an entry of a baseline file back into the measurement that it keeps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

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
from pytest_gradcheck.serialize.packing import unpacked, unpacked_coarse, unpacked_near
from pytest_gradcheck.serialize.replicates import replicates_of
from pytest_gradcheck.serialize.writing import SHADOW_DTYPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_gradcheck.records import Scalar
    from pytest_gradcheck.serialize.shapes import Entry, ParameterLines, SampleLine

__all__ = ["measurement_of"]

_LARGEST_SIZE = 2**63


def measurement_of(entry: Entry, environment: Mapping[str, Scalar]) -> Measurement:
    """Return the measurement that an entry keeps.

    Args:
        entry: of a baseline file.
        environment: of the file, which is all that is known of the packages.

    Raises:
        UsageError: packed numbers are damaged, missing or left over.
    """
    exact = _Numbers(entry.exact)
    lines = entry.parameters
    native = GradientStats(
        value=exact.next(),
        components=_components(entry, exact),
        parameters=tuple([_native(name, line) for name, line in lines.items()]),
    )
    samples = tuple([_sample(line, exact) for line in entry.samples])
    shadow = None
    if entry.shadow is not None:
        shadow = GradientStats(
            value=exact.next(),
            components=_components(entry, exact),
            parameters=tuple([_shadow(name, line) for name, line in lines.items()]),
        )
    exact.finish()
    own = {n: a for n, line in lines.items() if (a := _allowance(line, 0)) is not None}
    wide = {n: a for n, line in lines.items() if (a := _allowance(line, 1)) is not None}
    return Measurement(
        objective=entry.objective,
        backend=entry.backend,
        device=entry.device,
        sense=entry.sense,
        seed=entry.seed,
        native=native,
        shadow=shadow,
        point=PointStats(
            sketches=tuple([unpacked_coarse(line.point) for line in lines.values()]),
            dtypes=tuple([line.point_dtype or line.dtype for line in lines.values()]),
            values=None if entry.point is None else unpacked(entry.point),
        ),
        samples=samples,
        replicates=replicates_of(entry.replicates) if entry.replicates else None,
        allowances={**entry.allowances, **own},
        shadow_allowances={**entry.shadow_allowances, **wide},
        walked=entry.walked,
        facts=entry.facts,
        structure=entry.structure,
        policy=entry.policy,
        packages={name: text for name, text in environment.items() if isinstance(text, str)},
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


def _components(entry: Entry, exact: _Numbers) -> tuple[ComponentStats, ...]:
    """Return the components with their exact numbers."""
    return tuple(
        [
            ComponentStats(
                name=name,
                value=exact.next(),
                norm=exact.next(),
                share=exact.next(),
                cosines=tuple([exact.next() for _ in line.cosines]),
            )
            for name, line in entry.components.items()
        ]
    )


def _sample(line: SampleLine, exact: _Numbers) -> Sample:
    """Return a perturbed point with its exact numbers."""
    return Sample(
        label=line.label,
        seed=line.seed,
        scale=line.scale,
        value=exact.next(),
        norm=exact.next(),
        cosine=math.nan if line.cosine is None else exact.next(),
        dead=line.dead,
    )


def _native(name: str, line: ParameterLines) -> ParameterStats:
    """Return a parameter in its own precision."""
    sketch = None
    if line.sketch is not None and line.shadow is not None:
        sketch = unpacked_near(line.sketch, _split(line.shadow, beside=2)[0])
    elif line.sketch is not None:
        sketch, _ = _split(line.sketch, beside=0)
    if min(line.shape, default=0) < 0 or math.prod(line.shape) >= _LARGEST_SIZE:
        msg = f"no array has the shape {list(line.shape)!s:.60}"
        raise UsageError(msg)
    return ParameterStats(
        name=name,
        shape=line.shape,
        dtype=line.dtype,
        disconnected=line.disconnected,
        norm=sketch.norm if sketch else line.norm,
        max_abs=line.max_abs,
        mean=line.mean,
        zeros=line.zeros,
        sketch=sketch,
    )


def _shadow(name: str, line: ParameterLines) -> ParameterStats:
    """Return a parameter in float64."""
    sketch, norm, max_abs, mean = None, 0.0, 0.0, 0.0
    if line.shadow is not None:
        sketch, (max_abs, mean) = _split(line.shadow, beside=2)
        norm = sketch.norm
    disconnected = line.shadow_disconnected
    return ParameterStats(
        name=name,
        shape=line.shape,
        dtype=line.shadow_dtype or SHADOW_DTYPE,
        disconnected=line.disconnected if disconnected is None else disconnected,
        norm=norm,
        max_abs=max_abs,
        mean=mean,
        zeros=line.zeros if line.shadow_zeros is None else line.shadow_zeros,
        sketch=sketch,
    )


def _allowance(line: ParameterLines, tier: int) -> float | None:
    """Return what a parameter is allowed in one tier, ``None`` where it has nothing."""
    return line.allowance[tier] if tier < len(line.allowance) else None


def _split(text: str, *, beside: int) -> tuple[Sketch, tuple[float, ...]]:
    """Return an exact sketch, and the numbers that stand between its norm and its values."""
    numbers = unpacked(text)
    if len(numbers) <= beside:
        msg = "packed numbers are missing"
        raise UsageError(msg)
    return Sketch(norm=numbers[0], values=numbers[beside + 1 :]), numbers[1 : beside + 1]
