"""What the ranks of a distributed run can do together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Collective"]


class Collective(Protocol):
    """Add up what the ranks of a distributed run know, each of its own shard.

    Every rank calls the same methods in the same order.
    """

    @property
    def rank(self) -> int:
        """Number of this rank, from 0."""
        ...

    @property
    def size(self) -> int:
        """Number of ranks."""
        ...

    def owns(self, name: str) -> bool:
        """Whether this rank speaks for its elements of a parameter: one replica of them does."""
        ...

    def shard(self, name: str) -> int:
        """Return which part of a parameter lies here; equal on ranks that hold the same one."""
        ...

    def whole(self, names: Iterable[str]) -> Collective:
        """Return the same ranks where every one of them holds some parameters whole."""
        ...

    def add(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of the ranks' vectors, shape ``(k,)``, the same bits on every rank."""
        ...

    def largest(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the element-wise maximum of the ranks' vectors, shape ``(k,)``."""
        ...

    def gather(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the ranks' vectors of ``k`` numbers, shape ``(size, k)``."""
        ...

    def exchange(
        self, summands: NDArray[np.float64], row: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sum of vectors, as `add`, and all rows, as `gather`, in one go if small."""
        ...

    def share(self, value: object) -> object:
        """Return what rank 0 passed, on every rank."""
        ...
