"""A small project to run the plugin on: two parameters of a bowl, numpy only, and nothing slow."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import numpy as np  # noqa: F401 - cannot be imported once for each run in this process
import pytest

# Loaded once for all the runs in this process, as a run of its own would.
from pytest_gradcheck import explain, serialize  # noqa: F401
from pytest_gradcheck.backends import _arrays  # noqa: F401
from pytest_gradcheck.reporters import markdown, terminal  # noqa: F401

if TYPE_CHECKING:
    from pathlib import Path

BOWL = """
import numpy as np

W = {"w": np.array([1.0, -2.0, 3.0]), "b": np.array([0.5])}

def bowl(scale=1.0, sign=1.0):
    def value_and_grad(point):
        value = 0.5 * scale * sum(float((v * v).sum()) for v in point.values())
        return value, {"w": sign * scale * point["w"], "b": scale * point["b"]}
    return value_and_grad
"""

QUICK = ("-p", "no:hypothesispytest", "-p", "no:syrupy", "-p", "no:benchmark")
"""What a small run need not load."""


class Suite:
    """Write tests into a folder and run them."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        """Start with a model and no tests."""
        self.pytester = pytester
        self.path = pytester.path
        pytester.syspathinsert()
        self.write("bowl", BOWL)

    def write(self, name: str, source: str) -> Path:
        """Write a module; tests get the model imported."""
        head = (
            ""
            if name == "bowl"
            else "import pytest\nfrom bowl import W, bowl\nimport numpy as np\n"
        )
        path = self.path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + dedent(source), encoding="utf-8")
        return path

    def configure(self, text: str) -> None:
        """Write the ini file."""
        (self.path / "pytest.ini").write_text(f"[pytest]\n{dedent(text)}", encoding="utf-8")

    def run(self, *args: str, workers: int = 0) -> pytest.RunResult:
        """Run pytest: in this process, or in one of its own with workers."""
        args = (*QUICK, *args)
        if workers:
            return self.pytester.runpytest_subprocess("-n", str(workers), *args)
        return self.pytester.runpytest_inprocess(*args)

    def update(self, *args: str, workers: int = 0) -> pytest.RunResult:
        """Run pytest with the flag that records baselines."""
        return self.run("--grad-baseline-update", *args, workers=workers)

    @staticmethod
    def said(result: pytest.RunResult) -> str:
        """Return what a run printed, on one line."""
        return " ".join(f"{result.stdout} {result.stderr}".split())

    def baselines(self) -> dict[str, bytes]:
        """Return every file in every baseline folder, byte for byte."""
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in sorted(self.path.rglob("__gradients__/**/*"))
            if path.is_file()
        }


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Return an empty suite, on no continuous integration machine."""
    monkeypatch.delenv("CI", raising=False)
    return Suite(pytester)
