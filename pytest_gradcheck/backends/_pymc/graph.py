"""Read the graph of a log-density: what it depends on, where it loops, what has no gradient."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pymc.pytensorf import rewrite_pregrad
from pytensor.gradient import NullTypeGradError
from pytensor.graph.replace import clone_replace
from pytensor.graph.utils import MethodNotDefined, MissingInputError
from pytensor.scan.op import Scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from pymc import Model
    from pytensor.graph.basic import Variable

__all__ = [
    "NOT_IMPLEMENTED",
    "dependencies",
    "evaluated",
    "gradients",
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
    rewritten: list[Variable] = rewrite_pregrad([tensor(term).sum() for term in copies])
    return rewritten


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
