"""Draw the signs of the sketch on a device: the same ones as `pytest_gradcheck.stats.signs`.

Requirements:
    Hashing is in 64 bits that wrap around. torch has no unsigned numbers of that length with all
    operations on every device, so bits that a shift brings in from the left are masked away.
    Nothing is copied to the device, which would wait for it.
"""

from __future__ import annotations

from typing import Final

import torch

from pytest_gradcheck.stats.signs import KEY, LANES, ROWS

__all__ = ["Signs", "row_signs"]

_BITS: Final = 64
_BLOCK: Final = 2**17  # words that are hashed together, of 8 million signs: 1 MB


class Signs:
    """Draw the signs of the elements of arrays that are folded into one number of lanes."""

    def __init__(self, device: torch.device, lanes: int) -> None:
        """Draw on a device, for rows of `lanes` elements."""
        self._device: Final = device
        self._lanes: Final = lanes
        self._first = -1
        self._words = torch.empty(0, dtype=torch.int64, device=device)
        number = torch.arange(256, dtype=torch.int16, device=device)
        bits = (number[:, None] >> torch.arange(8, dtype=torch.int16, device=device)) & 1
        self._of_bytes: Final = (1 - 2 * bits).to(torch.int8)
        self._shifts: Final = 8 * torch.arange(8, dtype=torch.int64, device=device)
        self._begin: torch.Tensor | None = None

    def begin(self, rows: int) -> torch.Tensor:
        """Return the signs of the first rows, as `rows`: kept, as every array begins with them."""
        if self._begin is None or self._begin.shape[0] < rows:
            self._begin = self.rows(0, rows)
        return self._begin[:rows]

    def rows(self, first: int, count: int) -> torch.Tensor:
        """Return signs as 1 and -1, shape ``(count, lanes)``."""
        start, size = first * self._lanes, count * self._lanes
        word, offset = divmod(start, _BITS)
        words = self._hashed(word, -(-(offset + size) // _BITS))
        drawn = self._of_bytes[(words[:, None] >> self._shifts) & 255].view(-1)
        return drawn[offset : offset + size].view(count, self._lanes)

    def _hashed(self, first: int, count: int) -> torch.Tensor:
        """Return words of signs, from those kept if they are among them."""
        kept = range(self._first, self._first + self._words.numel())
        if not (first in kept and first + count - 1 in kept):
            self._first = first
            index = torch.arange(
                first + 1, first + 1 + max(count, _BLOCK), dtype=torch.int64, device=self._device
            )
            self._words = _mixed(index * _signed(0x9E3779B97F4A7C15) + KEY)
        return self._words[first - self._first :][:count]


def row_signs(device: torch.device) -> torch.Tensor:
    """Return the signs that lanes are projected on, as 1 and -1, shape ``(4093, 32)``."""
    row = torch.arange(1, ROWS + 1, dtype=torch.int64, device=device)
    keys = (row * _signed(0xD1342543DE82EF95)) ^ KEY
    index = torch.arange(1, LANES // _BITS + 2, dtype=torch.int64, device=device)
    words = _mixed(index * _signed(0x9E3779B97F4A7C15) + keys[:, None])
    bits = (words[:, :, None] >> torch.arange(_BITS, dtype=torch.int64, device=device)) & 1
    return (1 - 2 * bits).to(torch.int8).view(ROWS, -1)[:, :LANES].T.contiguous()


def _mixed(z: torch.Tensor) -> torch.Tensor:
    """Return the output function of SplitMix64."""
    z = (z ^ _shifted(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shifted(z, 27)) * _signed(0x94D049BB133111EB)
    return z ^ _shifted(z, 31)


def _shifted(z: torch.Tensor, by: int) -> torch.Tensor:
    """Shift unsigned numbers to the right."""
    return (z >> by) & ((1 << (_BITS - by)) - 1)


def _signed(number: int) -> int:
    """Return an unsigned 64-bit number as the signed one of the same bits."""
    return number - (1 << _BITS) if number >> (_BITS - 1) else number
