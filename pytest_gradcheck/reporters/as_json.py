"""Write a report as one JSON document, each call on a line of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.content import RECORDS, entry_content, run_content
from pytest_gradcheck.reporters.encoding import compact, without_nonfinite
from pytest_gradcheck.reporters.packed import Block, filled, parted
from pytest_gradcheck.serialize import NotFinite, to_finite, to_json, to_plain

if TYPE_CHECKING:
    from pytest_gradcheck.reporters import Report, ReportEntry

__all__ = ["CLOSING", "Call", "call_of", "json_text", "opening"]

CLOSING = b"\n]\n}\n"
"""What follows the last call of a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Hold what a report says of one call.

    Attributes:
        text: as a line of JSON, with marks in place of packed numbers; see `packed.filled`.
        blocks: of the text, in order.
        content: the same as data with real numbers, with marks as well.
        places: its blocks.
    """

    text: bytes
    blocks: list[Block]
    content: dict[str, Any]
    places: list[Block]


def json_text(report: Report) -> str:
    """Return the report as JSON; NaN and Inf are the texts ``nan``, ``inf`` and ``-inf``."""
    calls = map(call_of, report.entries)
    lines = b",\n".join(b"".join(filled(call.text, call.blocks)) for call in calls)
    return (opening(report) + lines + CLOSING).decode()


def opening(report: Report) -> bytes:
    """Return a document up to its first call."""
    parts = without_nonfinite(run_content(report, to_json))
    head = b"".join(b'"%s": %s,\n' % (n.encode(), compact(part)) for n, part in parts.items())
    return b'{\n%s"calls": [\n' % head


def call_of(entry: ReportEntry) -> Call:
    """Return what a report says of a call."""
    try:
        content = entry_content(entry, to_finite)
    except NotFinite:
        content, told = entry_content(entry, to_plain), entry_content(entry, to_json)
        places = parted(content)
        blocks = parted(told)
    else:
        blocks = places = parted(content)
        told = content
    # Records have text for what is not finite by now.
    beside = without_nonfinite({n: part for n, part in told.items() if n not in RECORDS})
    text = compact({name: beside.get(name, part) for name, part in told.items()})
    return Call(text=text, blocks=blocks, content=content, places=places)
