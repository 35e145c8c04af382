"""Scale by powers of two on a device, for numbers as large and as small as float64 has them.

Requirements:
    Powers are put together from their bits: ``ldexp`` and ``pow`` are inexact on CUDA.
"""

from __future__ import annotations

from typing import Final

import torch

__all__ = ["exponents_of", "power", "scales_of"]

_TINY: Final = 2.0**-900
_RAISED: Final = 200  # of an exponent: lifts the smallest number to where all bits count


def exponents_of(peaks: torch.Tensor) -> torch.Tensor:
    """Return the smallest ``e`` with ``peak < 2**e`` of float64; for zero, one below all others."""
    # Below the normal numbers not all bits of a pattern are an exponent's.
    tiny = peaks < _TINY
    raised = torch.where(tiny, peaks * 2.0**_RAISED, peaks)
    return (raised.view(torch.int64) >> 52) - 1022 - _RAISED * tiny.to(torch.int64)


def scales_of(exponents: torch.Tensor) -> list[torch.Tensor]:
    """Return two powers of two whose product is ``2**-e``, which alone may be beyond float64.

    What multiplying by the first one rounds is too small to count.
    """
    half = exponents >> 1
    return [power(half - exponents), power(-half)]


def power(exponents: torch.Tensor) -> torch.Tensor:
    """Return powers of two from -1022 to 1023."""
    return ((exponents + 1023) << 52).view(torch.float64)
