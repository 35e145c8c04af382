"""The statistics of one gradient: by parameter, by component, and in total."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from functools import cached_property

from pytest_gradcheck.records.component import ComponentStats

__all__ = [
    "Disagreement",
    "Element",
    "GradientStats",
    "ParameterStats",
    "Sketch",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """Hold a linear sketch of an array, from which distances to another one are estimated.

    Attributes:
        norm: exact L2 norm of the array.
        values: the sketch, ``min(size, 32)`` numbers; see `pytest_gradcheck.stats.sketch`.
    """

    norm: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """Hold one entry of a parameter.

    Attributes:
        index: the multi-index.
        value: the gradient there.
        at: the parameter there, where that was looked up.
        where: its coordinates, where the model names them: ``school=C``.
    """

    index: tuple[int, ...]
    value: float
    at: float | None = None
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterStats:
    """Hold the statistics of the gradient of one parameter, in float64.

    Attributes:
        name: as the framework names it.
        shape: of the parameter (a complex one shows a last axis of two).
        dtype: of the gradient; of the parameter where it is disconnected.
        disconnected: no gradient reaches the parameter at all.
        norm, max_abs, mean: L2 norm, L-infinity norm and mean over the finite elements.
        zeros, nans, infs: exact counts.
        top: the largest elements by absolute value, largest first.
        nonfinite: multi-indices of the first elements that are not finite.
        sketch: ``None`` where an element is not finite or the parameter is disconnected.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    disconnected: bool = False
    norm: float = 0.0
    max_abs: float = 0.0
    mean: float = 0.0
    zeros: int = 0
    nans: int = 0
    infs: int = 0
    top: tuple[Element, ...] = ()
    nonfinite: tuple[tuple[int, ...], ...] = ()
    sketch: Sketch | None = None

    @property
    def size(self) -> int:
        """Number of (real) elements."""
        return math.prod(self.shape)

    @property
    def rms(self) -> float:
        """Root mean square over all elements: ``norm / sqrt(size)``."""
        return self.norm / math.sqrt(self.size) if self.size else 0.0

    @property
    def zero_fraction(self) -> float:
        """Share of the elements that are exactly zero."""
        return self.zeros / self.size if self.size else 0.0

    @property
    def finite(self) -> bool:
        """Whether no element is NaN or Inf."""
        return self.nans == 0 and self.infs == 0

    @property
    def dead(self) -> bool:
        """Whether the gradient is disconnected or exactly zero everywhere."""
        return self.disconnected or (self.finite and self.zeros == self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """Hold what one rank of a distributed run has that the others do not.

    Attributes:
        ranks: that stand against the others.
        text: observed, ready to read.
    """

    ranks: tuple[int, ...]
    text: str


@dataclass(frozen=True, kw_only=True)  # no slots: sums over all parameters are taken once
class GradientStats:
    """Hold the statistics of one gradient in one precision (one tier).

    Attributes:
        value: the loss or the log-density.
        parameters: in the model's forward order.
        components: empty for a single scalar.
        disagreements: where ranks that must hold the same gradient do not; never stored.
    """

    value: float
    parameters: tuple[ParameterStats, ...]
    components: tuple[ComponentStats, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()

    @cached_property
    def norm(self) -> float:
        """Global L2 norm over the finite elements."""
        return math.hypot(*[p.norm for p in self.parameters])

    @cached_property
    def max_abs(self) -> float:
        """Largest absolute finite element."""
        return max([p.max_abs for p in self.parameters], default=0.0)

    @cached_property
    def _sizes(self) -> list[int]:
        """Number of elements of each parameter."""
        return [math.prod(p.shape) for p in self.parameters]

    @property
    def size(self) -> int:
        """Number of elements."""
        return sum(self._sizes)

    @cached_property
    def zeros(self) -> int:
        """Number of elements that are exactly zero."""
        return sum([p.zeros for p in self.parameters])

    @cached_property
    def nans(self) -> int:
        """Number of NaN elements."""
        return sum([p.nans for p in self.parameters])

    @cached_property
    def infs(self) -> int:
        """Number of infinite elements."""
        return sum([p.infs for p in self.parameters])

    @cached_property
    def mean(self) -> float:
        """Mean over the finite elements."""
        both = zip(self._sizes, self.parameters, strict=True)
        finite = [size - p.nans - p.infs for size, p in both]
        total: float = sum(map(operator.mul, [p.mean for p in self.parameters], finite))
        return total / max(sum(finite), 1)

    @cached_property
    def finite(self) -> bool:
        """Whether value, components and every element are finite."""
        return (
            math.isfinite(self.value)
            and not (self.nans or self.infs)
            and all(c.finite for c in self.components)
        )

    def __getitem__(self, name: str) -> ParameterStats:
        """Return the statistics of one parameter by name.

        Raises:
            KeyError: there is no such parameter; the message lists the known ones.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        known = ", ".join(p.name for p in self.parameters)
        msg = f"no parameter {name!r}; known: {known}"
        raise KeyError(msg)
