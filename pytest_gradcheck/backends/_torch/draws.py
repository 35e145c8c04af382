"""Know which torch functions draw random numbers, themselves or in what they call."""

from __future__ import annotations

import types
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DRAWS", "may_draw"]

# Of the operations that draw, those that gradients do not pass: their draws depend on the type of
# what they fill, or are whole numbers that rounding may tip. Dropout, noisy activations and the
# gamma family draw the same in every type, and must not lose the precision of their input.
DRAWS = {
    *("bernoulli", "bernoulli_", "binomial", "cauchy_", "exponential_", "geometric_"),
    *("log_normal_", "multinomial", "normal", "normal_", "poisson", "rand", "rand_like", "randn"),
    *("randn_like", "random_", "uniform_"),
}
_DRAWING = (
    "dropout",
    "rrelu",
    "attention",
    "lstm",
    "gru",
    "rnn_",
    "gumbel",
    "sample",
    "fractional",
)
_DEPTH = 3  # functions of the library between a call and a draw


@cache
def may_draw(func: Callable[..., object]) -> bool:
    """Whether a torch function draws random numbers, itself or in the functions that it calls."""
    return _draws(func, frozenset())


def _draws(func: object, callers: frozenset[object]) -> bool:
    """Whether a function's name, or a name that its code looks up, is one of those that draw."""
    if _is_draw(getattr(func, "__name__", "")):
        return True
    if not isinstance(func, types.FunctionType) or func in callers or len(callers) > _DEPTH:
        return False
    names = [func.__code__.co_names]
    names += [c.co_names for c in func.__code__.co_consts if isinstance(c, types.CodeType)]
    looked_up = [name for some in names for name in some]
    return any(map(_is_draw, looked_up)) or any(
        _draws(func.__globals__.get(name), callers | {func}) for name in looked_up
    )


def _is_draw(name: str) -> bool:
    """Whether a name is that of an operation that draws, or of one that may draw inside."""
    return name in DRAWS or any(part in name for part in _DRAWING)
