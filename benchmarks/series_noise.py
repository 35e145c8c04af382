"""Print how far two runs of one training loop part, of which only the rounding differs.

Run: ``python -m benchmarks.series_noise [--steps N] [--draws N]``

Each model is trained as it is, and again with its weights moved by one unit in the last place, on
two threads, with other kernels, and with its batches in another order of rows: what another machine
does to rounding. Printed for each way to train is the worst relative distance between what is
watched in the two runs, loss and norms (each against its largest value, or 1 % of the total norm's
where that is more): at the first five steps, and of the means over all steps and over the last ten.
The allowances of `pytest_gradcheck.series.allowance` stand above what is printed here; any run that
is not within them is a false alarm, and fails the benchmark.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from torch import nn

from pytest_gradcheck.series.baseline import compare_series, kept
from pytest_gradcheck.series.summary import summarise
from pytest_gradcheck.watching import observed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_gradcheck.records import Series

FIRST = 5
ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Say how to train.

    Attributes:
        model: what to train, by name.
        optimizer: by name.
        dtype: of weights and data.
        autocast: the dtype that is computed in, where it is another.
    """

    model: str
    optimizer: str
    dtype: torch.dtype = torch.float32
    autocast: torch.dtype | None = None

    def __str__(self) -> str:
        """Return it as a row begins."""
        precision = f"{self.autocast or self.dtype}".removeprefix("torch.")
        return f"{self.model:<12} {self.optimizer:<9} {precision:<9}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """Say what is different in a run: a draw of one unit in the last place, threads, kernels."""

    draw: int = 0
    threads: int = 1
    plain_kernels: bool = False
    turned: bool = False


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


def ways() -> Iterator[Way]:
    """Yield what is measured."""
    for name in MODELS:
        for optimizer in OPTIMIZERS:
            way = Way(model=name, optimizer=optimizer)
            yield way
            yield replace(way, dtype=torch.float64)
            yield replace(way, autocast=torch.bfloat16)


def roundings(draws: int) -> Iterator[Rounding]:
    """Yield what may differ between two machines."""
    yield from (Rounding(draw=draw) for draw in range(1, draws + 1))
    yield Rounding(threads=2)
    yield Rounding(plain_kernels=True)
    yield Rounding(turned=True)


def trained(way: Way, rounding: Rounding, steps: int, seed: int) -> Series:
    """Return the series of a training run."""
    torch.manual_seed(seed)
    torch.set_num_threads(rounding.threads)
    model = MODELS[way.model]().to(way.dtype)
    rng = np.random.default_rng(seed)
    x = torch.tensor(rng.standard_normal((steps, ROWS, 16)), dtype=way.dtype)
    y = torch.tensor(rng.integers(0, 4, (steps, ROWS)))
    if rounding.draw:
        shake = torch.Generator().manual_seed(rounding.draw)
        with torch.no_grad():
            for p in model.parameters():
                unit = torch.finfo(p.dtype).eps * (
                    2 * torch.rand(p.shape, generator=shake, dtype=torch.float64) - 1
                )
                p.copy_(p.double() * (1 + unit))
    if rounding.turned:
        x, y = x.flip(1), y.flip(1)
    optimizer = OPTIMIZERS[way.optimizer](model.parameters())
    kernels: AbstractContextManager[object] = nullcontext()
    if rounding.plain_kernels:
        kernels = torch.backends.mkldnn.flags(enabled=False)
    with kernels, observed(model) as run:
        for rows, answers in zip(x, y, strict=True):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=way.autocast, enabled=way.autocast is not None):
                loss = nn.functional.cross_entropy(model(rows), answers)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return run.series


def distances(plain: Series, other: Series) -> np.ndarray:
    """Return the worst relative distance at the first steps, of means and of late means."""
    largest = {metric.name: max(map(abs, metric.values)) for metric in plain.metrics}
    worst = np.zeros(FIRST + 2)
    for metric in plain.metrics:
        if metric.key not in {"loss", "norm"} and metric.group != "parameter":
            continue
        least = 0.01 * largest["norm"] if metric.group == "parameter" else 0.0
        size = max(largest[metric.name], least)
        gaps = np.subtract(metric.values, other[metric.name].values)[:FIRST] / size
        one, two = summarise(metric), summarise(other[metric.name])
        means = np.subtract((one.mean, one.tail_mean), (two.mean, two.tail_mean))
        found = np.abs([*gaps, *means / max(abs(one.mean), least)])
        worst = np.maximum(worst, found)
    return worst


def main() -> int:
    """Print a row for each way to train."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=30, help="of each run (default 30)")
    parser.add_argument("--seeds", type=int, default=2, help="starting points (default 2)")
    parser.add_argument("--draws", type=int, default=2, help="of last places (default 2)")
    args = parser.parse_args()
    changes = list(roundings(args.draws))
    runs = args.seeds * len(changes)
    print(f"torch {torch.__version__}, {args.steps} steps, {runs} pairs of runs in each row")
    steps = "".join(f"step {i:<4}" for i in range(FIRST))
    print(f"{'model':<12} {'optimizer':<9} {'dtype':<9} {steps}mean     last 10  alarms")
    alarms = 0
    for way in ways():
        worst, alarmed = np.zeros(FIRST + 2), 0
        for seed in range(args.seeds):
            plain = trained(way, Rounding(), args.steps, seed)
            for rounding in changes:
                other = trained(way, rounding, args.steps, seed)
                alarmed += compare_series(other, kept(plain)).outcome == "failed"
                worst = np.maximum(worst, distances(plain, other))
        print(way, "".join(f"{value:<9.1e}" for value in worst) + str(alarmed), flush=True)
        alarms += alarmed
    print(f"{alarms} false alarms")
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
