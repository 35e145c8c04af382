"""Print what the plugin adds to a session of many tests, beside the measuring itself.

Run: ``python -m benchmarks.many_tests [--tests N] [--pairs N] [--profile]``

A project is generated in which every test checks the gradient of a bowl in a few dimensions, each
at a point of its own, with a baseline for each (ten functions of a module, a thousand tests a
module). Compared are the CPU time, and the largest memory, of runs in turn:

plain
    The same tests measure and judge through the library, without the plugin: what the work costs.
with the plugin
    The tests use the fixture in check mode: hooks, ledger, reading and checking of baselines,
    comparing with them, closing.
empty
    As many tests that do nothing, with the plugin and without: what the hooks alone cost.
empty, with a fixture
    The same with a fixture of one's own that does nothing: what any fixture costs in pytest.

The session overhead is the second less the first; measuring and judging is in both. Differences are
between runs beside each other, of which the median counts: a machine that does other work, too,
makes both slower.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 0.3e-3  # seconds a test
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
PER_MODULE = 1000
PER_FUNCTION = 100

HEAD = """
import numpy as np
import pytest
from pytest_gradcheck.api import judged, source
from pytest_gradcheck.limits import parse

W = np.arange(1.0, 5.0)
LIMITS = parse(("the call", {"perturb": False}))

def bowl(point):
    return 0.5 * float(point["w"] @ point["w"]), {"w": point["w"].copy()}
"""
CHECKED = """
@pytest.mark.parametrize("n", range({count}))
def test_{name}(gradcheck, n):
    gradcheck({{"w": W + n / 7}}, value_and_grad=bowl, perturb=False)
"""
PLAIN = """
@pytest.mark.parametrize("n", range({count}))
def test_{name}(n):
    verdict = judged(source({{"w": W + n / 7}}, value_and_grad=bowl), LIMITS, keep=True)
    assert verdict.passed
"""
EMPTY = """
@pytest.mark.parametrize("n", range({count}))
def test_{name}(n):
    pass
"""
OWN = """
@pytest.fixture
def own():
    return None

""" + EMPTY.replace("(n)", "(own, n)")
PLUGIN = ("-p", "pytest_gradcheck.plugin")
KINDS = {"checked": CHECKED, "plain": PLAIN, "empty": EMPTY, "own": OWN}


def main() -> int:
    """Generate the project, run it in turn and print what a test costs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--tests", type=int, default=10_000, help="tests (default 10000)")
    parser.add_argument("--pairs", type=int, default=3, help="alternations (default 3)")
    parser.add_argument("--profile", action="store_true", help="show where the plugin's time goes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for kind, body in KINDS.items():
            generate(root / kind, body, args.tests)
        run(root / "checked", *PLUGIN, "--grad-baseline-update")
        if args.profile:
            show_profile(root / "checked")
            return 0
        jobs = {
            "plain": ("plain",),
            "with the plugin": ("checked", *PLUGIN),
            "empty": ("empty",),
            "empty, with a fixture": ("own",),
            "empty, with the plugin": ("empty", *PLUGIN),
        }
        times: dict[str, list[float]] = {name: [] for name in jobs}
        peaks: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(args.pairs):
            for name, (kind, *options) in jobs.items():
                seconds, peak = run(root / kind, *options)
                times[name].append(seconds / args.tests)
                peaks[name].append(peak)
    for name, seconds_each in times.items():
        median, most = statistics.median(seconds_each) * 1e3, statistics.median(peaks[name])
        print(f"{name:<24} {median:6.3f} ms a test, at most {most / 1e6:4.0f} MB")
    session = median_difference(times["with the plugin"], times["plain"])
    hooks = median_difference(times["empty, with the plugin"], times["empty"])
    fixture = median_difference(times["empty, with a fixture"], times["empty"])
    memory = median_difference(peaks["with the plugin"], peaks["plain"]) / args.tests
    plain = session / statistics.median(times["plain"])
    print(
        f"session overhead         {session * 1e3:6.3f} ms a test (limit {LIMIT * 1e3:g}), "
        f"{plain:.2f} of a plain one"
    )
    print(f"  of which hooks         {hooks * 1e3:6.3f} ms a test")
    print(f"  of which any fixture   {fixture * 1e3:6.3f} ms a test")
    print(f"memory                   {memory / 1e3:6.1f} KB a test, the plugin itself included")
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


def run(folder: Path, *options: str) -> tuple[float, float]:
    """Return the CPU seconds of one run in a folder, and the most memory in bytes."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, env=alone, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(said.read().decode()[-3000:])
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * UNIT


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
