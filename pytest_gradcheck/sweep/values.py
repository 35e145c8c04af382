"""What a sweep found, point by point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Finding, Measurement, Table

if TYPE_CHECKING:
    from pytest_gradcheck.records import Scalar

__all__ = ["LIMITS", "Stop", "Sweep", "as_text", "factor", "place"]

LIMITS = {
    "max_norm_ratio": "gradient norm",
    "max_parameter_ratio": "gradient norm of any parameter",
    "max_component_ratio": "gradient norm of any component",
    "max_snr_ratio": "signal-to-noise ratio",
    "min_cosine": "cosine",
}
"""What a sweep may limit: by how much something changes between two values of a setting."""

_SHOWN = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Hold one point of the grid.

    Attributes:
        setting: value by name, as text.
        measurement: there.
    """

    setting: Mapping[str, str]
    measurement: Measurement

    @property
    def norm(self) -> float:
        """The gradient norm; the mean over the replicates where there are any."""
        found = self.measurement.replicates
        if found is None or found.norm.value is None:
            return self.measurement.norm
        return found.norm.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Hold the gradient over a grid of settings.

    Attributes:
        stops: the points, the last setting varying fastest.
        findings: what changed by more than its limit, and points that are not finite.
        limits: in force, by name.
    """

    stops: tuple[Stop, ...]
    findings: tuple[Finding, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing changed by more than its limit."""
        return not self.findings

    @property
    def max_norm_ratio(self) -> float:
        """Largest ratio of the gradient norms of any two points."""
        norms = [stop.norm for stop in self.stops]
        return factor(min(norms), max(norms))

    def at(self, **setting: object) -> Measurement:
        """Return the measurement at one point of the grid, ``sweep.at(batch=6)``."""
        wanted = {name: as_text(value) for name, value in setting.items()}
        for stop in self.stops:
            if stop.setting == wanted:
                return stop.measurement
        known = "; ".join(place(stop.setting) for stop in self.stops)
        msg = f"the sweep has no point {place(wanted)}; it has {known}"
        raise UsageError(msg)

    @property
    def table(self) -> Table:
        """Everything in one table."""
        names = list(self.stops[0].setting)
        components = list(dict.fromkeys(c for s in self.stops for c in s.measurement.components))
        replicated = any(s.measurement.replicates for s in self.stops)
        return Table(
            title=f"gradient over {', '.join(names)}",
            head=(
                *names,
                *(self.stops[0].measurement.sense, "norm", "max abs", "finite"),
                *(("mean norm", "cv", "SNR", "ESS") if replicated else ()),
                *(f"norm of {name}" for name in components),
            ),
            rows=tuple(_row(stop, components, replicated=replicated) for stop in self.stops),
        )

    def __str__(self) -> str:
        """Show the table, and what broke a limit."""
        from pytest_gradcheck.reporters.plain import plain_lines

        broken = [f"[{f.subject}]  {f.text}" for f in self.findings]
        return "\n".join([*plain_lines(self.table), *broken])


def place(setting: Mapping[str, str]) -> str:
    """Return a point of the grid as text."""
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def as_text(value: object) -> str:
    """Return a setting's value as short text."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value) if isinstance(value, str | int) else f"{value!r}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def factor(low: float, high: float) -> float:
    """Return the larger over the smaller; 1 for two zeros or two infinities."""
    if low == high:
        return 1.0
    return high / low if low > 0 else math.inf


def _row(stop: Stop, components: Sequence[str], *, replicated: bool) -> tuple[Scalar, ...]:
    """Return the row of one point."""
    m, found = stop.measurement, stop.measurement.replicates
    noise: tuple[Scalar, ...] = ()
    if replicated:
        noise = (None,) * 4
        if found is not None:
            noise = (found.norm.value, found.cv.value, found.snr, found.ess)
    return (
        *stop.setting.values(),
        *(m.value, m.norm, m.max_abs, m.finite),
        *noise,
        *(m.components[name].norm if name in m.components else None for name in components),
    )
