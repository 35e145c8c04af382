"""What an update must not lose: the runs that cannot know, in one process and in two workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

CHECK = "gradcheck(W, value_and_grad=bowl())"
HEALTHY = {
    "test_a": f"""
        def test_a(gradcheck):
            {CHECK}

        @pytest.mark.slow
        def test_a_slow(gradcheck):
            {CHECK}

        @pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.slow)])
        def test_p(gradcheck, n):
            {CHECK}
    """,
    "test_b": f"""
        class TestB:
            def test_b(self, gradcheck):
                {CHECK}
                gradcheck(W, value_and_grad=bowl(2.0), name="twice")
    """,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """Say how a run is kept from knowing, and what it must say when asked to prune.

    Attributes:
        args: of the run.
        files: that are written before it.
        reason: why nothing is pruned.
        status: of the run.
        workers: whether it is worth the time to see it with workers too.
    """

    args: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    reason: str
    status: int = 0
    workers: bool = True


CASES = {
    "fails-before-the-check": Case(
        files={
            "test_b": f"""
                class TestB:
                    def test_b(self, gradcheck):
                        assert 0
                        {CHECK}
            """
        },
        reason="1 test failed",
        status=1,
    ),
    "stops-at-the-first-failure": Case(
        args=("-x",),
        files={
            "test_a": f"""
                def test_a(gradcheck):
                    assert 0

                @pytest.mark.parametrize("n", [1, 2])
                def test_p(gradcheck, n):
                    {CHECK}
            """
        },
        reason="1 test failed",
        status=1,
    ),
    "import-error": Case(
        files={"test_b": "import absent_package\n"}, reason="collection failed: test_b.py", status=2
    ),
    "import-error-and-go-on": Case(
        args=("--continue-on-collection-errors",),
        files={"test_b": "import absent_package\n"},
        reason="collection failed: test_b.py",
        status=1,
        workers=False,
    ),
    "module-level-skip": Case(
        files={"test_b": "pytest.importorskip('absent_package')\n"},
        reason="skipped at collection: test_b.py",
    ),
    "marker-expression": Case(args=("-m", "not slow"), reason="-m was given"),
    "keyword-and-marker": Case(args=("-k", "test_a", "-m", "not slow"), reason="-k was given"),
    "keyword-of-everything": Case(args=("-k", "test_"), reason="-k was given", workers=False),
    "deselect": Case(args=("--deselect", "test_a.py::test_p[1]"), reason="--deselect was given"),
    "node-id": Case(args=("test_a.py::test_a",), reason="single tests were asked for"),
    "ignore": Case(args=("--ignore=test_b.py",), reason="--ignore was given"),
    "ignore-glob": Case(
        args=("--ignore-glob=*_b.py",), reason="--ignore-glob was given", workers=False
    ),
    "last-failed": Case(args=("--lf",), reason="--last-failed was given"),
    "failed-first": Case(args=("--ff",), reason="--failed-first was given", workers=False),
    "stepwise": Case(args=("--sw",), reason="--stepwise was given", workers=False),
    "fails-after-the-check-with-nan": Case(
        files={
            "test_b": """
                class TestB:
                    def test_b(self, gradcheck):
                        gradcheck(W, value_and_grad=bowl(np.nan), finite=False, perturb=False)
                        assert 0
            """
        },
        reason="1 test failed",
        status=1,
    ),
    "skipped-test": Case(
        files={
            "test_b": f"""
                class TestB:
                    @pytest.mark.skip
                    def test_b(self, gradcheck):
                        {CHECK}
            """
        },
        reason="1 test skipped",
        workers=False,
    ),
    "expected-failure": Case(
        files={
            "test_b": f"""
                class TestB:
                    @pytest.mark.xfail
                    def test_b(self, gradcheck):
                        assert 0
                        {CHECK}
            """
        },
        reason="1 test failed as expected",
        workers=False,
    ),
    "other-names-of-tests": Case(
        args=("-o", "python_functions=test_a"),
        reason="-o python_functions=test_a changes",
        workers=False,
    ),
    "silent-filter": Case(
        files={
            "conftest": """
                def pytest_collection_modifyitems(items):
                    items[:] = items[:1]
            """
        },
        reason="4 of 5 collected tests were not selected",
        workers=False,
    ),
}


@pytest.fixture
def recorded(suite: Suite) -> Suite:
    """Return a suite with two modules whose baselines are all recorded."""
    suite.configure("""
        markers =
            slow
    """)
    for name, source in HEALTHY.items():
        suite.write(name, source)
    suite.update().assert_outcomes(passed=5)
    return suite


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_update_keeps_every_baseline(recorded: Suite, case: Case) -> None:
    """An update that does not run every test must leave the others' baselines, byte for byte."""
    before = recorded.baselines()
    for name, source in case.files.items():
        recorded.write(name, source)
    result = recorded.update(*case.args)
    assert recorded.baselines() == before
    assert result.ret == case.status
    assert "pruned" not in recorded.said(result)
    assert "unused, delete" not in recorded.said(result)


