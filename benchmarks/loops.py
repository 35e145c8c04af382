"""Training loops for `benchmarks.series_noise`, what changes their last bits, and what breaks them.

A way to train is a model, an optimizer, where its rows come from, how many steps, and a precision.
Where the rows come from decides what noise there is: *fresh* ones at every step, with answers that
nothing explains, keep a loss noisy and level; *drawn* from 256 rows with answers to be learned, it
falls and stays noisy; the *whole* of 32 rows at each step, it falls without noise, by some hundred
steps to a thousandth; *sampled*, the model draws its own answers and learns from their rewards, so
that a last bit can change what it is fed from then on.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Literal

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from torch import nn

from pytest_gradcheck.watching import observed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_gradcheck.records import Series

__all__ = ["FAULTS", "LAST", "MODELS", "OPTIMIZERS", "Rounding", "Rows", "Way"]
__all__ += ["plain_processor", "trained"]

Rows = Literal["fresh", "drawn", "whole", "sampled"]

ROWS = 32
HEAD = 5  # faults that begin late leave the first steps alone
LAST = 10
CLIP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Say how to train.

    Attributes:
        model, optimizer: by name.
        rows: where they come from.
        steps: how many.
        dtype: of weights and data.
        autocast: the dtype that is computed in, where it is another.
    """

    model: str
    optimizer: str
    rows: Rows = "fresh"
    steps: int = 30
    dtype: torch.dtype = torch.float32
    autocast: torch.dtype | None = None

    @property
    def precision(self) -> str:
        """What is computed in."""
        return f"{self.autocast or self.dtype}".removeprefix("torch.")

    def __str__(self) -> str:
        """Return it as a row begins."""
        loop = f"{self.rows:<8}{self.steps:<6}"
        return f"{self.model:<12} {self.optimizer:<9} {loop} {self.precision:<9}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """Say what is different in a run that is the same to the last bits.

    Attributes:
        draw: seed of weights moved by up to one unit in the last place before the first step.
        shaken: seed of gradients moved by up to one unit in the last place at every step.
        threads: of torch.
        plain_kernels: without those of oneDNN.
        turned: the rows of a batch in another order.
    """

    draw: int = 0
    shaken: int = 0
    threads: int = 1
    plain_kernels: bool = False
    turned: bool = False


FAULTS = {
    "loss x2, last 10": "the loss is doubled before its backward pass, at the last ten steps",
    "rate x1.05": "the learning rate is 5 % higher from the sixth step on",
    "update lost": "what the middle step made of the weights is undone",
    "no clipping": "gradients are not clipped any more from the sixth step on",
}


def perceptron() -> nn.Module:
    """Return a perceptron with kinks."""
    return nn.Sequential(
        nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4)
    )


def normalised() -> nn.Module:
    """Return a perceptron normalised over the batch."""
    return nn.Sequential(
        *(nn.Linear(16, 64), nn.BatchNorm1d(64), nn.ReLU()),
        *(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 4)),
    )


def convolution() -> nn.Module:
    """Return a convolutional network with pooling."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 4)),
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(128, 4)),
    )


class Recurrent(nn.Module):
    """Read the sixteen numbers one after another, and have them read again."""

    def __init__(self) -> None:
        """Build the cell."""
        super().__init__()
        self.cell = nn.GRU(1, 32, batch_first=True)
        self.out = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return an answer for each row."""
        states, _ = self.cell(x.repeat(1, 3)[..., None])
        out: torch.Tensor = self.out(states[:, -1])
        return out


def attention() -> nn.Module:
    """Return a transformer's layer over four words of four numbers."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    return nn.Sequential(
        *(nn.Unflatten(1, (4, 4)), nn.Linear(4, 32), layer, nn.Flatten(), nn.Linear(128, 4)),
    )


MODELS: dict[str, Callable[[], nn.Module]] = {
    "perceptron": perceptron,
    "normalised": normalised,
    "convolution": convolution,
    "recurrent": Recurrent,
    "attention": attention,
}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "Adam": partial(torch.optim.Adam, lr=3e-3),
}


