"""Print what the drift rule catches, and how often it cries wolf, beside what other tools compare.

Run: ``python -m benchmarks.drift_power [--quick] [--also PYTHON ...] [--json PATH]``

A baseline of every model is recorded in one configuration: one thread, no vector instructions, the
C linker. Then the same models run in every configuration that this machine can have; each alarm
there is false. In one of them, where everything differs at once, faults are injected: each alarm
there is right, and each silence a miss. All rules see the same gradients.

The full run takes about a quarter of an hour on two cores, most of it compiling PyMC models the
first time; ``--quick`` takes less than a minute. With ``--baselines FOLDER`` the baselines are kept
there, and used if they are there already: record on one machine, check on another.

The exit status is 1 when our rule gives a false alarm, or misses more than one in a hundred faults
of relative size 1e-5 and more, or any of direction only.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.power.configurations import RECORDING, Configuration, available
from benchmarks.power.rows import Recorded, Row, read
from benchmarks.power.rules import OURS
from benchmarks.power.table import (
    LARGE,
    alarms,
    misses,
    models_table,
    others_table,
    rules_table,
    totals,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
WANTED = 0.99  # of the faults of 1e-5 and more
VERSIONS = (
    "import importlib.metadata as m, json, sys;"
    "print(json.dumps({p: m.version(p) for p in sys.argv[1:]}))"
)


def main() -> int:
    """Run every configuration and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few models and configurations")
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="PYTHON",
        help="interpreter with another PyMC; .venv-pymc6 is found by itself",
    )
    parser.add_argument(
        "--baselines", type=Path, metavar="FOLDER", help="record there, or use them"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every row there")
    args = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            (args.baselines or Path(folder)).resolve(),
            scratch=Path(folder),
            jobs=args.jobs,
            quick=args.quick,
        )
        recorded = bench.run("record", [c for c in RECORDING.values() if _installed(c)])
        configurations = [
            c
            for c in available(_interpreters(args.also, quick=args.quick))
            if _installed(c) and (c.quick or not args.quick)
        ]
        found = bench.run("check", configurations)
    baselines = [row for row in recorded if isinstance(row, Recorded)]
    rows = [row for row in found if isinstance(row, Row)]
    if args.json:
        args.json.write_text(json.dumps([*map(asdict, baselines), *map(asdict, rows)], indent=1))
    print(report(baselines, rows))
    print(f"\n{time.perf_counter() - started:.0f} s")
    return 0 if promised(rows) else 1


class Bench:
    """Run configurations, some at a time, each in a process of its own."""

    def __init__(self, baselines: Path, *, scratch: Path, jobs: int, quick: bool) -> None:
        """Keep baselines in one folder, and everything else in another."""
        baselines.mkdir(parents=True, exist_ok=True)
        self.baselines = baselines
        self.scratch = scratch
        self.jobs = jobs
        self.quick = quick

    def run(self, action: str, configurations: Sequence[Configuration]) -> list[Recorded | Row]:
        """Return the rows of all configurations."""
        with ThreadPoolExecutor(self.jobs) as pool:
            runs = [pool.submit(self._one, action, c) for c in configurations]
            try:
                return [row for run in runs for row in run.result()]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _one(self, action: str, configuration: Configuration) -> list[Recorded | Row]:
        """Run one configuration."""
        started = time.perf_counter()
        extent = "quick" if self.quick else "full"
        stem = f"{action}-{configuration.family}-{configuration.name}-{extent}"
        described = self.scratch / f"{stem}.pickle"
        result = (self.baselines if action == "record" else self.scratch) / f"{stem}.jsonl"
        if result.exists():
            return read(result)
        described.write_bytes(pickle.dumps(configuration))
        command = [configuration.interpreter, "-m", "benchmarks.power.worker", action]
        command += [str(self.baselines), str(described), str(result)]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [*command, *(["--quick"] if self.quick else [])],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": path} | configuration.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            msg = f"{action} {configuration.name}:\n{done.stdout}{done.stderr}"
            raise SystemExit(msg)
        took = time.perf_counter() - started
        print(
            f"{action} {configuration.family}, {configuration.name}: {took:.0f} s", file=sys.stderr
        )
        return read(result)


def report(baselines: Sequence[Recorded], rows: Sequence[Row]) -> str:
    """Return everything that is printed."""
    nearest = max((row for row in rows if not row.fault), key=lambda row: row.margin)
    configurations = {row.configuration for row in rows}
    faults = sum(bool(row.fault) for row in rows)
    where = f"{nearest.model}, {nearest.configuration}"
    return "\n".join(
        (
            f"{len(baselines)} models, {len(configurations)} configurations, {faults} faults",
            "",
            *rules_table(rows),
            "",
            *models_table(rows, baselines),
            "",
            *others_table(rows, baselines),
            "",
            f"nearest to a false alarm: {where}, at {nearest.margin:.2g} of its allowance",
            *_listed("false alarms", alarms(rows)),
            *_listed("missed, of 1e-5 and more", misses(rows, wanted=lambda r: r.size >= LARGE)),
            *_listed("missed, smaller", misses(rows, wanted=lambda r: r.size < LARGE)),
        )
    )


def promised(rows: Sequence[Row]) -> bool:
    """Return whether our rule keeps its two promises."""
    ours = totals(OURS, rows)
    enough = ours.large >= WANTED * ours.large_all
    return ours.false == 0 and enough and ours.turned == ours.turned_all


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    """Return a titled list."""
    items = [f"  {line}" for line in lines]
    return ["", f"{title}: {len(items)}", *items]


def _installed(configuration: Configuration) -> bool:
    """Return whether the framework of a configuration is installed where it runs."""
    if configuration.interpreter != sys.executable:
        return True  # asked for by name
    return importlib.util.find_spec(configuration.family) is not None


def _interpreters(given: Sequence[str], *, quick: bool) -> Mapping[str, str]:
    """Return the other interpreters, by what they have installed."""
    neighbour = ROOT / ".venv-pymc6" / "bin" / "python"
    paths = [*given, *([str(neighbour)] if neighbour.exists() else [])]
    found = {}
    for path in () if quick else paths:
        command = [path, "-c", VERSIONS, "pymc", "pytensor"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        versions = json.loads(done.stdout)
        found[", ".join(f"{name} {version}" for name, version in versions.items())] = path
    return found


if __name__ == "__main__":
    sys.exit(main())
