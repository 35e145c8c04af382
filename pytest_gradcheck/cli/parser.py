"""The words of the command line: commands, their arguments, their help."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from pytest_gradcheck import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COMMANDS", "command", "parser"]

Argument = tuple[tuple[str, ...], dict[str, Any]]

SELECT: Final[Argument] = (
    ("select",),
    {
        "nargs": "?",
        "metavar": "SELECT",
        "help": "only entries in whose FILE::ENTRY this occurs; * and ? stand for any letters",
    },
)
_SELECTED: Final[Argument] = (
    ("-s", "--select"),
    {"metavar": "SELECT", "help": "only entries in whose FILE::ENTRY this occurs"},
)
_JSON: Final[Argument] = (
    ("--json",),
    {"action": "store_true", "help": "JSON for other programs"},
)
_ROOT: Final[Argument] = (
    ("--root",),
    {
        "metavar": "DIR",
        "help": "the project's folder (default: the nearest that has the report's tests)",
    },
)
_MIN_DRIFT: Final[Argument] = (
    ("--min-drift",),
    {"type": float, "metavar": "X", "help": "ignore relative drift below this"},
)

COMMANDS: Final[dict[str, tuple[str, str, tuple[Argument, ...]]]] = {
    "show": (
        "show a baseline file, a folder of them, or a report as a table",
        (
            "gradcheck show tests/\n"
            "gradcheck show tests/__gradients__/test_vae/test_vae.json\n"
            "gradcheck show report.json 'encoder' --json | jq ."
        ),
        (
            (("path",), {"metavar": "PATH", "help": "baseline, folder, or .json report"}),
            SELECT,
            (("-p", "--parameters"), {"action": "store_true", "help": "a row for each parameter"}),
            _JSON,
        ),
    ),
    "diff": (
        "compare baselines, reports or git revisions; exit 1 when they drifted",
        (
            "gradcheck diff main..HEAD          # what a branch changed\n"
            "gradcheck diff HEAD                # what the work tree changed\n"
            "gradcheck diff old.json new.json   # two baselines, or two reports"
        ),
        (
            (("old",), {"metavar": "A", "help": "baseline, folder, report, revision, or A..B"}),
            (("new",), {"metavar": "B", "nargs": "?", "help": "the same (default: work tree)"}),
            _SELECTED,
            _MIN_DRIFT,
            _JSON,
        ),
    ),
    "review": (
        "step through what failed for its baseline in the last run; accept or reject each",
        (
            "pytest; gradcheck review\n"
            "gradcheck review --list\n"
            "gradcheck review report.json       # of another run"
        ),
        (
            (("report",), {"metavar": "REPORT", "nargs": "?", "help": "instead of the last run"}),
            _SELECTED,
            (("-l", "--list"), {"action": "store_true", "help": "list what there is to review"}),
            _ROOT,
            (("--json",), {"action": "store_true", "help": "list it as JSON for other programs"}),
        ),
    ),
    "accept": (
        "write what a run measured, here or in CI, into the baselines",
        "gradcheck accept report.json\ngradcheck accept gpu/report.json 'test_vae' --dry-run",
        (
            (("report",), {"metavar": "REPORT", "help": ".json report of the run"}),
            SELECT,
            (("-n", "--dry-run"), {"action": "store_true", "help": "say what would be written"}),
            (
                ("-f", "--force"),
                {"action": "store_true", "help": "also entries that changed here since the run"},
            ),
            _ROOT,
            _JSON,
        ),
    ),
    "history": (
        "how each entry moved over the commits of its file, and how far in all",
        (
            "gradcheck history tests/__gradients__/test_vae/test_vae.json\n"
            "gradcheck history tests/ 'kl'"
        ),
        (
            (("path",), {"metavar": "PATH", "help": "baseline file, or a folder of them"}),
            SELECT,
            _JSON,
        ),
    ),
    "lint": (
        "find baselines that are damaged, orphaned, oversized, or contradict each other",
        "gradcheck lint\ngradcheck lint tests/ --strict",
        (
            (("paths",), {"metavar": "PATH", "nargs": "*", "help": "files, folders (default: .)"}),
            (
                ("--max-kb",),
                {
                    "type": int,
                    "default": 1024,
                    "metavar": "N",
                    "help": "largest file, in KiB (default: 1024)",
                },
            ),
            (("--strict",), {"action": "store_true", "help": "exit 1 for warnings too"}),
            _JSON,
        ),
    ),
    "schema": (
        "print the JSON Schema of baselines or of reports",
        "gradcheck schema > baseline.schema.json\ngradcheck schema report > report.schema.json",
        (
            (
                ("what",),
                {"nargs": "?", "choices": ("baseline", "report"), "default": "baseline"},
            ),
        ),
    ),
    "merge": (
        "join the reports of several CI shards into one",
        "gradcheck merge shard-*.json -o report.json",
        (
            (("reports",), {"metavar": "REPORT", "nargs": "+", "help": ".json reports of shards"}),
            (
                ("-o", "--output"),
                {
                    "action": "append",
                    "metavar": "FILE",
                    "help": "instead of JSON on standard output; the suffix tells the format; "
                    "repeatable",
                },
            ),
            _ROOT,
        ),
    ),
    "completion": (
        "print the completions for a shell",
        (
            'eval "$(gradcheck completion bash)"\n'
            "gradcheck completion fish > ~/.config/fish/completions/gradcheck.fish"
        ),
        ((("shell",), {"choices": ("bash", "zsh", "fish")}),),
    ),
}
"""By name: help, examples, arguments."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = argparse.ArgumentParser(
        prog="gradcheck",
        description="Look at gradient baselines and reports, compare them, accept changes.",
        epilog="gradcheck COMMAND --help shows examples.\n"
        "exit codes: 0; 1 drifted, or wrong; 2 misuse",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"pytest-gradcheck {__version__}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (text, examples, arguments) in COMMANDS.items():
        lines = "".join(f"  {line}\n" for line in examples.splitlines())
        one = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"examples:\n{lines}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for words, options in arguments:
            one.add_argument(*words, **options)
    return whole


def command(name: str) -> Callable[[argparse.Namespace], int]:
    """Return the function that runs a command; only its module is loaded."""
    module = import_module(f"pytest_gradcheck.cli.{name}")
    return cast("Callable[[argparse.Namespace], int]", module.run)
