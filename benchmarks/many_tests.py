"""Print what the plugin adds to a session of many tests, beside the measuring itself.

Run: ``python -m benchmarks.many_tests [--tests N] [--pairs N] [--profile]``

A project is generated in which every test checks the gradient of a bowl in a few dimensions, with a
baseline for each (ten functions of a module, a thousand tests a module). Compared is the CPU time
of three runs in turn:

plain
    The same tests measure and judge through the library, without the plugin: what the work costs.
with the plugin
    The tests use the fixture in check mode: hooks, ledger, reading of baselines, closing.
empty
    As many tests that do nothing, with the plugin and without: what the hooks alone cost.

The session overhead is the second less the first; the evaluation of the model is in both.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 0.3e-3  # seconds a test
PER_MODULE = 1000
PER_FUNCTION = 100

HEAD = """
import numpy as np
import pytest
from pytest_gradcheck.api import judged, source
from pytest_gradcheck.limits import parse

W = {"w": np.arange(1.0, 5.0)}
LIMITS = parse(("the call", {"perturb": False}))

def bowl(point):
    return 0.5 * float(point["w"] @ point["w"]), {"w": point["w"].copy()}
"""
CHECKED = """
@pytest.mark.parametrize("n", range({count}))
def test_{name}(gradcheck, n):
    gradcheck(W, value_and_grad=bowl, perturb=False)
"""
PLAIN = """
@pytest.mark.parametrize("n", range({count}))
def test_{name}(n):
    verdict = judged(source(W, value_and_grad=bowl), LIMITS, keep=True)
    assert verdict.passed
"""
EMPTY = """
@pytest.mark.parametrize("n", range({count}))
def test_{name}(n):
    pass
"""
PLUGIN = ("-p", "pytest_gradcheck.plugin")


def main() -> int:
    """Generate the project, run it in turn and print what a test costs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--tests", type=int, default=10_000, help="tests (default 10000)")
    parser.add_argument("--pairs", type=int, default=3, help="alternations (default 3)")
    parser.add_argument("--profile", action="store_true", help="show where the plugin's time goes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for kind, body in (("checked", CHECKED), ("plain", PLAIN), ("empty", EMPTY)):
            generate(root / kind, body, args.tests)
        run(root / "checked", *PLUGIN, "--grad-baseline-update")
        if args.profile:
            show_profile(root / "checked")
            return 0
        jobs = {
            "plain": ("plain",),
            "with the plugin": ("checked", *PLUGIN),
            "empty": ("empty",),
            "empty, with the plugin": ("empty", *PLUGIN),
        }
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(args.pairs):
            for name, (kind, *options) in jobs.items():
                times[name].append(run(root / kind, *options) / args.tests)
    for name, seconds in times.items():
        print(f"{name:<24} {statistics.median(seconds) * 1e3:6.3f} ms a test")
    session = median_difference(times["with the plugin"], times["plain"])
    hooks = median_difference(times["empty, with the plugin"], times["empty"])
    print(f"session overhead         {session * 1e3:6.3f} ms a test (limit {LIMIT * 1e3:g})")
    print(f"hooks alone              {hooks * 1e3:6.3f} ms a test")
    return 0 if session <= LIMIT else 1


def median_difference(a: list[float], b: list[float]) -> float:
    """Return the median of the differences of runs that took place beside each other."""
    return statistics.median(x - y for x, y in zip(a, b, strict=True))


def generate(folder: Path, body: str, tests: int) -> None:
    """Write modules of tests until there are enough."""
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for number, start in enumerate(range(0, tests, PER_MODULE)):
        text, left = HEAD, min(PER_MODULE, tests - start)
        for part, first in enumerate(range(0, left, PER_FUNCTION)):
            text += body.format(name=f"m{number}_{part}", count=min(PER_FUNCTION, left - first))
        (folder / f"test_m{number}.py").write_text(text, encoding="utf-8")


def run(folder: Path, *options: str) -> float:
    """Return the CPU seconds of one run in a folder."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(command, cwd=folder, env=alone, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode:
        raise SystemExit(result.stdout.decode()[-3000:] + result.stderr.decode())
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def show_profile(folder: Path) -> None:
    """Print the functions of the plugin that take the most time in a check run."""
    import pytest

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    profiler = cProfile.Profile()
    profiler.enable()
    pytest.main(["-q", "-p", "no:cacheprovider", *PLUGIN, "--rootdir", str(folder), str(folder)])
    profiler.disable()
    stats = pstats.Stats(profiler)
    stats.sort_stats("cumulative").print_stats("pytest_gradcheck", 45)
    stats.sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    sys.exit(main())
