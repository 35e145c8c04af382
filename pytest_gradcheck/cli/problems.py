"""What can be wrong with baseline files, found by looking at them and at the tests' source.

Requirements:
    Nothing is imported: a test module is read as text. A test whose name the source does not show
    (made by a loop, imported from elsewhere) is given the benefit of the doubt.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pytest_gradcheck import store
from pytest_gradcheck.cli.loading import norm_of, shown
from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.filing import DIRTY
from pytest_gradcheck.records import Measurement, SeriesBaseline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pytest_gradcheck.records import Kept

__all__ = ["Problem", "of_file", "of_variants"]

_NONFINITE = re.compile(rb"[:\[,]\s*(-?Infinity|NaN)\b")
_CONFLICT = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
_FAR = 10.0  # a factor between norms that no device explains
_ASTRAY = 0.9  # a cosine at the same point that no device explains


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Hold one problem.

    Attributes:
        file: of the baseline.
        key: of the entry, empty for the file as a whole.
        code: ``unreadable``, ``conflict``, ``nonfinite``, ``orphan``, ``oversized``, ``dirty``,
            ``variants`` or ``unsure``.
        level: ``error`` or ``warning``.
        text: what it is, and what to do.
    """

    file: str
    key: str = ""
    code: str
    level: Literal["error", "warning"] = "error"
    text: str


def of_file(path: Path, *, most: int) -> Iterator[Problem]:
    """Yield what is wrong with one file.

    Args:
        path: of the file.
        most: bytes that it may have.
    """
    name = shown(path)
    data = path.read_bytes()
    if len(data) > most:
        text = (
            f"{len(data) / 1024:.0f} KiB, more than {most / 1024:.0f}: split the test, or check "
            "a smaller model"
        )
        yield Problem(file=name, code="oversized", text=text)
    try:
        file = store.read(path)
    except BaselineError as error:
        yield _unreadable(name, data, str(error).removeprefix(f"{name} "))
        return
    if file.environment.get(DIRTY):
        text = "recorded while files of the project had changes that no commit held"
        yield Problem(file=name, code="dirty", level="warning", text=text)
    yield from _orphans(path, list(file.entries))


def of_variants(files: Iterable[Path]) -> Iterator[Problem]:
    """Yield the entries in which variants of one file differ by more than devices explain."""
    groups: dict[Path, list[Path]] = {}
    for path in files:
        groups.setdefault(store.plain(path), []).append(path)
    for paths in groups.values():
        read = [(path, entries) for path in sorted(paths) if (entries := _entries(path))]
        for (first, one), (second, other) in pairwise(read):
            for key in one.keys() & other.keys():
                text = _disagreement(one[key], other[key])
                if text:
                    what = f"beside {first.name}: {text}"
                    yield Problem(file=shown(second), key=key, code="variants", text=what)


def _unreadable(name: str, data: bytes, text: str) -> Problem:
    """Return the problem of a file that cannot be read."""
    if _CONFLICT.search(data):
        return Problem(file=name, code="conflict", text=text)
    found = _NONFINITE.search(data)
    if found:
        what = f"holds {found[1].decode()}, which no baseline may: record it anew"
        return Problem(file=name, code="nonfinite", text=what)
    return Problem(file=name, code="unreadable", text=text)


def _orphans(path: Path, keys: list[str]) -> Iterator[Problem]:
    """Yield the entries whose test is not there."""
    if path.absolute().parent.parent.name != store.FOLDER:
        return
    home = path.absolute().parents[2]
    modules = [
        m for m in home.glob("*.py") if store.locate(m, "any").parent == path.absolute().parent
    ]
    remedy = "pytest --grad-baseline-prune deletes it"
    if not modules:
        text = f"there is no {path.parent.name}.py beside its folder: {remedy}"
        yield Problem(file=shown(path), code="orphan", text=text)
        return
    try:
        tests = _tests(ast.parse(modules[0].read_bytes()))
    except (SyntaxError, ValueError):
        text = f"{shown(modules[0])} cannot be parsed, so nobody can say which tests it has"
        yield Problem(file=shown(path), code="unsure", level="warning", text=text)
        return
    for key in keys:
        names = key.partition("[")[0].split("::")
        text = ""
        if tests is not None and not _has(tests, names):
            text = f"{modules[0].name} has no such test: {remedy}"
        elif all(store.locate(modules[0], name) != store.plain(path.absolute()) for name in names):
            text = "the baselines of that test are in another file, so nobody reads this one"
        if text:
            yield Problem(file=shown(path), key=key, code="orphan", text=text)


