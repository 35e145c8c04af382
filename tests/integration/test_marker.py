"""The ``gradcheck`` marker, the ini file and the call: one vocabulary, the nearer place wins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

NORM = 3.775  # of the gradient of the bowl


def test_the_nearer_limit_wins(suite: Suite) -> None:
    """The call must win over the test, the test over its class, its module and the ini file."""
    suite.configure("grad_max_norm = 1")
    suite.write(
        "test_m",
        """
        def test_ini(gradcheck):
            gradcheck(W, value_and_grad=bowl())
        """,
    )
    suite.write(
        "test_n",
        """
        pytestmark = pytest.mark.gradcheck(max_norm=2)

        def test_module(gradcheck):
            gradcheck(W, value_and_grad=bowl())

        @pytest.mark.gradcheck(max_norm=3)
        class TestClass:
            def test_class(self, gradcheck):
                gradcheck(W, value_and_grad=bowl())

            @pytest.mark.gradcheck(max_norm=4)
            def test_function(self, gradcheck):
                gradcheck(W, value_and_grad=bowl())

            @pytest.mark.gradcheck(max_norm=4)
            def test_call(self, gradcheck):
                gradcheck(W, value_and_grad=bowl(), max_norm=3.5)

            @pytest.mark.gradcheck(max_norm=None)
            def test_taken_back(self, gradcheck):
                gradcheck(W, value_and_grad=bowl())
        """,
    )
    result = suite.run("--grad-baseline=off")
    result.assert_outcomes(passed=2, failed=4)
    for limit in ("1", "2", "3", "3.5"):
        result.stdout.fnmatch_lines(f"*norm 3.77492, max_norm {limit}")


def test_checks_can_be_passed_as_values(suite: Suite) -> None:
    """A positional argument of the marker must be a check of its own."""
    suite.write(
        "test_m",
        """
        from pytest_gradcheck import NormBounds

        @pytest.mark.gradcheck(NormBounds(max_norm=1.0))
        def test_one(gradcheck):
            gradcheck(W, value_and_grad=bowl(), drift=False)
        """,
    )
    result = suite.run()
    result.stdout.fnmatch_lines("*norm 3.77492, max_norm 1")


MISTAKES = {
    "unknown": ("max_nrm=1.0", "unknown limit 'max_nrm'; did you mean 'max_norm'?"),
    "wrong-type": ("max_norm='big'", "max_norm"),
    "out-of-range": ("max_share=3.0", "max_share"),
    "no-check": ("3.0", "3.0 is not a check"),
    "contradiction": ("perturb=False, samples=2", "samples=2 has nothing to act on"),
}


@pytest.mark.parametrize(("mark", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_marker_is_found_at_collection(
    suite: Suite, mark: str, message: str
) -> None:
    """The test must not run, and its error say what is wrong and where; others must run."""
    suite.write(
        "test_m",
        f"""
        @pytest.fixture
        def loud():
            print("set up")

        @pytest.mark.gradcheck({mark})
        def test_wrong(loud, gradcheck):
            print("running")

        def test_right(gradcheck):
            gradcheck(W, value_and_grad=bowl(), drift=False)
        """,
    )
    result = suite.run("-s")
    result.assert_outcomes(errors=1, passed=1)
    said = suite.said(result)
    assert "the gradcheck marker on test_wrong" in said
    assert message in said
    assert "running" not in said
    assert "set up" not in said
    assert "Traceback" not in said
    assert "plugin.py" not in said


def test_a_mistake_is_found_without_running_anything(suite: Suite) -> None:
    """Collecting alone must find the mistake too, and fail."""
    suite.write(
        "test_m",
        """
        @pytest.mark.gradcheck(max_nrm=1.0)
        class TestClass:
            def test_wrong(self, gradcheck):
                pass
        """,
    )
    result = suite.run("--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        "ERROR: the gradcheck marker on TestClass: unknown limit 'max_nrm'; did you mean*"
    )


def test_a_deselected_mistake_hurts_nobody(suite: Suite) -> None:
    """A wrong marker on a test that is not run must not be in the way."""
    suite.write(
        "test_m",
        """
        @pytest.mark.gradcheck(max_nrm=1.0)
        def test_wrong(gradcheck):
            pass

        def test_right():
            pass
        """,
    )
    result = suite.run("-k", "right")
    result.assert_outcomes(passed=1, deselected=1)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_mistake_is_found_with_workers(suite: Suite, workers: int) -> None:
    """A worker must refuse a wrongly marked test as a single process does."""
    suite.write(
        "test_m",
        "@pytest.mark.gradcheck(max_nrm=1.0)\ndef test_wrong(gradcheck):\n    pass\n",
    )
    result = suite.run(workers=workers)
    result.assert_outcomes(errors=1)
    assert "did you mean 'max_norm'?" in suite.said(result)


def test_a_marker_without_the_fixture_is_an_error(suite: Suite) -> None:
    """A marker on a test that never checks anything must not look like a check."""
    suite.write(
        "test_m",
        """
        @pytest.mark.gradcheck(max_norm=1.0)
        def test_wrong():
            pass

        @pytest.mark.gradcheck(max_norm=1.0)
        class TestClass:
            def test_right(self):
                pass
        """,
    )
    result = suite.run()
    result.assert_outcomes(failed=1, passed=1)
    assert "test_wrong is marked gradcheck but does not use the fixture" in suite.said(result)


def test_a_mistake_in_a_call_is_an_error(suite: Suite) -> None:
    """An unknown limit in a call must name the nearest one and the test."""
    suite.write(
        "test_m",
        "def test_one(gradcheck):\n    gradcheck(W, value_and_grad=bowl(), max_nrm=1.0)\n",
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    assert "the call in test_one: unknown limit 'max_nrm'; did you mean" in suite.said(result)


def test_the_marker_is_registered(suite: Suite) -> None:
    """Strict markers must accept ours, and ``--markers`` explain it."""
    suite.write(
        "test_m",
        """
        @pytest.mark.gradcheck(drift=False)
        def test_one(gradcheck):
            gradcheck(W, value_and_grad=bowl())
        """,
    )
    suite.run("--strict-markers").assert_outcomes(passed=1)
    suite.run("--markers").stdout.fnmatch_lines("@pytest.mark.gradcheck(*checks, **limits)*")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("grad_max_nrm = 1", "unknown limit grad_max_nrm; did you mean grad_max_norm?"),
        ("grad_qqqqqq = 1", "unknown limit grad_qqqqqq; known: grad_finite, *"),
        ("grad_max_norm = big", "grad_max_norm*"),
        ("grad_perturb = off\n    grad_samples = 2", "samples=2 has nothing to act on*"),
    ],
)
def test_a_mistake_in_the_ini_file_stops_the_run(suite: Suite, line: str, message: str) -> None:
    """A wrong ini file concerns every test, so none may run."""
    suite.configure(line.replace("\n    ", "\n"))
    suite.write("test_m", "def test_one():\n    pass\n")
    result = suite.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(f"ERROR: *{message}*")


def test_the_ini_file_can_be_overridden(suite: Suite) -> None:
    """``-o`` must set a limit as the ini file does, and be checked as strictly."""
    suite.write(
        "test_m", "def test_one(gradcheck):\n    gradcheck(W, value_and_grad=bowl(), drift=False)\n"
    )
    suite.configure("grad_max_norm = 100")
    suite.run().assert_outcomes(passed=1)
    suite.run("-o", "grad_max_norm=1").assert_outcomes(failed=1)
    result = suite.run("-o", "grad_max_nrm=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("table", ["tool.pytest.ini_options", "tool.pytest"])
def test_limits_can_be_toml(suite: Suite, table: str) -> None:
    """Numbers, switches and lists in a TOML file must be what they are."""
    if table == "tool.pytest" and pytest.version_tuple < (9,):
        pytest.skip("this pytest reads ini_options alone")
    (suite.path / "pyproject.toml").write_text(
        f"[{table}]\ngrad_max_norm = 1.5\ngrad_perturb = false\ngrad_allow_zero = ['a*', 'b']\n",
        encoding="utf-8",
    )
    suite.write(
        "test_m",
        "def test_one(gradcheck):\n    print(gradcheck(W, value_and_grad=bowl(), drift=False))\n",
    )
    result = suite.run()
    result.stdout.fnmatch_lines(["*1 of 3 checks failed", "*max_norm 1.5"])
