"""The command line program ``gradcheck``: look at baselines and reports, compare, accept.

Requirements:
    It measures nothing: no framework and no test is ever imported. Files it writes go through
    `pytest_gradcheck.filing`, as those of a run do. Exit codes: 0, 1 where something drifted or is
    wrong with what was asked about, 2 where the question was.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

USAGE = 2
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        argv: words after its name; those of this process by default.

    Returns:
        The exit code.
    """
    from pytest_gradcheck.cli.parser import command, parser

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    arguments = parser().parse_args(argv)
    try:
        code = command(arguments.command)(arguments)
        sys.stdout.flush()
    except UsageError as error:
        sys.stderr.write(f"gradcheck {arguments.command}: {error}\n")
        return USAGE
    except BrokenPipeError:  # the reader has seen enough
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code
