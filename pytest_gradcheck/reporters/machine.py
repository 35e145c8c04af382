"""Write what machines read: JSON, JSON lines and a pickle, all of them in one pass.

Requirements:
    What a call says is gathered once, whatever the number of files, and held no longer than a
    format needs it: a large run has a hundred megabytes of sketches. Only the JSON has their
    numbers, from which `gradcheck` accepts and compares; whoever reads the others has no use for
    them.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.atomic import replacing
from pytest_gradcheck.reporters.as_json import CLOSING, call_text, opening
from pytest_gradcheck.reporters.as_jsonl import jsonl_line
from pytest_gradcheck.reporters.as_pickle import write_pickle
from pytest_gradcheck.reporters.content import entry_content
from pytest_gradcheck.reporters.packed import emptied, filled, parted
from pytest_gradcheck.serialize import to_plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_gradcheck.reporters import Report

__all__ = ["write_machine"]

_FORMATS = (".json", ".jsonl", ".pkl")


def write_machine(report: Report, paths: Mapping[Path, str]) -> dict[Path, OSError]:
    """Write a report into files; return why some of them could not be written.

    Args:
        report: what the run found out.
        paths: of the files, with their formats.
    """
    with ExitStack() as stack:
        drafts = {path: stack.enter_context(replacing(path)) for path in paths}
        of = {suffix: [drafts[p] for p in paths if paths[p] == suffix] for suffix in _FORMATS}
        kept: list[dict[str, Any]] = []
        between = opening(report) if of[".json"] else ""
        for entry in report.entries:
            content = entry_content(entry, to_plain)
            if of[".json"] or of[".jsonl"]:
                text, blocks = call_text(entry, content)
                for draft in of[".json"]:
                    draft.write(between.encode())
                    draft.write(filled(text, blocks).encode())
                for draft in of[".jsonl"]:
                    draft.write(jsonl_line(report, filled(text)).encode())
                between = ",\n"
            else:
                blocks = parted(content)
            if of[".pkl"]:
                emptied(blocks)
                kept.append(content)
        for draft in of[".json"]:
            draft.write(f"{'' if report.entries else between}{CLOSING}".encode())
        for draft in of[".pkl"]:
            write_pickle(draft, report, kept)
    return {path: draft.error for path, draft in drafts.items() if draft.error is not None}