def _has(tests: set[tuple[str, ...]], names: list[str]) -> bool:
    """Return whether the names that a key begins with are those of a test; a call's may follow."""
    return any(tuple(names[:n]) in tests for n in range(1, len(names) + 1))


def _tests(tree: ast.Module) -> set[tuple[str, ...]] | None:
    """Return the tests that a module defines; ``None`` where some may be hidden from view."""
    found: set[tuple[str, ...]] = set()
    queue: list[tuple[tuple[str, ...], ast.stmt]] = [((), one) for one in tree.body]
    while queue:
        path, node = queue.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add((*path, node.name))
        elif isinstance(node, ast.ClassDef):
            if any(ast.unparse(base) not in {"object", "TestCase"} for base in node.bases):
                return None  # tests may be inherited
            queue += [((*path, node.name), one) for one in node.body]
        elif isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names):
            return None
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(*path, alias.asname or alias.name) for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {(*path, t.id) for t in node.targets if isinstance(t, ast.Name)}
        elif "globals()" in ast.unparse(node):
            return None
        else:
            inner = (one for one in ast.iter_child_nodes(node) if isinstance(one, ast.stmt))
            queue += [(path, one) for one in inner]
    return found


def _entries(path: Path) -> Mapping[str, Kept]:
    """Return what a file keeps, nothing where it cannot be read."""
    try:
        return store.read(path).entries
    except BaselineError:
        return {}


def _disagreement(one: Kept, other: Kept) -> str:
    """Return how two variants of an entry disagree, empty where devices may explain it."""
    if isinstance(one, Measurement) and isinstance(other, Measurement):
        return _gradients_disagree(one, other)
    if isinstance(one, SeriesBaseline) and isinstance(other, SeriesBaseline):
        return _runs_disagree(one, other)
    return "one is of a gradient, the other of a training run"


def _runs_disagree(one: SeriesBaseline, other: SeriesBaseline) -> str:
    """Return how two training runs disagree."""
    if one.steps != other.steps:
        return f"the training run has {other.steps} steps, there {one.steps}"
    if one.metrics.keys() != other.metrics.keys():
        return "the metrics are others"
    low, high = sorted((norm_of(one) or 0.0, norm_of(other) or 0.0))
    return (
        f"the mean gradient norm is {high / low:.3g} times the other"
        if high > _FAR * low > 0
        else ""
    )


def _gradients_disagree(one: Measurement, other: Measurement) -> str:
    """Return how two gradients disagree."""
    from pytest_gradcheck.checks.drift import moved_parameters
    from pytest_gradcheck.stats.sketch import cosine

    names = [p.name for p in one.native.parameters]
    if names != [p.name for p in other.native.parameters]:
        return "the parameters are others"
    if [p.shape for p in one.native.parameters] != [p.shape for p in other.native.parameters]:
        return "the shapes are others"
    low, high = sorted((one.norm, other.norm))
    if high > _FAR * low:
        return f"the gradient norm is {other.norm:.4g}, there {one.norm:.4g}"
    if moved_parameters(one, other):
        return ""  # another start, from the device's own random numbers, has another gradient
    for p, q in zip(one.native.parameters, other.native.parameters, strict=True):
        counts = min(p.norm, q.norm) > 0.01 * low
        if p.sketch and q.sketch and counts and cosine(p.sketch, q.sketch) < _ASTRAY:
            return f"the gradient of {p.name} points elsewhere, from the same start"
    return ""
