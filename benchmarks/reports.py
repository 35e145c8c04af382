"""Print what writing the reports of a large run costs: 500 calls of 100 parameters each.

Run: ``python -m benchmarks.reports [--calls N] [--parameters N]``

Every number is random, so that nothing compresses better than it would in earnest; a tenth of the
calls drifted. Each format is written by a process of its own, forked once the run is in memory;
memory is what that process took beyond it. The page must stay below 2 MB, and all formats together
below 3 seconds of CPU time and 300 MB.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from pytest_gradcheck.checks.drift import compare
from pytest_gradcheck.judge import judge, with_drift
from pytest_gradcheck.limits import parse
from pytest_gradcheck.records import (
    ComponentStats,
    Element,
    GradientStats,
    Measurement,
    ParameterStats,
    PointStats,
    Sample,
    Sketch,
)
from pytest_gradcheck.reporters import SUFFIXES, Report, ReportEntry, write_report
from pytest_gradcheck.stats.histogram import BINS

SECONDS = 3.0
MEGABYTES = 300.0
PAGE = 2e6

SIZE = 64 * 64
SKETCH = 32


def main() -> int:
    """Make a run, write it in every format, and print what that cost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=500, help="calls (default 500)")
    parser.add_argument("--parameters", type=int, default=100, help="of each (default 100)")
    given = parser.parse_args()
    report = run(given.calls, given.parameters)
    total, most, page = 0.0, 0.0, 0
    print(f"{given.calls} calls of {given.parameters} parameters each")
    for suffix in SUFFIXES:
        seconds, memory, size = written(report, suffix)
        total, most = total + seconds, max(most, memory)
        page = size if suffix == ".html" else page
        print(f"{suffix:7} {seconds:6.2f} s  {memory:6.0f} MB more  {size / 1e6:8.2f} MB written")
    print(f"all     {total:6.2f} s  (limit {SECONDS:.0f}), {most:.0f} MB (limit {MEGABYTES:.0f})")
    print(f"page    {page / 1e6:6.2f} MB (limit {PAGE / 1e6:.0f})")
    return 0 if total <= SECONDS and most <= MEGABYTES and page <= PAGE else 1


def written(report: Report, suffix: str) -> tuple[float, float, int]:
    """Return CPU seconds, megabytes of memory and bytes that one format took."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"report{suffix}"
            before, started = rss(), time.process_time()
            write_report(path, report)
            seconds = time.process_time() - started
            os.write(write, f"{seconds} {rss() - before} {path.stat().st_size}".encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    seconds, memory, size = map(float, text.split())
    return seconds, memory, int(size)


def rss() -> float:
    """Return the most memory that this process held, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(calls: int, parameters: int) -> Report:
    """Return a report of random gradients."""
    rng = np.random.default_rng(0)
    entries = []
    for i in range(calls):
        drifts = i % 10 == 0
        baseline = measured(rng, parameters)
        now = moved(rng, baseline, 1e-3 if drifts else 1e-9)
        verdict = with_drift(judge(now, parse()), compare(now, baseline), baseline)
        entries.append(
            ReportEntry.of(
                verdict,
                node_id=f"tests/test_{i // 20}.py::test_model[{i}]",
                outcome="failed" if drifts else "passed",
                baseline="compared",
            )
        )
    return Report(environment={"python": "3.11.7", "torch": "2.13.0"}, entries=tuple(entries))


def measured(rng: np.random.Generator, parameters: int) -> Measurement:
    """Return a measurement in two precisions, with two components and four perturbed points."""
    names = [f"encoder.layers.{i // 4}.block.{i % 4}.weight" for i in range(parameters)]
    native = GradientStats(
        value=float(rng.normal()),
        parameters=tuple(parameter(rng, name) for name in names),
        components=tuple(
            ComponentStats(name=name, value=1.0, norm=float(rng.random()), share=0.5)
            for name in ("recon", "kl")
        ),
    )
    allowed = {name: float(10 ** rng.uniform(-7, -4)) for name in names}
    counts = rng.integers(0, SIZE, (parameters, 10))
    return Measurement(
        objective="model",
        backend="torch",
        device="cpu",
        sense="loss",
        seed=0,
        native=native,
        shadow=native,
        point=PointStats(
            sketches=(Sketch(norm=1.0, values=(1.0,) * SKETCH),) * parameters,
            dtypes=("float32",) * parameters,
        ),
        samples=tuple(
            Sample(label=f"#{i}", seed=i, scale=1e-3, value=1.0, norm=float(rng.random()), cosine=1)
            for i in range(4)
        ),
        allowances=allowed,
        shadow_allowances=allowed,
        packages={"torch": "2.13.0"},
        histograms={
            name: (0,) * 20 + tuple(line.tolist()) + (0,) * (BINS - 30)
            for name, line in zip(names, counts, strict=True)
        },
    )


def parameter(rng: np.random.Generator, name: str) -> ParameterStats:
    """Return the statistics of one random gradient."""
    values = 10 ** rng.uniform(-6, 1) * rng.normal(size=SKETCH)
    norm = float(np.linalg.norm(values))
    largest = float(np.abs(values).max())
    return ParameterStats(
        name=name,
        shape=(64, 64),
        dtype="float32",
        norm=norm,
        max_abs=largest,
        mean=float(values.mean()),
        top=(Element(index=(1, 2), value=largest),),
        sketch=Sketch(norm=norm, values=tuple(values.tolist())),
    )


def moved(rng: np.random.Generator, m: Measurement, size: float) -> Measurement:
    """Return a measurement whose gradients moved, each by another part of its size."""
    found = []
    for p in m.native.parameters:
        far = size * 10 ** rng.uniform(-1, 1)
        old = np.array(p.sketch.values if p.sketch else ())
        new = old + far * p.norm * rng.normal(size=old.size) / math.sqrt(max(old.size, 1))
        norm = float(np.linalg.norm(new))
        values = tuple(new.tolist())
        found.append(replace(p, norm=norm, sketch=Sketch(norm=norm, values=values)))
    native = replace(m.native, parameters=tuple(found))
    return replace(m, native=native, shadow=native)


if __name__ == "__main__":
    sys.exit(main())
