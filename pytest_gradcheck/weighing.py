"""Let a loss report the weights, or advantages, by which its samples count.

`weights` is called inside the loss; where nobody collects them it costs a look-up, so that it may
stay in a training loop. While replicates are measured, each report is reduced at once to a few
numbers for each instance.

Requirements:
    The user's tensors are neither changed nor kept.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.stats.weights import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["collecting", "weights"]

_TALLY: ContextVar[Tally | None] = ContextVar("tally", default=None)


def weights(values: object) -> None:
    """Report the weights of the samples that a loss is made of; call it inside the loss.

    Args:
        values: real tensor or array, ``[..., samples]``: the last axis is summed over, each place
            of the others is an instance of its own. Signs may differ.

    Raises:
        UsageError: there is no such axis, or nothing on it.

    Example:
        >>> def loss():
        ...     weights(advantage)
        ...     return -(advantage * log_likelihood).mean()
    """
    tally = _TALLY.get()
    if tally is not None:
        tally.add(_array(values))


@contextmanager
def collecting() -> Iterator[Tally]:
    """Gather what is reported while the block runs."""
    tally = Tally()
    token = _TALLY.set(tally)
    try:
        yield tally
    finally:
        _TALLY.reset(token)


def _array(values: Any) -> NDArray[np.float64]:  # noqa: ANN401 - of any framework
    """Return weights as a float64 array of instances by samples."""
    if hasattr(values, "detach"):  # a tensor, on any device and in any precision
        values = values.detach().cpu()
        values = values.float() if "bfloat16" in str(values.dtype) else values
        values = values.numpy()
    try:
        array = np.asarray(values)
    except ValueError:  # rows of unequal length
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        msg = f"weights must be real numbers in a tensor or array, not {values!r:.60}"
        raise UsageTypeError(msg)
    if array.ndim == 0 or array.size == 0:
        msg = (
            f"weights have the shape {array.shape}; they need samples on their last axis: "
            "[..., samples]"
        )
        raise UsageError(msg)
    return array.astype(np.float64).reshape(-1, array.shape[-1])
