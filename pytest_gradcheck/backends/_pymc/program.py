"""Compile a model once, and evaluate its log-density, gradient and terms.

The headline is the function that PyMC's own samplers call. The terms come from functions of their
own (see `pytest_gradcheck.backends._pymc.terms`), compiled when they are first asked for: more
outputs in one graph would change how the headline is rewritten, and which of its elements are
finite.

Requirements:
    Nothing compiled may hold a model, nor need the one that it was compiled of: an equal one shares
    it (see `pytest_gradcheck.backends._pymc.cache`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pymc import pytensorf
from pymc.model import core

from pytest_gradcheck.backends._pymc import graph
from pytest_gradcheck.backends._pymc.mode import choose, compiling, default, scope
from pytest_gradcheck.backends._pymc.seeding import seeded
from pytest_gradcheck.backends._pymc.terms import Terms, TermValues
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.progress import working

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymc import Model
    from pytensor.graph.basic import Variable

__all__ = ["Point", "Program", "flat", "frozen"]

Point = Mapping[str, NDArray[Any]]


class Program:
    """Evaluate one model's log-density and its gradient at flat points."""

    def __init__(
        self,
        model: Model,
        density: Variable,
        start: Point,
        *,
        wrt: Sequence[str],
        mode: object,
        seed: int,
    ) -> None:
        self.names = tuple(wrt)
        self.held = tuple(n for n in map(_name, model.continuous_value_vars) if n not in wrt)
        reached = graph.dependencies([density])
        self.data = graph.data(density)
        self.rngs = pytensorf.find_rng_nodes([density])
        with scope("fast"):
            scanned = graph.scanned(reached)
        self.disconnected = frozenset(set(wrt) - set(map(_name, reached)))
        self.choice = choose(mode, scanned)
        self._terms: Terms | None = None
        self._inputs = list(_variables(model, (*self.names, *self.held)).values())
        self._scalars = graph.factors(density, len(graph.term_names(model)))
        self.complete = bool(self._scalars)  # else the terms are derived from the model once more
        self._label = model.name or "model"
        with working(f"compiling the log-density of '{self._label}'"):
            self._compile(model, density, start, seed)

    def headline(self, vector: NDArray[Any], start: Point, *, seed: int) -> tuple[float, Any]:
        """Return the log-density and its gradient at a flat point, as the sampler sees them."""
        with scope(self.choice.label), seeded(self.rngs, seed):
            self._headline.set_extra_values(start)
            value, grad = self._headline(vector)
        return float(value), frozen(grad)

    @contextmanager
    def seeing(self, data: Sequence[Variable]) -> Iterator[None]:
        """Evaluate with the data of another model, one for each of those compiled with."""
        pairs = [
            (own, other) for own, other in zip(self.data, data, strict=True) if own is not other
        ]
        before = [own.get_value(borrow=True, return_internal_type=True) for own, _ in pairs]
        try:
            for own, other in pairs:
                own.set_value(other.get_value(borrow=True, return_internal_type=True), borrow=True)
            yield
        finally:
            for (own, _), value in zip(pairs, before, strict=True):
                own.set_value(value, borrow=True)

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
        self,
        model: Model,
        vector: NDArray[Any],
        start: Point,
        *,
        seed: int,
        headline: tuple[float, NDArray[Any]],
    ) -> dict[str, TermValues]:
        """Return every term's value and gradient at a flat point.

        Args:
            model: that the program was compiled of, or an equal one.
            vector: the point.
            start: where the variables that are held in place stand.
            seed: of what the model draws.
            headline: log-density and gradient at the point.
        """
        if self._terms is None:
            self._terms = self._derive_terms(model)
        held = (start[name] for name in self.held)
        blocks = [*self.split(vector, start).values(), *held]
        value, grad = headline
        with scope(self.choice.label), seeded(self.rngs, seed):
            found = self._terms.plainly(blocks, (value, self.split(grad, start)))
        if not found:
            with working(f"compiling the terms of '{self._label}'"), seeded(self.rngs, 0), model:
                self._terms.complete()
            with scope(self.choice.label), seeded(self.rngs, seed):
                found = self._terms.rewritten(blocks)
        return dict(zip(graph.term_names(model), found, strict=True))

    def _compile(self, model: Model, density: Variable, start: Point, seed: int) -> None:
        """Compile the headline and try it; what numpy cannot evaluate gets the default mode."""
        try:
            with _at_hand(model, density):
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
        with compiling(self.choice.label), seeded(self.rngs, 0), model:
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

    def _derive_terms(self, model: Model) -> Terms:
        """Derive the terms and their gradients."""
        with (
            working(f"compiling the terms of '{self._label}'"),
            compiling(self.choice.label),
            seeded(self.rngs, 0),
            model,
        ):
            scalars = graph.rewritten(self._scalars) if self._scalars else graph.terms(model)
            self._scalars = []  # rewritten in place
            wrt = dict(zip(self.names, self._inputs, strict=False))
            return Terms(scalars, self._inputs, wrt=wrt, choice=self.choice)


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


@contextmanager
def _at_hand(model: Model, density: Variable) -> Iterator[None]:
    """Have the model return its log-density, which takes long to derive, instead of deriving it.

    A frozen model keeps its own.
    """
    if hasattr(core, "FrozenModel") and isinstance(model, core.FrozenModel):
        yield
        return
    names = vars(model)
    derive = model.logp
    names["logp"] = lambda *args, **options: (
        derive(*args, **options) if args or options else density
    )
    try:
        yield
    finally:
        del names["logp"]


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
