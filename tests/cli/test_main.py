"""The program as a whole: its words, its exit codes, what it loads, and the commands that print."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import jsonschema
import pytest

from pytest_gradcheck.cli.parser import COMMANDS

if TYPE_CHECKING:
    from tests.cli.conftest import Project

HEAVY = ("hypothesis", "numpy", "pymc", "pytensor", "pytest", "scipy", "syrupy", "torch")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_shows_examples(project: Project, name: str) -> None:
    """``--help`` must show how a command is used, by example."""
    code, said, _ = project.call(name, "--help")
    assert code == 0
    assert f"  gradcheck {name}" in said.partition("examples:")[2] or "gradcheck completion" in said


@pytest.mark.parametrize("words", [(), ("nonsense",), ("show",), ("schema", "nothing")])
def test_misuse_has_exit_code_2(project: Project, words: tuple[str, ...]) -> None:
    """Words that mean nothing must be refused as misuse."""
    assert project.call(*words)[0] == 2


def test_looking_at_baselines_loads_no_framework(project: Project) -> None:
    """The program must start fast: what only shows loads nothing numerical, and never pytest."""
    code = f"""
import sys
from pytest_gradcheck.cli import main
assert main(["show", "tests", "--parameters"]) == 0
assert main(["lint"]) == 0
print(sorted(set(sys.modules) & set({HEAVY})))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_comparing_loads_no_framework(project: Project) -> None:
    """What compares may load numpy, and still no framework and no pytest."""
    code = """
import sys
from pytest_gradcheck.cli import main
assert main(["diff", "tests", "tests"]) == 0
print(sorted(set(sys.modules) & {"pymc", "pytensor", "pytest", "torch"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_closed_pipe_is_no_error(project: Project) -> None:
    """A reader that has seen enough must not provoke a traceback."""
    command = (
        f"'{sys.executable}' -m pytest_gradcheck schema | head -1 >/dev/null; "
        "exit ${PIPESTATUS[0]}"
    )
    done = subprocess.run(
        ["bash", "-c", command], cwd=project.path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_output_in_a_pipe_has_no_colour(project: Project) -> None:
    """Where standard output is no terminal, nothing may be coloured."""
    assert "\x1b" not in project.call("show", "tests")[1]


def test_show_lists_entries_and_parameters(project: Project) -> None:
    """A folder must become a table of entries, and one entry also one of its parameters."""
    code, said, _ = project.call("show", "tests")
    assert (code, len(said.splitlines())) == (0, 5)
    code, said, _ = project.call("show", "tests", "test_one")
    assert said.splitlines()[-2].split()[:4] == ["w", "3", "float64", "3.74166"]
    code, said, _ = project.call("show", "tests", "two*[1]", "--json")
    (one,) = json.loads(said)
    assert one["key"] == "test_two[1]"
    assert one["measurement"]["native"]["parameters"]["name"] == ["w", "b"]
    code, _, wrong = project.call("show", "tests", "nothing")
    assert (code, "none of the 4 entries in tests is 'nothing'" in wrong) == (2, True)
    code, _, wrong = project.call("show", "nowhere")
    assert (code, wrong) == (2, "gradcheck show: there is no nowhere\n")


def test_names_cannot_speak_to_the_terminal(project: Project) -> None:
    """Control characters in a name must be shown, and not obeyed."""
    path = project.path / "tests/__gradients__/test_m/test_one.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(' "test_one": {', ' "test_one\\u0007\\u001b[2J": {'), "utf-8")
    _, said, _ = project.call("show", str(path))
    assert "test_one\\x07\\x1b[2J" in said
    assert "\x1b" not in said


def _causes(error: jsonschema.ValidationError) -> list[jsonschema.ValidationError]:
    """Return an error and all those behind it: of the members of a union, and of theirs."""
    return [error, *(cause for one in error.context or () for cause in _causes(one))]


def test_files_validate_against_their_schemas(project: Project) -> None:
    """Baselines and reports as they are written must be what the schemas say, strictly."""
    project.write(
        "tests/test_n.py",
        "from bowl import W, bowl\n"
        "def test_nan(gradcheck):\n    gradcheck(W, value_and_grad=bowl(float('nan')))\n"
        "def test_new(gradcheck):\n    gradcheck(W, value_and_grad=bowl())\n",
    )
    project.pytest("--grad-report=r.out.json", scale=1.01)
    schema = json.loads(project.call("schema", "report")[1])
    jsonschema.Draft202012Validator.check_schema(schema)
    report = json.loads((project.path / "r.out.json").read_text(encoding="utf-8"))
    assert len(report["calls"]) == 6
    jsonschema.validate(report, schema)
    report["calls"][0]["verdict"]["measurement"]["nonsense"] = 1
    errors = jsonschema.Draft202012Validator(schema).iter_errors(report)
    causes = [one.message for error in errors for one in _causes(error)]
    assert any("'nonsense' was unexpected" in cause for cause in causes)
    schema = json.loads(project.call("schema")[1])
    jsonschema.Draft202012Validator.check_schema(schema)
    for data in project.baselines().values():
        baseline = json.loads(data)
        jsonschema.validate(baseline, schema)
        baseline["entries"]["x"] = {}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(baseline, schema)


def test_completions_know_commands_and_flags(project: Project) -> None:
    """In bash the script must complete commands and their flags; the others must be printed."""
    script = project.write("complete.sh", project.call("completion", "bash")[1])
    ask = f'. {script}; COMP_CWORD=$(($#-1)); COMP_WORDS=("$@"); _gradcheck; echo ${{COMPREPLY[@]}}'

    def completed(*words: str) -> str:
        done = subprocess.run(
            ["bash", "-c", ask, "bash", *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert completed("gradcheck", "hi") == "history"
    assert completed("gradcheck", "accept", "--d") == "--dry-run"
    assert completed("gradcheck", "schema", "re") == "report"
    assert project.call("completion", "zsh")[1].startswith("#compdef gradcheck\n")
    assert "-l dry-run" in project.call("completion", "fish")[1]
    if shutil.which("fish"):
        text = project.call("completion", "fish")[1]
        subprocess.run(["fish", "--no-execute"], input=text, text=True, check=True)


def test_a_test_module_stands_for_its_baselines(project: Project) -> None:
    """Who names a test module must get the baselines of its tests."""
    module, folder = "tests/test_m.py", "tests/__gradients__/test_m"
    for command in ("show", "history"):
        assert project.call(command, module) == project.call(command, folder)
        assert project.call(command, module)[0] == 0
    assert project.call("lint", module)[1] == "3 baseline files: no problem\n"
    empty = project.write("tests/test_empty.py", "")
    assert "there are no baselines in" in project.call("show", str(empty))[2]


def test_a_report_is_compared_with_the_baselines_here(project: Project) -> None:
    """A report knows entries by their place in the project, and so must the other side."""
    project.pytest("--grad-report=r.out.json", scale=1.01)
    code, said, _ = project.call("diff", "tests", "r.out.json")
    assert (code, said.splitlines()[-1]) == (1, "4 drift")
    path = "tests/__gradients__/test_m/test_one.json"
    pairs = json.loads(project.call("diff", path, "r.out.json", "--json")[1])
    assert [pair["status"] for pair in pairs].count("drift") == 1


def test_what_waits_for_a_review_can_be_read_by_a_program(project: Project) -> None:
    """``review --json`` must list and ask nothing."""
    project.pytest("--grad-report=r.out.json", scale=1.01)
    code, said, _ = project.call("review", "r.out.json", "--json", "--select=test_one")
    (one,) = json.loads(said)
    assert (code, one["status"], one["refused"]) == (1, "drifted", "")
    assert one["cause"].startswith("every gradient is scaled by 1.01")
    assert project.call("review", "r.out.json", "--json", "--select=none")[:2] == (0, "[]\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("lint", "--max-kb=0"), "--max-kb=0: the largest size of a file, at least 1"),
        (("accept", "tests/test_m.py"), "is not JSON"),
    ],
)
def test_a_wrong_word_is_named(project: Project, words: tuple[str, ...], complaint: str) -> None:
    """Misuse must be one line that says what is allowed."""
    code, _, wrong = project.call(*words)
    assert code == 2
    assert complaint in wrong
    assert len(wrong.splitlines()) == 1
