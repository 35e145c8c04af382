"""Compile a model once, and share what was compiled with every model that is equal to it.

Tests often build their model anew, each by the same function: the graphs of the log-densities are
then equal, constants included, and one compiled function serves all of them.

Requirements:
    A model that gains or loses variables, or whose variables change shape, is compiled again.
    Models share a function only where nothing that it computes can differ: equal operations (as
    PyTensor itself compares them when it merges graphs), equal constants, inputs of equal name and
    type, and no shared variable, whose value each model may change for itself. No model is kept
    alive.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pytensor

from pytest_gradcheck.backends._pymc import graph
from pytest_gradcheck.backends._pymc.mode import choose, uncollected
from pytest_gradcheck.backends._pymc.program import Point, Program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymc import Model
    from pytensor.graph.basic import Variable

__all__ = ["EQUAL", "program"]

EQUAL: OrderedDict[Any, Program] = OrderedDict()
"""The latest functions of models that others may be equal to."""

_MOST_EQUAL = 16
_PROGRAMS: WeakKeyDictionary[Model, dict[Any, tuple[Any, list[Variable], Program]]] = (
    WeakKeyDictionary()
)


def program(model: Model, start: Point, *, wrt: Sequence[str], mode: object, seed: int) -> Program:
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
        compiled = _equal(model, start, wrt=wrt, mode=mode, seed=seed)
        # The variables are kept so that no other one may take the identity of one of them.
        known = programs[tuple(wrt), mode] = (signature, variables, compiled)
    return known[2]


def _equal(model: Model, start: Point, *, wrt: Sequence[str], mode: object, seed: int) -> Program:
    """Return what an equal model was compiled to, or compile this one."""
    with uncollected():
        density = model.logp()
    contents = graph.contents(density)
    shapes = tuple((name, np.shape(value)) for name, value in start.items())
    settings = (tuple(wrt), mode, model.check_bounds, pytensor.config.floatX)
    key = (contents, tuple(graph.term_names(model)), shapes, settings)
    if contents is not None and key in EQUAL:
        EQUAL.move_to_end(key)
        return EQUAL[key]
    compiled = Program(model, density, start, wrt=wrt, mode=mode, seed=seed)
    if contents is not None:
        EQUAL[key] = compiled
        while len(EQUAL) > _MOST_EQUAL:
            EQUAL.popitem(last=False)
    return compiled


def _signature(model: Model, start: Point) -> tuple[Any, ...]:
    """Return what a compiled model depends on: its variables, their shapes, its bounds."""
    shapes = tuple((name, np.shape(value)) for name, value in start.items())
    return (tuple(map(id, _variables_of(model))), shapes, model.check_bounds)


def _variables_of(model: Model) -> list[Variable]:
    """Return every variable and transform that the log-density is made of."""
    pairs = (*model.rvs_to_values.items(), *model.rvs_to_transforms.items())
    return [*(part for pair in pairs for part in pair), *model.potentials]