RUNS = [(name, n) for name, case in CASES.items() for n in ((0, 2) if case.workers else (0,))]


@pytest.mark.parametrize(("name", "workers"), RUNS)
def test_pruning_is_refused(recorded: Suite, name: str, workers: int) -> None:
    """A run that cannot know which baselines are used must delete none, and say why."""
    case = CASES[name]
    before = recorded.baselines()
    for module, source in case.files.items():
        recorded.write(module, source)
    result = recorded.update("--grad-baseline-prune", *case.args, workers=workers)
    assert recorded.baselines() == before
    assert bool(result.ret) == bool(case.status)
    assert f"no baseline was pruned, for this run cannot know: {case.reason}" in recorded.said(
        result
    )


def test_a_lost_worker_costs_no_baseline(recorded: Suite) -> None:
    """When a worker dies in a test, every baseline must stay, and pruning be refused."""
    before = recorded.baselines()
    recorded.write(
        "test_b",
        f"""
        class TestB:
            def test_b(self, gradcheck):
                {CHECK}
                gradcheck(W, value_and_grad=bowl(5.0), name="twice")
                import os
                os._exit(1)
        """,
    )
    result = recorded.update("--grad-baseline-prune", workers=2)
    assert recorded.baselines() == before
    assert result.ret == 1
    assert "was lost" in recorded.said(result)
    assert "no baseline was pruned" in recorded.said(result)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_rerun_replaces_what_the_first_run_said(recorded: Suite, workers: int) -> None:
    """When a test drifts, fails and passes on its second run, only the second may count."""
    before = recorded.baselines()
    recorded.write(
        "test_b",
        """
        from pathlib import Path

        class TestB:
            def test_b(self, gradcheck):
                mark = Path(__file__).with_suffix(".ran")
                first = not mark.exists()
                mark.touch()
                gradcheck(W, value_and_grad=bowl(7.0 if first else 1.0))
                gradcheck(W, value_and_grad=bowl(2.0), name="twice")
                assert not first
        """,
    )
    result = recorded.update("--grad-baseline-prune", "--reruns", "1", workers=workers)
    assert "5 passed, 1 rerun" in recorded.said(result)
    assert result.ret == 0
    assert recorded.baselines() == before
    assert "drifted" not in recorded.said(result)


@pytest.mark.parametrize("workers", [0, 2])
def test_variants_do_not_touch_each_other(recorded: Suite, workers: int) -> None:
    """A run with one variant must neither change nor prune the files of another."""
    plain = recorded.baselines()
    recorded.update("--grad-baseline-prune", "--grad-variant=gpu", workers=workers)
    both = recorded.baselines()
    assert {name: both[name] for name in plain} == plain
    assert len(both) == 2 * len(plain)
    recorded.update("--grad-baseline-prune", workers=workers)
    assert recorded.baselines() == both
