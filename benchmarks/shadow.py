"""Print what the float64 gradient costs, relative to the native one, for the torch models here.

Run: ``python -m benchmarks.shadow [--pairs N] [--model NAME ...]``

One thread. Native and float64 evaluations of one objective alternate, so that whatever else the
machine does hits both alike; printed is the median over all pairs of the ratio. It counts float64
arithmetic too, which is half as fast as float32 where a model is nothing but arithmetic. Models
that are float64 already are left out. The exit status is 1 when a model is above the limit.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks.power.models import models
from pytest_gradcheck.measure import is_wide

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.records import Objective

LIMIT = 3.5


def main() -> int:
    """Measure the models that were asked for and print one line for each."""
    known = {model.name: model for model in models("torch")}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=30, help="alternations per model (default 30)")
    parser.add_argument("--model", action="append", choices=list(known), help="default: all")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread; limit {LIMIT} times the native evaluation")
    print(f"{'model':<28} {'native':>10} {'float64':>10} {'ratio':>7}")
    worst = 0.0
    for name in args.model or known:
        objective = known[name].objective()
        if is_wide(objective):
            continue
        native, wide, ratio = cost(objective, args.pairs)
        worst = max(worst, ratio)
        print(f"{name:<28} {native * 1e3:>7.2f} ms {wide * 1e3:>7.2f} ms {ratio:>7.2f}")
    print(f"{'worst':<28} {worst:>31.2f}")
    return 0 if worst <= LIMIT else 1


def cost(objective: Objective, pairs: int) -> tuple[float, float, float]:
    """Return the median seconds of a native and of a float64 evaluation, and of their ratio."""
    objective.value_and_grad()
    objective.value_and_grad(precision="float64")
    found = []
    gc.disable()
    for _ in range(pairs):
        native = timed(objective.value_and_grad)
        wide = timed(lambda: objective.value_and_grad(precision="float64"))
        found.append((native, wide, wide / native))
        gc.collect()
    gc.enable()
    columns = zip(*found, strict=True)
    native, wide, ratio = (statistics.median(column) for column in columns)
    return native, wide, ratio


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
