"""Tell in lines where numbers that are not finite arose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.records import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_gradcheck.records import Origin

__all__ = ["origin_findings"]

_MOST_NAMES = 4


def origin_findings(origins: Iterable[Origin]) -> Iterator[Finding]:
    """Yield one finding for each origin: the operation first, then what went into it.

    Args:
        origins: as the backend told them.
    """
    for origin in origins:
        yield Finding(
            subject=f"arose in {origin.term}" if origin.term else "arose",
            text="\n".join(_lines(origin)),
        )


def _lines(origin: Origin) -> Iterator[str]:
    """Yield the story of one origin, most telling first."""
    yield origin.operation + (f" ({origin.count} elements)" if origin.count > 1 else "")
    where = [f"in {origin.expression}"] if origin.expression else []
    where += [f"of {origin.kind} {origin.term!r}"] if origin.kind else []
    where += [f"at {origin.source}"] if origin.source else []
    if where:
        yield ", ".join(where)
    if origin.values:
        yield f"with {'; '.join(origin.values)}"
    if origin.rows:
        yield f"data: {'; '.join(origin.rows)}"
    if origin.parameters and origin.term:
        names = origin.parameters[:_MOST_NAMES]
        more = len(origin.parameters) - len(names)
        text = ", ".join(names) + (f" and {more} more" if more else "")
        yield f"spoils the gradient of {text}" + (", and the value" if origin.value else "")
    if origin.note:
        yield origin.note
