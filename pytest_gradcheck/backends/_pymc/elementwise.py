"""Evaluate operations on whole arrays where PyTensor runs Python code for every element.

PyTensor calls numpy for most operations, and the Python code of a single element for the others:
`Second`, which every gradient of a sum is full of, casts, `clip`, `softplus`. On large arrays they
were most of what a function cost. An `Elemwise` may name a function for whole arrays: here are
those that PyTensor lacks.

Requirements:
    A function here returns what the Python code of PyTensor's operation returns, element by
    element by the same formulas, and in the same order in memory: that of later sums depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pytensor.graph.basic import Apply
from pytensor.graph.rewriting.basic import WalkingGraphRewriter, node_rewriter
from pytensor.scalar.basic import Add, Cast, Clip, Identity, Mul, Second
from pytensor.scalar.math import Log1mexp, Softplus
from pytensor.tensor.elemwise import Elemwise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pytensor.graph.basic import Variable
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.rewriting.basic import GraphRewriter

__all__ = ["at_once", "clip", "copied", "log1mexp", "second", "softplus"]

_MOST = 2  # operands of one call of numpy


def at_once() -> GraphRewriter:
    """Return the rewriter that has whole arrays computed at once; run it after every other one."""
    return WalkingGraphRewriter(node_rewriter([Elemwise])(_at_once), ignore_newtrees=True)


def second(first: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return values in the shape that two arrays have together."""
    found = _room(values.dtype, first, values)
    found[...] = values
    return found


def copied(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy: PyTensor casts what it gets to the dtype that it has announced."""
    return values.copy(order="K")


def clip(values: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> NDArray[Any]:
    """Return values between bounds; NaN stays, and of bounds that cross the lower one wins."""
    found = _room(np.result_type(values, low, high), values, low, high)
    found[...] = values
    np.copyto(found, high, where=values > high)
    np.copyto(found, low, where=values < low)
    return found


def softplus(values: NDArray[Any]) -> NDArray[Any]:
    """Return ``log(1 + exp(x))`` of an array in float64, by the formula that fits each element."""
    found = values.astype(np.float64, order="K")
    exp = np.exp(found)
    large, middle, small = found < 33.3, found < 18.0, found < -37.0  # noqa: PLR2004 - PyTensor's
    np.copyto(found, found + np.exp(-found), where=large)
    np.copyto(found, np.log1p(exp), where=middle)
    np.copyto(found, exp, where=small)
    return found


def log1mexp(values: NDArray[Any]) -> NDArray[Any]:
    """Return ``log(1 - exp(x))`` of an array in float64, by the formula that fits each element."""
    wide = values.astype(np.float64, order="K")
    found = np.log(-np.expm1(wide))
    np.copyto(found, np.log1p(-np.exp(wide)), where=wide < np.log(0.5))
    return found


def _room(dtype: np.dtype[Any], *arrays: NDArray[Any]) -> NDArray[Any]:
    """Return an array of the common shape that lies in memory as numpy would lay a result."""
    flags: Any = [*([["readonly"]] * len(arrays)), ["writeonly", "allocate"]]
    dtypes = [*(array.dtype for array in arrays), dtype]
    laid = np.nditer([*arrays, None], ["zerosize_ok"], flags, dtypes, order="K")
    found: NDArray[Any] = laid.operands[-1]
    return found


_WHOLE: dict[type, Callable[..., NDArray[Any]]] = {
    Cast: copied,
    Clip: clip,
    Identity: copied,
    Log1mexp: log1mexp,
    Second: second,
    Softplus: softplus,
}


def _at_once(fgraph: FunctionGraph, node: Apply) -> list[Variable] | None:  # noqa: ARG001 - asked for
    """Return what a node computes, at once; ``None`` where PyTensor does that itself."""
    scalar = node.op.scalar_op
    if isinstance(scalar, Add | Mul):
        return _split(node) if len(node.inputs) > _MOST else None
    function = _WHOLE.get(type(scalar))
    output = node.outputs[0]
    if function is None or output.type.ndim == 0 or not _exact(node):
        return None
    spec = (f"{__name__}.{function.__name__}", len(node.inputs), 1)
    return list(Apply(Elemwise(scalar, nfunc_spec=spec), node.inputs, [output.clone()]).outputs)


def _split(node: Apply) -> list[Variable]:
    """Return ``a + b + c`` as two calls of numpy: PyTensor 2 calls it for two operands alone."""
    pair = Elemwise(node.op.scalar_op)
    result, *rest = node.inputs
    for operand in rest:
        result = pair(result, operand)
    return [result]


def _exact(node: Apply) -> bool:
    """Return whether numpy has the numbers that Python has: no cast may overflow, none be mixed."""
    dtypes = [np.dtype(variable.dtype) for variable in (*node.inputs, *node.outputs)]
    if isinstance(node.op.scalar_op, Cast):
        source, target = dtypes
        return np.can_cast(source, target, "safe") or (source.kind in "biuf" and target.kind == "f")
    kinds = {dtype.kind for dtype in dtypes}
    return isinstance(node.op.scalar_op, Second | Identity) or kinds in ({"f"}, {"i"})
