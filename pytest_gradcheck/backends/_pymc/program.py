"""Compile a model once, and evaluate its log-density, gradient and terms.

The headline is the function that PyMC's own samplers call. The terms come from a second function,
compiled when they are first asked for: more outputs in one graph would change how the headline is
rewritten, and which of its elements are finite.

Requirements:
    A model is compiled once per process, mode and choice of parameters; a model that gains or loses
    variables, or whose variables change shape, is compiled again. The cache must not keep a model
    alive, so that nothing compiled may hold one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from pymc import pytensorf

from pytest_gradcheck.backends._pymc import graph
from pytest_gradcheck.backends._pymc.mode import choose, default, scope
from pytest_gradcheck.backends._pymc.seeding import seeded
from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymc import Model
    from pytensor.graph.basic import Variable

__all__ = ["Program", "TermValues", "flat", "frozen", "program"]

Point = Mapping[str, NDArray[Any]]

_PROGRAMS: WeakKeyDictionary[Model, dict[Any, Program]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class TermValues:
    """Hold one term at one point: its value, and its gradient where it depends on something."""

    value: float
    grads: Mapping[str, NDArray[Any] | None]


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
    key = (tuple(wrt), mode)
    known = programs.get(key)
    if known is None or known.signature != _signature(model, start):
        known = programs[key] = Program(model, start, wrt=wrt, mode=mode, seed=seed)
    return known


class Program:
    """Evaluate one model's log-density and its gradient at flat points."""

    def __init__(
        self,
        model: Model,
        start: Point,
        *,
        wrt: Sequence[str],
        mode: object,
        seed: int,
    ) -> None:
        self.signature = _signature(model, start)
        self._alive = _variables_of(model)  # no other variable may take the identity of one
        self.names = tuple(wrt)
        self.held = tuple(n for n in map(_name, model.continuous_value_vars) if n not in wrt)
        density = model.logp()
        reached = graph.dependencies([density])
        self.rngs = pytensorf.find_rng_nodes([density])
        with scope("fast"):
            scanned = graph.scanned(reached)
        self.disconnected = frozenset(set(wrt) - set(map(_name, reached)))
        self.choice = choose(mode, scanned)
        self._terms: Any = None
        self._blocks: tuple[tuple[str, ...], ...] = ()
        self._compile(model, start, seed)

    def headline(self, vector: NDArray[Any], start: Point, *, seed: int) -> tuple[float, Any]:
        """Return the log-density and its gradient at a flat point, as the sampler sees them."""
        with scope(self.choice.label), seeded(self.rngs, seed):
            self._headline.set_extra_values(start)
            value, grad = self._headline(vector)
        return float(value), frozen(grad)

    def split(self, vector: NDArray[Any], start: Point) -> dict[str, NDArray[Any]]:
        """Return a flat point, or a flat gradient, by parameter."""
        blocks = {}
        first = 0
        for name in self.names:
            after = first + start[name].size
            blocks[name] = vector[first:after].reshape(start[name].shape)
            first = after
        return blocks

    def terms(
        self, model: Model, vector: NDArray[Any], start: Point, *, seed: int
    ) -> dict[str, TermValues]:
        """Return every term's value and gradient at a flat point."""
        if self._terms is None:
            self._compile_terms(model)
        with scope(self.choice.label), seeded(self.rngs, seed):
            held = (start[name] for name in self.held)
            inputs = (*self.split(vector, start).values(), *held)
            outputs = [frozen(output) for output in self._terms(*inputs)]
        names = graph.term_names(model)
        values, grads = outputs[: len(names)], iter(outputs[len(names) :])
        result = {}
        for name, value, block in zip(names, values, self._blocks, strict=True):
            present = {parameter: next(grads) for parameter in block}
            result[name] = TermValues(
                value=float(value), grads={p: present.get(p) for p in self.names}
            )
        return result

    def _compile(self, model: Model, start: Point, seed: int) -> None:
        """Compile the headline and try it; what numpy cannot evaluate gets the default mode."""
        try:
            self._compile_headline(model, start)
            self._try(start, seed)
        except graph.NOT_IMPLEMENTED as error:
            if self.choice.label != "fast" or self.choice.forced:
                raise
            self.choice = default(f"no Python implementation: {_first_line(error)}")
            self._compile_headline(model, start)
            self._try(start, seed)

    def _compile_headline(self, model: Model, start: Point) -> None:
        """Compile the function that the samplers use."""
        wrt = _variables(model, self.names)
        options = {} if not self.held else {"grad_vars": list(wrt.values())}
        with scope(self.choice.label), seeded(self.rngs, 0), model:
            try:
                self._headline = model.logp_dlogp_function(
                    ravel_inputs=True,
                    initial_point=dict(start),
                    mode=self.choice.mode,
                    **options,
                )
            except graph.NOT_IMPLEMENTED as error:
                msg = (
                    f"{graph.without_gradient(model, wrt, error)}; give the Op a gradient, or name "
                    "the parameters to differentiate with respect to in wrt= and leave these out"
                )
                raise UsageError(msg) from None

    def _try(self, start: Point, seed: int) -> None:
        """Evaluate at the initial point; a random model twice, to see that it can be repeated."""
        vector = flat({}, start, self.names)
        first = self.headline(vector, start, seed=seed)
        if not self.rngs:
            return
        again = self.headline(vector, start, seed=seed)
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True)):
            msg = (
                "the log-density is random, and the mode or an Op keeps its random state to "
                "itself, so that no seed repeats a draw; leave mode= out, or draw from a shared "
                "generator"
            )
            raise UsageError(msg)

    def _compile_terms(self, model: Model) -> None:
        """Compile one function with the value and the gradient of every term."""
        wrt = _variables(model, self.names)
        with scope(self.choice.label), seeded(self.rngs, 0), model:
            scalars = graph.terms(model)
            blocks = [
                {
                    name: grad
                    for name, grad in zip(
                        wrt, graph.gradients(scalar, list(wrt.values())), strict=True
                    )
                    if grad is not None
                }
                for scalar in scalars
            ]
            self._terms = pytensorf.compile(
                list(_variables(model, (*self.names, *self.held)).values()),
                [*scalars, *(grad for block in blocks for grad in block.values())],
                mode=self.choice.mode,
                on_unused_input="ignore",
            )
        self._blocks = tuple(tuple(block) for block in blocks)


