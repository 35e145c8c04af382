"""``gradcheck lint``: find baselines that something is wrong with; no test is imported."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gradcheck.cli.loading import baseline_files
from pytest_gradcheck.cli.output import coloured, line, print_json
from pytest_gradcheck.cli.problems import Problem, of_file, of_variants
from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each problem; exit 1 where one is an error."""
    if arguments.max_kb < 1:
        msg = f"--max-kb={arguments.max_kb}: the largest size of a file, at least 1"
        raise UsageError(msg)
    files = baseline_files([Path(name) for name in arguments.paths or ["."]])
    found: list[Problem] = []
    for file in files:
        found += of_file(file, most=arguments.max_kb * 1024)
    found += of_variants(files)
    found.sort(key=lambda problem: (problem.file, problem.key))
    bad = [problem for problem in found if problem.level == "error" or arguments.strict]
    if arguments.json:
        print_json([asdict(problem) for problem in found])
        return 1 if bad else 0
    quiet = [problem for problem in found if problem.code == "dirty" and not arguments.strict]
    for problem in found:
        if problem in quiet:
            continue
        where = f"{problem.file}::{problem.key}" if problem.key else problem.file
        level = coloured(problem.level, "red" if problem.level == "error" else "yellow")
        line(f"{where}: {level}: {problem.text} [{problem.code}]")
    if quiet:
        line(f"{len(quiet)} recorded while the project had uncommitted changes (--strict lists)")
    counts = Counter(problem.level for problem in found if problem not in quiet)
    said = ", ".join(f"{n} {level}{'s' * (n > 1)}" for level, n in sorted(counts.items()))
    line(f"{len(files)} baseline files: {said or 'no problem'}")
    return 1 if bad else 0
