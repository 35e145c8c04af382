"""Name what random streams give, so that replicates of equal draws are known as such.

A stream is named by some of its draws under a fixed seed: whole numbers, and normals at four
decimals, which processors that round differently have in common (float32 normals of torch differ by
2e-6 between them).

Requirements:
    Naming a stream moves none: it draws from generators of its own.
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DRAWS", "SEED", "digest", "numpy_draws", "numpy_stream"]

SEED = 20_180_814
DRAWS = 16


def digest(draws: Iterable[tuple[str, Iterable[int], Iterable[float]]]) -> str:
    """Return a short hash of draws.

    Args:
        draws: name of the stream, whole numbers, normals.
    """
    text = "\n".join(
        f"{name}: {' '.join(str(int(n)) for n in whole)} {' '.join(f'{x + 0.0:.4f}' for x in real)}"
        for name, whole, real in draws
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def numpy_draws() -> list[tuple[str, list[int], list[float]]]:
    """Return draws of the streams of Python and numpy."""
    python = random.Random(SEED)  # noqa: S311 - to be named, not to keep a secret
    legacy = np.random.RandomState(SEED)
    new = np.random.default_rng(SEED)
    most = 2**31
    return [
        (
            "python",
            [python.randrange(most) for _ in range(DRAWS)],
            [python.gauss(0.0, 1.0) for _ in range(DRAWS)],
        ),
        ("legacy", legacy.randint(0, most, DRAWS).tolist(), legacy.standard_normal(DRAWS).tolist()),
        ("numpy", new.integers(0, most, DRAWS).tolist(), new.standard_normal(DRAWS).tolist()),
    ]


def numpy_stream() -> str:
    """Return the name of the streams that models on the CPU draw from through numpy."""
    return digest(numpy_draws())
