from typing import Any

import numpy as np
from numpy.typing import NDArray

def survey(values: NDArray[np.floating[Any]], /) -> tuple[float, int, int]: ...
def above(values: NDArray[np.floating[Any]], bar: float, most: int, /) -> list[int] | None: ...
def fold(
    values: NDArray[np.floating[Any]],
    start: int,
    signed: bool,
    lanes: NDArray[np.int64],
    step_magic: float,
    square_magic: float,
    /,
) -> tuple[int, int, int, int]: ...
def project(lanes: NDArray[np.int64], exponent: int, /) -> tuple[float, ...]: ...
def reduce(
    values: NDArray[np.floating[Any]], width: int, /
) -> tuple[float, int, int, tuple[float, ...], int, int, int, int] | None: ...
def products(
    arrays: tuple[NDArray[np.floating[Any]] | tuple[int, int, int], ...],
    scales: tuple[float, ...],
    sums: NDArray[np.float64],
    /,
) -> None: ...