def flat(point: Point, start: Point, names: Sequence[str]) -> NDArray[Any]:
    """Return a point as the vector that the functions take, from the start where it is silent."""
    values = []
    for name in names:
        given = point.get(name)
        value = start[name] if given is None else np.asarray(given, dtype=start[name].dtype)
        values.append(np.ravel(value))
    return np.concatenate(values)


def frozen(value: object) -> NDArray[Any]:
    """Return what PyTensor computed as an array that nobody writes to."""
    array = np.asarray(value)
    array.flags.writeable = False
    return array


def _signature(model: Model, start: Point) -> tuple[Any, ...]:
    """Return what a compiled model depends on: its variables, their shapes, its bounds."""
    shapes = tuple((name, np.shape(value)) for name, value in start.items())
    return (tuple(map(id, _variables_of(model))), shapes, model.check_bounds)


def _variables_of(model: Model) -> list[Variable]:
    """Return every variable and transform that the log-density is made of."""
    pairs = (*model.rvs_to_values.items(), *model.rvs_to_transforms.items())
    return [*(part for pair in pairs for part in pair), *model.potentials]


def _variables(model: Model, names: Sequence[str]) -> dict[str, Variable]:
    """Return value variables by name, in the order of the names."""
    by_name = {variable.name: variable for variable in model.continuous_value_vars}
    return {name: by_name[name] for name in names}


def _name(variable: Variable) -> str:
    """Return a variable's name."""
    return str(variable.name)


def _first_line(error: Exception) -> str:
    """Return the first line of an error, or its kind."""
    return str(error).partition("\n")[0] or type(error).__name__
