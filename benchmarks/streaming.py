"""Print how much memory and time a measurement takes with streaming=True and without.

Run: ``python -m benchmarks.streaming [--rounds N]``

Three ways to the gradient of the same model, each at its peak beyond the model itself, relative to
the bytes of all gradients: a plain forward and backward pass that leaves every gradient in
``.grad``; a measurement; a measurement with streaming=True. Tensors are counted by torch's
profiler, numpy's arrays by `tracemalloc`, as in `benchmarks.overhead`. Time is the median over the
rounds, relative to the pass. All statistics of the two measurements must be equal.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from benchmarks.overhead import Subject, tensor_peak, timed, traced_peak, transformer
from pytest_gradcheck.backends import objective
from pytest_gradcheck.measure import measure

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.records import Objective


def stack() -> Subject:
    """Return a stack of 24 square layers of a million weights each, at batch 8."""
    model = nn.Sequential()
    for _ in range(24):
        model.extend([nn.Linear(1024, 1024), nn.ReLU()])
    inputs = torch.randn(8, 1024)
    return Subject(model=model, loss=lambda: model(inputs).square().mean())


SUBJECTS = {
    "24 layers, 25M": stack,
    "transformer 25M": lambda: transformer(width=512, layers=8, length=128),
}


def main() -> int:
    """Measure each model in the three ways and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="per model and way (default 5)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread; memory as a part of all gradients")
    print(f"{'model':<16} {'way':<12} {'gradients':>10} {'peak':>6} {'time':>6}")
    equal = True
    for name, make in SUBJECTS.items():
        torch.manual_seed(0)
        subject = make()
        plain, streamed = (measure(taken(subject, streaming=way)) for way in (False, True))
        equal &= plain.native == streamed.native
        ways: dict[str, Callable[[], None]] = {
            "pass": subject.step,
            "measured": partial(_measured, subject, streaming=False),
            "streamed": partial(_measured, subject, streaming=True),
        }
        one_pass = 0.0
        for way, action in ways.items():
            action()
            seconds = statistics.median(timed(action) for _ in range(args.rounds))
            one_pass = one_pass or seconds
            peak = (tensor_peak(action) + traced_peak(action)) / subject.gradient_bytes
            size = f"{subject.gradient_bytes / 2**20:.0f} MiB"
            print(f"{name:<16} {way:<12} {size:>10} {peak:>6.2f} {seconds / one_pass:>6.2f}")
    print("the statistics are the same bits" if equal else "THE STATISTICS DIFFER")
    return 0 if equal else 1


def taken(subject: Subject, *, streaming: bool) -> Objective:
    """Return the objective of a model."""
    return objective(subject.model, subject.loss, streaming=streaming)


def _measured(subject: Subject, *, streaming: bool) -> None:
    """Take one measurement, objective and all."""
    measure(taken(subject, streaming=streaming))


if __name__ == "__main__":
    sys.exit(main())
