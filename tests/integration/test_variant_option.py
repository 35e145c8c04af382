"""``--grad-variant``: which variant of the baselines a run uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

ONE = """
    def test_one(gradcheck):
        gradcheck(W, value_and_grad=bowl())
"""


def test_a_variant_has_files_of_its_own(suite: Suite) -> None:
    """The variant's name must stand in the file name, and its values be its own."""
    suite.write("test_m", ONE)
    suite.update("--grad-variant=a100-bf16")
    assert list(suite.baselines()) == ["__gradients__/test_m/test_one@a100-bf16.json"]
    suite.run("--grad-variant=a100-bf16").assert_outcomes(passed=1)


def test_a_missing_variant_fails_and_names_the_others(suite: Suite) -> None:
    """A variant without a baseline must fail, and say which variants there are."""
    suite.write("test_m", ONE)
    suite.update()
    suite.update("--grad-variant=gpu")
    result = suite.run("--grad-variant=tpu")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*test_one@tpu.json; of other variants there are test_one.json, test_one@gpu.json",
            "*--grad-variant=tpu",
        ]
    )


def test_another_function_with_a_longer_name_is_no_variant(suite: Suite) -> None:
    """Only files of the same function may be called its variants."""
    suite.write("test_m", ONE.replace("test_one", "test_one_more"))
    suite.update()
    suite.write("test_m", ONE)
    result = suite.run()
    assert "other variants" not in suite.said(result)


def test_the_variant_without_a_name_can_be_named(suite: Suite) -> None:
    """``default`` must be the files without a variant in their name."""
    suite.write("test_m", ONE)
    result = suite.run("--grad-variant=default")
    result.stdout.fnmatch_lines("*--grad-baseline-update --grad-variant=default")
    suite.update("--grad-variant=default")
    assert list(suite.baselines()) == ["__gradients__/test_m/test_one.json"]


def test_the_device_is_the_variant(suite: Suite) -> None:
    """On a device other than the CPU, its name must be the variant."""
    suite.write(
        "conftest",
        """
        import dataclasses
        from pytest_gradcheck import api

        @pytest.fixture(autouse=True)
        def device(monkeypatch):
            source = api.source
            monkeypatch.setattr(
                api, "source", lambda *a, **k: dataclasses.replace(source(*a, **k), device="cuda")
            )
        """,
    )
    suite.write("test_m", ONE)
    suite.update()
    assert list(suite.baselines()) == ["__gradients__/test_m/test_one@cuda.json"]
    suite.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("name", ["", "a/b", "a@b", "..", "a b"])
def test_a_name_that_fits_no_file_is_refused(suite: Suite, name: str) -> None:
    """A variant that could not be a part of a file name must stop the run."""
    result = suite.run(f"--grad-variant={name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("ERROR: --grad-variant=*part of a file name*")
