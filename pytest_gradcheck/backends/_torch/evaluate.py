"""Evaluate a loss and its gradients at a point.

Requirements:
    The total gradient comes from a backward pass of its own, not from adding up components: it is
    what training uses, bit for bit. Each component has its own backward pass through the same
    graph. Nothing is left behind, whatever the loss does (see `state`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from pytest_gradcheck.backends._torch.jitter import Coarsest, MovedInputs, Noise
from pytest_gradcheck.backends._torch.loss import Terms, noted, terms_of
from pytest_gradcheck.backends._torch.placement import placed
from pytest_gradcheck.backends._torch.promote import check_wide, is_wide, promoted
from pytest_gradcheck.backends._torch.source import Source
from pytest_gradcheck.backends._torch.state import Belongings, undisturbed, version
from pytest_gradcheck.backends._torch.views import view_of
from pytest_gradcheck.errors import PrecisionError, UsageError
from pytest_gradcheck.records import ArrayView, ComponentEvaluation, Evaluation, Jitter, Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Evaluator"]

_MISUSES = {  # what torch says of a graph that cannot be differentiated -> what it means here
    "backward through the graph a second time": (
        "its graph is gone before gradcheck can use it: it runs backward() or autograd.grad() "
        "itself, or it uses a tensor computed outside of the closure; compute everything inside, "
        "and return the loss"
    ),
    "use_reentrant": (
        "it uses torch.utils.checkpoint with use_reentrant=True, which works with .backward() "
        "alone; pass use_reentrant=False"
    ),
}

Point = Mapping[str, "NDArray[np.floating[Any]]"]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Evaluate one loss, at its own point or at others.

    Attributes:
        source: the parameters.
        loss: the closure.
        mine: the user's objects, to be left as they are.
        seed: of the random streams.
    """

    source: Source
    loss: Callable[[], object]
    mine: Belongings
    seed: int

    def value(self, point: Point | None = None, *, precision: Precision = "native") -> float:
        """Return the loss alone."""
        return self._at(
            point or {}, precision, None, lambda wide: float(self._terms(wide=wide).total.detach())
        )

    def value_and_grad(
        self,
        point: Point | None = None,
        *,
        components: bool = True,
        precision: Precision = "native",
        jitter: Jitter | None = None,
        seed: int | None = None,
    ) -> Evaluation:
        """Return the loss, its gradients, and those of its components."""
        if seed is not None and seed != self.seed:
            other = replace(self, mine=self.mine.reseeded(), seed=seed)
            return other.value_and_grad(
                point, components=components, precision=precision, jitter=jitter
            )

        def work(wide: bool) -> Evaluation:  # noqa: FBT001 - work has the one argument
            if jitter is None:
                return self._evaluation(components=components, wide=wide)
            with Coarsest() as coarsest:
                found = self._evaluation(components=components, wide=wide)
            return replace(found, eps=coarsest.eps)

        return self._at(point or {}, precision, jitter, work)

    def _at(
        self, point: Point, precision: Precision, jitter: Jitter | None, work: Callable[[bool], _T]
    ) -> _T:
        """Do the work at a point and in a precision, everything put back afterwards."""
        noise = Noise(jitter or Jitter())
        own = (*self.mine.leaves, *(b for m in self.mine.modules for b in m.buffers(recurse=False)))
        moving = MovedInputs(noise, own) if jitter and jitter.eps else nullcontext()
        label = self.source.label
        if precision == "native" or is_wide(self.source):
            where = "at the point given" if point else "at its own point"
            doing = f"evaluating the loss of '{label}' (torch, {where}, seed {self.seed})"
            with (
                undisturbed(self.mine, seed=self.seed),
                placed(self.source.wrt, point),
                noted(doing),
                moving,
            ):
                return work(False)  # noqa: FBT003 - work has the one argument
        try:
            with (
                undisturbed(self.mine, seed=self.seed),
                promoted(self.source, self.mine, point, noise.moved),
            ):
                return work(True)  # noqa: FBT003 - as above
        except PrecisionError:
            raise
        except Exception as error:  # noqa: BLE001 - user code may raise anything
            cause = error
        self._at(
            point, "native", jitter, work
        )  # what raises anyhow has nothing to do with precision
        said = str(cause).strip().partition("\n")[0]
        msg = f"'{label}' does not run in float64: {type(cause).__name__}: {said}"
        raise PrecisionError(msg) from cause

    def _evaluation(self, *, components: bool, wide: bool) -> Evaluation:
        """Evaluate and differentiate, here and now."""
        terms = self._terms(wide=wide)
        each = terms.components if components and len(terms.components) > 1 else {}
        grads = self._grads(terms.total, last=not each, wide=wide)
        found = {
            name: self._grads(term, last=i == len(each), wide=wide)
            for i, (name, term) in enumerate(each.items(), start=1)
        }
        if components and len(terms.components) == 1:
            found = dict.fromkeys(terms.components, grads)
        return Evaluation(
            value=float(terms.total.detach()),
            grads=grads,
            components={
                name: ComponentEvaluation(value=float(term.detach()), grads=found.get(name, {}))
                for name, term in terms.components.items()
            },
        )

    def _terms(self, *, wide: bool) -> Terms:
        """Call the closure, and check what it did and returned."""
        rescaled = {id(w) for w in self.mine.rescaled()}
        steady = [p for p in self.mine.leaves if id(p) not in rescaled and not p.is_inference()]
        writes = [version(p) for p in steady]
        recording = torch.is_grad_enabled()
        result = self.loss()
        filled = [p for p in self.mine.leaves if p.grad is not None]
        if filled:
            msg = (
                f"the loss of '{self.source.label}' calls backward() itself and fills the .grad of "
                f"{self._name(filled[0])}; return the loss, gradcheck takes its gradients"
            )
            raise UsageError(msg)
        moved = [p for p, n in zip(steady, writes, strict=True) if version(p) != n]
        if moved:
            msg = (
                f"the loss of '{self.source.label}' changes {self._name(moved[0])} in place (an "
                "optimizer step, clipping or initialisation inside the closure?), which gradcheck "
                "cannot undo; move that out of the closure"
            )
            raise UsageError(msg)
        terms = terms_of(result, self.source.label, recording=recording)
        if wide:
            check_wide("the loss", terms.total)
        return terms

    def _grads(self, term: torch.Tensor, *, last: bool, wide: bool) -> dict[str, ArrayView | None]:
        """Differentiate one term; ``last`` frees the graph."""
        names, tensors = list(self.source.wrt), list(self.source.wrt.values())
        grads: tuple[torch.Tensor | None, ...] = (None,) * len(tensors)
        if term.requires_grad:
            try:
                grads = torch.autograd.grad(term, tensors, retain_graph=not last, allow_unused=True)
            except RuntimeError as error:
                for said, meaning in _MISUSES.items():
                    if said in str(error):
                        msg = (
                            f"the loss of '{self.source.label}' cannot be differentiated: {meaning}"
                        )
                        raise UsageError(msg) from None
                raise
        found: dict[str, ArrayView | None] = {}
        for name, grad in zip(names, grads, strict=True):
            if grad is not None and wide:
                check_wide(f"the gradient of {name!r}", grad)
            found[name] = None if grad is None else view_of(grad)
        return found

    def _name(self, tensor: torch.Tensor) -> str:
        """Return what to call a parameter that may belong to another module."""
        names = (f"parameter {n!r}" for n, p in self.source.wrt.items() if p is tensor)
        return next(names, "a parameter of a module that it holds")