def trained(way: Way, rounding: Rounding, seed: int, fault: str = "") -> Series:
    """Return the series of a training run.

    Args:
        way: how to train.
        rounding: what is different in its last bits.
        seed: of weights and rows.
        fault: what is broken, one of `FAULTS`.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(rounding.threads)
    model = MODELS[way.model]().to(way.dtype)
    if rounding.draw:
        shake = torch.Generator().manual_seed(rounding.draw)
        for p in model.parameters():
            _nudge(p.data, shake)
    loop = _Loop(way, rounding, model, seed, fault)
    kernels: AbstractContextManager[object] = nullcontext()
    if rounding.plain_kernels:
        kernels = torch.backends.mkldnn.flags(enabled=False)
    with kernels, observed(model) as run:
        for step, (x, y) in enumerate(_batches(way, seed)):
            loop.step(step, x, y)
    return run.series


class _Loop:
    """Make the steps of a training run, each with its fault if it has one."""

    def __init__(
        self, way: Way, rounding: Rounding, model: nn.Module, seed: int, fault: str
    ) -> None:
        """Arguments as for `trained`."""
        self.way, self.rounding, self.model, self.fault = way, rounding, model, fault
        self.optimizer = OPTIMIZERS[way.optimizer](model.parameters())
        self.shake = torch.Generator().manual_seed(rounding.shaken)
        self.draws = torch.Generator().manual_seed(seed)

    def step(self, step: int, x: torch.Tensor, y: torch.Tensor) -> None:
        """Make one step with rows and answers."""
        way, fault, parameters = self.way, self.fault, list(self.model.parameters())
        self.optimizer.zero_grad()
        if self.rounding.turned and way.rows != "sampled":
            x, y = x.flip(0), y.flip(0)
        with torch.autocast("cpu", dtype=way.autocast, enabled=way.autocast is not None):
            loss = _loss(way, self.model, x, y, self.draws)
        if fault == "loss x2, last 10" and step >= way.steps - LAST:
            loss = 2 * loss
        loss.backward()
        for p in parameters:
            if self.rounding.shaken and p.grad is not None:
                _nudge(p.grad, self.shake)
        if fault != "no clipping" or step < HEAD:
            nn.utils.clip_grad_norm_(parameters, CLIP)
        if fault == "rate x1.05" and step == HEAD:
            for group in self.optimizer.param_groups:
                group["lr"] *= 1.05
        before = [p.detach().clone() for p in parameters]
        self.optimizer.step()
        if fault == "update lost" and step == way.steps // 2:
            for p, old in zip(parameters, before, strict=True):
                p.data.copy_(old)


@contextmanager
def plain_processor() -> Iterator[Callable[[Way, int], Series]]:
    """Give a function that trains in a process without vector instructions, as an old CPU does."""
    plain = {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    }
    usual = {name: os.environ.get(name) for name in plain}
    os.environ.update(plain)
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(os.getpid).result()  # it has started, with the variables above
            for name, value in usual.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
            yield lambda way, seed: pool.submit(trained, way, Rounding(), seed).result()
    finally:
        torch.set_num_threads(1)


def _batches(way: Way, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield rows and answers for each step, of shapes (32, 16) and (32,)."""
    rng = np.random.default_rng(seed)
    count = {"fresh": ROWS * way.steps, "drawn": 8 * ROWS, "whole": ROWS, "sampled": 8 * ROWS}
    x = rng.standard_normal((count[way.rows], 16))
    y = rng.integers(0, 4, len(x))
    if way.rows in {"drawn", "sampled"}:
        y = (x @ rng.standard_normal((16, 4))).argmax(1)
    for step in range(way.steps):
        if way.rows == "fresh":
            chosen = np.arange(step * ROWS, (step + 1) * ROWS)
        elif way.rows == "whole":
            chosen = np.arange(ROWS)
        else:
            chosen = rng.integers(0, len(x), ROWS)
        yield torch.tensor(x[chosen], dtype=way.dtype), torch.tensor(y[chosen])


def _loss(
    way: Way, model: nn.Module, x: torch.Tensor, y: torch.Tensor, draws: torch.Generator
) -> torch.Tensor:
    """Return the loss of one step."""
    scores = model(x)
    if way.rows != "sampled":
        return nn.functional.cross_entropy(scores, y)
    chances = scores.detach().double().softmax(1)
    taken = torch.multinomial(chances, 1, generator=draws)[:, 0]
    reward = (taken == y).to(way.dtype)
    gain = reward - reward.mean()
    return (gain * nn.functional.cross_entropy(scores, taken, reduction="none")).mean()


def _nudge(values: torch.Tensor, shake: torch.Generator) -> None:
    """Move numbers by up to one unit in their last place."""
    unit = torch.finfo(values.dtype).eps
    off = 2 * torch.rand(values.shape, generator=shake, dtype=torch.float64) - 1
    values.copy_(values.double() * (1 + unit * off))
