"""The torch backend: an ``nn.Module``, or a mapping of names to tensors, and a loss closure.

Requirements:
    torch is imported in this package and nowhere else. An evaluation is a pure function of the
    point: streams are seeded before it, and the user's objects are the same objects with the same
    bits after it. Gradients come from ``torch.autograd.grad``, which leaves every ``.grad`` alone;
    where ranks make them together, from ``backward()``, with every ``.grad`` kept aside (see
    `together`).
"""

from __future__ import annotations

from functools import partial

import torch

from pytest_gradcheck.backends._torch.captured import data_of
from pytest_gradcheck.backends._torch.evaluate import Evaluator
from pytest_gradcheck.backends._torch.flattened import check_not_flattened
from pytest_gradcheck.backends._torch.joint import Joint, adds_up
from pytest_gradcheck.backends._torch.loss import check_callable
from pytest_gradcheck.backends._torch.ranks import ranks_of
from pytest_gradcheck.backends._torch.shards import is_sharded, shard_view
from pytest_gradcheck.backends._torch.source import read
from pytest_gradcheck.backends._torch.state import belongings
from pytest_gradcheck.backends._torch.streams import stream_name
from pytest_gradcheck.backends._torch.together import facts_of
from pytest_gradcheck.backends._torch.views import TensorView
from pytest_gradcheck.errors import UsageTypeError
from pytest_gradcheck.records import Objective

__all__ = ["ROOTS", "objective"]

ROOTS = ("torch",)


def objective(
    source: object,
    *,
    loss: object,
    value_and_grad: object,
    wrt: tuple[str, ...] | None,
    name: str | None,
    seed: int,
    mode: object,
    data: object,
) -> Objective:
    """Make an objective of a module or of named tensors.

    Args:
        source: an ``nn.Module``, or a mapping of names to leaf tensors.
        loss: a function of no arguments, or of `data`, that returns a scalar tensor, or a mapping
            of named scalar tensors whose sum is the loss.
        value_and_grad: must be ``None``.
        wrt: patterns of the parameters to differentiate with respect to; ``None`` for all.
        name: what messages call it; the class of the module by default.
        seed: of every random stream that the loss draws from.
        mode: must be ``None``.
        data: arguments of the loss: a mapping by name, a tuple in order, or the only one. Like
            what the closure holds, they are promoted for the float64 gradient and moved by
            rounding.

    Raises:
        UsageError: a parameter or an argument cannot be used; the message says why.

    Example:
        >>> model = torch.nn.Linear(2, 1)
        >>> x = torch.ones(3, 2)
        >>> made = objective(
        ...     model,
        ...     loss=lambda: model(x).square().mean(),
        ...     value_and_grad=None,
        ...     wrt=None,
        ...     name=None,
        ...     seed=0,
        ...     mode=None,
        ...     data=None,
        ... )
        >>> made.value_and_grad().grads["weight"].shape
        (1, 2)
    """
    for option, given, why in (
        ("value_and_grad", value_and_grad, "pass the loss, or numpy arrays instead of tensors"),
        ("mode", mode, "torch has no compile mode to choose here; compile the module"),
    ):
        if given is not None:
            msg = f"{option} has no use with torch: {why}"
            raise UsageTypeError(msg)
    read_source = read(source, wrt=wrt, name=name)
    function = check_callable(loss, read_source.label, data)
    mine = belongings(read_source, function)
    check_not_flattened(mine.modules, read_source.label)
    ranks = ranks_of(read_source)
    evaluator = Evaluator(source=read_source, loss=function, mine=mine, seed=seed, ranks=ranks)
    contribution = None
    facts = dict(read_source.facts)
    if ranks is not None:
        facts |= facts_of(read_source, ranks)
        if adds_up(read_source.module):
            contribution = Joint(evaluator=evaluator, ranks=ranks).contribution
    if shown := data_of(function, but=read_source.tensors):
        facts["data"] = shown
    return Objective(
        name=read_source.label,
        backend="torch",
        device=_device(read_source.tensors),
        point={
            key: shard_view(tensor) if is_sharded(tensor) else TensorView(tensor)
            for key, tensor in read_source.wrt.items()
        },
        value_and_grad=evaluator.value_and_grad,
        value=evaluator.value,
        origins=evaluator.origins if ranks is None else None,
        seed=seed,
        stream=partial(stream_name, read_source.tensors),
        facts=facts,
        packages={"torch": str(torch.__version__)},
        collective=ranks,
        passing=evaluator.passing if ranks is None else None,
        contribution=contribution,
    )


def _device(tensors: tuple[torch.Tensor, ...]) -> str:
    """Return where the parameters are: an accelerator if any of them is on one."""
    return next((tensor.device.type for tensor in tensors if not tensor.is_cpu), "cpu")
