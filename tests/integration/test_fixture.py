"""The ``gradcheck`` fixture: what it returns, what it says, what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite


def test_the_verdict_is_returned(suite: Suite) -> None:
    """A call must return the verdict, with measurement and baseline."""
    suite.write(
        "test_m",
        """
        def test_one(gradcheck):
            verdict = gradcheck(W, value_and_grad=bowl(), max_norm=10.0)
            assert verdict.passed
            assert abs(verdict.measurement.norm - 3.7749) < 1e-4
            assert [r.check for r in verdict.results][-1] == "drift"
        """,
    )
    suite.update().assert_outcomes(passed=1)
    suite.run().assert_outcomes(passed=1)


def test_measuring_judges_and_records_nothing(suite: Suite) -> None:
    """``measure`` must leave the judging to the test, and need no baseline."""
    suite.write(
        "test_m",
        """
        def test_one(gradcheck):
            g = gradcheck.measure(W, value_and_grad=bowl(np.nan))
            assert not g.finite
            g = gradcheck.measure(W, value_and_grad=bowl())
            assert g["w"].norm > g["b"].norm
            assert g.perturbed(scale=1e-3, samples=2).max_norm_ratio < 3
        """,
    )
    result = suite.run()
    result.assert_outcomes(passed=1)
    assert suite.update().ret == 0
    assert suite.baselines() == {}
    assert "never called it" not in suite.said(result)


def test_measuring_takes_no_limits(suite: Suite) -> None:
    """A limit that would do nothing must be refused."""
    suite.write(
        "test_m",
        "def test_one(gradcheck):\n    gradcheck.measure(W, value_and_grad=bowl(), max_norm=1.0)\n",
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    assert "it takes no limits: max_norm" in suite.said(result)


def test_calls_have_names(suite: Suite) -> None:
    """Calls without a name must be numbered among themselves, and failures name the call."""
    suite.write(
        "test_m",
        """
        def test_one(gradcheck):
            gradcheck(W, value_and_grad=bowl())
            gradcheck(W, value_and_grad=bowl(), name="encoder")
            gradcheck(W, value_and_grad=bowl())
            gradcheck(W, value_and_grad=bowl(), name="tight", max_norm=1e-3)
        """,
    )
    result = suite.update()
    assert "gradients of 'arrays' (arrays) in 'tight'" in suite.said(result)
    assert "test_m.py::test_one::encoder: the test failed" in suite.said(result)
    assert "test_m.py::test_one::2: the test failed" in suite.said(result)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("'a'", "'a'"), "two calls of one test have the name 'a'"),
        (("None", "None", "'2'"), "two calls of one test have the name '2'"),
        (("''",), "must be text on one line, not ''"),
        (("3",), "must be text on one line, not 3"),
        (("'a\\nb'",), "must be text on one line, not 'a\\nb'"),
    ],
)
def test_a_name_must_be_one(suite: Suite, names: tuple[str, ...], message: str) -> None:
    """A name that was used before, or is none, must be refused."""
    calls = "".join(f"    gradcheck(W, value_and_grad=bowl(), name={n})\n" for n in names)
    suite.write("test_m", f"def test_one(gradcheck):\n{calls}")
    result = suite.update()
    result.assert_outcomes(failed=1)
    assert message in suite.said(result)


FAILURES = {
    "a-failed-check": ("bowl(), max_norm=1e-3", "GradientError: gradients of 'arrays'"),
    "an-unknown-parameter": ("bowl(), wrt='v'", "UsageError:"),
    "a-bad-point": ("bowl(), at={'v': 1.0}", "UsageError:"),
    "an-unknown-limit": ("bowl(), max_nrm=1", "UsageError:"),
    "a-wrong-gradient": ("lambda p: (0.0, {})", "UsageError:"),
}


@pytest.mark.parametrize(("call", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failure_shows_no_line_of_ours(suite: Suite, call: str, message: str) -> None:
    """The traceback must end at the test, whatever is wrong."""
    suite.write(
        "test_m",
        f"def test_one(gradcheck):\n    gradcheck(W, value_and_grad={call}, drift=False)\n",
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    said = suite.said(result)
    assert message in said
    assert "test_m.py:5: " in said
    assert "pytest_gradcheck/" not in said
    assert "During handling" not in said


def test_an_error_of_the_model_is_shown_as_its_own(suite: Suite) -> None:
    """An exception of the user's function must come with its own frames, and none of ours."""
    suite.write(
        "test_m",
        """
        def broken(point):
            raise ZeroDivisionError("my own")

        def test_one(gradcheck):
            gradcheck(W, value_and_grad=broken)
        """,
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*raise ZeroDivisionError*", "E*ZeroDivisionError: my own"])
    assert "test_m.py:6: ZeroDivisionError" in suite.said(result)
    assert "pytest_gradcheck/" not in suite.said(result)


def test_a_test_that_never_calls_the_fixture_is_noted(suite: Suite) -> None:
    """A test that asks for the fixture and checks nothing must be told of, and pass."""
    suite.write("test_m", "def test_one(gradcheck):\n    pass\n")
    result = suite.run()
    result.assert_outcomes(passed=1)
    assert "test_m.py::test_one asked for gradcheck and never called it" in suite.said(result)


def test_a_call_while_a_fixture_is_torn_down_is_a_call(suite: Suite) -> None:
    """What is checked after the test function must count as checked, and be recorded."""
    suite.write(
        "test_m",
        """
        @pytest.fixture
        def late(gradcheck):
            yield
            gradcheck(W, value_and_grad=bowl())

        def test_one(late): pass
        """,
    )
    result = suite.update()
    result.assert_outcomes(passed=1)
    assert "1 checked, 1 recorded" in suite.said(result)
    assert "never called it" not in suite.said(result)


def test_a_fixture_whose_test_has_ended_checks_nothing(suite: Suite) -> None:
    """A call that no test owns any more must fail: it would be neither reported nor recorded."""
    suite.write(
        "test_m",
        """
        kept = []

        def test_one(gradcheck):
            kept.append(gradcheck)
            gradcheck(W, value_and_grad=bowl())

        def test_two():
            kept[0](W, value_and_grad=bowl(), name="late")
        """,
    )
    result = suite.update()
    result.assert_outcomes(passed=1, failed=1)
    assert "this gradcheck is the one of test_one, which has ended" in suite.said(result)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_check_that_fails_in_another_thread_fails_the_test(suite: Suite) -> None:
    """An exception in a thread does not reach pytest: the failure must get there otherwise."""
    suite.write(
        "test_m",
        """
        from concurrent.futures import ThreadPoolExecutor
        from threading import Thread

        def checked(gradcheck, **limits):
            gradcheck(W, value_and_grad=bowl(), drift=False, **limits)

        def test_thread(gradcheck):
            thread = Thread(target=checked, args=(gradcheck,), kwargs={"max_norm": 1.0})
            thread.start()
            thread.join()

        def test_pool(gradcheck):
            with ThreadPoolExecutor(2) as pool:
                pool.submit(checked, gradcheck).result()
        """,
    )
    result = suite.run()
    result.assert_outcomes(passed=1, failed=1)
    said = suite.said(result)
    assert (
        "failed in a thread of the test, whose exceptions pytest does not see: gradients of" in said
    )
    assert "norm [total] norm 3.77492, max_norm 1" in said


def test_the_fixture_stays_in_its_process(suite: Suite) -> None:
    """What another process checks could not be reported: handing the fixture over must fail."""
    suite.write(
        "test_m",
        """
        import pickle

        def test_one(gradcheck):
            pickle.dumps(gradcheck)
        """,
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    assert "cannot go to another process: measure there, with" in suite.said(result)


def test_a_run_without_gradients_says_nothing(suite: Suite) -> None:
    """The plugin must be silent where nobody uses it."""
    suite.write("test_m", "def test_one():\n    pass\n")
    assert "= gradients =" not in suite.said(suite.run())


def test_property_tests_are_sent_elsewhere(suite: Suite) -> None:
    """Under ``@given`` the fixture must be refused with what to call instead."""
    suite.write(
        "test_m",
        """
        from hypothesis import given, settings, strategies as st

        @settings(suppress_health_check=list(__import__("hypothesis").HealthCheck))
        @given(st.floats(0.5, 2.0))
        def test_one(gradcheck, scale):
            gradcheck(W, value_and_grad=bowl(scale))
        """,
    )
    result = suite.update()
    result.assert_outcomes(errors=1)
    assert "test_one uses the gradcheck fixture under @given" in suite.said(result)
    assert "assert_gradients" in suite.said(result)
    assert suite.baselines() == {}


@pytest.mark.parametrize("workers", [0, 2])
def test_every_call_is_a_property_of_its_test(suite: Suite, workers: int) -> None:
    """JUnit files must hold one line of JSON for each call of the last run of a test."""
    suite.write(
        "test_m",
        """
        import pathlib

        def test_one(gradcheck):
            mark = pathlib.Path(__file__).with_suffix(".ran")
            first = not mark.exists()
            mark.touch()
            gradcheck(W, value_and_grad=bowl(), drift=False)
            gradcheck(W, value_and_grad=bowl(np.inf), name="wild", finite=False, reaches=False,
                      perturb=False, drift=False)
            assert not first
        """,
    )
    suite.run("--junitxml=out.xml", "--reruns=1", workers=workers).assert_outcomes(passed=1)
    tree = ET.parse(suite.path / "out.xml")  # noqa: S314 - our own file
    case = tree.getroot().findall(".//testcase")[-1]
    found = [
        json.loads(node.get("value", ""))
        for node in case.iter("property")
        if node.get("name") == "gradcheck"
    ]
    assert [one["key"] for one in found] == ["test_one", "test_one::wild"]
    assert [one["baseline"] for one in found] == ["off", "off"]
    assert found[0]["passed"] is True
    assert found[0]["checks"]["finite"] == "passed"
    assert float(found[0]["norm"]) == pytest.approx(3.7749, abs=1e-4)


def test_a_class_of_unittest_can_use_the_fixture(suite: Suite) -> None:
    """A ``unittest`` class that gets the fixture from another one must have its own entries."""
    suite.write(
        "test_m",
        """
        import unittest

        class TestCase(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _fixture(self, gradcheck):
                self.gradcheck = gradcheck

            def test_one(self):
                self.gradcheck(W, value_and_grad=bowl())
        """,
    )
    suite.update().assert_outcomes(passed=1)
    assert b'"TestCase::test_one": {' in suite.baselines()["__gradients__/test_m/test_one.json"]


def test_snapshots_are_syrupys(suite: Suite) -> None:
    """``grad_snapshot`` must compare through syrupy, and leave our files alone."""
    suite.write(
        "test_m",
        """
        def test_one(gradcheck, grad_snapshot):
            assert gradcheck.measure(W, value_and_grad=bowl()) == grad_snapshot
        """,
    )
    import syrupy  # noqa: F401 - what this test needs

    run = suite.pytester.runpytest_subprocess
    run("-p", "no:hypothesispytest", "--snapshot-update").assert_outcomes(passed=1)
    run("-p", "no:hypothesispytest").assert_outcomes(passed=1)
    assert suite.baselines() == {}
