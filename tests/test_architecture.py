"""The shape of the program: who may import what, how large a module grows, what loading costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pytest_gradcheck

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(pytest_gradcheck.__file__).parent
NUMERICAL = ("hypothesis", "numpy", "pymc", "pytensor", "scipy", "syrupy", "torch")
MOST_LINES = 250

PYTEST_LAYER = ("session/", "plugin.py", "snapshot.py")
ALLOWED = {
    "torch": ("backends/_torch/",),
    "pymc": ("backends/_pymc/",),
    "pytensor": ("backends/_pymc/",),
    "arviz": ("backends/_pymc/",),
    "syrupy": ("snapshot.py",),
    "hypothesis": ("strategies.py",),
    "jinja2": ("reporters/html/",),
    "markupsafe": ("reporters/html/",),
    "orjson": ("reporters/encoding.py",),
    "pytest": PYTEST_LAYER,
    "_pytest": PYTEST_LAYER,
    "xdist": ("session/xdist.py",),
}


def violations(package: Path) -> list[str]:
    """Return the import statements that the floor plan forbids, as ``file:line: module``."""
    found = []
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        for line, module in imported(path):
            rooms = ALLOWED.get(module.partition(".")[0])
            if rooms is not None and not name.startswith(rooms):
                found.append(f"{name}:{line}: {module}")
    return found


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and module of every import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "."
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            argument = node.args[0]
            if isinstance(argument, ast.Constant):
                yield node.lineno, str(argument.value)


def python(code: str) -> str:
    """Return what a fresh interpreter prints when it runs some code."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_each_library_is_imported_only_where_the_floor_plan_allows_it() -> None:
    """Each framework must stay in its room, and pytest in the pytest layer."""
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("stats/gradient.py", "import torch"),
        ("backends/_torch/views.py", "import pymc"),
        ("backends/_pymc/mode.py", "from torch import nn"),
        ("checks/drift.py", "import pytest"),
        ("api.py", "def f():\n    from pytensor.graph import Apply"),
        ("store.py", "import importlib\nimportlib.import_module('syrupy')"),
        ("session/fixture.py", "if True:\n    import hypothesis.strategies as st"),
        ("plugin.py", "import xdist"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, statement: str) -> None:
    """A forbidden import must be reported wherever in a file it stands."""
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{statement}\n", encoding="utf-8")
    assert [line.partition(":")[0] for line in violations(tmp_path)] == [file]


def test_an_allowed_import_is_not_reported(tmp_path: Path) -> None:
    """Imports in their own room must pass, or the rule above says nothing."""
    for module, rooms in ALLOWED.items():
        room = rooms[0] + "room.py" if rooms[0].endswith("/") else rooms[0]
        path = tmp_path / module / room
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"import {module}\n", encoding="utf-8")
        assert violations(tmp_path / module) == []


def test_the_checks_and_the_judge_know_no_arrays() -> None:
    """Checks judge values: none may import a backend, `measure` or the statistics."""
    forbidden = ("backends", "measure", "stats.gradient", "stats.totals", "stats.batch")
    found = [
        f"{path.name}: {module}"
        for path in [
            *sorted((PACKAGE / "checks").glob("*.py")),
            *sorted((PACKAGE / "drift").glob("*.py")),
            PACKAGE / "judge.py",
        ]
        for _, module in imported(path)
        if module.startswith(tuple(f"pytest_gradcheck.{name}" for name in forbidden))
    ]
    assert found == []


def test_the_store_knows_no_numerics() -> None:
    """The store handles files and text: it may import no arrays and nothing that makes numbers."""
    forbidden = ("numpy", "pytest_gradcheck.stats", "pytest_gradcheck.stats.sketch")
    found = [module for _, module in imported(PACKAGE / "store.py") if module.startswith(forbidden)]
    assert found == []


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix()
)
def test_a_module_holds_one_idea(path: Path) -> None:
    """No module may be longer than one idea takes."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_loading_the_plugin_imports_no_numerical_library() -> None:
    """A run that uses no gradient must not pay for the libraries that compute them."""
    code = f"""
import sys
import pytest_gradcheck.plugin
print(sorted(set(sys.modules) & set({NUMERICAL})))
"""
    assert python(code) == "[]"


def test_a_whole_run_without_gradients_imports_no_numerical_library(tmp_path: Path) -> None:
    """The hooks must stay as cheap as the import, up to the end of a run."""
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n", encoding="utf-8")
    code = f"""
import os, sys
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
import pytest
code = pytest.main(["-q", "-p", "pytest_gradcheck.plugin", "--rootdir", {str(tmp_path)!r},
                    {str(tmp_path)!r}])
assert code == 0, code
print(sorted(set(sys.modules) & set({NUMERICAL})))
"""
    assert python(code).splitlines()[-1] == "[]"


def test_the_library_works_without_pytest() -> None:
    """Everything outside the pytest layer must work where pytest is not installed."""
    code = """
import sys
sys.modules["pytest"] = sys.modules["_pytest"] = None
import numpy as np
import pytest_gradcheck
verdict = pytest_gradcheck.check_gradients(
    {"w": np.array([1.0, 2.0])},
    value_and_grad=lambda point: (float(point["w"] @ point["w"]), {"w": 2 * point["w"]}),
)
print(verdict.passed)
"""
    assert python(code) == "True"


def test_public_names_resolve_lazily() -> None:
    """Importing the package must load nothing heavy, and every public name must then resolve."""
    code = f"""
import sys
import pytest_gradcheck
assert not set(sys.modules) & set({(*NUMERICAL, "pytest")}), "heavy"
assert set(pytest_gradcheck.__all__) <= set(dir(pytest_gradcheck))
print(len(pytest_gradcheck.__all__) > 0)
"""
    assert python(code) == "True"


@pytest.mark.parametrize("name", pytest_gradcheck.__all__)
def test_a_public_name_resolves(name: str) -> None:
    """Each name in ``__all__`` must be there when asked for, or name the extra it needs."""
    try:
        value = getattr(pytest_gradcheck, name)
    except pytest_gradcheck.MissingExtraError as error:
        value = error if "pip install" in str(error) else None
    assert value is not None


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    """A name that does not exist must fail as on any module."""
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = pytest_gradcheck.no_such_name
