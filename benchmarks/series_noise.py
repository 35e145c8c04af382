"""Say what a training run's baseline lets pass and what it finds, before its allowances and after.

Run: ``python -m benchmarks.series_noise [--ways N] [--steps N ...] [--seeds N] [--first-seed N]``

Ways to train are drawn from those of `benchmarks.loops`, for each precision and length. Each is
trained as it is, then again with other last bits: weights moved by one unit in the last place
before the first step, gradients at every step, two threads, other kernels, the rows of a batch in
another order, and in a process without vector instructions, as an old processor has none. A run
that its baseline does not hold for is a false alarm, and fails the benchmark. Then each is trained
with one of four faults, and with last bits of its own.

The first table says how far honest runs part: the worst distance of a loss or a norm, relative to
its largest value at the first steps, of means relative to the mean size of what they are taken of,
or a hundredth of the largest where that is more; and the share of its allowance that the worst of
all metrics used. The second has the alarms: by the allowances as they are, and before in brackets,
as they were when the mean of the last steps was allowed what the mean of all was: 10 % of that, and
three standard errors of ten values.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import warnings
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch

from benchmarks.loops import (
    FAULTS,
    LAST,
    MODELS,
    OPTIMIZERS,
    Rounding,
    Rows,
    Way,
    plain_processor,
    trained,
)
from pytest_gradcheck.series.allowance import COUNTED, parting
from pytest_gradcheck.series.baseline import compare_series, kept
from pytest_gradcheck.series.summary import summarise
from pytest_gradcheck.stats.trend import trend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_gradcheck.records import Metric, Series, SeriesBaseline

FIRST = 5
PRECISIONS = (torch.float64, torch.float32, torch.bfloat16)
ROUNDINGS = (
    Rounding(draw=1),
    Rounding(shaken=1),
    Rounding(threads=2),
    Rounding(plain_kernels=True),
    Rounding(turned=True),
)
HIDDEN = "rate x1.05, lr hidden"  # what else but the rate itself tells


@dataclass(slots=True)
class Found:
    """Gather what was found in one precision and length."""

    distances: np.ndarray = field(default_factory=lambda: np.zeros(4))
    used: np.ndarray = field(default_factory=lambda: np.zeros(3))
    runs: dict[str, list[tuple[bool, bool]]] = field(default_factory=dict)  # now, before

    def add(self, what: str, series: Series, bases: tuple[SeriesBaseline, ...]) -> None:
        """Hold a run against a baseline as it is and as it was."""
        findings = [compare_series(series, base).findings for base in bases]
        now, before = map(bool, findings)
        self.runs.setdefault(what, []).append((now, before))
        if what == "rate x1.05":
            now, before = (any(not f.subject.startswith("lr") for f in one) for one in findings)
            self.runs.setdefault(HIDDEN, []).append((now, before))

    def alarms(self, what: str) -> str:
        """Return how many runs raised an alarm, before in brackets, of how many."""
        runs = self.runs[what]
        now, before = (sum(one[i] for one in runs) for i in (0, 1))
        return f"{now} ({before}) of {len(runs)}"


def ways(count: int, steps: int, dtype: torch.dtype) -> Iterator[Way]:
    """Yield ways to train in a precision, drawn from all of them, the same ones each time."""
    mixed = dtype == torch.bfloat16
    every = [
        Way(
            model=model,
            optimizer=optimizer,
            rows=rows,
            steps=steps,
            dtype=torch.float32 if mixed else dtype,
            autocast=dtype if mixed else None,
        )
        for model, optimizer, rows in product(MODELS, OPTIMIZERS, get_args(Rows))
    ]
    yield from (every[i] for i in np.random.default_rng(steps).permutation(len(every))[:count])


def as_it_was(series: Series, base: SeriesBaseline) -> SeriesBaseline:
    """Return a baseline with one allowance for both means, relative to the whole run's."""
    metrics = dict(base.metrics)
    for metric in series.metrics:
        line = base.metrics[metric.name]
        allowed = line.mean_allowance
        if metric.key.partition(".")[0] not in {"lr", "clip_threshold", "backwards"}:
            size = sum(map(abs, metric.values)) / len(metric.values)
            last = min(LAST, len(metric.values))
            scatter = trend(metric.steps, metric.values).spread / math.sqrt(last)
            least = 2 / last if metric.key in COUNTED else line.head_allowance
            allowed = max(0.1 * size + 3 * scatter, least)
        metrics[metric.name] = dataclasses.replace(
            line, mean_allowance=allowed, tail_allowance=None, seen=None
        )
    return dataclasses.replace(base, metrics=metrics)


