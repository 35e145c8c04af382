"""Evaluate a loss whose gradient the ranks make together (see `together`).

Requirements:
    Every rank does the same evaluations in the same order; one whose forward pass fails tells the
    others before it raises.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_gradcheck.backends._torch.differentiate import taken, views
from pytest_gradcheck.backends._torch.jitter import watched
from pytest_gradcheck.backends._torch.policy import policy_of
from pytest_gradcheck.backends._torch.ranks import Ranks, is_fully_sharded, is_replicated
from pytest_gradcheck.backends._torch.shards import is_sharded
from pytest_gradcheck.backends._torch.together import (
    averaged,
    backward,
    bypassed,
    check_widenable,
    resharded,
)
from pytest_gradcheck.records import ComponentEvaluation, Evaluation

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from numpy.typing import NDArray

    from pytest_gradcheck.backends._torch.evaluate import Evaluator  # noqa: TC004 - it imports us
    from pytest_gradcheck.records import Jitter, Precision

    Point = Mapping[str, NDArray[np.floating[Any]]]

__all__ = ["Joint", "adds_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """Evaluate on all ranks.

    Attributes:
        evaluator: of this rank.
        ranks: all of them.
    """

    evaluator: Evaluator
    ranks: Ranks

    def value(self, point: Point, precision: Precision) -> float:
        """Return the mean of the ranks' losses."""
        # A forward pass of a sharded model needs its backward pass to come to an end.
        here = self.evaluator.at(point, precision, None, self._term).value
        return float(self.ranks.add(np.array([here]))[0]) / self.ranks.size

    def value_and_grad(
        self, point: Point, *, components: bool, precision: Precision, jitter: Jitter | None
    ) -> Evaluation:
        """Return the loss, its gradients, and those of its components, each term by itself."""
        at = partial(self.evaluator.at, point, precision, jitter)
        found = at(watched(self._term, jitter))
        each = found.components if components else {}
        if len(each) == 1:
            each = {name: replace(c, grads=found.grads) for name, c in each.items()}
        elif each:
            terms = {name: at(partial(self._term, name=name)) for name in each}
            each = {name: replace(c, grads=terms[name].grads) for name, c in each.items()}
        eps = None if found.eps is None else float(self.ranks.largest(np.array([found.eps]))[0])
        return replace(found, components=each or found.components, eps=eps, collective=self.ranks)

    def contribution(self, rank: int) -> Evaluation:
        """Return the gradient that one rank's loss alone adds to the mean of all."""
        share = float(rank == self.ranks.rank)
        found = self.evaluator.at({}, "native", None, partial(self._term, share=share))
        return replace(found, components={}, collective=self.ranks)

    def _term(self, wide: bool, *, name: str | None = None, share: float = 1.0) -> Evaluation:  # noqa: FBT001 - as `work`
        """Evaluate one term, the total for ``None``, on all ranks together."""
        source, mine, ranks = self.evaluator.source, self.evaluator.mine, self.ranks
        if wide:
            check_widenable(source, mine)
        with resharded(mine), bypassed(mine) if wide else nullcontext():
            try:
                terms = self.evaluator.terms(wide=wide)
            except Exception as error:
                ranks.meet(trouble=f"{type(error).__name__}: {error}")
                raise
            ranks.meet()
            term = terms.total if name is None else terms.components[name]
            if wide:
                grads = averaged(taken(term, source, last=True), source, ranks)
                found = views(grads, wide=wide)
            else:
                found = backward(term if share == 1.0 else share * term, source, mine)
        value, values = terms.numbers()
        return Evaluation(
            value=value,
            grads=found,
            components={key: ComponentEvaluation(value=part) for key, part in values.items()},
            policy=policy_of(source, terms.total),
        )


def adds_up(module: torch.nn.Module | None) -> bool:
    """Return whether every rank has data of its own, and the gradient is the mean over them.

    Where tensors are sharded for another reason, the ranks work on the same data.
    """
    modules = [] if module is None else list(module.modules())
    if not any(is_replicated(m) or is_fully_sharded(m) for m in modules):
        return False
    tensors: list[Any] = [] if module is None else list(module.parameters())
    ways = [[p.is_shard() for p in t.placements] for t in tensors if is_sharded(t)]
    return all(sum(sharded) <= 1 for sharded in ways)
