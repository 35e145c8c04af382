from typing import Any

import numpy as np
from numpy.typing import NDArray

# Where "values" may be a tuple: address, number and bytes of elements.

def survey(
    values: NDArray[np.floating[Any]] | tuple[int, int, int], /
) -> tuple[float, int, int]: ...
def top(
    values: NDArray[np.floating[Any]] | tuple[int, int, int], bar: float, most: int, /
) -> list[tuple[int, float]]: ...
def fold(
    values: NDArray[np.floating[Any]] | tuple[int, int, int],
    start: int,
    signed: bool,
    lanes: NDArray[np.int64],
    step_magic: float,
    square_magic: float,
    /,
) -> tuple[int, int, int, int]: ...
def project(lanes: NDArray[np.int64], exponent: int, /) -> tuple[float, ...]: ...
def reduce(
    values: NDArray[np.floating[Any]] | tuple[int, int, int], width: int, /
) -> tuple[float, int, int, int, float, tuple[float, ...], int, int] | None: ...
def products(
    arrays: tuple[NDArray[np.floating[Any]] | tuple[int, int, int], ...],
    scales: tuple[float, ...],
    sums: NDArray[np.float64],
    /,
) -> None: ...
