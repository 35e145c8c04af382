"""What a run looked at, and therefore what it cannot know.

Requirements:
    "No test uses this baseline" is true only if every test that might have used it was collected,
    run and passed. Whatever speaks against that is a reason in words, and one reason is enough to
    call nothing unused. Filters are found by their effect (a test collected and then not selected,
    a module that is there and was not collected) and by their option where the effect is invisible.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Census", "Scope", "filters", "shards"]

_COLLECTING = (
    "collect_imported_tests",
    "norecursedirs",
    "python_classes",
    "python_files",
    "python_functions",
    "testpaths",
)
_WHOLE = 1 << 64
_FLAGS = {
    "keyword": "-k",
    "markexpr": "-m",
    "deselect": "--deselect",
    "ignore": "--ignore",
    "ignore_glob": "--ignore-glob",
    "lf": "--last-failed",
    "failedfirst": "--failed-first",
    "stepwise": "--stepwise",
    "stepwise_skip": "--stepwise-skip",
}
_SHARDS = {
    "splits": "--splits",
    "num_shards": "--num-shards",
    "test-group-count": "--test-group-count",
}


@dataclass(slots=True)
class Census:
    """Count what one process collected, and add up what several did.

    Attributes:
        collected: tests found.
        selected: tests left to run after all filters.
        collected_sum, selected_sum: sums over hashes of their node ids, whatever their order.
        modules: test modules whose collection began, as absolute paths.
        errors: what could not be collected.
        skips: what was skipped while it was collected.
    """

    collected: int = 0
    selected: int = 0
    collected_sum: int = 0
    selected_sum: int = 0
    modules: set[str] = field(default_factory=set)
    errors: set[str] = field(default_factory=set)
    skips: set[str] = field(default_factory=set)

    def start(self, collector: pytest.Collector) -> None:
        """Note a test module."""
        if isinstance(collector, pytest.Module):
            self.modules.add(str(collector.path))

    def collect(self, nodeid: str) -> None:
        """Count a test before any filter."""
        self.collected += 1
        self.collected_sum = (self.collected_sum + _hash(nodeid)) % _WHOLE

    def select(self, nodeid: str) -> None:
        """Count a test that is left to run."""
        self.selected += 1
        self.selected_sum = (self.selected_sum + _hash(nodeid)) % _WHOLE

    def report(self, report: pytest.CollectReport) -> None:
        """Note what was not collected."""
        if report.failed:
            self.errors.add(report.nodeid)
        elif report.skipped:
            self.skips.add(report.nodeid)

    def message(self) -> dict[str, object]:
        """Return the counts in built-in types, to be sent from a worker."""
        return {
            "collected": self.collected,
            "selected": self.selected,
            "collected_sum": self.collected_sum,
            "selected_sum": self.selected_sum,
            "modules": sorted(self.modules),
            "errors": sorted(self.errors),
            "skips": sorted(self.skips),
        }

    def merge(self, message: Mapping[str, object]) -> None:
        """Add what a worker sent; every worker collects the same tests."""
        other = Census(**message)  # type: ignore[arg-type]  # our own message
        if other.collected >= self.collected:
            self.collected, self.collected_sum = other.collected, other.collected_sum
        if other.selected >= self.selected:
            self.selected, self.selected_sum = other.selected, other.selected_sum
        self.modules.update(other.modules)
        self.errors.update(other.errors)
        self.skips.update(other.skips)

    def reasons(self, *, whole: bool = True) -> list[str]:
        """Return what speaks against knowing all tests, in words.

        Args:
            whole: whether tests that were not selected count; they may be in another shard.
        """
        found = []
        if self.errors:
            found.append(f"collection failed: {_some(self.errors)}")
        if self.skips:
            found.append(f"skipped at collection: {_some(self.skips)}")
        left = self.collected - self.selected
        if left > 0 and whole:
            found.append(f"{left} of {self.collected} collected tests were not selected")
        if not self.selected and whole:
            found.append("no test was selected")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Hold which part of the project the arguments of the run cover.

    Attributes:
        folders: given whole.
        modules: given as single files.
        reasons: arguments of which nobody can say what they cover, in words.
    """

    folders: tuple[Path, ...]
    modules: tuple[Path, ...]
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, arguments: Iterable[str], folder: Path) -> Scope:
        """Sort the run's arguments.

        Args:
            arguments: paths and node ids as pytest was given them.
            folder: that relative paths start from.

        Returns:
            What they cover.
        """
        folders, modules, reasons = [], [], []
        for argument in arguments:
            path = (folder / argument).absolute()
            if "::" in argument:
                reasons.append(f"single tests were asked for ({argument})")
            elif path.is_dir():
                folders.append(path)
            elif path.is_file():
                modules.append(path)
            else:
                reasons.append(f"the argument {argument} is no path")
        return cls(folders=tuple(folders), modules=tuple(modules), reasons=tuple(reasons))


def filters(config: pytest.Config) -> list[str]:
    """Return the options that keep tests out of a run, in words."""
    options = vars(config.option)
    found = [f"{flag} was given" for name, flag in _FLAGS.items() if options.get(name)]
    changed = [o for o in options.get("override_ini") or () if o.partition("=")[0] in _COLLECTING]
    return [*found, *(f"-o {one} changes what is collected" for one in changed)]


def shards(config: pytest.Config) -> list[str]:
    """Return the options that make a run one part of a larger one, in words."""
    options = vars(config.option)
    return [
        f"this run is one shard of several ({flag})"
        for name, flag in _SHARDS.items()
        if int(options.get(name) or 1) > 1
    ]


def _hash(text: str) -> int:
    """Return 64 bits of a hash, the same in every process."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _some(names: Iterable[str], most: int = 3) -> str:
    """Return the first few names and how many more there are."""
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
