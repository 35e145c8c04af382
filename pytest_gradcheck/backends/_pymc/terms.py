"""Evaluate every term of a log-density and its gradient by parameter.

Most of what compiling costs is the rewriting of gradients, and most gradients do well without: the
terms are rewritten before they are differentiated, as the samplers do it, and that is what keeps
numbers stable. So the gradients of terms are evaluated as PyTensor derives them, and believed where
everything is finite and adds up to the headline. Elsewhere a second function has the say, which
is compiled like the headline when it is first needed.

Requirements:
    Which of the two functions speaks depends on the point alone: one point always has one answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pymc import pytensorf

from pytest_gradcheck.backends._pymc import graph
from pytest_gradcheck.backends._pymc.mode import Choice, compiling, plain

if TYPE_CHECKING:
    from pytensor.graph.basic import Variable

__all__ = ["Headline", "TermValues", "Terms"]

Blocks = Mapping[str, NDArray[Any]]
Headline = tuple[float, Blocks]

_ROUNDING = 1e-9
"""The part of the terms by which a sum may miss the headline; two orders above what was seen."""

_NEGLIGIBLE = 1e-9  # of the largest element: where less is left, nothing is left but rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class TermValues:
    """Hold one term at one point: its value, and its gradient where it depends on something."""

    value: float
    grads: Mapping[str, NDArray[Any] | None]


class Terms:
    """Evaluate the terms of one log-density."""

    def __init__(
        self,
        scalars: Sequence[Variable],
        inputs: Sequence[Variable],
        *,
        wrt: Mapping[str, Variable],
        choice: Choice,
    ) -> None:
        """Take gradients, and compile them.

        Args:
            scalars: the terms, rewritten.
            inputs: the arguments of the functions.
            wrt: the parameters by name.
            choice: how the headline was compiled.
        """
        self.names = tuple(wrt)
        self._choice = choice
        self._inputs = list(inputs)
        with compiling(choice.label):
            rows = [graph.gradients(scalar, list(wrt.values())) for scalar in scalars]
            self._outputs = [*scalars, *(grad for row in rows for grad in row if grad is not None)]
            self._plain = self._compiled(plain()) if choice.label == "fast" else None
        self._rewritten: Any = None
        self._present = [
            [name for name, grad in zip(wrt, row, strict=True) if grad is not None] for row in rows
        ]

    def complete(self) -> None:
        """Compile the function that is asked where the plain one is not believed."""
        if self._rewritten is None:
            with compiling(self._choice.label):
                self._rewritten = self._compiled(self._choice.mode)

    def plainly(self, blocks: Sequence[NDArray[Any]], headline: Headline) -> list[TermValues]:
        """Return the terms as the plain function has them; none where it is not to be believed."""
        if self._plain is None:
            return []
        try:
            found = self._read(self._plain(*blocks))
        except Exception:  # noqa: BLE001 - an Op may be there to be rewritten, never to be run
            return []
        return found if _add_up(found, headline) else []

    def rewritten(self, blocks: Sequence[NDArray[Any]]) -> list[TermValues]:
        """Return the terms as the function has them that was compiled like the headline."""
        return self._read(self._rewritten(*blocks))

    def _compiled(self, mode: Any) -> Any:  # noqa: ANN401 - PyTensor's
        """Return a function of all values and gradients."""
        return pytensorf.compile(self._inputs, self._outputs, mode=mode, on_unused_input="ignore")

    def _read(self, outputs: Sequence[Any]) -> list[TermValues]:
        """Return what a function computed, by term and parameter."""
        arrays = [np.asarray(output) for output in outputs]
        for array in arrays:
            array.flags.writeable = False
        count = len(self._present)
        grads = iter(arrays[count:])
        found = []
        for value, block in zip(arrays[:count], self._present, strict=True):
            present = {name: next(grads) for name in block}
            row = {name: present.get(name) for name in self.names}
            found.append(TermValues(value=float(value), grads=row))
        return found


def _add_up(terms: Sequence[TermValues], headline: Headline) -> bool:
    """Return whether terms are finite and add up to what the headline says."""
    value, grads = headline
    floor = _NEGLIGIBLE * max(map(_largest, grads.values()), default=0.0)
    return _is_sum([np.asarray(term.value) for term in terms], np.asarray(value), 0.0) and all(
        _is_sum([g for term in terms if (g := term.grads[name]) is not None], grad, floor)
        for name, grad in grads.items()
    )


def _is_sum(parts: Sequence[NDArray[Any]], whole: NDArray[Any], floor: float) -> bool:
    """Return whether finite parts add up to a whole."""
    total = np.sum(parts, axis=0) if parts else np.zeros_like(whole)
    size = max(sum(map(_largest, parts)), floor)
    return bool(np.isfinite(size)) and _largest(total - whole) <= _ROUNDING * size


def _largest(values: NDArray[Any]) -> float:
    """Return the largest of some numbers, whatever their sign."""
    return float(np.max(np.abs(values), initial=0.0))
