"""An entry is recorded only when its whole test passed; anything else is withheld, and said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

CHECK = "gradcheck(W, value_and_grad=bowl())"
WITHHELD = {
    "the-test-fails-later": (
        f"def test_m(gradcheck):\n    {CHECK}\n    assert 0\n",
        "the test failed",
    ),
    "the-tear-down-fails": (
        f"""
        @pytest.fixture
        def late():
            yield
            assert 0

        def test_m(late, gradcheck):
            {CHECK}
        """,
        "the tear-down failed",
    ),
    "a-check-fails": (
        "def test_m(gradcheck):\n    gradcheck(W, value_and_grad=bowl(), max_norm=1e-3)\n",
        "norm failed",
    ),
    "two-checks-fail": (
        """
        def test_m(gradcheck):
            gradcheck(W, value_and_grad=bowl(np.nan), max_norm=1e-3, perturb=False, min_norm=1e-4)
        """,
        "finite and",
    ),
    "not-finite-and-nobody-minds": (
        """
        def test_m(gradcheck):
            gradcheck(W, value_and_grad=bowl(np.nan), finite=False, reaches=False, perturb=False)
        """,
        "NaN or Inf",
    ),
    "the-test-is-skipped-later": (
        f"def test_m(gradcheck):\n    {CHECK}\n    pytest.skip('later')\n",
        "the test was skipped",
    ),
    "the-test-is-expected-to-fail": (
        f"@pytest.mark.xfail\ndef test_m(gradcheck):\n    {CHECK}\n    assert 0\n",
        "the test is expected to fail",
    ),
    "the-test-passes-unexpectedly": (
        f"@pytest.mark.xfail(strict=False)\ndef test_m(gradcheck):\n    {CHECK}\n",
        "the test is expected to fail",
    ),
    "another-call-fails": (
        f"""
        def test_m(gradcheck):
            {CHECK}
            gradcheck(W, value_and_grad=bowl(), max_abs=0.1)
        """,
        "the test failed",
    ),
    "a-subtest-fails": (
        f"""
        def test_m(gradcheck, subtests):
            with subtests.test("first"):
                {CHECK}
            with subtests.test("second"):
                assert 0
        """,
        "the test failed",
    ),
}


@pytest.mark.parametrize(("source", "reason"), WITHHELD.values(), ids=WITHHELD)
def test_an_entry_is_withheld(suite: Suite, source: str, reason: str) -> None:
    """Nothing may be recorded of a test that did not pass as a whole, and the reason be told."""
    if "subtests" in source and not hasattr(pytest, "Subtests"):
        pytest.skip("this pytest has no subtests")
    suite.write("test_m", source)
    result = suite.update()
    assert suite.baselines() == {}
    assert "withheld, not recorded: test_m.py::test_m" in suite.said(result)
    assert reason in suite.said(result)
    assert "1 recorded" not in suite.said(result)


def test_other_tests_of_the_run_are_recorded(suite: Suite) -> None:
    """A failed test must hold back its own entries and nobody else's."""
    suite.write(
        "test_m",
        f"""
        @pytest.mark.parametrize("n", [1, 2, 3])
        def test_m(gradcheck, n):
            {CHECK}
            assert n != 2
        """,
    )
    result = suite.update()
    assert "2 recorded, 1 withheld" in suite.said(result)
    text = suite.baselines()["__gradients__/test_m/test_m.json"].decode()
    assert ["test_m[1]" in text, "test_m[2]" in text, "test_m[3]" in text] == [True, False, True]


def test_a_check_in_a_fixture_is_recorded(suite: Suite) -> None:
    """A call while the test is set up must count as one of the test."""
    suite.write(
        "test_m",
        f"""
        @pytest.fixture
        def model(gradcheck):
            {CHECK}

        def test_m(model):
            pass
        """,
    )
    suite.update().assert_outcomes(passed=1)
    assert list(suite.baselines()) == ["__gradients__/test_m/test_m.json"]


def test_an_expected_failure_is_respected(suite: Suite) -> None:
    """A drift in a test that is expected to fail must make it fail as expected."""
    suite.write("test_m", f"def test_m(gradcheck):\n    {CHECK}\n")
    suite.update()
    before = suite.baselines()
    suite.write(
        "test_m",
        "@pytest.mark.xfail\ndef test_m(gradcheck):\n    gradcheck(W, value_and_grad=bowl(2.0))\n",
    )
    result = suite.run()
    result.assert_outcomes(xfailed=1)
    assert "1 drifted" in suite.said(result)
    assert result.ret == 0
    assert suite.baselines() == before


def test_the_first_run_of_a_test_is_not_recorded(suite: Suite) -> None:
    """When a test fails and passes on its second run, the second run's value must be recorded."""
    suite.write(
        "test_m",
        """
        seen = []

        def test_m(gradcheck):
            seen.append(1)
            gradcheck(W, value_and_grad=bowl(len(seen)))
            assert len(seen) == 2
        """,
    )
    result = suite.update("--reruns", "1")
    assert "1 checked, 1 recorded" in suite.said(result)
    suite.write("test_m", "def test_m(gradcheck):\n    gradcheck(W, value_and_grad=bowl(2.0))\n")
    suite.run().assert_outcomes(passed=1)


def test_what_cannot_be_written_fails_the_run(suite: Suite) -> None:
    """When a baseline cannot be written, the run must fail and say why, and write the others."""
    suite.write("sub/test_m", f"def test_m(gradcheck):\n    {CHECK}\n")
    suite.write("test_n", f"def test_n(gradcheck):\n    {CHECK}\n")
    (suite.path / "sub" / "__gradients__").write_text("a file", encoding="utf-8")
    result = suite.update()
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "ERROR: sub/__gradients__/test_m/test_m.json cannot be written" in suite.said(result)
    assert "1 recorded, 1 withheld" in suite.said(result)
    assert list(suite.baselines()) == ["__gradients__/test_n/test_n.json"]
    assert "Traceback" not in suite.said(result)


def test_a_failed_run_keeps_its_status_when_a_file_cannot_be_written(suite: Suite) -> None:
    """A write that fails must not change the status of a run that failed anyway."""
    suite.write("test_m", f"def test_m(gradcheck):\n    {CHECK}\n\ndef test_n():\n    assert 0\n")
    (suite.path / "__gradients__").write_text("a file", encoding="utf-8")
    result = suite.update()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "cannot be written" in suite.said(result)


def test_a_folder_that_vanished_is_reported(suite: Suite) -> None:
    """When the test's folder is gone at the end, the run must fail with one clear line."""
    suite.write(
        "sub/test_m",
        f"""
        import shutil, pathlib

        def test_m(gradcheck):
            {CHECK}
            shutil.rmtree(pathlib.Path(__file__).parent)
        """,
    )
    result = suite.update()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "there is no folder" in suite.said(result)