def parted(found: Found, plain: Series, other: Series, base: SeriesBaseline) -> None:
    """Add how far two runs lie apart, and how much of their allowances they used."""
    whole = max(map(abs, plain["norm"].values))
    for metric in plain.metrics:
        one, two = summarise(metric), summarise(other[metric.name])
        gaps = np.abs([one.mean - two.mean, one.tail_mean - two.tail_mean])
        line = base.metrics[metric.name]
        heads = zip(metric.steps, other[metric.name].values, line.head, strict=False)
        first = max((abs(now - was) / parting(step) for step, now, was in heads), default=0.0)
        allowed = [line.head_allowance, line.mean_allowance, line.late_allowance]
        found.used = np.maximum(found.used, [first, *gaps] / np.maximum(allowed, 1e-300))
        if metric.key in {"loss", "norm"} or metric.group == "parameter":
            found.distances = np.maximum(found.distances, _distances(metric, other, gaps, whole))


def _distances(metric: Metric, other: Series, gaps: np.ndarray, whole: float) -> np.ndarray:
    """Return the relative distances at step 0, at steps 1 to 4, of means and of late means."""
    values = np.array(metric.values)
    largest = np.abs(values).max()
    if metric.group == "parameter":
        largest = max(largest, 0.01 * whole)
    first = np.abs(values[:FIRST] - np.array(other[metric.name].values[:FIRST])) / largest
    sizes = np.array([np.abs(values).mean(), np.abs(values[-LAST:]).mean()])
    return np.array([first[0], first[1:].max(), *(gaps / np.maximum(sizes, 0.01 * largest))])


def measured(way: Way, seed: int, found: Found, old: Callable[[Way, int], Series]) -> None:
    """Train in one way: as it is, with other last bits, and with each fault."""
    plain = trained(way, Rounding(), seed)
    base = kept(plain)
    bases = (base, as_it_was(plain, base))
    for other in (*(trained(way, one, seed) for one in ROUNDINGS), old(way, seed)):
        found.add("honest", other, bases)
        parted(found, plain, other, base)
    for fault in FAULTS:
        found.add(fault, trained(way, Rounding(shaken=seed + 2), seed, fault), bases)


def table(heads: list[str], rows: list[list[str]]) -> None:
    """Print a table in Markdown."""
    print(f"\n| {' | '.join(heads)} |")
    print(f"|{'|'.join(['---', '---:', *['---:' for _ in heads[2:]]])}|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def main() -> int:
    """Print both tables, and return whether there was a false alarm."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--ways", type=int, default=8, help="to train, in each row (default 8)")
    parser.add_argument("--steps", type=int, nargs="+", default=[12, 30, 60, 120], help="of runs")
    parser.add_argument("--seeds", type=int, default=1, help="starting points (default 1)")
    parser.add_argument("--first-seed", type=int, default=0, help="of them (default 0)")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="TF32 acceleration")  # of the kernels' switch
    results: dict[tuple[str, str], Found] = {}
    with plain_processor() as old:
        for dtype, steps in product(PRECISIONS, args.steps):
            found = results.setdefault((f"{dtype}".removeprefix("torch."), str(steps)), Found())
            for way in ways(args.ways, steps, dtype):
                for seed in range(args.first_seed, args.first_seed + args.seeds):
                    measured(way, seed, found, old)
                    if any(now for now, _ in found.runs["honest"][-1 - len(ROUNDINGS) :]):
                        print(f"an honest run of {way} (seed {seed}) raised an alarm", flush=True)
    print(f"torch {torch.__version__}")
    table(
        [
            "precision",
            "steps",
            "step 0",
            "steps 1-4",
            "mean",
            "last 10",
            "used, first steps",
            "used, mean",
            "used, last 10",
        ],
        [
            [*key, *(f"{v:.0e}" for v in one.distances), *(f"{100 * v:.0f} %" for v in one.used)]
            for key, one in results.items()
        ],
    )
    named = ("honest", *FAULTS, HIDDEN)
    table(
        ["precision", "steps", *named],
        [[*key, *(one.alarms(name) for name in named)] for key, one in results.items()],
    )
    alarms = sum(now for one in results.values() for now, _ in one.runs["honest"])
    print(f"\n{alarms} false alarms")
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
