"""What the README shows is what happens."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.pages import ROOT, blocks, file_name, masked

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(README)
FILES = {
    name.removesuffix(".py"): found.text
    for found in BLOCKS
    if found.language == "python" and (name := file_name(found))
}


def block(language: str) -> str:
    """Return the only block of a language."""
    (text,) = [text for name, text in BLOCKS if name == language]
    return text


def with_extra(name: str) -> object:
    """Return a file's parameter, marked with the extra that it imports."""
    marks = [getattr(pytest.mark, e) for e in ("pymc", "torch") if f"import {e}" in FILES[name]]
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [with_extra(name) for name in FILES])
def test_a_test_of_the_readme_passes_once_recorded(pytester: pytest.Pytester, name: str) -> None:
    """Each test that the README shows must pass as it stands, once its baseline is recorded."""
    pytester.makepyfile(**{name: FILES[name]})
    pytester.runpytest_subprocess("--grad-baseline-update").assert_outcomes(passed=1)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.torch
def test_the_failure_of_the_readme_is_the_one_that_happens(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure that the README prints must be what its own edit leads to, numbers aside."""
    monkeypatch.setenv("COLUMNS", "100")
    old, new = (line[1:] for line in block("diff").splitlines())
    text = FILES["test_classifier"]
    assert old in text
    path = pytester.makepyfile(test_classifier=text)
    pytester.runpytest_subprocess("--grad-baseline-update").assert_outcomes(passed=1)
    path.write_text(text.replace(old, new), encoding="utf-8")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    printed = {masked(line) for line in result.outlines}
    missing = [line for line in block("text").splitlines() if masked(line) not in printed]
    assert missing == []


@pytest.mark.torch
def test_accepting_the_change_of_the_readme_makes_it_pass(pytester: pytest.Pytester) -> None:
    """After a change is accepted the test must pass, and must not before."""
    old, new = (line[1:] for line in block("diff").splitlines())
    path = pytester.makepyfile(test_classifier=FILES["test_classifier"])
    pytester.runpytest_subprocess("--grad-baseline-update").assert_outcomes(passed=1)
    path.write_text(FILES["test_classifier"].replace(old, new), encoding="utf-8")
    pytester.runpytest_subprocess("--grad-drift=warn").assert_outcomes(passed=1, warnings=1)
    pytester.runpytest_subprocess("--grad-baseline-update").assert_outcomes(passed=1)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_settings_of_the_readme_are_accepted(pytester: pytest.Pytester) -> None:
    """The ini settings must be ones that the plugin knows."""
    assert tomllib.loads(block("toml"))
    pytester.makepyprojecttoml(block("toml"))
    pytester.makepyfile("def test_nothing(): pass")
    pytester.runpytest_subprocess("--strict-config").assert_outcomes(passed=1)


def test_the_workflow_of_the_readme_is_yaml() -> None:
    """The workflow must be readable, and must run on a runner."""
    yaml = pytest.importorskip("yaml", reason="only the development environment has it")
    assert yaml.safe_load(block("yaml"))["jobs"]["gradients"]["runs-on"] == "ubuntu-latest"


def test_the_flags_of_the_readme_exist(pytester: pytest.Pytester) -> None:
    """Each flag that the README names must be in the help, and each of ours in the README."""
    shown = pytester.runpytest_subprocess("--help").stdout.str()
    flags = re.compile(r"--grad-[a-z]+(?:-[a-z]+)*")
    assert set(flags.findall(README)) == set(flags.findall(shown))


def test_the_commands_of_the_readme_exist() -> None:
    """Each ``make`` target that the README names must be in the Makefile."""
    makefile = ROOT / "Makefile"
    targets = set(re.findall(r"^(\w[\w-]*):", makefile.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)`", README)) <= targets
