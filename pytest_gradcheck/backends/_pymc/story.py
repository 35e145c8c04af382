"""Tell of one term of a model where its numbers that are not finite arose."""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc
import pytensor
from numpy.typing import NDArray
from pytensor.graph.basic import Constant
from pytensor.scalar.basic import Switch
from pytensor.tensor.elemwise import Elemwise

from pytest_gradcheck.backends._pymc.structure import distribution
from pytest_gradcheck.backends._pymc.tape import PROMISE, Tape
from pytest_gradcheck.backends._pymc.walk import Root, Trail, roots
from pytest_gradcheck.backends._pymc.words import DATA, applied, expression, number, op_name
from pytest_gradcheck.records import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymc import Model
    from pytensor.graph.basic import Apply, Variable

    from pytest_gradcheck.backends._pymc.places import Places

__all__ = ["Term"]

Point = Mapping[str, NDArray[Any]]

_NEAR = 3  # parameters shown with their values
_THEIRS = (
    *(sysconfig.get_paths()[kind] for kind in ("stdlib", "platstdlib")),
    *(str(Path(str(package.__file__)).parent) for package in (pymc, pytensor)),
    str(Path(__file__).parents[2]),
)
_MEANINGS = {  # operations on whole arrays -> what their failure says of the first input
    "cholesky": "the matrix is not positive definite",
    "inv": "the matrix is singular",
    "matrix_inverse": "the matrix is singular",
    "solve": "the matrix is singular",
    "scan": "inside a loop",
    "sum": "the sum overflows",
    "prod": "the product overflows",
}


