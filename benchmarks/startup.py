"""Print what the installed plugin adds to the start of pytest in an empty folder.

Run: ``python -m benchmarks.startup [--pairs N]``

``pytest --collect-only`` runs with and without the plugin in turn, no other plugin loaded; compared
is the CPU time of the process, which other work on the machine hardly touches. The first runs,
which compile byte code, do not count.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile

LIMIT = 0.030
WARM_UP = 2
WITH = ("-p", "gradcheck")
EMPTY = 5  # pytest's exit code where no test was collected


def main() -> int:
    """Alternate runs with and without the plugin and print the difference."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=20, help="alternations (default 20)")
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(WARM_UP):
            seconds(folder)
            seconds(folder, *WITH)
        without, with_plugin = [], []
        for _ in range(pairs):
            without.append(seconds(folder))
            with_plugin.append(seconds(folder, *WITH))
    cost = statistics.median(a - b for a, b in zip(with_plugin, without, strict=True))
    print(f"pytest alone   {statistics.median(without) * 1e3:6.1f} ms of CPU time")
    print(f"with gradcheck {statistics.median(with_plugin) * 1e3:6.1f} ms")
    print(f"the plugin     {cost * 1e3:6.1f} ms (median of {pairs} pairs; limit {LIMIT * 1e3:.0f})")
    return 0 if cost <= LIMIT else 1


def seconds(folder: str, *options: str) -> float:
    """Return the CPU seconds of one collection in a folder."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *options]
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(command, cwd=folder, env=alone, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != EMPTY:
        raise SystemExit(result.stdout.decode() + result.stderr.decode())
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
