"""The example project, run as its own team would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1] / "example_project"
TORCH = ("routing", "causal", "priority", "td")
PYMC = ("tracking",)

# Each fault, and the words by which somebody who did not inject it finds the cause.
CAUSES = {
    "tracking-sign": "dir_hmm_mu_raw: sign flipped",
    "tracking-twice": "component y_obs x2, the others unchanged",
    "routing-weights": "one sample carries the weight of each instance",
    "causal-sum": "component reconstruction x32, the others unchanged",
    "causal-inputs": "the inputs are not standardised",
    "priority-variance": "component variance x10, the others unchanged",
    "priority-batch": "batches of 6 are too small",
    "td-scale": "component td_loss x40000, the others unchanged",
    "td-detach": "the target is not detached",
}

# The same, as a training run tells it: the rule that fails, or the step that is to be tried.
RUNS = {
    "routing-weights": "shared weight [ess] smallest value 1",
    "causal-sum": "loss reduction: average the loss over the batch where it is summed",
    "causal-inputs": "inputs [input.max_abs] values from -1.467 to 2707",
    "priority-variance": "max_share [component.variance]",
    "priority-batch": "(batches of 6 were seen)",
    "td-scale": "one scale [component.td_loss]",
}


def run(*args: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    """Run pytest in the example project."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    env = os.environ | {"EXAMPLE_FAULT": fault}
    return subprocess.run(
        command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(TORCH, marks=pytest.mark.torch, id="torch"),
        pytest.param((*TORCH, "-n", "2"), marks=pytest.mark.torch, id="torch, workers"),
        pytest.param(PYMC, marks=pytest.mark.pymc, id="pymc"),
    ],
)
def test_green(args: tuple[str, ...]) -> None:
    """Every suite passes against its committed baselines."""
    done = run(*args)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=pytest.mark.pymc if fault.startswith(PYMC) else pytest.mark.torch)
        for fault in CAUSES
    ],
)
def test_fault(fault: str) -> None:
    """A fault turns its own suite red, and no other, with a message that names the cause."""
    suite = fault.partition("-")[0]
    done = run(*(PYMC if suite in PYMC else TORCH), fault=fault)
    assert set(re.findall(r"^FAILED (\w+)/", done.stdout, re.MULTILINE)) == {suite}, done.stdout
    said = " ".join(re.sub("^E ", "", done.stdout, flags=re.MULTILINE).split())
    assert CAUSES[fault] in said, done.stdout
    assert RUNS.get(fault, "") in said, done.stdout


@pytest.mark.torch
def test_fault_at_the_top() -> None:
    """A run with a fault in it says so before anything else."""
    done = run("--collect-only", "-v", "routing", fault="td-detach")
    assert "injected fault: td-detach" in done.stdout


def test_unknown_fault() -> None:
    """A mistyped fault stops the run and lists those that exist."""
    done = run("--collect-only", fault="td-detatch")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    expected = f"EXAMPLE_FAULT=td-detatch: no such fault; choose one of {', '.join(CAUSES)}"
    assert expected in done.stderr


def test_every_fault_is_described() -> None:
    """The README lists the faults that exist, and no others."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+-\w+)` \|", text, re.MULTILINE) == list(CAUSES)
