"""Print what watching a training loop costs, beside the loop unwatched and beside histograms.

Run: ``python -m benchmarks.watch_overhead [--rounds N] [--steps N]``

A transformer of one million parameters is trained with AdamW and clipping, on one thread. Three
ways take turns in random order, a few steps at a time, so that whatever else the machine does hits
all alike: plain; under ``watch(model)`` with everything on; and with what ``wandb.watch`` does at
each step when asked for gradients (a histogram of 64 bins of each parameter's gradient, and its
transfer). All train one and the same model, since two copies of it differ by some per cent with
where they lie in memory. Time is the processor's, so that waiting for one that others use does not
count. Printed is the median over all rounds of the time of a step relative to the plain one of the
same round.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

from benchmarks.overhead import VOCABULARY, Transformer
from pytest_gradcheck.watching import observed

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 0.05
WAYS = ("plain", "watch", "histograms")


class Loop:
    """Train the model."""

    def __init__(self) -> None:
        """Make the model and its tokens."""
        torch.manual_seed(0)
        self.model = Transformer(width=144, layers=4, length=64)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)
        self.tokens = torch.randint(0, VOCABULARY, (8, 65))

    def train(self, steps: int) -> None:
        """Make some steps."""
        for _ in range(steps):
            self.optimizer.zero_grad()
            logits = self.model(self.tokens[:, :-1])
            nn.functional.cross_entropy(logits.mT, self.tokens[:, 1:]).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()


@contextmanager
def histograms(model: nn.Module) -> Iterator[None]:
    """Take a histogram of each gradient as it arises, as wandb's hooks do."""
    seen: dict[str, list[float]] = {}

    def hook(name: str, grad: torch.Tensor) -> None:
        flat = grad.detach().reshape(-1)
        low, high = flat.min().item(), flat.max().item()
        seen[name] = torch.histc(flat, bins=64, min=low, max=high).tolist()

    with ExitStack() as undo:
        for name, parameter in model.named_parameters():
            handle = parameter.register_hook(lambda grad, name=name: hook(name, grad))
            undo.callback(handle.remove)
        yield


def timed(way: str, loop: Loop, steps: int) -> float:
    """Return the processor's seconds for a step, a share of setting up and down included."""
    started = time.process_time()
    if way == "watch":
        with observed(loop.model) as run:
            loop.train(steps)
        assert run.series.steps == steps  # noqa: S101 - what is timed must have happened
    elif way == "histograms":
        with histograms(loop.model):
            loop.train(steps)
    else:
        loop.train(steps)
    return (time.process_time() - started) / steps


def main() -> int:
    """Time the three ways and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=30, help="turns of each (default 30)")
    parser.add_argument("--steps", type=int, default=5, help="steps in a turn (default 5)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    loop = Loop()
    count = sum(p.numel() for p in loop.model.parameters())
    print(f"torch {torch.__version__}, one thread, transformer of {count:,} parameters")
    for way in WAYS:
        timed(way, loop, 1)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    order = random.Random(0)  # noqa: S311 - an order of turns
    for _ in range(args.rounds):
        for way in order.sample(WAYS, len(WAYS)):
            seconds[way].append(timed(way, loop, args.steps))
    extra = {}
    for way in WAYS:
        pairs = zip(seconds[way], seconds["plain"], strict=True)
        extra[way] = statistics.median(mine / plain - 1 for mine, plain in pairs)
        print(f"{way:<12} {statistics.median(seconds[way]) * 1e3:8.1f} ms  {extra[way]:+7.1%}")
    return 0 if extra["watch"] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
