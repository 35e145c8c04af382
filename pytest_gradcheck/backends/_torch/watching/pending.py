"""Keep numbers on their device, and fetch many of them in one transfer.

Requirements:
    Adding a number never waits for the device. Rows are filled when they are fetched, in the order
    in which their numbers were added.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Pending", "Row"]

Row = dict[str, float]

_MOST = 1 << 16  # numbers that wait at most


class Pending:
    """Keep numbers until somebody asks for them, or there are many."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._waiting: list[tuple[Row, Sequence[str], torch.Tensor]] = []
        self._count = 0

    def add(self, row: Row, keys: Sequence[str], numbers: torch.Tensor) -> None:
        """Let numbers enter a row once they are fetched.

        Args:
            row: to fill.
            keys: one for each number; empty ones are left out.
            numbers: shape ``(len(keys),)``, any real dtype, any device.
        """
        self._waiting.append((row, keys, numbers.detach()))
        self._count += len(keys)
        if self._count > _MOST:
            self.fetch()

    def note(self, row: Row, key: str, number: float | torch.Tensor) -> None:
        """Enter a number in a row, at once where it is at hand.

        Args:
            row: to fill.
            key: of the number.
            number: a float, or a tensor of one element on any device.
        """
        if isinstance(number, torch.Tensor):
            self.add(row, [key], number)
        else:
            row[key] = number

    def fetch(self) -> None:
        """Fill the rows, with one transfer for each device and dtype."""
        groups = defaultdict(list)
        for row, keys, numbers in self._waiting:
            groups[numbers.device, numbers.dtype].append((row, keys, numbers))
        self._waiting, self._count = [], 0
        for parts in groups.values():
            values = torch.cat([numbers.reshape(-1) for _, _, numbers in parts]).tolist()
            start = 0
            for row, keys, _ in parts:
                found = zip(keys, values[start : start + len(keys)], strict=True)
                row.update((key, float(value)) for key, value in found if key)
                start += len(keys)
