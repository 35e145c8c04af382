"""Make everything that a model draws repeatable, and leave no trace of it."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from pymc.pytensorf import reseed_rngs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytensor.compile.sharedvalue import SharedVariable

__all__ = ["seeded"]


@contextmanager
def seeded(rngs: Sequence[SharedVariable], seed: int) -> Iterator[None]:
    """Seed the model's generators and the global ones, and put them back as they were.

    The very objects are put back: PyTensor may advance a generator in place.
    """
    shared = [rng.get_value(borrow=True, return_internal_type=True) for rng in rngs]
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the user's own
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - an Op of the user's may draw from it
        reseed_rngs(rngs, seed)
        yield
    finally:
        for rng, value in zip(rngs, shared, strict=True):
            rng.set_value(value, borrow=True)
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002 - put back what was there
