"""Say which extra evaluations a measurement needs; checks declare them, `measure` runs them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Directions", "Perturbation", "Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbation:
    """Ask for the gradient at Gaussian perturbations of the point.

    Attributes:
        scale: relative to each parameter's RMS.
        samples: how many points; point ``i`` has seed ``seed + i``.
        seed: of the first one.
    """

    scale: float = 1e-3
    samples: int = 4
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Directions:
    """Ask for numeric directional derivatives.

    Attributes:
        count: how many random directions; direction ``i`` has seed ``seed + i``.
        seed: of the first one.
        rtol, atol: allowed difference beyond the numeric error, relative to the sum of
            ``|gradient x direction|`` and absolute; ``None`` for the one that fits the dtype.
        exclude: patterns of parameters that are not moved.
    """

    count: int = 3
    seed: int = 0
    rtol: float | None = None
    atol: float | None = None
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Ask for a measurement: the point itself, and what the checks need beside it.

    Attributes:
        top: largest elements to keep for each parameter.
        perturbation, directions: extra evaluations, or ``None``.
        replicates: the gradient under that many seeds; 0 for none.
        shadow: also the gradient in float64, where the model's own precision is another one.
        histogram: also how the sizes of the elements are distributed, for reports that show it.
    """

    top: int = 20
    perturbation: Perturbation | None = None
    directions: Directions | None = None
    replicates: int = 0
    shadow: bool = False
    histogram: bool = False
