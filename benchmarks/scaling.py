"""Print and plot how the cost of a measurement grows with the work.

Run: ``python -m benchmarks.scaling [--axis NAME ...] [--largest N] [--rounds N]``

Each axis is swept alone. Time is that of reducing gradients which are there already (all
statistics and sketches, components included), the smallest of a few rounds; memory is the peak
beside the gradients, as `tracemalloc` counts numpy's arrays. The exponent is the slope of a line
through the logarithms, over the upper half of the axis, where the constant part no longer counts.
Replicates are evaluations of a noisy gradient of a hundred thousand elements, under as many seeds.
Tests are whole sessions in check mode, each test with a baseline, as `benchmarks.many_tests` makes
them; their time is CPU time, the start of the process included.
Ranks are processes of one machine that reduce a gradient of fixed size together; they share its
cores, so that the time says what joining costs, not what sharing gains.

The figures of one run are compared with each other only. Written are ``scaling.json`` and
``scaling.svg`` in ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import tempfile
import time
import tracemalloc
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks import many_tests
from pytest_gradcheck.backends import objective
from pytest_gradcheck.measure.replicates import replicates as _replicates
from pytest_gradcheck.point import NumpyView
from pytest_gradcheck.records import ArrayView, ComponentEvaluation, Evaluation
from pytest_gradcheck.stats import gradient_stats

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results"
RANKED = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Hold one measured point of an axis: seconds, and bytes beside the gradients."""

    axis: str
    size: int
    seconds: float
    extra_bytes: int


def main() -> int:
    """Sweep the axes that were asked for; print, fit and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--axis", action="append", choices=list(AXES), help="default: all")
    parser.add_argument(
        "--largest", type=int, default=fitting(), help="elements (default: 1e9 or what fits)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="per point (default 3)")
    args = parser.parse_args()
    rows = [row for axis in args.axis or AXES for row in AXES[axis](args.largest, args.rounds)]
    print(f"{processor()}, {os.cpu_count()} cores, one thread")
    print(f"{'axis':<12} {'size':>12} {'time':>12} {'extra memory':>14}")
    for row in rows:
        memory = f"{row.extra_bytes / 1e6:>11.2f} MB" if row.extra_bytes else f"{'-':>14}"
        print(f"{row.axis:<12} {row.size:>12,} {row.seconds * 1e3:>9.3f} ms {memory}")
    for axis in dict.fromkeys(row.axis for row in rows):
        mine = [row for row in rows if row.axis == axis]
        print(f"time grows as {axis} ** {exponent(mine):.2f}")
    RESULTS.mkdir(exist_ok=True)
    content = {"processor": processor(), "rows": [asdict(row) for row in rows]}
    (RESULTS / "scaling.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "scaling.svg").write_text(svg(rows), encoding="utf-8")
    return 0


def elements(largest: int, rounds: int) -> list[Row]:
    """Sweep the size of a single parameter."""
    sizes = [10**k for k in range(4, 10) if 10**k <= largest]
    return [reduced("elements", n, partial(evaluation, [n]), rounds) for n in sizes]


def parameters(_: int, rounds: int) -> list[Row]:
    """Sweep the number of parameters, of a hundred elements each."""
    counts = (10, 100, 1000, 10_000)
    return [reduced("parameters", n, partial(evaluation, [100] * n), rounds) for n in counts]


def components(_: int, rounds: int) -> list[Row]:
    """Sweep the number of components of a loss in a hundred thousand elements."""
    counts = (2, 4, 8, 16, 32)
    return [reduced("components", n, partial(evaluation, [100_000], n), rounds) for n in counts]


def replicates(_: int, rounds: int) -> list[Row]:
    """Sweep the number of seeds."""
    weights = np.arange(100_000.0)

    def noisy(point: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        noise = np.random.standard_normal(weights.size)  # noqa: NPY002 - the stream that is seeded
        return float(point["w"] @ noise), {"w": noise}

    source = objective({"w": weights}, value_and_grad=noisy)
    found = []
    for count in (4, 8, 16, 32, 64):
        once = partial(_replicates, source, count)
        once()
        seconds = min(timed(once) for _ in range(rounds))
        found.append(Row(axis="replicates", size=count, seconds=seconds, extra_bytes=traced(once)))
    return found


def tests(_: int, rounds: int) -> list[Row]:
    """Sweep the number of tests in a session."""
    found = []
    for count in (100, 300, 1000, 3000):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "checked"
            many_tests.generate(root, many_tests.CHECKED, count)
            many_tests.run(root, *many_tests.PLUGIN, "--grad-baseline-update")
            seconds = min(many_tests.run(root, *many_tests.PLUGIN)[0] for _ in range(rounds))
        found.append(Row(axis="tests", size=count, seconds=seconds, extra_bytes=0))
    return found


def ranks(_: int, rounds: int) -> list[Row]:
    """Sweep the number of processes that hold a gradient together."""
    from pytest_gradcheck import RankPool

    found = []
    with RankPool(4, timeout=120.0) as pool:
        for size in (1, 2, 4):
            seconds = max(pool.run(joint, rounds, ranks=size))
            found.append(Row(axis="ranks", size=size, seconds=seconds, extra_bytes=0))
    return found


def joint(rounds: int) -> float:
    """Return the seconds in which this rank measures a model that all ranks hold a copy of."""
    import torch

    from pytest_gradcheck import measure_gradients

    model: torch.nn.Module = torch.nn.Linear(RANKED // 100, 100)
    inputs = torch.ones(1, RANKED // 100)
    if torch.distributed.get_world_size() > 1:
        model = torch.nn.parallel.DistributedDataParallel(model)

    def once() -> None:
        measure_gradients(model, lambda: model(inputs).square().mean())

    once()
    return min(timed(once) for _ in range(rounds))


def evaluation(sizes: list[int], terms: int = 0) -> tuple[Evaluation, dict[str, ArrayView]]:
    """Return gradients of some sizes, and the point that they belong to."""
    rng = np.random.default_rng(0)
    views: dict[str, ArrayView] = {
        f"p{i}": NumpyView(rng.standard_normal(n, dtype=np.float32)) for i, n in enumerate(sizes)
    }
    each = {f"c{k}": ComponentEvaluation(value=1.0, grads=views) for k in range(terms)}
    return Evaluation(value=1.0, grads=views, components=each), views


def reduced(
    axis: str,
    size: int,
    make: Callable[[], tuple[Evaluation, dict[str, ArrayView]]],
    rounds: int,
) -> Row:
    """Return what it costs to reduce one gradient."""
    evaluated, point = make()

    def once() -> None:
        gradient_stats(evaluated, point, top=20)

    once()
    seconds = min(timed(once) for _ in range(rounds))
    return Row(axis=axis, size=size, seconds=seconds, extra_bytes=traced(once))


def traced(action: Callable[[], object]) -> int:
    """Return the most bytes beside tensors that an action holds at one time."""
    tracemalloc.start()
    action()
    extra = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return extra


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def exponent(rows: list[Row]) -> float:
    """Return the slope of time against size in logarithms, over the upper half of an axis."""
    upper = rows[len(rows) // 2 - 1 :] if len(rows) > 2 else rows  # noqa: PLR2004 - a line
    if len(upper) < 2:  # noqa: PLR2004 - as above
        return math.nan
    x, y = np.log([r.size for r in upper]), np.log([r.seconds for r in upper])
    return float(np.polyfit(x, y, 1)[0])


def fitting() -> int:
    """Return the largest power of ten, up to 1e9, whose gradient fits four times into memory."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return next(n for k in range(9, 0, -1) if 4 * 4 * (n := int(10**k)) <= there)


