"""Read the graph of a log-density: what it depends on, where it loops, what has no gradient."""

from __future__ import annotations

import hashlib
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pymc.pytensorf import rewrite_pregrad
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.gradient import NullTypeGradError
from pytensor.graph.basic import Constant
from pytensor.graph.replace import clone_replace
from pytensor.graph.utils import MethodNotDefined, MissingInputError
from pytensor.scalar.basic import Add
from pytensor.scan.op import Scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from pymc import Model
    from pytensor.graph.basic import Variable

__all__ = [
    "NOT_IMPLEMENTED",
    "contents",
    "data",
    "dependencies",
    "evaluated",
    "factors",
    "gradients",
    "rewritten",
    "scanned",
    "tensor",
    "term_names",
    "terms",
    "without_gradient",
]

NOT_IMPLEMENTED = (NotImplementedError, MethodNotDefined, NullTypeGradError)

_OP = re.compile(r"(?:not implemented for (?:Op )?|of the )(\S+)")


def term_names(model: Model) -> list[str]:
    """Return the names of the terms of a log-density, in PyMC's order."""
    return [term.name for term in (*model.free_RVs, *model.observed_RVs, *model.potentials)]


def terms(model: Model) -> list[Variable]:
    """Return the terms of a log-density as scalars, rewritten as the samplers do it.

    PyMC rewrites graphs in place and keeps those of a frozen model: a copy is ours alone.
    """
    copies = clone_replace(model.logp(sum=False))
    return rewritten([tensor(term).sum() for term in copies])


def factors(density: Variable, count: int) -> list[Variable]:
    """Return copies of the terms that PyMC added up to a log-density; none where it did not.

    To derive the terms once more would take as long as it took to derive the density.
    """
    node = density.owner
    if count == 1:
        return list(clone_replace([density]))
    added = node is not None and isinstance(getattr(node.op, "scalar_op", None), Add)
    if not added or len(node.inputs) != count:
        return []
    return list(clone_replace(list(node.inputs)))


def rewritten(scalars: Sequence[Variable]) -> list[Variable]:
    """Return terms as the samplers rewrite them before they take gradients, in place."""
    found: list[Variable] = rewrite_pregrad(list(scalars))
    return found


def contents(density: Variable) -> tuple[Any, ...] | None:
    """Return what a graph computes as a value to compare, ``None`` where that cannot be said.

    Equal contents compute equal values of equal inputs: operations, constants, and the names and
    types of the inputs are in it, and what shared variables hold now. Of a generator that cannot be
    said.
    """
    numbers: dict[Variable, int] = {}
    found: list[Any] = []
    for variable in _upwards(density):
        numbers[variable] = len(numbers)
        node = variable.owner
        if node is None:
            found.append(_leaf(variable))
        else:
            inputs = tuple(numbers[i] for i in node.inputs)
            found.append((node.op, node.outputs.index(variable), inputs, variable.type))
    try:
        hash(tuple(found))
    except TypeError:  # an Op, or a constant, that cannot be compared
        return None
    return None if None in found else tuple(found)


def data(density: Variable) -> list[Variable]:
    """Return the shared variables of a graph, in the same order for graphs of equal contents."""
    return [variable for variable in _upwards(density) if isinstance(variable, SharedVariable)]


def _upwards(variable: Variable) -> Iterator[Variable]:
    """Yield all that a variable is computed from, inputs first, and itself last."""
    done: set[Variable] = set()
    stack = [variable]
    while stack:
        node = stack[-1].owner
        waiting = [] if node is None else [i for i in node.inputs if i not in done]
        if waiting:
            stack.extend(waiting)
            continue
        current = stack.pop()
        if current not in done:
            done.add(current)
            yield current


def _leaf(variable: Variable) -> tuple[Any, ...] | None:
    """Return what an input, a constant or a shared variable is, ``None`` where it may be drawn."""
    shared = isinstance(variable, SharedVariable)
    if not shared and not isinstance(variable, Constant):
        return (variable.name, variable.type)
    name = variable.name if shared else None
    held = variable.get_value(borrow=True) if shared else variable.data
    if isinstance(held, np.ndarray) and held.dtype != object:
        return (name, variable.type, held.shape, hashlib.sha256(held.tobytes()).digest())
    return None if shared else (variable.type, held)


def dependencies(outputs: Iterable[Variable]) -> set[Variable]:
    """Return the variables that outputs depend on in a way that a gradient can follow."""
    found: set[Variable] = set()
    stack = list(outputs)
    while stack:
        variable = stack.pop()
        node = variable.owner
        if variable in found:
            continue
        found.add(variable)
        if node is None:
            continue
        if not hasattr(node.op, "connection_pattern"):
            stack.extend(node.inputs)
            continue
        column = node.outputs.index(variable)
        pattern = node.op.connection_pattern(node)
        stack.extend(i for i, row in zip(node.inputs, pattern, strict=True) if row[column])
    return found


def scanned(variables: Iterable[Variable]) -> float:
    """Return how many operations one evaluation runs inside of `Scan` loops, forwards.

    Infinite where the number of steps depends on the parameters.
    """
    nodes = {v.owner for v in variables if v.owner is not None and isinstance(v.owner.op, Scan)}
    total = 0
    for node in nodes:
        try:
            steps = int(evaluated(node.inputs[0]))
        except MissingInputError:
            return math.inf
        total += steps * len(node.op.fgraph.apply_nodes)
    return total


def evaluated(variable: Variable) -> NDArray[Any]:
    """Return the value of a variable that depends on no input."""
    return np.asarray(pytensor.function([], variable, mode="FAST_COMPILE")())


def without_gradient(model: Model, wrt: Mapping[str, Variable], error: Exception) -> str:
    """Say which Op has no gradient, in which terms and for which parameters.

    Args:
        model: whose gradient could not be built.
        wrt: the value variables by name.
        error: what PyTensor raised.
    """
    where = []
    for name, term in zip(term_names(model), terms(model), strict=True):
        bad = [key for key, variable in wrt.items() if not _differentiable(term, variable)]
        if bad:
            where.append(f"term {name!r} for {', '.join(bad)}")
    text = str(error).partition("\n")[0]
    match = _OP.search(text)
    op = f"Op {match[1]}" if match else text
    return f"{op} has no gradient" + (f" (in {'; '.join(where)})" if where else "")


def _differentiable(term: Variable, variable: Variable) -> bool:
    """Return whether the gradient of one term can be built."""
    try:
        gradients(term, [variable])
    except NOT_IMPLEMENTED:
        return False
    return True


def gradients(term: Variable, wrt: Sequence[Variable]) -> list[Variable]:
    """Return the gradient of one term by variable, ``None`` where it does not depend on it."""
    grads = pytensor.grad(term, list(wrt), disconnected_inputs="ignore", return_disconnected="none")
    return [None if grad is None else tensor(grad) for grad in grads]


def tensor(variable: Variable) -> Variable:
    """Return a variable as a plain tensor, without the named dimensions of `pymc.dims`."""
    return variable.values if hasattr(variable.type, "dims") else pt.as_tensor(variable)
