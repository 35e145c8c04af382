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
from pytest_gradcheck.reporters.as_json import CLOSING, call_of, opening
from pytest_gradcheck.reporters.as_jsonl import jsonl_start
from pytest_gradcheck.reporters.as_pickle import write_pickle
from pytest_gradcheck.reporters.packed import bare, emptied, filled

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
        start = jsonl_start(report) if of[".jsonl"] else b""
        for draft in of[".json"]:
            draft.write(opening(report))
        for number, entry in enumerate(report.entries):
            call = call_of(entry)
            for draft in of[".json"]:
                draft.write(b",\n" if number else b"")
                for part in filled(call.text, call.blocks):
                    draft.write(part)
            for draft in of[".jsonl"]:
                draft.write(start + bare(call.text)[1:] + b"\n")
            if of[".pkl"]:
                emptied(call.places)
                kept.append(call.content)
        for draft in of[".json"]:
            draft.write(CLOSING)
        for draft in of[".pkl"]:
            write_pickle(draft, report, kept)
    return {path: draft.error for path, draft in drafts.items() if draft.error is not None}
