"""Under ``torchrun -m pytest``: every rank tests, rank 0 reports, none waits for ever."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

pytestmark = pytest.mark.torch

CONFTEST = """
from datetime import timedelta
import pytest
import torch
from torch import distributed, nn

@pytest.fixture(scope="session", autouse=True)
def group():
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", timeout=timedelta(seconds=60))
    yield
    distributed.destroy_process_group()
"""

TESTS = """
import os
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

def model():
    torch.manual_seed(0)
    inputs = torch.randn(8, 4)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)), inputs

def checked(gradcheck, factor=1.0, trouble=""):
    inner, inputs = model()
    ddp = DistributedDataParallel(inner)
    assert not trouble or distributed.get_rank() == 0, trouble
    mine = inputs.chunk(distributed.get_world_size())[distributed.get_rank()]
    gradcheck(ddp, lambda: factor * ddp(mine).square().mean())

def test_together(gradcheck):
    checked(gradcheck)

def test_alone(gradcheck):
    inner, inputs = model()
    gradcheck(inner, lambda: inner(inputs).square().mean())

def test_one_rank_fails_before(gradcheck):
    checked(gradcheck, trouble="no data on this rank" if "FAULT" in os.environ else "")

def test_one_rank_fails_after(gradcheck):
    checked(gradcheck)
    assert distributed.get_rank() == 0 or "FAULT" not in os.environ, "wrong afterwards"

def test_one_rank_skips():
    if distributed.get_rank():
        pytest.skip("for rank 0 alone")

def test_drifts(gradcheck):
    checked(gradcheck, 1.5 if "FAULT" in os.environ else 1.0)

def test_after_all_that(gradcheck):
    checked(gradcheck)
"""


def torchrun(suite: Suite, *args: str, ranks: int = 2) -> pytest.RunResult:
    """Run the suite on several ranks."""
    return suite.pytester.run(
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *(f"--nproc-per-node={ranks}", "-m", "pytest", "-p", "no:cacheprovider", *args),
    )


def test_ranks_of_torchrun_test_together(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """One rank's failure must fail the test on rank 0 with its reason, and no other test."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    suite.write("conftest", CONFTEST)
    suite.write("test_m", TESTS)
    report = suite.path / "report.json"
    result = torchrun(suite, "--grad-baseline-update", f"--grad-report={report}")
    said = suite.said(result)
    assert "6 checked, 6 recorded" in said
    assert said.count("6 checked, 6 recorded") == said.count("test session starts") == 1
    assert len(suite.baselines()) == 6
    assert report.is_file()
    before = suite.baselines()

    monkeypatch.setenv("FAULT", "1")
    result = torchrun(suite, "--grad-rank-timeout=60", "--grad-baseline-update")
    said = suite.said(result)
    assert "2 failed, 5 passed" in said
    assert "rank 1: its call failed: AssertionError: no data on this rank" in said
    assert (
        "test_one_rank_fails_after passed on rank 0, but another rank stopped: rank 1: its call "
        "failed: AssertionError: wrong afterwards"
    ) in said
    changed = [name for name in before if suite.baselines()[name] != before[name]]
    assert changed == ["__gradients__/test_m/test_drifts.json"]
    assert "Timeout" not in said
