"""Compile a model once, and share what was compiled with every model that is equal to it.

Tests often build their model anew, each by the same function: the graphs of the log-densities are
then equal, constants included, and one compiled function serves all of them.

Requirements:
    A model that gains or loses variables, or whose variables change shape, is compiled again.
    Models share a function only where nothing that it computes can differ: equal operations (as
    PyTensor itself compares them when it merges graphs), equal constants, inputs of equal name and
    type, and equal data. Each model may exchange its data later: an evaluation always sees those of
    the model that it is made for. No model is kept alive.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pytensor
from pytensor.graph.basic import Variable

from pytest_gradcheck.backends._pymc import graph
from pytest_gradcheck.backends._pymc.mode import choose
from pytest_gradcheck.backends._pymc.program import Point, Program
from pytest_gradcheck.uncollected import uncollected

if TYPE_CHECKING:
    from pymc import Model

__all__ = ["EQUAL", "Compiled", "compiled"]

EQUAL: OrderedDict[Any, Program] = OrderedDict()
"""The latest functions of models that others may be equal to."""

_MOST_EQUAL = 16
_PROGRAMS: WeakKeyDictionary[Model, dict[Any, tuple[Any, list[Variable], Compiled]]] = (
    WeakKeyDictionary()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """Hold what a model was compiled to.

    Attributes:
        program: the functions, perhaps those of an equal model.
        data: the model's own shared variables, in the order of those of the program.
    """

    program: Program
    data: Sequence[Variable]


def compiled(
    model: Model, start: Point, *, wrt: Sequence[str], mode: object, seed: int
) -> Compiled:
    """Return the compiled model, compiling it where that has not been done.

    Args:
        model: the ``pm.Model``.
        start: the initial point, which gives the shapes and is where the functions are tried.
        wrt: the names of the parameters; the other variables stay where they start.
        mode: what the user passed.
        seed: of the trial.

    Raises:
        UsageError: an Op has no gradient, or the mode does not exist or cannot be repeated.
    """
    choose(mode, 0)  # says what is wrong with it before it serves as a key
    programs = _PROGRAMS.setdefault(model, {})
    variables, signature = _variables_of(model), _signature(model, start)
    known = programs.get((tuple(wrt), mode))
    if known is None or known[0] != signature:
        found = _equal(model, start, wrt=wrt, mode=mode, seed=seed)
        # The variables are kept so that no other one may take the identity of one of them.
        known = programs[tuple(wrt), mode] = (signature, variables, found)
    return known[2]


def _equal(model: Model, start: Point, *, wrt: Sequence[str], mode: object, seed: int) -> Compiled:
    """Return what an equal model was compiled to, or compile this one."""
    with uncollected():
        density = model.logp()
    contents, data = graph.contents(density), graph.data(density)
    shapes = tuple((name, np.shape(value)) for name, value in start.items())
    settings = (tuple(wrt), mode, model.check_bounds, pytensor.config.floatX)
    key = (contents, tuple(graph.term_names(model)), shapes, settings)
    if contents is not None and key in EQUAL:
        EQUAL.move_to_end(key)
        return Compiled(program=EQUAL[key], data=data)
    program = Program(model, density, start, wrt=wrt, mode=mode, seed=seed)
    if contents is not None and program.complete:
        EQUAL[key] = program
        while len(EQUAL) > _MOST_EQUAL:
            EQUAL.popitem(last=False)
    return Compiled(program=program, data=data)


def _signature(model: Model, start: Point) -> tuple[Any, ...]:
    """Return what a compiled model depends on: its variables, their shapes, its bounds."""
    shapes = tuple((name, np.shape(value)) for name, value in start.items())
    return (tuple(map(id, _variables_of(model))), shapes, model.check_bounds)


def _variables_of(model: Model) -> list[Variable]:
    """Return every variable and transform that the log-density is made of."""
    pairs = (*model.rvs_to_values.items(), *model.rvs_to_transforms.items())
    return [*(part for pair in pairs for part in pair), *model.potentials]
