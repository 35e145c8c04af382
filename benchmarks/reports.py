"""Print what writing the reports of a large run costs: 500 calls of 100 parameters each.

Run: ``python -m benchmarks.reports [--calls N] [--parameters N]``

Every number is random, so that nothing compresses better than it would in earnest; a tenth of the
calls drifted. Each format is written by itself, and at last all of them together, as a run with
several ``--grad-report`` does. Memory is what a process that was forked with the run in memory took
beyond it; time is that of a process that was not, since a fork copies every page that it touches.
The page must stay below 2 MB, and all formats together below 3 seconds of CPU time and 300 MB.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

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
    Push,
    Sample,
    Sketch,
)
from pytest_gradcheck.reporters import SUFFIXES, Report, ReportEntry, write_reports
from pytest_gradcheck.stats.histogram import BINS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS = 3.0
MEGABYTES = 300.0
PAGE = 2e6

TRIES = 3  # the best of them: what else a machine does only ever makes it slower
SIZE = 64 * 64
SKETCH = 32


def main() -> int:
    """Make a run, write it in every format, and print what that cost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=500, help="calls (default 500)")
    parser.add_argument("--parameters", type=int, default=100, help="of each (default 100)")
    given = parser.parse_args()
    report = run(given.calls, given.parameters)
    print(f"{given.calls} calls of {given.parameters} parameters each")
    for suffix in SUFFIXES:
        _say(suffix, *written(report, [suffix]))
    seconds, memory, sizes = written(report, SUFFIXES)
    _say("all", seconds, memory, sizes)
    page = sizes[".html"]
    print(f"a million floats as JSON: {yardstick():.2f} s on this machine now")
    print(f"limits: {SECONDS:.0f} s, {MEGABYTES:.0f} MB; {PAGE / 1e6:.0f} MB for the page")
    return 0 if seconds <= SECONDS and memory <= MEGABYTES and page <= PAGE else 1


def _say(what: str, seconds: float, memory: float, sizes: Mapping[str, int]) -> None:
    """Print a line."""
    size = sum(sizes.values()) / 1e6
    print(f"{what:17} {seconds:6.2f} s  {memory:5.0f} MB more  {size:7.2f} MB written", flush=True)


def written(report: Report, suffixes: Sequence[str]) -> tuple[float, float, dict[str, int]]:
    """Return CPU seconds, megabytes of memory and bytes that formats took, written together."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        before = rss()
        timed(report, suffixes)
        os.write(write, str(rss() - before).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        memory = float(pipe.read())
    os.waitpid(child, 0)
    tries = [timed(report, suffixes) for _ in range(TRIES)]
    return min(seconds for seconds, _ in tries), memory, tries[0][1]


def timed(report: Report, suffixes: Sequence[str]) -> tuple[float, dict[str, int]]:
    """Return CPU seconds and bytes that formats took, written together."""
    _forget(report)
    with tempfile.TemporaryDirectory() as folder:
        paths = {suffix: Path(folder) / f"report{suffix}" for suffix in suffixes}
        started = time.process_time()
        problems = write_reports([*paths.values()], report)
        seconds = time.process_time() - started
        if problems:
            raise SystemExit("\n".join(problems.values()))
        return seconds, {suffix: path.stat().st_size for suffix, path in paths.items()}


def _forget(report: Report) -> None:
    """Drop the sums that a gradient keeps once it was asked for them, so that tries are alike."""
    for verdict in (entry.gradients for entry in report.entries if entry.gradients):
        for m in filter(None, (verdict.measurement, verdict.baseline)):
            for tier in filter(None, (m.native, m.shadow)):
                for name in set(vars(tier)) - set(tier.__dataclass_fields__):
                    del vars(tier)[name]


def yardstick() -> float:
    """Return how long something takes that others can time as well."""
    values = np.random.default_rng(0).random(1_000_000).tolist()
    started = time.process_time()
    json.dumps(values)
    return time.process_time() - started


def rss() -> float:
    """Return the most memory that this process held, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(calls: int, parameters: int) -> Report:
    """Return a report of random gradients."""
    rng = np.random.default_rng(0)
    entries = []
    for i in range(calls):
        drifts = i % 10 == 0
        now = measured(rng, parameters)
        baseline = stored(moved(rng, now, 1e-3 if drifts else 1e-9), rng)
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
        components=tuple(component(rng, name, names) for name in ("recon", "kl")),
    )
    counts = rng.integers(0, SIZE, (parameters, 10))
    return Measurement(
        objective="model",
        backend="torch",
        device="cpu",
        sense="loss",
        seed=0,
        native=native,
        shadow=twin(native),
        point=PointStats(
            sketches=(Sketch(norm=1.0, values=(1.0,) * SKETCH),) * parameters,
            dtypes=("float32",) * parameters,
        ),
        samples=tuple(
            Sample(label=f"#{i}", seed=i, scale=1e-3, value=1.0, norm=float(rng.random()), cosine=1)
            for i in range(4)
        ),
        packages={"torch": "2.13.0"},
        histograms={
            name: (0,) * 20 + tuple(line.tolist()) + (0,) * (BINS - 30)
            for name, line in zip(names, counts, strict=True)
        },
    )


def component(rng: np.random.Generator, name: str, names: Sequence[str]) -> ComponentStats:
    """Return a component that pushes every parameter."""
    pushes = zip(names, rng.random(len(names)), rng.random(len(names)), strict=True)
    return ComponentStats(
        name=name,
        value=1.0,
        norm=float(rng.random()),
        share=0.5,
        cosines=(float(rng.random()), 1.0),
        pushes=tuple(Push(parameter=n, norm=float(x), share=float(y)) for n, x, y in pushes),
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
    return replace(m, native=native, shadow=twin(native))


def stored(m: Measurement, rng: np.random.Generator) -> Measurement:
    """Return a measurement as it comes back from a baseline, with allowances."""
    allowed = {p.name: float(f"{10 ** rng.uniform(-7, -4):.3g}") for p in m.native.parameters}
    plain = tuple(replace(p, top=()) for p in m.native.parameters)
    terms = tuple(replace(c, pushes=()) for c in m.native.components)
    return replace(
        m,
        native=replace(m.native, parameters=plain, components=terms),
        shadow=m.shadow and replace(m.shadow, components=terms),
        allowances=allowed,
        shadow_allowances=allowed,
        histograms={},
    )


def twin(native: GradientStats) -> GradientStats:
    """Return the same gradient as it might be in float64: other bits, and no largest elements."""
    near = 1 + 2.0**-30
    parameters = (
        replace(
            p,
            dtype="float64",
            norm=p.norm * near,
            max_abs=p.max_abs * near,
            mean=p.mean * near,
            top=(),
            sketch=p.sketch
            and Sketch(norm=p.norm * near, values=tuple(v * near for v in p.sketch.values)),
        )
        for p in native.parameters
    )
    terms = (
        replace(c, pushes=tuple(replace(p, norm=p.norm * near) for p in c.pushes))
        for c in native.components
    )
    return replace(native, parameters=tuple(parameters), components=tuple(terms))


if __name__ == "__main__":
    sys.exit(main())
