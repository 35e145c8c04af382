"""A baseline file that cannot be read: who fails, what is said, when it is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

BOTH = """
    @pytest.mark.parametrize("n", [1, 2])
    def test_one(gradcheck, n):
        gradcheck(W, value_and_grad=bowl(n))

    def test_two(gradcheck):
        gradcheck(W, value_and_grad=bowl())
"""
FILE = "__gradients__/test_m/test_one.json"


def conflict(text: str) -> str:
    """Return the text with the marks of a failed merge."""
    return text.replace('"entries"', '<<<<<<< ours\n"entries"', 1)


BROKEN = {
    "truncated": lambda text: text[: len(text) // 2],
    "conflict": conflict,
    "newer": lambda text: text.replace("gradcheck-baseline/1", "gradcheck-baseline/9"),
    "empty": lambda text: "",
    "wrong-type": lambda text: text.replace('"seed": 0', '"seed": "zero"'),
}


@pytest.fixture(params=BROKEN)
def broken(suite: Suite, request: pytest.FixtureRequest) -> Suite:
    """Return a suite one of whose two files is damaged."""
    suite.write("test_m", BOTH)
    suite.update().assert_outcomes(passed=3)
    path = suite.path / FILE
    path.write_text(BROKEN[request.param](path.read_text(encoding="utf-8")), encoding="utf-8")
    return suite


def test_only_the_tests_that_need_it_fail(broken: Suite) -> None:
    """A damaged file must fail its own tests with one line, and be left as it is."""
    before = broken.baselines()
    result = broken.run()
    result.assert_outcomes(passed=1, failed=2)
    lines = [line for line in result.outlines if line.startswith("E ") and FILE in line]
    assert len(lines) == 2
    assert "--grad-baseline-update" in lines[0]
    _, _, listed = broken.said(result).partition("baseline unreadable:")
    assert FILE in listed
    assert all(f"test_m.py::test_one[{n}]" in listed for n in (1, 2))
    assert broken.baselines() == before
    assert broken.run("--grad-baseline=new").ret == 1
    assert broken.baselines() == before


def test_an_update_makes_the_file_anew(broken: Suite) -> None:
    """An update must replace a damaged file by what its tests record."""
    result = broken.update()
    result.assert_outcomes(passed=3)
    assert f"{FILE} could not be read and was made anew" in broken.said(result)
    assert "is lost" not in broken.said(result)
    broken.run().assert_outcomes(passed=3)


def test_what_is_lost_is_named(suite: Suite) -> None:
    """Entries that the damaged file held and this run did not record must be named."""
    suite.write("test_m", BOTH)
    suite.update()
    path = suite.path / FILE
    path.write_text(conflict(path.read_text(encoding="utf-8")), encoding="utf-8")
    result = suite.update("test_m.py::test_one[1]")
    expected = f"{FILE} could not be read and was made anew; what else it held is lost: test_one[2]"
    assert expected in suite.said(result)
    assert b"test_one[2]" not in path.read_bytes()


def test_one_damaged_entry_fails_one_test(suite: Suite) -> None:
    """A change by hand must fail the test of that entry alone, and an update lose no other."""
    suite.write("test_m", BOTH)
    suite.update()
    path = suite.path / FILE
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"mean": ', '"mean": 7', 1), encoding="utf-8")
    result = suite.run()
    result.assert_outcomes(passed=2, failed=1)
    said = suite.said(result)
    assert "is damaged at 'test_one[1]' (parameters.w.mean does not go with the packed" in said
    assert "is lost" not in suite.said(suite.update())
    assert path.read_text(encoding="utf-8") == text
    suite.run().assert_outcomes(passed=3)


def test_a_failed_test_replaces_nothing(suite: Suite) -> None:
    """When no test that needs it passes, even an update must leave a damaged file."""
    suite.write("test_m", BOTH)
    suite.update()
    path = suite.path / FILE
    path.write_text("{", encoding="utf-8")
    suite.write("test_m", BOTH.replace("bowl(n))", "bowl(n))\n        assert 0"))
    result = suite.update()
    assert "2 withheld" in suite.said(result)
    assert path.read_text(encoding="utf-8") == "{"


def test_a_folder_in_place_of_the_file_stays(suite: Suite) -> None:
    """What is no file at all must be reported by both runs, and left."""
    suite.write("test_m", BOTH)
    (suite.path / FILE).mkdir(parents=True)
    result = suite.run()
    result.assert_outcomes(failed=3)
    assert "test_one.json cannot be read" in suite.said(result)
    result = suite.update()
    assert result.ret == 1
    assert "ERROR: __gradients__/test_m/test_one.json cannot be written" in suite.said(result)
    assert "made anew" not in suite.said(result)