def processor() -> str:
    """Return the model of the processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def svg(rows: list[Row]) -> str:
    """Return a picture: one small panel for each axis, both scales logarithmic."""
    wide, high, edge = 260, 180, 46
    axes = list(dict.fromkeys(row.axis for row in rows))
    parts = []
    for k, axis in enumerate(axes):
        mine = [row for row in rows if row.axis == axis]
        x = scaled([row.size for row in mine], edge, wide - 12)
        y = scaled([row.seconds for row in mine], high - 34, 26)
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        dots = "".join(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in zip(x, y, strict=True)
        )
        first, last = mine[0], mine[-1]
        parts.append(
            f'<g transform="translate({k * wide},0)"><text x="{edge}" y="16">{axis}: time ~ '
            f"n^{exponent(mine):.2f}</text>"
            f'<polyline points="{line}" fill="none" stroke="#2266aa"/>{dots}'
            f'<text x="2" y="{y[0]:.0f}">{first.seconds * 1e3:.3g} ms</text>'
            f'<text x="2" y="{y[-1] + 12:.0f}">{last.seconds * 1e3:.3g} ms</text>'
            f'<text x="{x[0]:.0f}" y="{high - 12}">{first.size:g}</text>'
            f'<text x="{x[-1] - 40:.0f}" y="{high - 12}">{last.size:g}</text></g>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide * len(axes)}" height="{high}" '
        f'font-family="sans-serif" font-size="11">{"".join(parts)}</svg>\n'
    )


def scaled(values: list[float] | list[int], low: float, high: float) -> list[float]:
    """Return logarithms stretched between two ends."""
    logs = [math.log(v) for v in values]
    span = (max(logs) - min(logs)) or 1.0
    return [low + (high - low) * (v - min(logs)) / span for v in logs]


AXES: dict[str, Callable[[int, int], list[Row]]] = {
    "elements": elements,
    "parameters": parameters,
    "components": components,
    "replicates": replicates,
    "ranks": ranks,
    "tests": tests,
}


if __name__ == "__main__":
    raise SystemExit(main())
