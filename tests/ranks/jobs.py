"""What the ranks of the tests beside this file run: a module, so that it can be pickled by name."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from pytest_gradcheck import check_gradients, measure_gradients, record_gradients
from pytest_gradcheck.backends import objective
from pytest_gradcheck.moves import perturbed
from pytest_gradcheck.stats import gradient_stats, point_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_gradcheck import Measurement
    from pytest_gradcheck.records import GradientStats

BATCH = 8
LIMITS: dict[str, Any] = {"samples": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Hold how a model is distributed, and what is wrong with it.

    Attributes:
        how: ``alone``, ``ddp``, ``fsdp``, ``columns`` (sharded along dimension 1), ``hybrid``.
        fault: what is done to it.
        normed: whether the model has batch normalisation.
        components: whether the loss has named terms.
    """

    how: str = "alone"
    fault: str = ""
    normed: bool = False
    components: bool = False


def network(case: Case) -> nn.Sequential:
    """Return a model whose rows and columns no number of ranks divides evenly."""
    torch.manual_seed(0)
    norm = [nn.BatchNorm1d(5)] if case.normed else []
    return nn.Sequential(nn.Linear(7, 5), *norm, nn.Tanh(), nn.Linear(5, 3, bias=False))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the whole batch."""
    stream = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, 7, generator=stream), torch.randn(BATCH, 3, generator=stream)


def build(  # noqa: C901 - one line for each fault
    case: Case,
) -> tuple[nn.Module, Callable[[], Any]]:
    """Return the model and the loss of this rank."""
    model: Any = network(case)
    inputs, targets = batch()
    rank, size = 0, 1
    if case.how != "alone":
        rank, size = distributed.get_rank(), distributed.get_world_size()
        model = spread(model, case)
    if case.how in {"ddp", "fsdp", "hybrid"}:
        part = slice(rank * BATCH // size, (rank + 1) * BATCH // size)
        if case.fault == "same data":
            part = slice(BATCH // size)
        inputs, targets = inputs[part], targets[part]

    def loss() -> Any:
        if case.fault == "raises" and rank == 1:
            msg = "no data here"
            raise ValueError(msg)
        if case.fault == "no_sync":
            with model.no_sync():
                return terms()
        return terms()

    def terms() -> Any:
        out = model(inputs)
        error = (out - targets).square().mean()
        if case.fault == "nan" and rank == 1:
            error = error * float("nan")
        if case.fault == "summed":
            error = error * size
        if case.fault == "one rank scaled" and rank == 1:
            error = error * 1.01
        if case.fault == "silent" and rank == 1:
            error = error * 0.0
        if case.fault == "micro-batches":
            error = error + (model(inputs) - targets).square().mean()
        return {"fit": error, "size": 0.1 * out.abs().mean()} if case.components else error

    return model, loss


def spread(model: nn.Sequential, case: Case) -> nn.Module:
    """Distribute a model over the ranks."""
    if case.how == "ddp":
        if case.fault == "synchronised":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        if case.fault == "left out":
            DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, ["0.weight"])
        return DistributedDataParallel(model)
    from torch.distributed.device_mesh import init_device_mesh

    size = distributed.get_world_size()
    if case.how == "columns":
        from torch.distributed.tensor import Shard, distribute_tensor

        mesh = init_device_mesh("cpu", (size,))
        for layer in (model[0], model[-1]):
            assert isinstance(layer, nn.Linear)
            layer.weight = nn.Parameter(distribute_tensor(layer.weight.detach(), mesh, [Shard(1)]))
        return _Columns(model, mesh)
    from torch.distributed.fsdp import fully_shard

    shape = (size // 2, 2) if case.how == "hybrid" else (size,)
    names = ("replica", "shard") if case.how == "hybrid" else ("shard",)
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=names)
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


class _Columns(nn.Module):
    """Run a model whose weights are sharded on inputs that every rank has."""

    def __init__(self, model: nn.Sequential, mesh: Any) -> None:
        """Take over the model's parameters under their own names."""
        super().__init__()
        for name, layer in model.named_children():
            self.add_module(name, layer)
        self.mesh = mesh

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs, whole on every rank."""
        from torch.distributed.tensor import DTensor

        for layer in self.children():
            if isinstance(layer, nn.Linear):
                assert isinstance(layer.weight, DTensor)
                weight = layer.weight.full_tensor()
                inputs = nn.functional.linear(inputs, weight, layer.bias)
            else:
                inputs = layer(inputs)
        return inputs


def alone(case: Case) -> Measurement:
    """Return the baseline of the model on one process."""
    return record_gradients(*build(Case(normed=case.normed, components=case.components)), **LIMITS)


def record(case: Case) -> Measurement:
    """Return the baseline of the distributed model."""
    return record_gradients(*build(case), **LIMITS)


def measure(case: Case) -> Measurement:
    """Return the measurement of the distributed model."""
    return measure_gradients(*build(case)).measurement


def check(case: Case, baseline: Measurement) -> list[tuple[str, str, list[str]]]:
    """Return what every check says: its name, its outcome, its lines and causes."""
    limits = {"numeric": True, **LIMITS} if case.fault == "numeric" else LIMITS
    verdict = check_gradients(*build(case), baseline=baseline, **limits)
    return [
        (
            r.check,
            r.outcome,
            [*(f"{f.subject}: {f.text}" for f in r.findings), *r.diagnosis],
        )
        for r in verdict.results
    ]


def user_state(case: Case) -> bool:
    """Return whether a measurement leaves gradients, buffers, values and streams as they were."""
    model, loss = build(case)
    loss().backward()
    before = snapshot(model)
    measure_gradients(model, loss).perturbed(samples=1)
    return all(torch.equal(a, b) for a, b in zip(before, snapshot(model), strict=True))


def around_float64() -> list[GradientStats]:
    """Return the gradient before and after one in float64."""
    source = objective(*build(Case(how="ddp")))
    evaluations = (source.value_and_grad(precision=p) for p in ("native", "float64", "native"))
    return [gradient_stats(e, source.point, top=1) for e in evaluations][::2]


def exchanges(case: Case) -> dict[str, int]:
    """Return how many collective operations each part of a measurement takes."""
    source = objective(*build(case))
    evaluations = {
        "gradient": source.value_and_grad(),
        "sample": source.value_and_grad(components=False),
    }
    found = {}
    with counted() as names:
        for name, evaluation in evaluations.items():
            gradient_stats(evaluation, source.point, top=20 * (name == "gradient"))
            found[name] = len(names)
            names.clear()
        point_stats(source.point, keep=False, collective=source.collective)
        found["point"] = len(names)
        names.clear()
        perturbed(source, scale=1e-3, seed=0)
        found["step"] = len(names)
        if case.how == "ddp":
            names.clear()
            source.value_and_grad(components=False, precision="float64")
            found["float64"] = len(names)
    return found


@contextmanager
def counted() -> Iterator[list[str]]:
    """Note the collective operations that are asked for."""
    names: list[str] = []
    every = ("all_reduce", "all_gather", "all_gather_into_tensor", "broadcast", "reduce", "gather")
    own = {name: getattr(distributed, name) for name in every}
    for name, function in own.items():
        setattr(distributed, name, partial(_noted, names, name, function))
    try:
        yield names
    finally:
        for name, function in own.items():
            setattr(distributed, name, function)


def _noted(names: list[str], name: str, function: Callable[..., Any], *args: Any, **kw: Any) -> Any:
    """Note a call and make it."""
    names.append(name)
    return function(*args, **kw)


def snapshot(model: nn.Module) -> list[torch.Tensor]:
    """Return a copy of everything that belongs to the user."""
    tensors = [t for p in model.parameters() for t in (p, p.grad) if t is not None]
    tensors = [getattr(t, "_local_tensor", t) for t in tensors]
    return [t.detach().clone() for t in (*tensors, *model.buffers(), torch.get_rng_state())]


def trains(case: Case) -> list[float]:
    """Return the losses of a few training steps, with a measurement between them or without."""
    model, loss = build(case)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        if case.fault == "measured":
            record_gradients(model, loss, **LIMITS)
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    return losses


def skips() -> None:
    """Measure on rank 0 alone."""
    model, loss = build(Case(how="ddp"))
    if distributed.get_rank() == 0:
        measure_gradients(model, loss)


def differs() -> None:
    """Measure other parameters on rank 1."""
    model, loss = build(Case(how="ddp"))
    measure_gradients(model, loss, wrt="0.*" if distributed.get_rank() == 1 else None)


def sleeps() -> None:
    """Come too late on rank 1."""
    if distributed.get_rank() == 1:
        time.sleep(60)


def dies() -> None:
    """End the process of rank 1."""
    if distributed.get_rank() == 1:
        import os

        os._exit(3)
    time.sleep(60)
