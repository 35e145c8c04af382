"""Run the benchmarks one after the other, each in a process of its own.

Run: ``python -m benchmarks [--quick]``

With ``--quick`` each runs on its smallest subjects, to see that all is in order; the figures in the
documentation are from runs without it. Whether a limit is missed is in the exit status.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

RUNS: dict[str, tuple[str, ...]] = {  # arguments that make it quick
    "startup": (),
    "overhead": ("--pairs", "5", "--model", "MLP 0.16M"),
    "shadow": ("--pairs", "3", "--model", "GP, float32"),
    "streaming": ("--rounds", "1"),
    "watch_overhead": ("--rounds", "3", "--steps", "5"),
    "series_noise": ("--steps", "6", "--ways", "1"),
    "distribution": (
        "--runs",
        "20",
    ),
    "reports": ("--calls", "20", "--parameters", "20"),
    "scaling": ("--largest", "1000000", "--rounds", "1"),
    "many_tests": ("--tests", "300", "--pairs", "1"),
    "pymc_cost": ("--same-mode", "--repeat", "1", "--model", "hierarchy"),
    "peers": ("--model", "GP, float64", "--rounds", "1"),
    "drift_power": ("--quick",),
}


def main() -> int:
    """Run all, and return how many failed or missed a limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="the smallest subjects only")
    args = parser.parse_args()
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    missed = []
    for name, small in RUNS.items():
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *(small if args.quick else ())]
        if subprocess.run(command, env=alone, check=False).returncode:
            missed.append(name)
    if missed:
        print(f"\nfailed, or missed a limit: {', '.join(missed)}")
    return len(missed)


if __name__ == "__main__":
    sys.exit(main())