class Term:
    """Explain what is not finite in one term of a model."""

    def __init__(
        self,
        model: Model,
        term: str,
        tape: Tape,
        places: Places,
        point: Point,
    ) -> None:
        """Take what was taped at a point."""
        variable = model.named_vars[term]
        self.term = term
        self.kind = "Potential" if variable in model.potentials else distribution(variable)
        self.tape = tape
        self.places = places
        self.point = point
        self.names = {variable: name for name, variable in tape.inputs.items()}

    def explained(self, bad: Mapping[str, NDArray[np.bool_]]) -> Iterator[Origin]:
        """Yield the origins of what is not finite, those of the value alone where there are any.

        Args:
            bad: by parameter, and under the empty name for the value, which elements.
        """
        trails = {
            name: roots(self.tape.outputs[self.term, name], mask, self.tape.values)
            for name, mask in bad.items()
        }
        every = tuple(name for name in bad if name)
        if "" in trails:
            chosen = [(root, trails[""], every) for root in trails[""].found]
        else:
            chosen = self._merged(trails)
        texts = set()
        for root, trail, parameters in chosen:
            origin = self._origin(root, trail, parameters, bad)
            if (origin.operation, origin.expression) not in texts:
                texts.add((origin.operation, origin.expression))
                yield origin

    def _merged(self, trails: Mapping[str, Trail]) -> list[tuple[Root, Trail, tuple[str, ...]]]:
        """Return each root of gradients once, those in the model's own operations first."""
        owners: dict[Variable, list[str]] = {}
        first: dict[Variable, tuple[Root, Trail]] = {}
        for name, trail in trails.items():
            for root in trail.found:
                owners.setdefault(root.variable, []).append(name)
                first.setdefault(root.variable, (root, trail))
        order = sorted(first, key=lambda v: (v not in self.tape.forward, -len(owners[v])))
        return [(*first[v], tuple(owners[v])) for v in order]

    def _origin(
        self,
        root: Root,
        trail: Trail,
        parameters: tuple[str, ...],
        bad: Mapping[str, NDArray[np.bool_]],
    ) -> Origin:
        """Return one root as an origin."""
        place = tuple(np.argwhere(root.bad)[0].tolist())
        operation, written = self._said(root.variable, place)
        return Origin(
            term=self.term,
            kind=self.kind,
            operation=operation,
            expression=written,
            count=int(root.bad.sum()) if written else 1,
            value="" in bad,
            parameters=parameters,
            values=tuple(self._values(root, place, bad)),
            rows=self._rows(trail),
            source=_source(root.variable, self.tape.forward),
            note="an infinite derivative meets a factor of 0: 0 * inf = nan"
            if trail.masked and "" not in bad
            else "",
        )

    def _said(self, variable: Variable, place: tuple[int, ...]) -> tuple[str, str]:
        """Return an operation with its numbers, and as an expression in names."""
        result = number(np.asarray(self._value(variable))[place])
        node = variable.owner
        if node is None:
            name = self.places.named(variable)
            if name:
                return f"the data of {name} hold {result}", ""
            where = f" at {list(place)}" if place else ""
            return f"a constant holds {result}{where}: it comes from data alone", ""
        if isinstance(node.op, Elemwise):
            if isinstance(node.op.scalar_op, Switch):
                return self._switched(node, place, result)
            numbers = [number(self._at(v, variable, place)) for v in node.inputs]
            return applied(node, numbers, result), self._expression(variable)
        name = op_name(node)
        meaning = _MEANINGS.get(name, "finite numbers went in")
        where = f" at {list(place)}" if place else ""
        return f"{name} gives {result}{where}: {meaning}", self._expression(variable)

    def _switched(self, node: Apply, place: tuple[int, ...], result: str) -> tuple[str, str]:
        """Return which condition a switch to infinity stands for."""
        promise = getattr(node.outputs[0].tag, PROMISE, "")
        condition = self._expression(node.inputs[0])
        if promise:
            return f"{self.kind} needs {promise}, else {result}", ""
        holds = bool(self._at(node.inputs[0], node.outputs[0], place))
        word = "where" if holds else "unless"
        outside = "" if self.kind == "Potential" else "outside of the support: "
        if condition == DATA and outside:  # data alone decide: the rows say which
            return f"{outside}{result} for such data, whatever the parameters", ""
        return f"{outside}{result} {word} {condition}", ""

    def _expression(self, variable: Variable) -> str:
        """Return what a variable is, in names."""
        derivative = "" if variable in self.tape.forward else "a derivative, "
        return derivative + expression(variable, self.tape.forward, self.places.named)

    def _value(self, variable: Variable) -> Any:  # noqa: ANN401 - whatever a graph computes
        """Return what a variable was."""
        if isinstance(variable, Constant):
            return variable.data
        return self.tape.values.get(variable, np.nan)

    def _at(self, source: Variable, variable: Variable, place: tuple[int, ...]) -> Any:  # noqa: ANN401
        """Return the number of an input that goes into one element of an output."""
        shape = np.shape(self._value(variable))
        return np.broadcast_to(np.asarray(self._value(source)), shape)[place]

    def _values(
        self, root: Root, place: tuple[int, ...], bad: Mapping[str, NDArray[np.bool_]]
    ) -> Iterator[str]:
        """Yield the nearest parameters that go into a root, where it went wrong."""
        for name in self._nearest(root.variable):
            values = self.point[name]
            if not values.size:
                continue
            index: Any = np.unravel_index(0, values.shape)
            if values.shape == root.bad.shape:
                index = place
            elif name in bad and bad[name].any():
                index = np.argwhere(bad[name])[0]
            yield self.places.parameter(name, [int(i) for i in index], values)

    def _nearest(self, variable: Variable) -> list[str]:
        """Return the names of parameters above a variable, the nearest ones first."""
        found: list[str] = []
        layer, seen = [variable], {variable}
        while layer and len(found) < _NEAR:
            found += [self.names[v] for v in layer if v in self.names]
            above = [v for u in layer if u.owner is not None for v in u.owner.inputs]
            layer = [v for v in dict.fromkeys(above) if v not in seen]
            seen |= set(layer)
        return found[:_NEAR]

    def _rows(self, trail: Trail) -> tuple[str, ...]:
        """Return the rows of data on the way to a root."""
        data = self.places.data(self.term)
        if data is None or not data.ndim:
            return ()
        masks = [m for m in trail.seen.values() if m.shape == data.shape and m.any()]
        if not masks:
            return ()
        fewest = min(masks, key=lambda mask: int(mask.sum()))
        return self.places.rows(self.term, np.argwhere(fewest).tolist())


def _source(variable: Variable, forward: frozenset[Variable]) -> str:
    """Return the file and line in which the user wrote an operation, empty where not known."""
    node = variable.owner
    near = [variable, *(node.inputs if node is not None else ())]
    for candidate in near:
        if candidate in forward:
            for stack in reversed(getattr(candidate.tag, "trace", None) or []):
                for file, line, *_ in reversed(stack):
                    if not file.startswith(_THEIRS) and "site-packages" not in file:
                        return f"{Path(file).name}:{line}"
    return ""
