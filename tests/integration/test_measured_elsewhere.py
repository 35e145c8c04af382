"""The fixture judges, records and compares what ranks of the test's own measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

JOBS = """
import torch
from torch import distributed, nn
from pytest_gradcheck import measure_gradients, record_gradients

def model():
    torch.manual_seed(0)
    return nn.Linear(4, 1), torch.randn(8, 4)

def on_ranks(factor=1.0):
    inner, inputs = model()
    inputs = inputs.chunk(distributed.get_world_size())[distributed.get_rank()]
    ddp = nn.parallel.DistributedDataParallel(inner)
    return record_gradients(ddp, lambda: factor * ddp(inputs).square().mean())

def alone():
    inner, inputs = model()
    return measure_gradients(inner, lambda: inner(inputs).square().mean()).measurement
"""

TESTS = """
import os
import jobs
from pytest_gradcheck import RankPool

@pytest.fixture(scope="module")
def pool():
    with RankPool(2) as pool:
        yield pool

def test_ranks(gradcheck, pool):
    verdict = gradcheck(pool.run(jobs.on_ranks)[0])
    assert verdict.measurement.facts["ranks"] == 2

def test_alone(gradcheck):
    gradcheck(jobs.alone(), name="alone", max_norm=100.0)

def test_drifts(gradcheck, pool):
    gradcheck(pool.run(jobs.on_ranks, float(os.environ.get("FACTOR", 1.0)))[0])
"""


def run(suite: Suite, *args: str) -> pytest.RunResult:
    """Run the suite in a process of its own: torch cannot be imported twice in one."""
    return suite.pytester.runpytest_subprocess("-p", "no:cacheprovider", *args)


@pytest.mark.torch
def test_a_measurement_is_recorded_and_compared(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A measurement must get a baseline with the allowances it brings, and be held against it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    suite.write("jobs", JOBS)
    suite.write("test_m", TESTS)
    assert "3 checked, 3 recorded" in suite.said(run(suite, "--grad-baseline-update"))
    before = suite.baselines()
    assert b'"shadow"' in before["__gradients__/test_m/test_ranks.json"]

    monkeypatch.setenv("FACTOR", "2.0")
    result = run(suite)
    result.assert_outcomes(passed=2, failed=1)
    assert "every gradient is scaled by 2, and so is the loss" in suite.said(result)
    assert suite.baselines() == before


def test_a_measurement_takes_nothing_that_would_make_one(suite: Suite) -> None:
    """A function beside a measurement must be refused, for nothing would call it."""
    source = """
        from pytest_gradcheck import measure_gradients
        def test_it(gradcheck):
            here = bowl()
            gradcheck(measure_gradients(W, value_and_grad=here).measurement, value_and_grad=here)
    """
    suite.write("test_m", source)
    result = suite.run()
    result.assert_outcomes(failed=1)
    assert "a Measurement is judged as it is: leave out value_and_grad" in suite.said(result)
