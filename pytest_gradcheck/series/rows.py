"""What a watcher writes down while a loop runs, before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pytest_gradcheck.checks.validate import count
from pytest_gradcheck.errors import UsageTypeError
from pytest_gradcheck.records import Scalar

__all__ = ["LoggedRow", "Notebook", "StepProbe", "StepRow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProbe:
    """Describe a group of metrics with a cadence of its own.

    Attributes:
        name: of the group; its metrics are called ``name.key``.
        read: called after a step, returns scalars by key: numbers, or tensors of one element.
        every: how many steps lie between two calls; the first is after step 0.

    Example:
        >>> StepProbe(name="policy", read=lambda: {"entropy": 1.2}, every=10).every
        10
    """

    name: str
    read: Callable[[], Mapping[str, object]]
    every: int = 1

    def __post_init__(self) -> None:
        """Check the name, the function and the cadence."""
        if not isinstance(self.name, str) or not self.name.strip():
            msg = f"a probe needs a name, not {self.name!r}"
            raise UsageTypeError(msg)
        if not callable(self.read):
            msg = (
                f"read of the probe {self.name!r} must be a function that returns scalars by name, "
                f"not {self.read!r}"
            )
            raise UsageTypeError(msg)
        count(f"every of the probe {self.name!r}", self.every)


@dataclass(slots=True, kw_only=True)
class StepRow:
    """Hold one step of one optimizer.

    Attributes:
        source: the optimizer's name.
        step: of this optimizer, from 0.
        values: raw numbers by key, filled by and by.
    """

    source: str
    step: int
    values: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class LoggedRow:
    """Hold numbers that belong to a step and to no optimizer."""

    group: str
    step: int
    values: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Notebook:
    """Gather what was written down.

    Attributes:
        objective: what was trained, as messages call it.
        backend, device, facts, packages, notes: as in `Series`.
        rows: one for each step of each optimizer.
        logged: what users, components, inputs and probes added.
        epochs: the first step of each epoch after the first one.
        seconds: between the first step and the last.
    """

    objective: str
    backend: str
    device: str = "cpu"
    rows: list[StepRow] = field(default_factory=list)
    logged: list[LoggedRow] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    facts: dict[str, Scalar] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
