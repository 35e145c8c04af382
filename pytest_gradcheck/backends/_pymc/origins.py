"""Say where a number that is not finite arose in a model: term, operation, values, data, source.

The graph as the user wrote it speaks best: its names and source lines are all there. It is believed
where exactly the same numbers are not finite in it as in the graph that the samplers run;
otherwise that one is explained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from pytest_gradcheck.backends._pymc.mode import scope
from pytest_gradcheck.backends._pymc.places import Places
from pytest_gradcheck.backends._pymc.program import Program, flat
from pytest_gradcheck.backends._pymc.story import Term
from pytest_gradcheck.backends._pymc.tape import Tape
from pytest_gradcheck.backends._pymc.walk import nonfinite
from pytest_gradcheck.records import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymc import Model

__all__ = ["MOST", "origins"]

Point = Mapping[str, NDArray[Any]]
Bad = dict[str, NDArray[np.bool_]]

MOST: Final = 3
"""The most origins that are reported of one point."""

_TAPES: WeakKeyDictionary[Model, dict[tuple[Program, bool], Tape]] = WeakKeyDictionary()


def origins(model: Model, program: Program, point: Point, *, seed: int) -> tuple[Origin, ...]:
    """Return where NaN and Inf arose at a point, at most three; empty where all is finite.

    Args:
        model: that was evaluated.
        program: its compiled functions.
        point: values of all its value variables by name.
        seed: of what the model draws.
    """
    places = Places(model)
    with scope("fast"):
        starts = tuple(_starts(program.names, point, places))
    if starts:
        return starts[:MOST]
    compiled = _compiled(model, program, point, seed)
    terms = dict.fromkeys(term for (term, _), bad in compiled.items() if bad.any())
    found: list[Origin] = []
    for term in terms:
        mine = {name: mask for (owner, name), mask in compiled.items() if owner == term}
        tape, bad = _taped(model, program, point, (term, mine), seed=seed)
        with scope("fast"):
            found += Term(model, term, tape, places, point).explained(bad)
    return tuple(found[:MOST])


def _starts(names: Sequence[str], point: Point, places: Places) -> Iterator[Origin]:
    """Yield the parameters that are not finite themselves."""
    for name in names:
        bad = np.argwhere(nonfinite(point[name]))
        if len(bad):
            yield Origin(
                operation="the point itself is not finite",
                count=len(bad),
                parameters=(name,),
                values=(places.parameter(name, bad[0].tolist(), point[name]),),
                note="give the variable an initval= inside of its support",
            )


def _compiled(
    model: Model, program: Program, point: Point, seed: int
) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Return which elements are not finite in the functions that were compiled for measuring."""
    vector = flat(point, point, program.names)
    found = {}
    headline = program.headline(vector, point, seed=seed)
    terms = program.terms(model, vector, point, seed=seed, headline=headline)
    for name, term in terms.items():
        found[name, ""] = nonfinite(term.value)
        found |= {(name, p): nonfinite(g) for p, g in term.grads.items() if g is not None}
    return found


def _taped(
    model: Model, program: Program, point: Point, wanted: tuple[str, Bad], *, seed: int
) -> tuple[Tape, Bad]:
    """Return the tape that explains a term, and which elements of what are not finite on it."""
    term, compiled = wanted
    blocks = [point[name] for name in (*program.names, *program.held)]
    for as_written in (True, False):
        try:
            tape = _tape(model, program, as_written=as_written)
            values = tape.run(blocks, program.rngs, seed)
        except Exception:  # an Op may be there to be rewritten, never to be run
            if not as_written:
                raise
            continue
        bad = {key[1]: nonfinite(v) for key, v in values.items() if key[0] == term}
        if all(np.array_equal(mask, compiled[name]) for name, mask in bad.items()):
            break
    return tape, {name: mask for name, mask in bad.items() if mask.any()}


def _tape(model: Model, program: Program, *, as_written: bool) -> Tape:
    """Return a tape of the model itself, which sees its own data, made when first asked for."""
    tapes, key = _TAPES.setdefault(model, {}), (program, as_written)
    if key not in tapes:
        tapes[key] = Tape(model, wrt=program.names, held=program.held, as_written=as_written)
    return tapes[key]
