"""With pytest-xdist: a run in workers must be as correct as one without."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from tests.integration.conftest import Suite

MANY = """
    @pytest.mark.parametrize("n", range(1, 13))
    def test_many(gradcheck, n):
        gradcheck(W, value_and_grad=bowl(n))

    class TestMore:
        @pytest.mark.xdist_group("g")
        def test_more(self, gradcheck):
            gradcheck(W, value_and_grad=bowl())
"""


NEW = """
    def test_new(gradcheck):
        gradcheck(W, value_and_grad=bowl())
"""


def test_workers_record_what_one_process_records(suite: Suite) -> None:
    """The files of a run in workers must be those of a run without, byte for byte."""
    suite.write("test_m", MANY)
    suite.update().assert_outcomes(passed=13)
    alone = suite.baselines()
    for name in alone:
        (suite.path / name).unlink()
    result = suite.update(workers=2)
    result.assert_outcomes(passed=13)
    assert "13 checked, 13 recorded" in suite.said(result)
    assert suite.baselines() == alone
    suite.run(workers=2).assert_outcomes(passed=13)


def found(suite: Suite, *, workers: int) -> tuple[dict[str, Any], str]:
    """Return what a check says of each call, by key, and the end of its summary."""
    report = f"{workers}.json"
    said = suite.said(suite.run(f"--grad-report={report}", workers=workers))
    calls = json.loads((suite.path / report).read_text(encoding="utf-8"))["calls"]
    for call in calls:
        offered = (call["offer"] or {}).get("entry") or {}
        for timed in (call["metrics"], call["verdict"]["measurement"], offered):
            timed.pop("seconds", None)
    by_key = {call["key"]: call for call in calls}
    assert len(by_key) == len(calls)
    return by_key, said.partition(" s of gradient work ")[2].partition(" report written ")[0]


def test_workers_find_what_one_process_finds(suite: Suite) -> None:
    """Verdicts, offers and unused entries must not depend on where a test ran."""
    suite.write("test_m", MANY)
    suite.update().assert_outcomes(passed=13)
    less = MANY.replace("13)", "12)")
    suite.write("test_m", less)
    alone = found(suite, workers=0)
    assert "test_m/test_many.json: test_many[12]" in alone[1]
    assert found(suite, workers=2) == alone
    suite.write("test_m", less.replace("bowl(n)", "bowl(n + (n % 5 == 0) / 100)") + NEW)
    calls, said = found(suite, workers=0)
    drifted = [key for key, call in calls.items() if call["drifted"]]
    assert drifted == ["test_many[5]", "test_many[10]"]
    assert calls["test_new"]["baseline"] == "missing"
    assert found(suite, workers=8) == (calls, said)


def test_load_groups_do_not_change_the_keys(suite: Suite) -> None:
    """``--dist=loadgroup`` renames tests; their entries must keep their names."""
    suite.write("test_m", MANY)
    suite.update("--dist=loadgroup", workers=2).assert_outcomes(passed=13)
    assert b'"TestMore::test_more": {' in suite.baselines()["__gradients__/test_m/test_more.json"]
    result = suite.run("--grad-baseline-prune")
    result.assert_outcomes(passed=13)
    assert "pruned:" not in suite.said(result)


def test_every_worker_may_run_every_test(suite: Suite) -> None:
    """With ``--dist=each`` the same entry comes from several workers, and must be written once."""
    suite.write("test_m", "def test_one(gradcheck):\n    gradcheck(W, value_and_grad=bowl())\n")
    result = suite.update("--dist=each", "--tx=2*popen", workers=2)
    result.assert_outcomes(passed=2)
    assert list(suite.baselines()) == ["__gradients__/test_m/test_one.json"]
    suite.run().assert_outcomes(passed=1)


def test_one_worker_that_disagrees_holds_the_entry_back(suite: Suite) -> None:
    """When a test passes in one worker and fails in another, its entry must be withheld."""
    suite.write(
        "test_m",
        """
        import os

        def test_one(gradcheck):
            gradcheck(W, value_and_grad=bowl())
            assert os.environ["PYTEST_XDIST_WORKER"] == "gw0"
        """,
    )
    result = suite.update("--dist=each", "--tx=2*popen", workers=2)
    result.assert_outcomes(passed=1, failed=1)
    assert suite.baselines() == {}


def test_the_tests_of_a_lost_worker_are_withheld(suite: Suite) -> None:
    """When a worker dies in a test, the entries of other tests must be written, its own not."""
    suite.write(
        "test_m",
        """
        import os

        @pytest.mark.parametrize("n", range(6))
        def test_many(gradcheck, n):
            gradcheck(W, value_and_grad=bowl(n + 1))
            if n == 3:
                os._exit(1)
        """,
    )
    result = suite.update(workers=2)
    result.assert_outcomes(passed=5, failed=1)
    assert "5 recorded" in suite.said(result)
    assert "was lost, and with it what its test said" in suite.said(result)
    assert b"test_many[3]" not in suite.baselines()["__gradients__/test_m/test_many.json"]


def test_a_crashed_test_may_be_run_again(suite: Suite) -> None:
    """When a worker dies in a test that passes on its second run, the entry must be written."""
    suite.write(
        "test_m",
        """
        import os, pathlib

        def test_one(gradcheck):
            gradcheck(W, value_and_grad=bowl())
            mark = pathlib.Path(__file__).with_suffix(".ran")
            if not mark.exists():
                mark.touch()
                os._exit(1)

        def test_two(gradcheck):
            gradcheck(W, value_and_grad=bowl())
        """,
    )
    result = suite.update("--reruns=1", workers=2)
    assert result.ret == 0
    assert sorted(suite.baselines()) == [
        "__gradients__/test_m/test_one.json",
        "__gradients__/test_m/test_two.json",
    ]


def test_xdist_is_optional(suite: Suite) -> None:
    """Without xdist, nothing may be missing."""
    suite.write("test_m", MANY)
    suite.update("-p", "no:xdist").assert_outcomes(passed=13)
    suite.run("-p", "no:xdist").assert_outcomes(passed=13)
