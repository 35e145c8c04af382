"""Say what a factor on the whole gradient usually stands for.

Requirements:
    A factor is held against the sizes that the test has: its data, ranks and components. What is no
    whole number, up or down, stands for nothing.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
from typing import TYPE_CHECKING

from pytest_gradcheck.drift.resemblance import EQUAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_gradcheck.records import Scalar

__all__ = ["meaning", "size_of"]

_SUM = "{n}: a mean that became a sum?"
_MEAN = "1/{n}: a sum that became a mean, or an average taken twice?"
_SCALE = "a power of two: a loss scale that was not divided out?"
_UNSCALED = "one over a power of two: a loss scale divided out twice, or never multiplied in?"
_LOSS_SCALE = 1024  # from there a power of two is what a gradient scaler works with
_SHAPE = re.compile(r"[(]([0-9, ]+)[)]")


def meaning(factor: float, facts: Mapping[str, Scalar], components: int) -> str:
    """Return what a factor stands for, empty where that is nothing.

    Args:
        factor: on every gradient.
        facts: of the measurement; sizes of data, number of ranks.
        components: how many there are.
    """
    for whole, text, scaled in ((factor, _SUM, _SCALE), (1.0 / factor, _MEAN, _UNSCALED)):
        n = round(whole)
        if n < 2 or not math.isclose(whole, n, rel_tol=EQUAL):  # noqa: PLR2004 - a real factor
            continue
        size = size_of(n, facts, components)
        if not size and n >= _LOSS_SCALE and n & (n - 1) == 0:
            return f"{text.partition(':')[0].format(n=n)}, {scaled}"
        return (size or "batch size, accumulation steps? ") + text.format(n=n)
    return ""


def size_of(n: int, facts: Mapping[str, Scalar], components: int) -> str:
    """Return what in the test has that size, with a comma; empty where nothing has.

    Args:
        n: the size.
        facts: of the measurement.
        components: how many there are.
    """
    if n == facts.get("ranks"):
        return "the number of ranks, "
    shapes = _SHAPE.findall(str(facts.get("data", "")))
    sizes = [[int(size) for size in shape.replace(" ", "").split(",") if size] for shape in shapes]
    if n in {size[0] for size in sizes}:
        return "the batch size, "
    if n == components:
        return "the number of components, "
    for size in sizes:
        for length, product in enumerate(itertools.accumulate(size, operator.mul), start=1):
            if n == product:
                return f"the data's {' x '.join(map(str, size[:length]))}, "
    return ""
