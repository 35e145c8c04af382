"""Decide which tests an environment can run, from what their source imports.

Every optional package is under test unless ``--extras`` names fewer; a package under test that
cannot be imported fails the run, so that a broken environment never passes by skipping. Tests that
import torch or PyMC carry the marker ``torch`` or ``pymc``.

Requirements:
    A test needs what its own source imports, snippets for `pytester` included, and what its file
    imports outside of other tests; a file that cannot be imported without it is not collected.
    A snippet kept in a constant is not seen: such a test says what it needs with the marker.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent
EXTRAS = ("hypothesis", "pymc", "syrupy", "torch")
BACKENDS = {"pymc", "torch"}
PACKAGES = {name: name for name in EXTRAS} | {"arviz": "pymc", "pytensor": "pymc", "xarray": "pymc"}
FROM = re.compile(r"^\s*from\s+([\w.]+)\s+import\s+(\([^)]*\)|[\w, ]+)", re.MULTILINE)
IMPORT = re.compile(r"^\s*import\s+([\w.]+)", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--extras``."""
    parser.addoption(
        "--extras",
        default=",".join(EXTRAS),
        metavar="NAMES",
        help="the optional packages under test (default: all); tests that need others are left out",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Fail unless every package under test is known and installed."""
    for name in sorted(under_test(config)):
        if name not in EXTRAS:
            msg = f"--extras: {name!r} is not one of {', '.join(EXTRAS)}"
            raise pytest.UsageError(msg)
        if importlib.util.find_spec(name) is None:
            msg = f"{name} is under test and not installed: install it, or leave it out of --extras"
            raise pytest.UsageError(msg)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files that import a package not under test."""
    if collection_path.suffix == ".py" and needs(top_level(collection_path)) - under_test(config):
        return True
    return None


@pytest.hookimpl(tryfirst=True)  # the markers must stand before -m is applied
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that need torch or PyMC, and leave out those that cannot run."""
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        need = needs_of(item)
        for name in sorted(need & BACKENDS):
            item.add_marker(name)
        (left_out if need - under_test(config) else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def under_test(config: pytest.Config) -> frozenset[str]:
    """Return the names of the packages under test."""
    return frozenset(filter(None, config.getoption("--extras").split(",")))


def needs_of(item: pytest.Item) -> frozenset[str]:
    """Return what a test needs: by its markers, its source, the file around it."""
    marked = frozenset(name for name in EXTRAS if item.get_closest_marker(name))
    if not isinstance(item, pytest.Function):
        return marked
    return marked | needs(imports(inspect.getsource(item.function)) | around_tests(item.path))


def needs(modules: frozenset[str]) -> frozenset[str]:
    """Return the optional packages behind some modules, those behind our own files included."""
    found: set[str] = set()
    seen: set[str] = set()
    queue = list(modules)
    while queue:
        module = queue.pop()
        if module in seen:
            continue
        seen.add(module)
        package = PACKAGES.get(module.partition(".")[0])
        if package:
            found.add(package)
        # The package itself may be imported without any extra: that is what it promises.
        if not module.startswith("pytest_gradcheck"):
            queue.extend(name for file in files_of(module) for name in top_level(file))
    return frozenset(found)


def files_of(module: str) -> list[Path]:
    """Return the file that holds a module of ours, if one does."""
    path = ROOT / module.replace(".", "/")
    return [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]


@cache
def top_level(file: Path) -> frozenset[str]:
    """Return the modules that importing a file imports by its own statements."""
    return statements(ast.parse(file.read_text(encoding="utf-8")).body)


@cache
def around_tests(file: Path) -> frozenset[str]:
    """Return the modules that a file imports outside of its tests, in its functions too."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    inner = (
        node
        for s in body
        if not is_test(s) and not isinstance(s, ast.If)  # as in: if TYPE_CHECKING
        for node in ast.walk(s)
    )
    return statements(inner)


def statements(nodes: Iterable[ast.AST]) -> frozenset[str]:
    """Return the modules that the import statements among some nodes name."""
    found = (n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom))
    return imports("\n".join(ast.unparse(n) for n in found))


def is_test(statement: ast.stmt) -> bool:
    """Return whether pytest would collect a statement."""
    return isinstance(
        statement, ast.FunctionDef | ast.ClassDef
    ) and statement.name.lower().startswith("test")


def imports(text: str) -> frozenset[str]:
    """Return the modules that a text's import statements name, those in strings included."""
    found = {m[1] for m in IMPORT.finditer(text)}
    for match in FROM.finditer(text):
        found.add(match[1])
        found.update(f"{match[1]}.{name}" for name in re.findall(r"\w+", match[2]))
    return frozenset(found)
