"""The example project, run as its own team would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from example_project.models.faults import FAULTS, VARIABLE

PROJECT = Path(__file__).parents[1] / "example_project"
SUITES = ("tracking", "routing", "causal", "priority", "td")
TORCH = SUITES[1:]

# What the failure must say, so that somebody who did not inject the fault finds it.
CAUSES = {
    "tracking-sign": "sign",
    "tracking-twice": "y_obs",
    "routing-weights": "component best",
    "causal-sum": "32",
    "causal-inputs": "max_norm",
    "priority-variance": "variance",
    "priority-batch": "batches of 6",
    "td-scale": "td_loss",
    "td-detach": "not detached",
}


def run(*args: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    """Run pytest in the example project."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    env = os.environ | {VARIABLE: fault}
    return subprocess.run(
        command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False
    )


def failed(output: str) -> set[str]:
    """Return the suites in which a test failed."""
    return set(re.findall(r"^FAILED (\w+)/", output, re.MULTILINE))


def cases(*faults: str) -> list[object]:
    """Return each fault as a test case that needs the framework of its suite."""
    return [pytest.param(f, marks=getattr(pytest.mark, framework(f))) for f in faults]


def framework(name: str) -> str:
    """Return what a suite, or a fault in it, needs."""
    return "pymc" if name.startswith("tracking") else "torch"


@pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["serial", "workers"])
@pytest.mark.parametrize(
    "suites",
    [
        pytest.param(TORCH, marks=pytest.mark.torch, id="torch"),
        pytest.param(SUITES[:1], marks=pytest.mark.pymc, id="pymc"),
    ],
)
def test_green(suites: tuple[str, ...], args: tuple[str, ...]) -> None:
    """Every suite passes against its committed baselines."""
    done = run(*suites, *args)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("fault", cases(*FAULTS))
def test_fault(fault: str) -> None:
    """A fault turns its own suite red, and no other, with a message that names the cause."""
    suite = fault.partition("-")[0]
    done = run(*(TORCH if suite in TORCH else SUITES[:1]), fault=fault)
    assert failed(done.stdout) == {suite}, done.stdout
    assert CAUSES[fault] in done.stdout


def test_unknown_fault() -> None:
    """A mistyped fault stops the run and lists those that exist."""
    done = run("--collect-only", fault="td-detatch")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"{VARIABLE}=td-detatch: no such fault; choose one of {', '.join(FAULTS)}" in done.stderr


def test_every_fault_is_described() -> None:
    """The README lists the faults that exist, and no others."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+-\w+)` \|", text, re.MULTILINE) == list(FAULTS)
