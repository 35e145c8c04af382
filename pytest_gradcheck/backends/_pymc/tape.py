"""Evaluate the terms of a model and their gradients, and keep what every operation computed.

Two graphs can be taped. As written, without any rewriting: names and source lines of the user's own
operations are all there. As compiled: the operations that the samplers run. Which of the two an
explanation may come from, `origins` decides.
"""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pymc import pytensorf
from pymc.logprob.utils import CheckParameterValue
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.replace import clone_replace
from pytensor.tensor import all as all_of
from pytensor.tensor import switch

from pytest_gradcheck.backends._pymc import graph
from pytest_gradcheck.backends._pymc.mode import scope, taped
from pytest_gradcheck.backends._pymc.seeding import seeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from pymc import Model
    from pytensor.graph.basic import Variable

__all__ = ["PROMISE", "Tape"]

PROMISE = "gradcheck_promise"
"""The tag of a switch that stands for a check of a distribution's parameter: ``sigma > 0``."""


class Tape:
    """Hold a compiled function of all terms and gradients, and what its last call computed."""

    def __init__(
        self, model: Model, *, wrt: Sequence[str], held: Sequence[str], as_written: bool
    ) -> None:
        """Compile the function.

        Args:
            model: whose terms are taped.
            wrt: names of the parameters.
            held: names of the other variables, which are inputs too.
            as_written: without rewriting.
        """
        self.values: dict[Variable, Any] = {}
        self.as_written: Final = as_written
        variables = {v.name: v for v in model.continuous_value_vars}
        names = graph.term_names(model)
        with scope("fast"), model:
            if as_written:
                copies = clone_replace(model.logp(sum=False))
                scalars = [graph.tensor(term).sum() for term in copies]
                scalars = _unchecked(scalars, bounds=model.check_bounds)
            else:
                scalars = graph.terms(model)
            outputs: dict[tuple[str, str], Variable] = {}
            for name, scalar in zip(names, scalars, strict=True):
                outputs[name, ""] = scalar
                grads = graph.gradients(scalar, [variables[p] for p in wrt])
                outputs |= {(name, p): g for p, g in zip(wrt, grads, strict=True) if g is not None}
            self._function = pytensorf.compile(
                [variables[name] for name in (*wrt, *held)],
                list(outputs.values()),
                mode=taped(self._keep, as_written=as_written),
                on_unused_input="ignore",
            )
        fgraph = self._function.maker.fgraph
        self.outputs: Final = dict(zip(outputs, fgraph.outputs, strict=True))
        self.inputs: Final = dict(zip((*wrt, *held), fgraph.inputs, strict=False))
        values = [self.outputs[name, ""] for name in names]
        self.forward: Final = frozenset(_above(values))

    def run(
        self, blocks: Sequence[NDArray[Any]], rngs: Sequence[Any], seed: int
    ) -> dict[tuple[str, str], NDArray[Any]]:
        """Return value (under the empty name) and gradients of every term, and keep the rest."""
        self.values.clear()
        with scope("fast"), seeded(rngs, seed):
            found = self._function(*blocks)
        self.values.update(zip(self.inputs.values(), blocks, strict=True))
        return {key: np.asarray(value) for key, value in zip(self.outputs, found, strict=True)}

    def _keep(self, *, node: Any, storage_map: Mapping[Any, Any], **_: object) -> None:  # noqa: ANN401
        """Note what one operation took and what it computed."""
        for variable in (*node.inputs, *node.outputs):
            self.values[variable] = storage_map[variable][0]


def _above(variables: Sequence[Variable]) -> set[Variable]:
    """Return the variables that some are computed from, themselves included."""
    found: set[Variable] = set()
    stack = list(variables)
    while stack:
        variable = stack.pop()
        if variable not in found:
            found.add(variable)
            stack.extend(() if variable.owner is None else variable.owner.inputs)
    return found


def _unchecked(scalars: Sequence[Variable], *, bounds: bool) -> list[Variable]:
    """Return terms in which a broken check gives ``-inf`` instead of raising, and says its name."""
    fgraph = FunctionGraph(outputs=list(scalars), clone=False)
    for node in fgraph.toposort():
        if isinstance(node.op, CheckParameterValue):
            swapped, *conditions = node.inputs
            if bounds and node.op.can_be_replaced_by_ninf and conditions:
                every = reduce(and_, map(all_of, conditions))
                swapped = switch(every, swapped, -np.inf)
                setattr(swapped.tag, PROMISE, node.op.msg)
            fgraph.replace(node.outputs[0], swapped, import_missing=True)
    return list(fgraph.outputs)
