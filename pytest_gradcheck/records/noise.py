"""How far rounding moves a gradient, by what is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Noise", "TierNoise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TierNoise:
    """Hold how far draws of one tier moved what is compared, root mean square.

    Attributes:
        eps: machine epsilon of the coarsest precision that was used.
        one: by subject, under draws of one unit in the last place: parameters by name,
            ``[value]``, ``[NAME value]`` and ``[NAME norm]`` for components.
        wide: the same under draws of 256 units; empty where there were none.
    """

    eps: float
    one: Mapping[str, float]
    wide: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Hold the noise of both tiers; ``shadow`` is ``None`` where there is no shadow."""

    native: TierNoise
    shadow: TierNoise | None
