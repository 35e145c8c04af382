"""Project lanes on random signs on their device, several tensors at a time."""

from __future__ import annotations

from typing import Final

import torch

from pytest_gradcheck.backends._torch.device.signs import row_signs

__all__ = ["Projector"]

_TOGETHER: Final = 8  # tensors, whose products take 17 MB


class Projector:
    """Take the lanes of one tensor after the other, and let go of them soon."""

    def __init__(self, device: torch.device) -> None:
        """Project on a device."""
        self._rows: Final = row_signs(device)
        self._waiting: list[torch.Tensor] = []
        self._done: list[torch.Tensor] = []

    def add(self, halves: torch.Tensor) -> None:
        """Take lanes as halves, shape ``(k, 2, 3, lanes)``: of steps, squares, signed steps."""
        for part in halves.split(_TOGETHER):
            held = self._waiting
            count = len(part) + sum(map(len, held))
            if held and (count > _TOGETHER or held[0].shape[-1] != part.shape[-1]):
                self._project()
            self._waiting.append(part)

    def finish(self) -> torch.Tensor:
        """Return what all tensors were projected to, in the order in which they came.

        Returns:
            Shape ``(k, 2, 34)``: high and low of ``high * 2**32 + low``, for the sums of the lanes
            with the signs of each row of the sketch, then those of all steps and of all squares.
        """
        self._project()
        return torch.cat(self._done)

    def _project(self) -> None:
        """Project what is waiting."""
        halves = torch.cat(self._waiting)
        signed = halves[:, :, 2, :, None] * self._rows[: halves.shape[-1]]
        self._done.append(torch.cat([signed.sum(dim=2), halves[:, :, :2].sum(dim=3)], dim=2))
        self._waiting = []
