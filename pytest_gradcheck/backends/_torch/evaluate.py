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
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from pytest_gradcheck.backends._torch.differentiate import taken, views
from pytest_gradcheck.backends._torch.handing import check_streamable, handed_over
from pytest_gradcheck.backends._torch.jitter import MovedInputs, Noise, watched
from pytest_gradcheck.backends._torch.joint import Joint
from pytest_gradcheck.backends._torch.loss import Terms, terms_of
from pytest_gradcheck.backends._torch.origins import origins_of
from pytest_gradcheck.backends._torch.placement import placed
from pytest_gradcheck.backends._torch.policy import policy_of
from pytest_gradcheck.backends._torch.promote import check_wide, is_wide, promoted
from pytest_gradcheck.backends._torch.ranks import Ranks, is_fully_sharded
from pytest_gradcheck.backends._torch.source import Source
from pytest_gradcheck.backends._torch.state import Belongings, undisturbed, versions
from pytest_gradcheck.errors import PrecisionError, UsageError, noted
from pytest_gradcheck.records import (
    ComponentEvaluation,
    Evaluation,
    Jitter,
    Origin,
    Precision,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView

__all__ = ["Evaluator"]

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
        ranks: that make the gradient together, ``None`` where this process does alone.
    """

    source: Source
    loss: Callable[[], object]
    mine: Belongings
    seed: int
    ranks: Ranks | None = None

    def value(self, point: Point | None = None, *, precision: Precision = "native") -> float:
        """Return the loss alone; the mean over the ranks where there are several."""
        if self.ranks is not None:
            return Joint(evaluator=self, ranks=self.ranks).value(point or {}, precision)
        return self.at(
            point or {}, precision, None, lambda wide: float(self.terms(wide=wide).total.detach())
        )

    def origins(self, point: Point | None = None) -> tuple[Origin, ...]:
        """Return where the numbers that are not finite at a point arose, if that shows."""
        wrt = self.source.wrt
        return self.at(
            point or {},
            "native",
            None,
            lambda wide: origins_of(partial(self.terms, wide=wide), wrt),
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
        if self.ranks is not None:
            return Joint(evaluator=self, ranks=self.ranks).value_and_grad(
                point or {}, components=components, precision=precision, jitter=jitter
            )
        work = watched(lambda wide: self._evaluation(components=components, wide=wide), jitter)
        return self.at(point or {}, precision, jitter, work)

    def passing(
        self,
        take: Callable[[str, ArrayView], None],
        point: Point | None = None,
        *,
        precision: Precision = "native",
        jitter: Jitter | None = None,
        seed: int | None = None,
    ) -> Evaluation:
        """Return the loss, and hand each gradient over as soon as it is complete."""
        if seed is not None and seed != self.seed:
            other = replace(self, mine=self.mine.reseeded(), seed=seed)
            return other.passing(take, point, precision=precision, jitter=jitter)
        check_streamable(self.source)
        work = watched(partial(self._passed, take), jitter)
        return self.at(point or {}, precision, jitter, work)

    def _passed(self, take: Callable[[str, ArrayView], None], wide: bool) -> Evaluation:  # noqa: FBT001 - as `work`
        """Evaluate, and hand the gradients over."""
        terms = self.terms(wide=wide)
        if terms.components:
            named = ", ".join(terms.components)
            msg = (
                f"streaming=True: the loss of '{self.source.label}' has components ({named}), and "
                "their gradients are held against each other; return their sum"
            )
            raise UsageError(msg)
        value, policy = float(terms.total.detach()), policy_of(self.source, terms.total)
        handed_over(terms.total, self.source, take, wide=wide)
        return Evaluation(value=value, grads={}, policy=policy)

    def at(
        self, point: Point, precision: Precision, jitter: Jitter | None, work: Callable[[bool], _T]
    ) -> _T:
        """Do the work at a point and in a precision, everything put back afterwards."""
        noise = Noise(jitter or Jitter())
        # What fully_shard does inside of a forward pass must not meet copies of its own buffers.
        moves = jitter and jitter.eps and not any(map(is_fully_sharded, self.mine.modules))
        moving = MovedInputs(noise, self.mine.tensors()) if moves else nullcontext()
        label, where = self.source.label, "at the point given" if point else "at its own point"
        if precision == "native" or is_wide(self.source):
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
        # What raises anyhow has nothing to do with precision.
        self.at(point, "native", jitter, work)
        said = str(cause).strip().partition("\n")[0]
        msg = f"'{label}' does not run in float64: {type(cause).__name__}: {said}"
        raise PrecisionError(msg) from cause

    def _evaluation(self, *, components: bool, wide: bool) -> Evaluation:
        """Evaluate and differentiate, here and now."""
        terms = self.terms(wide=wide)
        # Before the backward pass, which goes over the same graph and then finds it in the cache.
        policy = policy_of(self.source, terms.total) if components else {}
        each = terms.components if components and len(terms.components) > 1 else {}
        grads = views(taken(terms.total, self.source, last=not each), wide=wide)
        found = {
            name: views(taken(term, self.source, last=i == len(each)), wide=wide)
            for i, (name, term) in enumerate(each.items(), start=1)
        }
        if components and len(terms.components) == 1:
            found = dict.fromkeys(terms.components, grads)
        value, values = terms.numbers()
        return Evaluation(
            value=value,
            grads=grads,
            components={
                name: ComponentEvaluation(value=number, grads=found.get(name, {}))
                for name, number in values.items()
            },
            policy=policy,
        )

    def terms(self, *, wide: bool) -> Terms:
        """Call the closure, and check what it did and returned."""
        rescaled = {id(w) for w in self.mine.rescaled()}
        steady = [p for p in self.mine.leaves if id(p) not in rescaled and not p.is_inference()]
        writes = versions(steady)
        recording = torch.is_grad_enabled()
        result = self.loss()
        if filled := [p for p in self.mine.leaves if p.grad is not None]:
            msg = (
                f"the loss of '{self.source.label}' calls backward() itself and fills the .grad of "
                f"{self._name(filled[0])}; return the loss, gradcheck takes its gradients"
            )
            raise UsageError(msg)
        if (now := versions(steady)) != writes:
            moved = [p for p, a, b in zip(steady, writes, now, strict=True) if a != b]
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

    def _name(self, tensor: torch.Tensor) -> str:
        """Return what to call a parameter that may belong to another module."""
        names = (f"parameter {n!r}" for n, p in self.source.wrt.items() if p is tensor)
        return next(names, "a parameter of a module that it holds")
